//! `sono delete`: pods first, with hardly any grace, because a namespace with running pods in it goes slowly.
//!
//! The namespace is asked to go right after, without waiting for the pods: its controller lets five seconds pass before
//! it looks, and by then they are gone.

use std::{collections::BTreeMap, time::Instant};

use futures::{Stream, StreamExt as _, future::try_join_all};
use serde_json::Value;
use sono_kube::{Cluster, Deleted, Kind, KubeError, WatchEvent, elapsed};
use sono_manifest::CREATED_BY;
use sono_types::{constants, exit};

use crate::{
    aggregator::text,
    args,
    error::CliError,
    output::Printer,
    settings::{again, connect},
};

/// Seconds that containers have to end: nothing of theirs is wanted any more.
const GRACE: u32 = 1;
/// What a run leaves in a namespace that is not its own.
const LEFT_BEHIND: [Kind; 6] = [
    Kind::Service,
    Kind::ConfigMap,
    Kind::Secret,
    Kind::RoleBinding,
    Kind::Role,
    Kind::ServiceAccount,
];

pub(super) async fn delete(arguments: args::Delete, printer: &Printer) -> Result<u8, CliError> {
    let args::Delete {
        place: args::Place {
            namespace,
            cluster: cluster_arguments,
        },
        wait,
        all,
    } = arguments;
    let started = Instant::now();
    let cluster = connect(&cluster_arguments).await?;
    let job = Job {
        cluster: &cluster,
        namespace: &namespace,
        printer,
    };
    let work = job.delete(wait.is_some(), all);
    match wait {
        None => work.await?,
        Some(limit) => tokio::time::timeout(limit.0, work).await.map_err(|_| {
            CliError::new(format!("not everything is gone after {}; it goes on", elapsed(limit.0))).hint(format!(
                "what holds it: kubectl describe namespace {namespace}; {} goes on waiting",
                again("delete --wait", &namespace, &cluster_arguments)
            ))
        })??,
    }
    tracing::debug!(elapsed_ms = super::run::millis(started), "deleted");
    Ok(exit::SUCCESS)
}

struct Job<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    printer: &'a Printer,
}

impl Job<'_> {
    async fn delete(&self, wait: bool, all: bool) -> Result<(), CliError> {
        let (namespace, ()) = futures::try_join!(self.find_namespace(), self.roles(all))?;
        match namespace {
            None => self
                .printer
                .note(&format!("there is no namespace `{}`", self.namespace)),
            Some(namespace) => {
                let label = format!("/metadata/labels/{}", CREATED_BY.0.replace('/', "~1"));
                let ours = text(&namespace, &label) == CREATED_BY.1;
                // A namespace on its way takes no new pods, so whoever waits for it need not wait for them.
                self.pods(wait && !ours).await?;
                if ours {
                    self.cluster
                        .delete(Kind::Namespace, None, self.namespace, None)
                        .await
                        .map_err(|error| self.refused("namespace", &error))?;
                    tracing::debug!("namespace asked to go");
                } else {
                    self.left_behind().await?;
                }
                self.say(ours);
                if wait && ours {
                    gone(self.cluster.watch_named(Kind::Namespace, None, self.namespace), |_| {}).await?;
                    self.printer.note(&format!("namespace `{}` is gone", self.namespace));
                }
            }
        }
        if all {
            self.e2e_namespaces(wait).await?;
        }
        Ok(())
    }

    fn say(&self, ours: bool) {
        let namespace = self.namespace;
        self.printer.note(&if ours {
            format!("namespace `{namespace}` goes, and all that is in it")
        } else {
            format!("the run is removed; namespace `{namespace}` was not made by sono and stays")
        });
    }

    fn refused(&self, what: &str, error: &KubeError) -> CliError {
        CliError::of_cluster(
            format!("cannot delete {what} of the run in namespace `{}`", self.namespace),
            error,
        )
    }

    /// The namespace, where it is there. Who may not read namespaces may still delete the run in one.
    async fn find_namespace(&self) -> Result<Option<Value>, CliError> {
        match self.cluster.get(Kind::Namespace, None, self.namespace).await {
            Ok(found) => Ok(found),
            Err(KubeError::Forbidden { .. }) => Ok(Some(Value::Null)),
            Err(error) => Err(error.into()),
        }
    }

    /// DaemonSets, then every pod; with `wait`, until none is left.
    async fn pods(&self, wait: bool) -> Result<(), CliError> {
        let (cluster, namespace) = (self.cluster, Some(self.namespace));
        let labels = format!("{}={}", constants::COMPONENT.0, constants::COMPONENT.1);
        cluster
            .delete_all(Kind::DaemonSet, namespace, &labels, None)
            .await
            .map_err(|error| self.refused("the DaemonSets", &error))?;
        let pods = cluster.list(Kind::Pod, namespace, &labels).await;
        let pods = pods.map_err(|error| self.refused("the pods", &error))?;
        // A kubelet that pulls an image lets go of a pod only when it is done with that, which may take minutes.
        let unstarted = pods
            .iter()
            .filter(|pod| !has_started(pod))
            .map(|pod| text(pod, "/metadata/name"));
        try_join_all(unstarted.map(|name| cluster.delete(Kind::Pod, namespace, name, Some(0))))
            .await
            .map_err(|error| self.refused("the pods", &error))?;
        cluster
            .delete_all(Kind::Pod, namespace, &labels, Some(GRACE))
            .await
            .map_err(|error| self.refused("the pods", &error))?;
        if !wait {
            return Ok(());
        }
        let (sender, mut late) = tokio::sync::mpsc::unbounded_channel();
        let watch = gone(cluster.watch(Kind::Pod, self.namespace, &labels), |pod| {
            // One that its DaemonSet made a moment before it went.
            if pod.pointer("/metadata/deletionTimestamp").is_none() {
                drop(sender.send(text(pod, "/metadata/name").to_owned()));
            }
        });
        let mut watch = std::pin::pin!(watch);
        loop {
            tokio::select! {
                done = &mut watch => return done,
                Some(name) = late.recv() => {
                    cluster
                        .delete(Kind::Pod, namespace, &name, Some(GRACE))
                        .await
                        .map_err(|error| self.refused("the pods", &error))?;
                }
            }
        }
    }

    /// Everything else in a namespace that stays.
    async fn left_behind(&self) -> Result<(), CliError> {
        let (cluster, namespace) = (self.cluster, Some(self.namespace));
        let labels = format!("{}={}", constants::COMPONENT.0, constants::COMPONENT.1);
        let plugins = cluster
            .get(Kind::ConfigMap, namespace, constants::PLUGINS_CONFIG_MAP)
            .await;
        let plugins = plugins.map_err(|error| self.refused("the plugins", &error))?;
        let names = plugins.as_ref().map(config_maps_of_plugins).unwrap_or_default();
        let own = try_join_all(
            names
                .iter()
                .map(|name| cluster.delete(Kind::ConfigMap, namespace, name, None)),
        );
        let labelled = try_join_all(LEFT_BEHIND.map(|kind| {
            let labels = labels.clone();
            async move {
                match cluster.delete_all(kind, namespace, &labels, None).await {
                    // Who may not touch roles has made none.
                    Err(KubeError::Forbidden { .. }) if matches!(kind, Kind::Role | Kind::RoleBinding) => Ok(()),
                    outcome => outcome,
                }
            }
        }));
        futures::try_join!(own, labelled).map_err(|error| self.refused("the objects", &error))?;
        Ok(())
    }

    /// Bindings before roles. Who may not touch them has made none.
    async fn roles(&self, all: bool) -> Result<(), CliError> {
        let of_all = format!("{}={}", constants::COMPONENT.0, constants::COMPONENT.1);
        let labels = if all {
            of_all
        } else {
            format!("{of_all},namespace={}", self.namespace)
        };
        for kind in [Kind::ClusterRoleBinding, Kind::ClusterRole] {
            match self.cluster.delete_all(kind, None, &labels, None).await {
                Ok(()) => {}
                Err(error @ KubeError::Forbidden { .. }) => {
                    self.printer
                        .note(&format!("{}s are left as they are: {error}", kind.name()));
                }
                Err(error) => return Err(self.refused(kind.plural(), &error)),
            }
        }
        Ok(())
    }

    /// Namespaces that the e2e tests make and sometimes leave behind.
    async fn e2e_namespaces(&self, wait: bool) -> Result<(), CliError> {
        let found = self
            .cluster
            .list(Kind::Namespace, None, "e2e-framework,e2e-run")
            .await?;
        let names: Vec<&str> = found
            .iter()
            .map(|namespace| text(namespace, "/metadata/name"))
            .collect();
        let deleted = try_join_all(
            names
                .iter()
                .map(|name| self.cluster.delete(Kind::Namespace, None, name, None)),
        )
        .await?;
        let number = deleted.iter().filter(|deleted| **deleted == Deleted::Going).count();
        if number > 0 {
            self.printer
                .note(&format!("{number} namespaces of e2e tests go: {}", names.join(", ")));
        }
        if wait && number > 0 {
            gone(
                self.cluster.watch_cluster(Kind::Namespace, "e2e-framework,e2e-run"),
                |_| {},
            )
            .await?;
        }
        Ok(())
    }
}

/// Whether any container of a pod runs or has run.
fn has_started(pod: &Value) -> bool {
    ["initContainerStatuses", "containerStatuses"]
        .iter()
        .filter_map(|list| pod.get("status")?.get(list)?.as_array())
        .flatten()
        .any(|container| {
            let waits = container.pointer("/state/waiting").is_some();
            let restarts = container
                .get("restartCount")
                .and_then(Value::as_i64)
                .unwrap_or_default();
            !waits || restarts > 0
        })
}

/// ConfigMaps of plugins carry no labels; their names follow from the definitions.
fn config_maps_of_plugins(plugins: &Value) -> Vec<String> {
    let definitions = plugins.get("data").and_then(Value::as_object).into_iter().flatten();
    definitions
        .filter_map(|(file, text)| sono_manifest::load(file, text.as_str()?).0)
        .filter(|definition| !definition.config_map.is_empty())
        .map(|definition| format!("plugin-{}-cm", definition.name))
        .collect()
}

/// Waits until a watch shows no object any more; `each` sees those that are there.
async fn gone(
    events: impl Stream<Item = Result<WatchEvent<Value>, KubeError>>,
    mut each: impl FnMut(&Value),
) -> Result<(), CliError> {
    let mut events = std::pin::pin!(events);
    let mut left = BTreeMap::new();
    let mut listed = false;
    while let Some(event) = events.next().await {
        let name = |object: &Value| text(object, "/metadata/name").to_owned();
        match event {
            Ok(WatchEvent::Restarted(objects)) => {
                listed = true;
                left = objects.into_iter().map(|object| (name(&object), object)).collect();
                left.values().for_each(&mut each);
            }
            Ok(WatchEvent::Applied(object)) => {
                each(&object);
                left.insert(name(&object), object);
            }
            Ok(WatchEvent::Deleted(object)) => {
                left.remove(&name(&object));
            }
            Err(error) if error.is_unreachable() => tracing::debug!(%error, "watching what goes"),
            Err(error) => return Err(error.into()),
        }
        if listed && left.is_empty() {
            return Ok(());
        }
    }
    Ok(())
}
