//! API collections of any kind, including kinds without a [`Kind`], which are discovered on demand.

use kube::{api::PostParams, core::Request};
use serde_json::{Value, json};

use crate::{Cluster, Deleted, Kind, KubeError, client::plain, deletion::deletion, query::ApiName};

/// The collection of one kind of object, namespaced or cluster-scoped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Path of the API group and version.
    root: String,
    plural: String,
    kind: String,
    namespaced: bool,
}

impl From<Kind> for Collection {
    fn from(kind: Kind) -> Self {
        Self {
            root: root(&kind.api_version()),
            plural: kind.plural().to_owned(),
            kind: kind.name().to_owned(),
            namespaced: kind.is_namespaced(),
        }
    }
}

impl Collection {
    /// The value of `kind` in its objects.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether its objects are namespaced.
    pub fn is_namespaced(&self) -> bool {
        self.namespaced
    }

    /// Name of its objects in permissions, such as `pods` or `deployments.apps`.
    pub fn resource(&self) -> String {
        match self.group() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// Name of the API group; empty for the core group.
    fn group(&self) -> &str {
        let named = self.root.strip_prefix("/apis/").and_then(|root| root.split('/').next());
        named.unwrap_or_default()
    }

    fn path(&self, namespace: Option<&str>) -> String {
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{}/namespaces/{namespace}/{}", self.root, self.plural),
            None => format!("{}/{}", self.root, self.plural),
        }
    }
}

impl Cluster {
    /// The collection of `object`. Only kinds without a [`Kind`] cost a request to the server.
    ///
    /// # Errors
    ///
    /// [`KubeError::UnknownKind`] if the server does not serve the kind.
    pub async fn collection_of(&self, object: &Value) -> Result<Collection, KubeError> {
        let (kind, api_version) = match Kind::of(object) {
            Ok(kind) => return Ok(kind.into()),
            Err(KubeError::UnknownKind { kind, api_version }) => (kind, api_version),
            Err(error) => return Err(error),
        };
        // It is part of a definition, and must not lead elsewhere.
        let segments: Vec<&str> = api_version.split('/').collect();
        if segments.len() > 2 || segments.iter().any(|name| ApiName::parse(name).is_err()) {
            return Err(KubeError::UnknownKind { kind, api_version });
        }
        let root = root(&api_version);
        let answer = match self.json(plain(&root), "listing the resources of an API group").await {
            Ok(answer) => answer,
            Err(error) if is_absent(&error) => Value::Null,
            Err(error) => return Err(error),
        };
        let resources = answer.get("resources").and_then(Value::as_array).into_iter().flatten();
        let text = |resource: &Value, key: &str| resource.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        let found = resources
            .filter(|resource| text(resource, "kind").as_ref() == Some(&kind))
            // Subresources such as `pods/log` report the same kind.
            .find_map(|resource| {
                let plural = ApiName::parse(&text(resource, "name")?).ok()?.to_string();
                Some((plural, resource.get("namespaced")?.as_bool()?))
            });
        match found {
            Some((plural, namespaced)) => Ok(Collection {
                root,
                plural,
                kind,
                namespaced,
            }),
            None => Err(KubeError::UnknownKind { kind, api_version }),
        }
    }

    /// Whether the account may use this verb on the collection, in `namespace` if its kind is namespaced.
    pub async fn may(&self, verb: &str, collection: &Collection, namespace: Option<&str>) -> Result<bool, KubeError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": verb,
                "group": collection.group(),
                "resource": collection.plural,
                "namespace": namespace.filter(|_| collection.namespaced).unwrap_or_default(),
            }},
        });
        let made = Request::new("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
            .create(&PostParams::default(), review.to_string().into_bytes());
        let answer = self.json(made, "checking permissions").await?;
        Ok(answer
            .pointer("/status/allowed")
            .and_then(Value::as_bool)
            .unwrap_or(true))
    }

    /// Creates an object in a collection, in `namespace` if its kind is namespaced.
    pub async fn create_in(
        &self,
        collection: &Collection,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<Value, KubeError> {
        if let Ok(kind) = Kind::of(object)
            && Collection::from(kind) == *collection
        {
            return self.create(object).await;
        }
        let body = object.to_string().into_bytes();
        let made = Request::new(collection.path(namespace)).create(&PostParams::default(), body);
        self.json(made, &format!("creating {}", collection.kind)).await
    }

    /// Deletes an object from a collection; its dependents are deleted in the background.
    pub async fn delete_in(
        &self,
        collection: &Collection,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Deleted, KubeError> {
        let made = Request::new(collection.path(namespace)).delete(name, &deletion(None));
        self.deleted(made, &format!("deleting {} `{name}`", collection.kind))
            .await
    }

    /// Whether the server serves this version of an API group, such as `rbac.authorization.k8s.io` and `v1`.
    pub async fn has_api(&self, group: &str, version: &str) -> Result<bool, KubeError> {
        let path = format!("/apis/{group}/{version}");
        match self
            .json(plain(&path), &format!("checking for {group}/{version}"))
            .await
        {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn root(api_version: &str) -> String {
    let api = if api_version.contains('/') { "apis" } else { "api" };
    format!("/{api}/{api_version}")
}

fn is_absent(error: &KubeError) -> bool {
    error.is_not_found() || matches!(error, KubeError::Refused { code: 404, .. })
}
