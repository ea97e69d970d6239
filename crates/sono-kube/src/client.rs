//! The verbs.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use k8s_openapi::api::core::v1::Node;
use kube::{
    Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy},
    core::{Request, params::GetParams},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    Kind, KubeError,
    bounded::bounded,
    connect::{Maker, Names},
    error::Cause,
};

/// Objects of one page of a list.
const PAGE: u32 = 500;
/// Objects of one page whose text is in memory as a whole while it is read; a node takes 10 to 30 kB of it.
const SMALL_PAGE: u32 = 100;
/// How long one answer may take, and how long the begin of one that goes on.
const LIMIT: Duration = Duration::from_secs(30);
/// How long nothing may come of one that goes on: servers end a watch after 290 s, since they are asked to.
const SILENCE: Duration = Duration::from_secs(330);

/// A cluster's API server. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    watching: Client,
    maker: Arc<Maker>,
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

/// A part of a list.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    /// A list of Go is null where it is empty.
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// What became of a request to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It goes away, at once or when its grace period is over.
    Going,
    /// It was not there.
    NotThere,
}

impl Cluster {
    pub(crate) fn new(client: Client, maker: Maker, server: String, names: Names) -> Self {
        Self {
            watching: bounded(client.clone(), LIMIT, SILENCE),
            client,
            maker: Arc::new(maker),
            plain: Arc::default(),
            server: server.into(),
            names: Arc::new(names),
        }
    }

    /// URL of the API server.
    pub fn server_url(&self) -> &str {
        &self.server
    }

    /// Name of the user in the kubeconfig, which need not be the one that the server knows.
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

    /// A client for answers that go on: not even a server that takes a request and never answers keeps it for ever.
    pub(crate) fn watching_client(&self) -> Client {
        self.watching.clone()
    }

    /// A client that hands on the first answer, whatever it is: the usual one tries again for minutes and says nothing.
    pub(crate) fn plain_client(&self) -> Result<Client, KubeError> {
        if let Some(client) = self.plain.get() {
            return Ok(client.clone());
        }
        let client = self.maker.client(false)?;
        Ok(self.plain.get_or_init(|| client).clone())
    }

    pub(crate) fn failure(&self, error: kube::Error, request: &str) -> KubeError {
        KubeError::from_kube(error, &self.server, request)
    }

    /// Creates `object` where its metadata says.
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
        // A namespace that is not there, or going, shows as a refusal of what is to be created in it.
        match (created, namespace) {
            (Err(KubeError::NamespaceTerminating(found)), Some(namespace)) if found.is_empty() => {
                Err(KubeError::NamespaceTerminating(namespace.to_owned()))
            }
            (created, _) => created,
        }
    }

    /// Puts `object` in place of the one whose version `metadata.resourceVersion` names. Where that is not the current one
    /// any more, or the object is gone, nothing happens and the answer is `None`.
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

    /// Reads one object; none is an answer.
    pub async fn get(&self, kind: Kind, namespace: Option<&str>, name: &str) -> Result<Option<Value>, KubeError> {
        let made = Request::new(kind.path(namespace)).get(name, &GetParams::default());
        match self.json(made, &format!("reading {} `{name}`", kind.name())).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists objects by label selector (all where it is empty), of all namespaces where none is given.
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

    /// Hands the objects of a kind to `each` as they are read, page by page: by field selector (all where it is empty), of all
    /// namespaces where none is given. `T` names the fields that are read.
    pub async fn each<T: DeserializeOwned>(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        fields: &str,
        mut each: impl FnMut(T),
    ) -> Result<(), KubeError> {
        let request = format!("listing {}", kind.plural());
        let mut parameters = ListParams::default().limit(SMALL_PAGE);
        if !fields.is_empty() {
            parameters = parameters.fields(fields);
        }
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

    /// Deletes one object, dependents in the background. `grace` is in seconds, for pods.
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
            Ok(_) => Ok(Deleted::Going),
            Err(error) if error.is_not_found() => Ok(Deleted::NotThere),
            // A namespace that is on its way already.
            Err(KubeError::Refused { code: 409, .. }) => Ok(Deleted::Going),
            Err(error) => Err(error),
        }
    }

    /// Deletes all objects that a label selector finds; it must not be empty.
    pub async fn delete_all(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        labels: &str,
        grace: Option<u32>,
    ) -> Result<(), KubeError> {
        let request = format!("deleting {} with labels {labels}", kind.plural());
        if labels.is_empty() {
            return Err(KubeError::Request {
                request,
                source: Cause("no labels: this would be all there are".to_owned()),
            });
        }
        let made = Request::new(kind.path(namespace))
            .delete_collection(&deletion(grace), &ListParams::default().labels(labels));
        match self.json(made, &request).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sets annotations and leaves the others as they are.
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

    /// All nodes.
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

    /// What `/version` says.
    pub async fn server_version(&self) -> Result<Value, KubeError> {
        self.json(plain("/version"), "asking for the server's version").await
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
        let answer = tokio::time::timeout(LIMIT, send(made)).await;
        let answer = answer.map_err(|_| KubeError::NoAnswer {
            server: self.server.to_string(),
            request: request.to_owned(),
            limit: LIMIT,
        })?;
        tracing::trace!(request, ok = answer.is_ok(), "asked the API server");
        answer.map_err(|error| self.failure(error, request))
    }
}

/// Items of lists lack the two fields that say what they are.
fn typed(kind: Kind, mut item: Value) -> Value {
    if let Some(fields) = item.as_object_mut() {
        fields.entry("apiVersion").or_insert_with(|| kind.api_version().into());
        fields.entry("kind").or_insert_with(|| kind.name().into());
    }
    item
}

pub(crate) fn deletion(grace: Option<u32>) -> DeleteParams {
    DeleteParams {
        grace_period_seconds: grace,
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    }
}

pub(crate) fn plain(path: &str) -> Result<http::Request<Vec<u8>>, kube::core::request::Error> {
    http::Request::get(path)
        .body(Vec::new())
        .map_err(kube::core::request::Error::BuildRequest)
}
