//! Creating a run's objects, fast, and taking them away again when one of them is refused.

use futures::future::{join_all, try_join_all};
use serde_json::Value;
use sono_kube::{Cluster, Kind, KubeError};
use sono_types::constants;

use crate::{aggregator::text, args, error::CliError, output::Printer, settings::again};

/// One object to create.
#[derive(Debug)]
struct Object<'a> {
    kind: Kind,
    name: &'a str,
    namespace: Option<&'a str>,
    value: &'a Value,
}

impl<'a> Object<'a> {
    fn new(value: &'a Value) -> Result<Self, CliError> {
        let kind = Kind::of(value)?;
        let namespace = value.pointer("/metadata/namespace").and_then(Value::as_str);
        Ok(Self {
            kind,
            name: text(value, "/metadata/name"),
            namespace,
            value,
        })
    }

    /// The order: what others live in, what the pod needs, the pod.
    fn wave(&self) -> u8 {
        match self.kind {
            Kind::Namespace => 0,
            Kind::Pod => 2,
            _ => 1,
        }
    }
}

/// Creates the objects: the namespace, then everything that the aggregator's pod needs at the same time, then the pod.
pub(super) async fn create(
    cluster: &Cluster,
    objects: &[Value],
    namespace: &str,
    arguments: &args::Cluster,
    printer: &Printer,
) -> Result<(), CliError> {
    let objects = objects.iter().map(Object::new).collect::<Result<Vec<_>, _>>()?;
    let makes_namespace = objects.iter().any(|object| object.kind == Kind::Namespace);
    let mut created: Vec<&Object<'_>> = Vec::new();
    for wave in 0..=2 {
        let members: Vec<&Object<'_>> = objects.iter().filter(|object| object.wave() == wave).collect();
        let outcomes = join_all(members.iter().map(|object| cluster.create(object.value))).await;
        let mut failed = None;
        for (object, outcome) in members.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => created.push(object),
                // Roles of an earlier run whose namespace was deleted by hand. They are named for the namespace.
                Err(error) if error.is_already_exists() && !object.kind.is_namespaced() && wave > 0 => {
                    tracing::debug!(kind = object.kind.name(), name = object.name, "is there already");
                }
                Err(error) => failed = failed.or(Some((object, error))),
            }
        }
        if let Some((object, error)) = failed {
            let refused = refusal(cluster, object, &error, namespace, makes_namespace, arguments).await;
            undo(cluster, &created, printer).await;
            return Err(refused);
        }
    }
    Ok(())
}

/// Removes what was created before something was refused.
async fn undo(cluster: &Cluster, created: &[&Object<'_>], printer: &Printer) {
    let namespace = created.iter().any(|object| object.kind == Kind::Namespace);
    // The namespace takes what is in it along.
    let apart = created
        .iter()
        .filter(|object| !namespace || !object.kind.is_namespaced());
    let removed =
        try_join_all(apart.map(|object| cluster.delete(object.kind, object.namespace, object.name, None))).await;
    match removed {
        Ok(removed) if removed.is_empty() => {}
        Ok(_) => printer.note("what had been created for this run is removed again"),
        Err(error) => printer.note(&format!(
            "warning: what had been created for this run could not all be removed: {error}"
        )),
    }
}

async fn refusal(
    cluster: &Cluster,
    object: &Object<'_>,
    error: &KubeError,
    namespace: &str,
    makes_namespace: bool,
    arguments: &args::Cluster,
) -> CliError {
    let kind = match object.kind {
        Kind::Namespace => "namespace",
        other => other.name(),
    };
    let what = format!("cannot create {kind} `{}`", object.name);
    match error {
        KubeError::NamespaceTerminating(_) => terminating(namespace),
        KubeError::AlreadyExists { .. } if object.kind == Kind::Namespace => {
            occupied(cluster, namespace, arguments).await
        }
        KubeError::AlreadyExists { .. } => holds_a_run(namespace, arguments),
        KubeError::NotFound { .. } if !makes_namespace => CliError::new(format!("there is no namespace `{namespace}`"))
            .hint(format!(
                "kubectl create namespace {namespace}; only --aggregator-permissions clusterAdmin creates it"
            )),
        KubeError::Forbidden { resource, .. } if makes_namespace && !object.kind.is_namespaced() => {
            let refused = CliError::of_cluster(what, error);
            match resource.as_str() {
                "namespaces" => refused
                    .hint("use a namespace that exists: sono run -n mine --aggregator-permissions namespaceAdmin"),
                _ => refused.hint("ask for less: --aggregator-permissions namespaceAdmin, in a namespace that exists"),
            }
        }
        error => CliError::of_cluster(what, error),
    }
}

/// Why a namespace that is there cannot be used.
async fn occupied(cluster: &Cluster, namespace: &str, arguments: &args::Cluster) -> CliError {
    let (found, run) = futures::join!(
        cluster.get(Kind::Namespace, None, namespace),
        cluster.get(Kind::ConfigMap, Some(namespace), constants::CONFIG_MAP)
    );
    if let Ok(Some(found)) = &found
        && text(found, "/status/phase") == "Terminating"
    {
        return terminating(namespace);
    }
    if let Ok(Some(_)) = run {
        return holds_a_run(namespace, arguments);
    }
    CliError::new(format!("namespace `{namespace}` already exists"))
        .hint("another one: sono run -n NAME; or this one as it is: --aggregator-permissions namespaceAdmin")
}

pub(super) fn terminating(namespace: &str) -> CliError {
    CliError::new(format!("namespace `{namespace}` is being deleted")).hint(format!(
        "wait for it: kubectl wait --for=delete namespace/{namespace}; or use another: sono run -n NAME"
    ))
}

pub(super) fn holds_a_run(namespace: &str, arguments: &args::Cluster) -> CliError {
    CliError::new(format!("namespace `{namespace}` already holds a run")).hint(format!(
        "remove it: {} --wait; or use another: sono run -n NAME",
        again("delete", namespace, arguments)
    ))
}
