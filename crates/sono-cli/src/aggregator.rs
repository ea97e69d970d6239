//! The aggregator's pod, and the status it wears.

use std::time::Duration;

use serde_json::Value;
use sono_kube::{Cluster, Kind, KubeError, Pod};
use sono_types::{RunStatus, constants};

use crate::error::CliError;

/// Between two looks over a connection that broke off.
const AGAIN: Duration = Duration::from_millis(100);

/// Lists pods; a connection that breaks off is tried again.
async fn list(cluster: &Cluster, namespace: &str, selector: &str, tries: u32) -> Result<Vec<Value>, KubeError> {
    let mut tried = 1;
    loop {
        match cluster.list(Kind::Pod, Some(namespace), selector).await {
            Err(error) if error.is_unreachable() && tried < tries => {
                tracing::debug!(%error, "looking for the run again");
                tried += 1;
                tokio::time::sleep(AGAIN).await;
            }
            listed => return listed,
        }
    }
}

async fn pod_trying(cluster: &Cluster, namespace: &str, tries: u32) -> Result<Option<Pod>, CliError> {
    let what = || format!("cannot look for a run in namespace `{namespace}`");
    for selector in constants::AGGREGATOR_SELECTORS {
        let pods = list(cluster, namespace, selector, tries).await;
        let pods = pods.map_err(|error| CliError::of_cluster(what(), &error))?;
        let pods: Result<Vec<Pod>, _> = pods.into_iter().map(serde_json::from_value).collect();
        let pods = pods.map_err(|error| CliError::new(what()).caused_by(&error))?;
        if let Some(pod) = pods.into_iter().min_by_key(succession) {
            return Ok(Some(pod));
        }
    }
    Ok(None)
}

/// What there is of a run's aggregator.
#[derive(Debug)]
pub(crate) enum Found {
    Pod(Box<Pod>),
    /// What makes its pod has none, not yet or not any more; and why, where something is in the way.
    Coming(Option<String>),
}

/// What there is of the aggregator, or that there is no run.
pub(crate) async fn find(cluster: &Cluster, namespace: &str) -> Result<Found, CliError> {
    find_trying(cluster, namespace, 1).await
}

async fn find_trying(cluster: &Cluster, namespace: &str, tries: u32) -> Result<Found, CliError> {
    if let Some(pod) = pod_trying(cluster, namespace, tries).await? {
        return Ok(Found::Pod(Box::new(pod)));
    }
    let selector = constants::AGGREGATOR_SELECTORS[0];
    match cluster.list(Kind::Deployment, Some(namespace), selector).await {
        Ok(makers) => {
            if let Some(maker) = makers.iter().find(|maker| makes_pods(maker)) {
                return Ok(Found::Coming(uncreated(maker)));
            }
        }
        // Who may not see it may still see its pod, in a moment.
        Err(error) => tracing::debug!(%error, "cannot see what makes the aggregator's pod"),
    }
    let there = cluster.get(Kind::Namespace, None, namespace).await;
    Err(absent(namespace, there.is_ok_and(|namespace| namespace.is_none())))
}

/// The aggregator's pod, or why there is none.
pub(crate) async fn expect(cluster: &Cluster, namespace: &str) -> Result<Pod, CliError> {
    expect_trying(cluster, namespace, 1).await
}

/// As [`expect`], over a connection that may break off so many times, less one.
pub(crate) async fn expect_trying(cluster: &Cluster, namespace: &str, tries: u32) -> Result<Pod, CliError> {
    match find_trying(cluster, namespace, tries).await? {
        Found::Pod(pod) => Ok(*pod),
        Found::Coming(why) => {
            let error = CliError::new(format!(
                "the aggregator in namespace `{namespace}` has no pod at the moment"
            ));
            Err(error.details(why).hint(format!(
                "sono wait -n {namespace} waits for it; kubectl -n {namespace} describe deployment sonobuoy says more"
            )))
        }
    }
}

/// Whether a Deployment is one that stays.
pub(crate) fn makes_pods(maker: &Value) -> bool {
    text(maker, "/metadata/deletionTimestamp").is_empty()
}

/// What a Deployment says of pods that it cannot create: a quota, a pod security level or a webhook refuses them.
pub(crate) fn uncreated(maker: &Value) -> Option<String> {
    let conditions = maker.pointer("/status/conditions")?.as_array()?;
    let failing =
        |condition: &&Value| text(condition, "/type") == "ReplicaFailure" && text(condition, "/status") == "True";
    let message = text(conditions.iter().find(failing)?, "/message").trim_end_matches('.');
    Some(format!("no pod can be created: {message}"))
}

/// There is no run to speak of.
pub(crate) fn absent(namespace: &str, no_namespace: bool) -> CliError {
    let what = if no_namespace {
        format!("there is no namespace `{namespace}`, so no run in it")
    } else {
        format!("there is no run in namespace `{namespace}`")
    };
    CliError::new(what).hint("start one with sono run, or name another namespace with -n")
}

/// Sorts the pods of an aggregator that is being replaced: the one that counts comes first.
pub(crate) fn succession(pod: &Pod) -> (bool, bool, std::cmp::Reverse<Option<jiff::Timestamp>>) {
    let metadata = &pod.metadata;
    (
        metadata.deletion_timestamp.is_some(),
        matches!(phase(pod), "Failed" | "Succeeded"),
        std::cmp::Reverse(metadata.creation_timestamp.as_ref().map(|time| time.0)),
    )
}

/// Whether somebody makes a new pod when this one goes.
pub(crate) fn is_replaced(pod: &Pod) -> bool {
    pod.metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.controller == Some(true))
}

/// Whether a pod is the aggregator's.
pub(crate) fn is_aggregator(pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(constants::COMPONENT_LABEL))
        .is_some_and(|component| component == "aggregator")
}

/// The plugin that a pod belongs to.
pub(crate) fn plugin_of(pod: &Pod) -> Option<&str> {
    pod.metadata
        .labels
        .as_ref()?
        .get(constants::PLUGIN_LABEL)
        .map(String::as_str)
}

/// The status in the pod's annotation; nothing where there is none yet.
pub(crate) fn status_of(pod: &Pod) -> Option<Result<RunStatus, serde_json::Error>> {
    let text = status_text(pod)?;
    Some(serde_json::from_str(text))
}

/// The annotation itself.
pub(crate) fn status_text(pod: &Pod) -> Option<&str> {
    pod.metadata
        .annotations
        .as_ref()?
        .get(constants::STATUS_ANNOTATION)
        .map(String::as_str)
}

/// `Pending`, `Running`, …; empty when the kubelet has not said.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// Node that the pod is on.
pub(crate) fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Text at a pointer of an object.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
