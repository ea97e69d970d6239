//! Creates the objects of a run concurrently, and removes them if one is refused.

mod previous;

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};
use sono_kube::{Cluster, Collection, Kind, KubeError};
use sono_types::constants;

pub(super) use self::previous::previous_namespace;
use crate::{aggregator::text, args, error::CliError, output::Printer, settings::command_hint};

/// Destination and options of the creation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Creation<'a> {
    pub(super) cluster: &'a Cluster,
    /// Namespace of the run, also for objects without a namespace.
    pub(super) namespace: &'a str,
    pub(super) arguments: &'a args::Cluster,
    /// Whether an existing namespace is used.
    pub(super) namespace_may_exist: bool,
    pub(super) printer: &'a Printer,
}

/// Verb, collection and namespace of a required permission.
type Permission = (&'static str, Collection, Option<String>);

/// Error that lists all missing permissions.
fn missing_permissions(missing: &[&Permission], required: usize) -> CliError {
    let mut scopes: BTreeMap<(Option<&str>, &str), BTreeSet<String>> = BTreeMap::new();
    for (verb, collection, namespace) in missing {
        let namespace = namespace.as_deref().filter(|_| collection.is_namespaced());
        scopes
            .entry((namespace, *verb))
            .or_default()
            .insert(collection.resource());
    }
    let lines = scopes.into_iter().map(|((namespace, verb), resources)| {
        let resources = resources.into_iter().collect::<Vec<_>>().join(", ");
        match namespace {
            Some(namespace) => format!("in namespace `{namespace}`: {verb} {resources}"),
            None => format!("in the cluster: {verb} {resources}"),
        }
    });
    let hint = if missing.iter().any(|(_, collection, _)| !collection.is_namespaced()) {
        "use an existing namespace and fewer permissions: sono run -n NAME --aggregator-permissions namespaceAdmin"
    } else {
        "the role sono-runner grants them: docs/permissions.md, deploy/kustomize/components/runner"
    };
    CliError::new(format!(
        "{} of {required} permissions are missing; nothing was created",
        missing.len()
    ))
    .details(lines)
    .hint(hint)
}

/// One object to create.
#[derive(Debug)]
pub(super) struct Object {
    collection: Collection,
    name: String,
    namespace: Option<String>,
    value: Value,
}

impl Object {
    async fn new(creation: &Creation<'_>, mut value: Value) -> Result<Self, CliError> {
        let name = text(&value, "/metadata/name").to_owned();
        let collection = creation
            .cluster
            .collection_of(&value)
            .await
            .map_err(|error| match error {
                KubeError::UnknownKind { kind, api_version } => CliError::new(format!(
                    "cannot create {kind} `{name}`: the cluster does not serve kind {kind} in {api_version}"
                )),
                error => CliError::from(error),
            })?;
        if collection.is_namespaced() && text(&value, "/metadata/namespace").is_empty() {
            creation.printer.note(&format!(
                "{} `{name}` has no namespace; creating it in `{}`",
                collection.kind(),
                creation.namespace
            ));
            value["metadata"]["namespace"] = json!(creation.namespace);
        }
        let namespace = Some(text(&value, "/metadata/namespace").to_owned()).filter(|name| !name.is_empty());
        Ok(Self {
            collection,
            name,
            namespace,
            value,
        })
    }

    fn is(&self, kind: Kind) -> bool {
        self.collection == kind.into()
    }

    /// Phase of creation: namespaces, objects required by the aggregator, the aggregator.
    fn create_phase(&self) -> u8 {
        match self {
            object if object.is(Kind::Namespace) => 0,
            object if object.is_aggregator() => 2,
            _ => 1,
        }
    }

    /// Whether this is the aggregator's pod or Deployment.
    fn is_aggregator(&self) -> bool {
        self.is(Kind::Pod) || self.is(Kind::Deployment)
    }

    /// Whether this is the run's configuration. If it exists, the namespace contains a run.
    fn is_configuration(&self) -> bool {
        self.is(Kind::ConfigMap) && self.name == constants::CONFIG_MAP
    }
}

impl Creation<'_> {
    /// Finds the collections of the objects, and checks that the account may create them and find the run.
    pub(super) async fn check(&self, objects: Vec<Value>) -> Result<Vec<Object>, CliError> {
        let objects = try_join_all(objects.into_iter().map(|value| Object::new(self, value))).await?;
        let mut required: Vec<Permission> = vec![("list", Kind::Pod.into(), Some(self.namespace.to_owned()))];
        for object in &objects {
            let permission = ("create", object.collection.clone(), object.namespace.clone());
            if !required.contains(&permission) {
                required.push(permission);
            }
        }
        let checks = required
            .iter()
            .map(|(verb, collection, namespace)| self.cluster.may(verb, collection, namespace.as_deref()));
        let allowed = join_all(checks).await;
        // Without an answer, the creation itself reports a missing permission.
        let missing: Vec<&Permission> = required
            .iter()
            .zip(&allowed)
            .filter(|(_, allowed)| matches!(allowed, Ok(false)))
            .map(|(permission, _)| permission)
            .collect();
        if missing.is_empty() {
            return Ok(objects);
        }
        Err(missing_permissions(&missing, required.len()))
    }

    /// Creates the objects in phases: namespace, objects required by the aggregator, aggregator. Returns them as stored
    /// by the API server.
    pub(super) async fn create(&self, objects: Vec<Value>) -> Result<Vec<Value>, CliError> {
        let objects = self.check(objects).await?;
        let creates_namespace = objects.iter().any(|object| object.is(Kind::Namespace));
        self.previous_aggregator(creates_namespace).await?;
        let mut created: Vec<&Object> = Vec::new();
        let mut stored = Vec::new();
        for phase in 0..=2 {
            let members: Vec<&Object> = objects.iter().filter(|object| object.create_phase() == phase).collect();
            let creating = members.iter().map(|object| self.create_one(object));
            let outcomes = join_all(creating).await;
            let mut failed: Option<(&Object, KubeError)> = None;
            for (object, outcome) in members.into_iter().zip(outcomes) {
                match outcome {
                    Ok(stored_object) => {
                        created.push(object);
                        stored.push(stored_object);
                    }
                    Err(error) if error.is_already_exists() && self.may_exist(object) => {
                        tracing::debug!(kind = object.collection.kind(), name = object.name, "already exists");
                    }
                    Err(error) if failed.is_none() || object.is_configuration() => failed = Some((object, error)),
                    Err(_) => {}
                }
            }
            if let Some((object, error)) = failed {
                let refused = self.refusal(object, &error, creates_namespace).await;
                self.undo(&created).await;
                return Err(refused);
            }
        }
        Ok(stored)
    }

    /// Creates an object. Waits for an object of the same name that is being deleted.
    async fn create_one(&self, object: &Object) -> Result<Value, KubeError> {
        let Object {
            collection,
            name,
            value,
            ..
        } = object;
        let namespace = object.namespace.as_deref();
        let outcome = self.cluster.create_in(collection, namespace, value).await;
        let exists = matches!(&outcome, Err(error) if error.is_already_exists());
        if !exists || namespace.is_none() || self.may_exist(object) {
            return outcome;
        }
        match Kind::of(value) {
            Ok(kind) => {
                if self.wait_for_previous(kind, namespace, name).await {
                    return self.cluster.create_in(collection, namespace, value).await;
                }
                outcome
            }
            Err(_) => outcome,
        }
    }

    /// Whether the object may exist. Cluster roles may remain from an earlier run in the namespace, and are identical.
    fn may_exist(&self, object: &Object) -> bool {
        if object.is(Kind::Namespace) {
            self.namespace_may_exist
        } else {
            !object.collection.is_namespaced()
        }
    }

    /// Removes the created objects.
    async fn undo(&self, created: &[&Object]) {
        let namespace = created.iter().find(|object| object.is(Kind::Namespace));
        // Deleting the namespace deletes the objects in it.
        let others = created.iter().filter(|object| match (namespace, &object.namespace) {
            (Some(namespace), Some(own)) => namespace.name != *own,
            _ => true,
        });
        let removing = others.map(|object| {
            let namespace = object.namespace.as_deref();
            self.cluster.delete_in(&object.collection, namespace, &object.name)
        });
        match try_join_all(removing).await {
            Ok(removed) if removed.is_empty() => {}
            Ok(_) => self.printer.note("removed the objects that were created for this run"),
            Err(error) => self.printer.note(&format!(
                "warning: cannot remove all objects that were created for this run: {error}"
            )),
        }
    }

    async fn refusal(&self, object: &Object, error: &KubeError, creates_namespace: bool) -> CliError {
        let Self {
            namespace, arguments, ..
        } = *self;
        let is_namespace = object.is(Kind::Namespace);
        let kind = if is_namespace {
            "namespace"
        } else {
            object.collection.kind()
        };
        let what = format!("cannot create {kind} `{}`", object.name);
        let is_terminating = error.is_already_exists() && !is_namespace && self.is_terminating(object).await;
        match error {
            KubeError::NamespaceTerminating(_) => namespace_terminating(namespace),
            KubeError::AlreadyExists { .. } if is_terminating => {
                CliError::new(format!("{what}: the object of the same name from the previous run is still being deleted")).hint(format!(
                    "to see what blocks its deletion: kubectl -n {namespace} describe {} {}; or use another namespace: sono run -n NAME",
                    object.collection.kind().to_lowercase(), object.name
                ))
            }
            KubeError::AlreadyExists { .. } if is_namespace => self.occupied().await,
            KubeError::AlreadyExists { .. } if object.is_configuration() || object.is_aggregator() => {
                namespace_occupied(namespace, arguments)
            }
            KubeError::AlreadyExists { .. } if object.is(Kind::ServiceAccount) => CliError::of_cluster(what, error)
                .hint("use the existing one: --existing-service-account; or another: --service-account-name NAME"),
            KubeError::NotFound { .. } if !creates_namespace => namespace_missing(namespace),
            KubeError::Forbidden { resource, .. } if creates_namespace && !object.collection.is_namespaced() => {
                let refused = CliError::of_cluster(what, error);
                match resource.as_str() {
                    "namespaces" => refused
                        .hint("use an existing namespace: sono run -n NAME --aggregator-permissions namespaceAdmin"),
                    _ => refused
                        .hint("use fewer permissions in an existing namespace: --aggregator-permissions namespaceAdmin"),
                }
            }
            KubeError::Forbidden { .. } if object.is(Kind::Deployment) => CliError::of_cluster(what, error)
                .hint("a single pod needs fewer permissions: --aggregator-workload pod; the run is lost if the pod is lost"),
            error => CliError::of_cluster(what, error),
        }
    }

    /// Reason why an existing namespace cannot be used.
    async fn occupied(&self) -> CliError {
        let Self {
            cluster,
            namespace,
            arguments,
            ..
        } = *self;
        let (found, run) = futures::join!(
            cluster.get(Kind::Namespace, None, namespace),
            cluster.get(Kind::ConfigMap, Some(namespace), constants::CONFIG_MAP)
        );
        match (found, run) {
            (Ok(Some(found)), _) if is_being_deleted(&found) => namespace_terminating(namespace),
            (_, Ok(Some(_))) => namespace_occupied(namespace, arguments),
            _ => namespace_exists(namespace),
        }
    }
}

/// Whether an object is being deleted.
pub(super) fn is_being_deleted(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty() || text(object, "/status/phase") == "Terminating"
}

pub(super) fn namespace_exists(namespace: &str) -> CliError {
    CliError::new(format!("namespace `{namespace}` already exists")).hint(
        "use another one: sono run -n NAME; or this one: --skip-preflight=existingnamespace, or with fewer permissions: \
         --aggregator-permissions namespaceAdmin",
    )
}

pub(super) fn namespace_missing(namespace: &str) -> CliError {
    CliError::new(format!("namespace `{namespace}` does not exist")).hint(format!(
        "create it: kubectl create namespace {namespace}; only --aggregator-permissions clusterAdmin creates it"
    ))
}

pub(super) fn namespace_terminating(namespace: &str) -> CliError {
    CliError::new(format!("namespace `{namespace}` is being deleted")).hint(format!(
        "wait for it: kubectl wait --for=delete namespace/{namespace}; or use another: sono run -n NAME"
    ))
}

pub(super) fn namespace_occupied(namespace: &str, arguments: &args::Cluster) -> CliError {
    CliError::new(format!("namespace `{namespace}` already contains a run")).hint(format!(
        "remove it: {} --wait; or use another: sono run -n NAME",
        command_hint("delete", namespace, arguments)
    ))
}
