//! `sono delete`: pods first, with a short grace period, since deleting a namespace with running pods is slow.
//!
//! The namespace is deleted next, without waiting for the pods: its controller waits five seconds before it checks, and
//! by then the pods are deleted.

mod blockers;
mod preview;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use serde_json::Value;
use sono_kube::{Cluster, Deleted, Kind, KubeError, WatchEvent, elapsed};
use sono_manifest::CREATED_BY;
use sono_types::{constants, exit};

use super::canaries;
use crate::{
    aggregator::text,
    args,
    error::CliError,
    output::{Printer, Text, text},
    settings::{command_hint, connect},
};

/// Grace period of containers, in seconds. Their results are no longer needed.
const GRACE_SECONDS: u32 = 1;
/// Maximum number of concurrent deletions of single pods. Each uses a connection.
const MAX_CONCURRENT_DELETES: usize = 32;
/// Delay before remaining objects are reported, and interval of further reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Labels of the namespaces of e2e tests.
const E2E_NAMESPACES: &str = "e2e-framework,e2e-run";
/// Kinds of a run's objects to delete in a namespace that the run did not create.
const NAMESPACED_KINDS: [Kind; 9] = [
    Kind::NetworkPolicy,
    Kind::PersistentVolumeClaim,
    Kind::Service,
    Kind::ConfigMap,
    Kind::Secret,
    Kind::RoleBinding,
    Kind::Role,
    Kind::ServiceAccount,
    Kind::Event,
];

pub(super) async fn delete(arguments: args::Delete, printer: &Printer) -> Result<u8, CliError> {
    let args::Delete {
        location: args::RunLocation {
            namespace,
            cluster: cluster_arguments,
        },
        wait,
        wait_output,
        all,
        rbac,
        dry_run,
        tolerant,
    } = arguments;
    let started = Instant::now();
    let cluster = connect(&cluster_arguments).await?;
    let job = Job {
        cluster: &cluster,
        namespace: &namespace,
        printer,
        all,
        roles: rbac,
        tolerant,
        reports: wait_output != args::WaitOutput::Silent,
        left: RefCell::default(),
        reported: RefCell::default(),
    };
    if dry_run {
        job.preview().await?;
        return Ok(exit::SUCCESS);
    }
    if let Some(note) = wait.and_then(args::WaitTime::interpretation) {
        printer.note(&note);
    }
    // As in Sonobuoy, 0 is the default and does not wait.
    let wait = wait.filter(|limit| !limit.limit.is_zero());
    let work = job.delete(wait.is_some());
    match wait {
        None => work.await?,
        Some(limit) => tokio::time::timeout(limit.limit, work).await.map_err(|_| {
            CliError::new(format!(
                "the deletion is not complete after {}; it continues",
                elapsed(limit.limit)
            ))
            .details(blockers::why(job.left.borrow().values()))
            .hint(format!(
                "to see what blocks it: kubectl describe namespace {namespace}; to wait again: {}",
                command_hint("delete --wait", &namespace, &cluster_arguments)
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
    /// Whether objects of all runs are deleted.
    all: bool,
    roles: args::DeleteRoles,
    /// Skips the wait if the account may not watch the deleted objects.
    tolerant: bool,
    /// Whether remaining objects are reported.
    reports: bool,
    /// Remaining objects, by name.
    left: RefCell<BTreeMap<String, Value>>,
    /// Last report of remaining objects.
    reported: RefCell<Vec<String>>,
}

impl Job<'_> {
    async fn delete(&self, wait: bool) -> Result<(), CliError> {
        let (namespace, ()) = futures::try_join!(self.find_namespace(), self.roles())?;
        match namespace {
            None => self
                .printer
                .note(&format!("namespace `{}` does not exist", self.namespace)),
            Some(namespace) => {
                let ours = is_ours(&namespace);
                let exists = ours || self.has_run().await;
                // A terminating namespace accepts no new pods, so waiting for it is sufficient.
                self.pods(wait && !ours).await?;
                if canaries::has_definition(&namespace) {
                    canaries::delete_definition(self.cluster, self.namespace)
                        .await
                        .map_err(|error| self.refused("the custom resource with canaries", &error))?;
                }
                if ours {
                    self.cluster
                        .delete(Kind::Namespace, None, self.namespace, None)
                        .await
                        .map_err(|error| self.refused("namespace", &error))?;
                    tracing::debug!("deletion of the namespace requested");
                } else {
                    self.left_behind().await?;
                }
                self.say(ours, exists);
                if wait && ours {
                    self.wait_until_deleted(self.cluster.watch_named(Kind::Namespace, None, self.namespace), |_| {})
                        .await?;
                    self.printer.note(&format!("namespace `{}` deleted", self.namespace));
                }
            }
        }
        if self.all {
            self.e2e_namespaces(wait).await?;
        }
        Ok(())
    }

    /// Whether the namespace contains objects of a run; true if the account may not list them.
    async fn has_run(&self) -> bool {
        let labels = format!("{}={}", constants::COMPONENT.0, constants::COMPONENT.1);
        let found = [Kind::ConfigMap, Kind::Pod].map(|kind| self.cluster.list(kind, Some(self.namespace), &labels));
        let found = futures::future::join_all(found).await;
        !found.into_iter().all(|found| found.is_ok_and(|found| found.is_empty()))
    }

    fn say(&self, ours: bool, exists: bool) {
        let namespace = self.namespace;
        self.printer.note(&if ours {
            format!("deleting namespace `{namespace}` and everything in it")
        } else if !exists {
            no_run(namespace)
        } else {
            format!("deleting the run; namespace `{namespace}` was not created by sono and is not deleted")
        });
    }

    fn refused(&self, what: &str, error: &KubeError) -> CliError {
        CliError::of_cluster(
            format!("cannot delete {what} of the run in namespace `{}`", self.namespace),
            error,
        )
    }

    /// Reads the namespace. An account that may not read namespaces may still delete a run.
    async fn find_namespace(&self) -> Result<Option<Value>, CliError> {
        match self.cluster.get(Kind::Namespace, None, self.namespace).await {
            Ok(found) => Ok(found),
            Err(KubeError::Forbidden { .. }) => Ok(Some(Value::Null)),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes controllers, then all pods; with `wait`, waits until all pods are deleted.
    async fn pods(&self, wait: bool) -> Result<(), CliError> {
        let (cluster, namespace) = (self.cluster, Some(self.namespace));
        let labels = format!("{}={}", constants::COMPONENT.0, constants::COMPONENT.1);
        let mut forbidden = None;
        for kind in [Kind::DaemonSet, Kind::Deployment] {
            match cluster.delete_all(kind, namespace, &labels, None).await {
                Ok(()) => {}
                Err(error @ KubeError::Forbidden { .. }) if kind == Kind::Deployment => forbidden = Some(error),
                Err(error) => return Err(self.refused(kind.plural(), &error)),
            }
        }
        let pods = cluster.list(Kind::Pod, namespace, &labels).await;
        let pods = pods.map_err(|error| self.refused("the pods", &error))?;
        // An account that may not delete Deployments probably created none. If one exists, it would recreate the pod.
        let is_recreated = |pod: &Value| {
            text(pod, &format!("/metadata/labels/{}", constants::COMPONENT_LABEL)) == "aggregator"
                && pod.pointer("/metadata/ownerReferences/0").is_some()
        };
        if let Some(error) = forbidden.filter(|_| pods.iter().any(is_recreated)) {
            return Err(self.refused(Kind::Deployment.plural(), &error));
        }
        // A kubelet that is pulling an image would delay a graceful deletion, possibly for minutes.
        let unstarted = pods
            .iter()
            .filter(|pod| !has_started(pod))
            .map(|pod| text(pod, "/metadata/name"));
        let deletions: Vec<_> = unstarted
            .map(|name| cluster.delete(Kind::Pod, namespace, name, Some(0)))
            .collect();
        stream::iter(deletions)
            .buffer_unordered(MAX_CONCURRENT_DELETES)
            .try_collect::<Vec<Deleted>>()
            .await
            .map_err(|error| self.refused("the pods", &error))?;
        tracing::debug!("deleted pods that had not started");
        cluster
            .delete_all(Kind::Pod, namespace, &labels, Some(GRACE_SECONDS))
            .await
            .map_err(|error| self.refused("the pods", &error))?;
        if !wait {
            return Ok(());
        }
        let (sender, mut late) = tokio::sync::mpsc::unbounded_channel();
        let watch = self.wait_until_deleted(cluster.watch(Kind::Pod, self.namespace, &labels), |pod| {
            // Created by its DaemonSet immediately before the deletion.
            if pod.pointer("/metadata/deletionTimestamp").is_none() {
                drop(sender.send(text(pod, "/metadata/name").to_owned()));
            }
        });
        let mut watch = std::pin::pin!(watch);
        loop {
            // Polled by reference: neither the watch nor a late pod is lost to the other branch.
            tokio::select! {
                done = &mut watch => return done,
                Some(name) = late.recv() => {
                    cluster
                        .delete(Kind::Pod, namespace, &name, Some(GRACE_SECONDS))
                        .await
                        .map_err(|error| self.refused("the pods", &error))?;
                }
            }
        }
    }

    /// Deletes all other objects of the run in a namespace that is not deleted.
    async fn left_behind(&self) -> Result<(), CliError> {
        let (cluster, namespace) = (self.cluster, Some(self.namespace));
        let labels = format!("{}={}", constants::COMPONENT.0, constants::COMPONENT.1);
        let names = self.plugin_config_maps().await?;
        let own = try_join_all(
            names
                .iter()
                .map(|name| cluster.delete(Kind::ConfigMap, namespace, name, None)),
        );
        let labelled = try_join_all(NAMESPACED_KINDS.map(|kind| {
            let labels = labels.clone();
            async move {
                match cluster.delete_all(kind, namespace, &labels, None).await {
                    // An account that may not delete these objects created none.
                    Err(KubeError::Forbidden { .. })
                        if matches!(
                            kind,
                            Kind::Role
                                | Kind::RoleBinding
                                | Kind::ServiceAccount
                                | Kind::PersistentVolumeClaim
                                | Kind::NetworkPolicy
                                | Kind::Event
                        ) =>
                    {
                        Ok(())
                    }
                    outcome => outcome,
                }
            }
        }));
        futures::try_join!(own, labelled).map_err(|error| self.refused("the objects", &error))?;
        Ok(())
    }

    /// Names of ConfigMaps of plugins, which have no labels.
    async fn plugin_config_maps(&self) -> Result<Vec<String>, CliError> {
        let (kind, namespace) = (Kind::ConfigMap, Some(self.namespace));
        let plugins = self.cluster.get(kind, namespace, constants::PLUGINS_CONFIG_MAP).await;
        let plugins = plugins.map_err(|error| self.refused("the plugins", &error))?;
        Ok(plugins.as_ref().map(config_maps_of_plugins).unwrap_or_default())
    }

    /// Deletes cluster role bindings, then cluster roles. An account that may not delete them created none.
    async fn roles(&self) -> Result<(), CliError> {
        if self.roles == args::DeleteRoles::Disable {
            return Ok(());
        }
        let labels = self.labels_of_roles();
        for kind in [Kind::ClusterRoleBinding, Kind::ClusterRole] {
            match self.cluster.delete_all(kind, None, &labels, None).await {
                Ok(()) => {}
                Err(error @ KubeError::Forbidden { .. }) if self.roles == args::DeleteRoles::Detect => {
                    self.printer.note(&format!("{}s not deleted: {error}", kind.name()));
                }
                Err(error) => return Err(self.refused(kind.plural(), &error)),
            }
        }
        Ok(())
    }

    /// Deletes namespaces that e2e tests created and left behind.
    async fn e2e_namespaces(&self, wait: bool) -> Result<(), CliError> {
        let found = self.cluster.list(Kind::Namespace, None, E2E_NAMESPACES).await?;
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
        let number = deleted.iter().filter(|deleted| **deleted == Deleted::Started).count();
        if number > 0 {
            self.printer.note(&format!(
                "deleting namespaces of e2e tests ({number}): {}",
                names.join(", ")
            ));
        }
        if wait && number > 0 {
            self.wait_until_deleted(self.cluster.watch_cluster(Kind::Namespace, E2E_NAMESPACES), |_| {})
                .await?;
        }
        Ok(())
    }

    fn labels_of_roles(&self) -> String {
        let of_all = format!("{}={}", constants::COMPONENT.0, constants::COMPONENT.1);
        if self.all {
            of_all
        } else {
            format!("{of_all},namespace={}", self.namespace)
        }
    }

    /// Waits until a watch shows no objects, and calls `each` for every object seen. Reports remaining objects
    /// periodically.
    async fn wait_until_deleted(
        &self,
        events: impl Stream<Item = Result<WatchEvent<Value>, KubeError>>,
        mut each: impl FnMut(&Value),
    ) -> Result<(), CliError> {
        let mut events = std::pin::pin!(events);
        let mut listed = false;
        self.left.borrow_mut().clear();
        let start = tokio::time::Instant::now() + REPORT_INTERVAL;
        let mut reports = tokio::time::interval_at(start, REPORT_INTERVAL);
        loop {
            let name = |object: &Value| text(object, "/metadata/name").to_owned();
            let event = tokio::select! {
                event = events.next() => event,
                _ = reports.tick() => {
                    self.report();
                    continue;
                }
            };
            // Remaining objects are explained only when reported: doing so for every event would take quadratic time.
            let mut left = self.left.borrow_mut();
            match event {
                None => return Ok(()),
                Some(Ok(WatchEvent::Restarted(objects))) => {
                    listed = true;
                    *left = objects.into_iter().map(|object| (name(&object), object)).collect();
                    left.values().for_each(&mut each);
                }
                Some(Ok(WatchEvent::Applied(object))) => {
                    each(&object);
                    left.insert(name(&object), object);
                }
                Some(Ok(WatchEvent::Deleted(object))) => {
                    left.remove(&name(&object));
                }
                Some(Err(error)) if error.is_transient() => {
                    tracing::debug!(%error, "retrying the watch on deleted objects");
                }
                Some(Err(error)) if self.tolerant && error.is_forbidden() => {
                    self.printer
                        .note(&format!("warning: cannot wait for the deletion: {error}"));
                    return Ok(());
                }
                Some(Err(error)) => return Err(error.into()),
            }
            if listed && left.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reports remaining objects and their reasons, if they have changed.
    fn report(&self) {
        let why = blockers::why(self.left.borrow().values());
        if self.reports && !why.is_empty() && *self.reported.borrow() != why {
            self.reported.borrow_mut().clone_from(&why);
            let why = Text::joined(&why, "\n           ");
            self.printer.note(&text!["remaining: ", why]);
        }
    }
}

fn no_run(namespace: &str) -> String {
    format!("no run in namespace `{namespace}`")
}

/// Whether this program created a namespace.
fn is_ours(namespace: &Value) -> bool {
    let label = format!("/metadata/labels/{}", CREATED_BY.0.replace('/', "~1"));
    text(namespace, &label) == CREATED_BY.1
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

/// Names of ConfigMaps of plugins, which have no labels, from the plugin definitions.
fn config_maps_of_plugins(plugins: &Value) -> Vec<String> {
    let definitions = plugins.get("data").and_then(Value::as_object).into_iter().flatten();
    definitions
        .filter_map(|(file, text)| sono_manifest::load(file, text.as_str()?).0)
        .filter(|definition| !definition.config_map.is_empty())
        .map(|definition| format!("plugin-{}-cm", definition.name))
        .collect()
}
