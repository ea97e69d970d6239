//! Creating a run's objects, fast, and taking them away again when one of them is refused.

mod previous;

use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};
use sono_kube::{Cluster, Collection, Kind, KubeError};
use sono_types::constants;

use crate::{aggregator::text, args, error::CliError, output::Printer, settings::command_hint};

/// What is to be created, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Creation<'a> {
    pub(super) cluster: &'a Cluster,
    /// Namespace of the run, also for objects that name none.
    pub(super) namespace: &'a str,
    pub(super) arguments: &'a args::Cluster,
    /// A namespace that is there already is used.
    pub(super) namespace_may_exist: bool,
    pub(super) printer: &'a Printer,
}

/// One object to create.
#[derive(Debug)]
struct Object {
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
                    "cannot create {kind} `{name}`: the cluster knows no kind {kind} of {api_version}"
                )),
                error => CliError::from(error),
            })?;
        if collection.is_namespaced() && text(&value, "/metadata/namespace").is_empty() {
            creation.printer.note(&format!(
                "{} `{name}` names no namespace; it goes into `{}`",
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

    /// The order: what others live in, what the aggregator needs, the aggregator.
    fn wave(&self) -> u8 {
        match self {
            object if object.is(Kind::Namespace) => 0,
            object if object.is_aggregator() => 2,
            _ => 1,
        }
    }

    /// The aggregator itself, in either form.
    fn is_aggregator(&self) -> bool {
        self.is(Kind::Pod) || self.is(Kind::Deployment)
    }

    /// Nothing else speaks as plainly for a run that is there.
    fn is_configuration(&self) -> bool {
        self.is(Kind::ConfigMap) && self.name == constants::CONFIG_MAP
    }
}

impl Creation<'_> {
    /// Creates the objects: the namespace, then everything that the aggregator needs at the same time, then the
    /// aggregator. Returns them as the server made them.
    pub(super) async fn create(&self, objects: Vec<Value>) -> Result<Vec<Value>, CliError> {
        let objects = try_join_all(objects.into_iter().map(|value| Object::new(self, value))).await?;
        let makes_namespace = objects.iter().any(|object| object.is(Kind::Namespace));
        self.previous_aggregator(makes_namespace).await?;
        let mut created: Vec<&Object> = Vec::new();
        let mut made = Vec::new();
        for wave in 0..=2 {
            let members: Vec<&Object> = objects.iter().filter(|object| object.wave() == wave).collect();
            let creating = members.iter().map(|object| self.create_one(object));
            let outcomes = join_all(creating).await;
            let mut failed: Option<(&Object, KubeError)> = None;
            for (object, outcome) in members.into_iter().zip(outcomes) {
                match outcome {
                    Ok(object_made) => {
                        created.push(object);
                        made.push(object_made);
                    }
                    Err(error) if error.is_already_exists() && self.may_exist(object) => {
                        tracing::debug!(kind = object.collection.kind(), name = object.name, "is there already");
                    }
                    Err(error) if failed.is_none() || object.is_configuration() => failed = Some((object, error)),
                    Err(_) => {}
                }
            }
            if let Some((object, error)) = failed {
                let refused = self.refusal(object, &error, makes_namespace).await;
                self.undo(&created).await;
                return Err(refused);
            }
        }
        Ok(made)
    }

    /// Creates an object, after one of the same name that is being deleted.
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
                if self.previous_gone(kind, namespace, name).await {
                    return self.cluster.create_in(collection, namespace, value).await;
                }
                outcome
            }
            Err(_) => outcome,
        }
    }

    /// Roles of an earlier run whose namespace was deleted by hand are named for the namespace, and the same.
    fn may_exist(&self, object: &Object) -> bool {
        if object.is(Kind::Namespace) {
            self.namespace_may_exist
        } else {
            !object.collection.is_namespaced()
        }
    }

    /// Removes what was created before something was refused.
    async fn undo(&self, created: &[&Object]) {
        let namespace = created.iter().find(|object| object.is(Kind::Namespace));
        // The namespace takes what is in it along.
        let apart = created.iter().filter(|object| match (namespace, &object.namespace) {
            (Some(namespace), Some(own)) => namespace.name != *own,
            _ => true,
        });
        let removing = apart.map(|object| {
            let namespace = object.namespace.as_deref();
            self.cluster.delete_in(&object.collection, namespace, &object.name)
        });
        match try_join_all(removing).await {
            Ok(removed) if removed.is_empty() => {}
            Ok(_) => self.printer.note("what had been created for this run is removed again"),
            Err(error) => self.printer.note(&format!(
                "warning: what had been created for this run could not all be removed: {error}"
            )),
        }
    }

    async fn refusal(&self, object: &Object, error: &KubeError, makes_namespace: bool) -> CliError {
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
        let is_leaving = error.is_already_exists() && !is_namespace && self.is_terminating(object).await;
        match error {
            KubeError::NamespaceTerminating(_) => terminating(namespace),
            KubeError::AlreadyExists { .. } if is_leaving => {
                CliError::new(format!("{what}: that of the previous run is still being deleted")).hint(format!(
                    "kubectl -n {namespace} describe {} {} says what holds it; then again, or use another namespace: sono run -n NAME",
                    object.collection.kind().to_lowercase(), object.name
                ))
            }
            KubeError::AlreadyExists { .. } if is_namespace => self.occupied().await,
            KubeError::AlreadyExists { .. } if object.is_configuration() || object.is_aggregator() => {
                holds_a_run(namespace, arguments)
            }
            KubeError::AlreadyExists { .. } if object.is(Kind::ServiceAccount) => CliError::of_cluster(what, error)
                .hint("use the one that is there: --existing-service-account; or another: --service-account-name NAME"),
            KubeError::NotFound { .. } if !makes_namespace => is_not_there(namespace),
            KubeError::Forbidden { resource, .. } if makes_namespace && !object.collection.is_namespaced() => {
                let refused = CliError::of_cluster(what, error);
                match resource.as_str() {
                    "namespaces" => refused
                        .hint("use a namespace that exists: sono run -n mine --aggregator-permissions namespaceAdmin"),
                    _ => refused
                        .hint("ask for less: --aggregator-permissions namespaceAdmin, in a namespace that exists"),
                }
            }
            KubeError::Forbidden { .. } if object.is(Kind::Deployment) => CliError::of_cluster(what, error)
                .hint("a single pod needs less: --aggregator-workload pod; a run goes with it when it goes"),
            error => CliError::of_cluster(what, error),
        }
    }

    /// Why a namespace that is there cannot be used.
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
            (Ok(Some(found)), _) if is_going(&found) => terminating(namespace),
            (_, Ok(Some(_))) => holds_a_run(namespace, arguments),
            _ => is_there(namespace),
        }
    }
}

/// Whether an object is being deleted.
pub(super) fn is_going(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty() || text(object, "/status/phase") == "Terminating"
}

pub(super) fn is_there(namespace: &str) -> CliError {
    CliError::new(format!("namespace `{namespace}` already exists")).hint(
        "another one: sono run -n NAME; or this one as it is: --skip-preflight=existingnamespace, or with fewer rights \
         --aggregator-permissions namespaceAdmin",
    )
}

pub(super) fn is_not_there(namespace: &str) -> CliError {
    CliError::new(format!("there is no namespace `{namespace}`")).hint(format!(
        "kubectl create namespace {namespace}; only --aggregator-permissions clusterAdmin creates it"
    ))
}

pub(super) fn terminating(namespace: &str) -> CliError {
    CliError::new(format!("namespace `{namespace}` is being deleted")).hint(format!(
        "wait for it: kubectl wait --for=delete namespace/{namespace}; or use another: sono run -n NAME"
    ))
}

pub(super) fn holds_a_run(namespace: &str, arguments: &args::Cluster) -> CliError {
    CliError::new(format!("namespace `{namespace}` already holds a run")).hint(format!(
        "remove it: {} --wait; or use another: sono run -n NAME",
        command_hint("delete", namespace, arguments)
    ))
}
