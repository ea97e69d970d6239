//! Waits for objects of the previous run that are still being deleted in the same namespace.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use serde_json::Value;
use sono_kube::{Cluster, Kind, KubeError, Pod, WatchEvent, elapsed};
use sono_types::constants;

use super::{Creation, Object, is_being_deleted, namespace_occupied};
use crate::{
    aggregator,
    error::CliError,
    identity::{self, AggregatorWorkload, Previous},
    output::Printer,
};

/// Time limit of the wait. Pods on an unresponsive node are never deleted.
const DELETION_TIMEOUT: Duration = Duration::from_mins(2);
/// Interval of reading a namespace. An account may read it without the permission to watch namespaces.
const NAMESPACE_INTERVAL: Duration = Duration::from_millis(500);

/// Waits until a terminating namespace is deleted, for at most [`DELETION_TIMEOUT`]. The caller checks the result.
pub(in super::super) async fn previous_namespace(cluster: &Cluster, namespace: &str, printer: &Printer) {
    printer.note(&format!("waiting for namespace `{namespace}` to be deleted"));
    let deleted = async {
        loop {
            match cluster.get(Kind::Namespace, None, namespace).await {
                Ok(Some(found)) if is_being_deleted(&found) => {}
                Err(error) if error.is_transient() => tracing::debug!(%error, "cannot read the namespace"),
                _ => return,
            }
            tokio::time::sleep(NAMESPACE_INTERVAL).await;
        }
    };
    if tokio::time::timeout(DELETION_TIMEOUT, deleted).await.is_err() {
        tracing::debug!(namespace, "the namespace is still being deleted");
    }
}

impl Creation<'_> {
    /// Waits until the aggregators of earlier runs in the namespace are deleted. Workers of the new run would reach them
    /// through the Service.
    pub(super) async fn previous_aggregator(&self, creates_namespace: bool) -> Result<(), CliError> {
        if creates_namespace && !self.namespace_may_exist {
            return Ok(());
        }
        let (cluster, namespace) = (self.cluster, self.namespace);
        let selector = constants::AGGREGATOR_SELECTORS[0];
        let pods: Vec<Pod> = match cluster.list(Kind::Pod, Some(namespace), selector).await {
            Ok(pods) => pods
                .into_iter()
                .filter_map(|pod| serde_json::from_value(pod).ok())
                .collect(),
            Err(error) => {
                tracing::debug!(%error, "cannot search for an aggregator of an earlier run");
                return Ok(());
            }
        };
        let workload = if pods.is_empty() {
            AggregatorWorkload::None
        } else {
            aggregator::workload(cluster, namespace).await
        };
        match identity::previous(&pods, &workload) {
            Previous::None => return Ok(()),
            Previous::Stays => return Err(namespace_occupied(namespace, self.arguments)),
            Previous::Leaves(names) => self.say(&format!("aggregator pod {}", names.join(", "))),
        }
        let events = cluster.watch(Kind::Pod, namespace, selector);
        if !wait_until_deleted(events).await {
            self.printer.note(&format!(
                "warning: an aggregator pod of the previous run still exists after {}; its status is ignored",
                elapsed(DELETION_TIMEOUT)
            ));
        }
        Ok(())
    }

    /// Waits until a conflicting object is deleted. `false` if it remains.
    pub(super) async fn wait_for_previous(&self, kind: Kind, namespace: Option<&str>, name: &str) -> bool {
        match self.cluster.get(kind, namespace, name).await {
            Ok(Some(found)) if is_being_deleted(&found) => {}
            Ok(found) => return found.is_none(),
            Err(error) => {
                tracing::debug!(%error, "cannot read the conflicting object");
                return false;
            }
        }
        let what = match kind {
            Kind::Pod if name == constants::AGGREGATOR_POD => "aggregator pod".to_owned(),
            kind => kind.name().to_owned(),
        };
        self.say(&format!("{what} {name}"));
        wait_until_deleted(self.cluster.watch_named(kind, namespace, name)).await
    }

    fn say(&self, what: &str) {
        self.printer
            .note(&format!("waiting for the previous run's {what} to be deleted"));
    }

    /// Whether the conflicting object is being deleted.
    pub(super) async fn is_terminating(&self, object: &Object) -> bool {
        let Ok(kind) = Kind::of(&object.value) else {
            return false;
        };
        let found = self.cluster.get(kind, object.namespace.as_deref(), &object.name).await;
        matches!(found, Ok(Some(found)) if is_being_deleted(&found))
    }
}

/// Waits until a watch shows no objects, within [`DELETION_TIMEOUT`].
async fn wait_until_deleted(events: impl Stream<Item = Result<WatchEvent<Value>, KubeError>>) -> bool {
    let watch = async {
        let mut events = std::pin::pin!(events);
        let mut left = std::collections::BTreeSet::new();
        let name = |object: &Value| aggregator::text(object, "/metadata/name").to_owned();
        loop {
            match events.next().await {
                Some(Ok(WatchEvent::Restarted(objects))) => left = objects.iter().map(name).collect(),
                Some(Ok(WatchEvent::Applied(object))) => {
                    left.insert(name(&object));
                }
                Some(Ok(WatchEvent::Deleted(object))) => {
                    left.remove(&name(&object));
                }
                Some(Err(error)) if error.is_transient() => {
                    tracing::debug!(%error, "retrying the watch on objects of an earlier run");
                    continue;
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "cannot watch objects of an earlier run");
                    return false;
                }
                None => return false,
            }
            if left.is_empty() {
                return true;
            }
        }
    };
    tokio::time::timeout(DELETION_TIMEOUT, watch).await.unwrap_or(false)
}
