//! Requests to the API server: create, get, list, replace, patch, delete.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use k8s_openapi::api::core::v1::Node;
use kube::{
    Client,
    api::{ListParams, Patch, PatchParams, PostParams},
    core::{Request, params::GetParams},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    Kind, KubeError,
    bounded::bounded,
    connect::{ClientFactory, Connection, Environment, Names, first_client},
    deletion::deletion,
    error::Cause,
};

/// Objects per page of a list.
const PAGE: u32 = 500;
/// Objects per page of a list that is parsed from one buffer; a node takes 10 to 30 kB of it.
const SMALL_PAGE: u32 = 100;
/// Timeout of a request, and of the start of a streamed response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest pause of a streamed response. Servers end a watch after 290 s, as requested.
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(330);

/// A cluster's API server. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    watching: Client,
    factory: Arc<ClientFactory>,
    plain: Arc<OnceLock<Client>>,
    server: Arc<str>,
    names: Arc<Names>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cluster")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// One page of a list.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    /// `null` for an empty list: Go's encoding of a nil slice.
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// The result of a request to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The object was or will be deleted, at the latest after its grace period.
    Started,
    /// The object does not exist.
    NotFound,
}

impl Cluster {
    /// Reads the configuration and creates a client. Nothing is sent yet: an unreachable cluster fails the first
    /// request.
    pub async fn connect(connection: &Connection) -> Result<Self, KubeError> {
        Self::connect_in(connection, Environment::of_process()).await
    }

    /// Like [`Cluster::connect`], with other environment variables than those of this process.
    pub async fn connect_in(connection: &Connection, environment: Environment) -> Result<Self, KubeError> {
        let connection = connection.clone();
        // Credential plugins run until the user has logged in.
        let made = tokio::task::spawn_blocking(move || first_client(&connection, &environment));
        let made = made
            .await
            .map_err(|error| KubeError::Configuration(Cause::of(&error)))?;
        let (client, factory, names) = made?;
        let server = factory.server();
        Ok(Self::new(client, factory, server, names))
    }

    pub(crate) fn new(client: Client, factory: ClientFactory, server: String, names: Names) -> Self {
        Self {
            watching: bounded(client.clone(), REQUEST_TIMEOUT, STREAM_IDLE_TIMEOUT),
            client,
            factory: Arc::new(factory),
            plain: Arc::default(),
            server: server.into(),
            names: Arc::new(names),
        }
    }

    /// URL of the API server.
    pub fn server_url(&self) -> &str {
        &self.server
    }

    /// Name of the user in the kubeconfig. The server may know the user by another name.
    pub fn user(&self) -> Option<&str> {
        self.names.user.as_deref()
    }

    /// Name of the context in the kubeconfig.
    pub fn context(&self) -> Option<&str> {
        self.names.context.as_deref()
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client for streamed responses. Its timeouts also cover a server that accepts a request and never responds.
    pub(crate) fn watching_client(&self) -> Client {
        self.watching.clone()
    }

    /// A client without retries, which returns the first response. The usual client retries silently for minutes.
    pub(crate) fn plain_client(&self) -> Result<Client, KubeError> {
        if let Some(client) = self.plain.get() {
            return Ok(client.clone());
        }
        let client = self.factory.client(false)?;
        Ok(self.plain.get_or_init(|| client).clone())
    }

    pub(crate) fn failure(&self, error: kube::Error, request: &str) -> KubeError {
        KubeError::from_kube(error, &self.server, request)
    }

    /// Creates `object` in the namespace that its metadata names.
    pub async fn create(&self, object: &Value) -> Result<Value, KubeError> {
        let kind = Kind::of(object)?;
        let name = object
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
        let incomplete = |missing| KubeError::Incomplete {
            kind: kind.name(),
            name: name.to_owned(),
            missing,
        };
        if name.is_empty() {
            return Err(incomplete("name"));
        }
        if kind.is_namespaced() && namespace.is_none() {
            return Err(incomplete("namespace"));
        }
        let body = object.to_string().into_bytes();
        let made = Request::new(kind.path(namespace)).create(&PostParams::default(), body);
        let created = self.json(made, &format!("creating {} `{name}`", kind.name())).await;
        // For a namespace that does not exist or is being deleted, the server refuses the objects in it.
        match (created, namespace) {
            (Err(KubeError::NamespaceTerminating(found)), Some(namespace)) if found.is_empty() => {
                Err(KubeError::NamespaceTerminating(namespace.to_owned()))
            }
            (created, _) => created,
        }
    }

    /// Replaces the version of the object that `metadata.resourceVersion` names. Returns `None`, and changes nothing,
    /// if that version is not the current one or the object no longer exists.
    pub async fn replace(&self, object: &Value) -> Result<Option<Value>, KubeError> {
        let kind = Kind::of(object)?;
        let field = |name: &str| object.pointer(&format!("/metadata/{name}")).and_then(Value::as_str);
        let name = field("name").unwrap_or_default();
        let missing = [
            ("name", name),
            ("resourceVersion", field("resourceVersion").unwrap_or_default()),
        ];
        if let Some((missing, _)) = missing.into_iter().find(|(_, value)| value.is_empty()) {
            return Err(KubeError::Incomplete {
                kind: kind.name(),
                name: name.to_owned(),
                missing,
            });
        }
        let body = object.to_string().into_bytes();
        let made = Request::new(kind.path(field("namespace"))).replace(name, &PostParams::default(), body);
        match self.json(made, &format!("replacing {} `{name}`", kind.name())).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(KubeError::Refused { code: 409, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads one object; `None` if it does not exist.
    pub async fn get(&self, kind: Kind, namespace: Option<&str>, name: &str) -> Result<Option<Value>, KubeError> {
        let made = Request::new(kind.path(namespace)).get(name, &GetParams::default());
        match self.json(made, &format!("reading {} `{name}`", kind.name())).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists objects by label selector (empty: all), in one namespace or, without one, in all.
    pub async fn list(&self, kind: Kind, namespace: Option<&str>, labels: &str) -> Result<Vec<Value>, KubeError> {
        let parameters = ListParams::default().limit(PAGE);
        let labelled = !labels.is_empty();
        let mut parameters = if labelled {
            parameters.labels(labels)
        } else {
            parameters
        };
        let request = format!("listing {}", kind.plural());
        let mut items = Vec::new();
        loop {
            let made = Request::new(kind.path(namespace)).list(&parameters);
            let mut page = self.json(made, &request).await?;
            if let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) {
                items.extend(found.into_iter().map(|item| typed(kind, item)));
            }
            let token = page
                .pointer("/metadata/continue")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if token.is_empty() {
                return Ok(items);
            }
            parameters.continue_token = Some(token.to_owned());
        }
    }

    /// Lists objects page by page and passes each to `each`: by field selector (empty: all), in one namespace or,
    /// without one, in all. Only the fields of `T` are read.
    pub async fn each<T: DeserializeOwned>(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        fields: &str,
        each: impl FnMut(T),
    ) -> Result<(), KubeError> {
        let parameters = ListParams::default();
        let parameters = if fields.is_empty() {
            parameters
        } else {
            parameters.fields(fields)
        };
        self.each_of(kind, namespace, parameters, each).await
    }

    pub(crate) async fn each_of<T: DeserializeOwned>(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        parameters: ListParams,
        mut each: impl FnMut(T),
    ) -> Result<(), KubeError> {
        let request = format!("listing {}", kind.plural());
        let mut parameters = parameters.limit(SMALL_PAGE);
        loop {
            let made = Request::new(kind.path(namespace)).list(&parameters);
            let page: Page<T> = self
                .answer(made, &request, |request| self.client.request(request))
                .await?;
            page.items.into_iter().flatten().for_each(&mut each);
            parameters.continue_token = page.metadata.next.filter(|token| !token.is_empty());
            if parameters.continue_token.is_none() {
                return Ok(());
            }
        }
    }

    /// Deletes one object; its dependents are deleted in the background. `grace` is in seconds, for pods.
    pub async fn delete(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        grace: Option<u32>,
    ) -> Result<Deleted, KubeError> {
        let made = Request::new(kind.path(namespace)).delete(name, &deletion(grace));
        self.deleted(made, &format!("deleting {} `{name}`", kind.name())).await
    }

    pub(crate) async fn deleted(
        &self,
        made: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        request: &str,
    ) -> Result<Deleted, KubeError> {
        match self.json(made, request).await {
            Ok(_) => Ok(Deleted::Started),
            Err(error) if error.is_not_found() => Ok(Deleted::NotFound),
            // The namespace is already being deleted.
            Err(KubeError::Refused { code: 409, .. }) => Ok(Deleted::Started),
            Err(error) => Err(error),
        }
    }

    /// Sets annotations; leaves the other annotations unchanged.
    pub async fn annotate(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Value, KubeError> {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
        let made = Request::new(kind.path(namespace)).patch(name, &PatchParams::default(), &patch);
        self.json(made, &format!("annotating {} `{name}`", kind.name())).await
    }

    /// Lists all nodes.
    pub async fn nodes(&self) -> Result<Vec<Node>, KubeError> {
        let nodes = self.list(Kind::Node, None, "").await?;
        nodes
            .into_iter()
            .map(|node| {
                serde_json::from_value(node).map_err(|error| KubeError::Answer {
                    request: "listing nodes".to_owned(),
                    source: Cause(error.to_string()),
                })
            })
            .collect()
    }

    /// The response to `GET /version`.
    pub async fn server_version(&self) -> Result<Value, KubeError> {
        self.json(plain("/version"), "reading the server's version").await
    }

    pub(crate) async fn json(
        &self,
        made: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        request: &str,
    ) -> Result<Value, KubeError> {
        self.answer(made, request, |request| self.client.request(request)).await
    }

    async fn answer<T, F: Future<Output = kube::Result<T>>>(
        &self,
        made: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        request: &str,
        send: impl FnOnce(http::Request<Vec<u8>>) -> F,
    ) -> Result<T, KubeError> {
        let made = made.map_err(|error| self.failure(kube::Error::BuildRequest(error), request))?;
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, send(made)).await;
        let answer = answer.map_err(|_| KubeError::NoAnswer {
            server: self.server.to_string(),
            request: request.to_owned(),
            limit: REQUEST_TIMEOUT,
        })?;
        tracing::trace!(request, ok = answer.is_ok(), "API server responded");
        answer.map_err(|error| self.failure(error, request))
    }
}

/// Adds `apiVersion` and `kind`, which items of a list lack.
fn typed(kind: Kind, mut item: Value) -> Value {
    if let Some(fields) = item.as_object_mut() {
        fields.entry("apiVersion").or_insert_with(|| kind.api_version().into());
        fields.entry("kind").or_insert_with(|| kind.name().into());
    }
    item
}

pub(crate) fn plain(path: &str) -> Result<http::Request<Vec<u8>>, kube::core::request::Error> {
    http::Request::get(path)
        .body(Vec::new())
        .map_err(kube::core::request::Error::BuildRequest)
}
