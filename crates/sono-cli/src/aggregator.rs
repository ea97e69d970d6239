//! The aggregator's pod and its status annotation.

use std::time::Duration;

use serde_json::Value;
use sono_kube::{Cluster, Kind, KubeError, Pod};
use sono_types::{RunStatus, constants};

use crate::{
    error::CliError,
    identity::{self, AggregatorWorkload, Identity},
    manifest,
    output::Printer,
};

/// Delay before a failed list request is retried.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Lists pods. Connection errors are retried.
async fn list(cluster: &Cluster, namespace: &str, selector: &str, tries: u32) -> Result<Vec<Value>, KubeError> {
    let mut tried = 1;
    loop {
        match cluster.list(Kind::Pod, Some(namespace), selector).await {
            Err(error) if error.is_unreachable() && tried < tries => {
                tracing::debug!(%error, "retrying the search for the run");
                tried += 1;
                tokio::time::sleep(RETRY_DELAY).await;
            }
            listed => return listed,
        }
    }
}

/// Lists all aggregator pods in the namespace.
async fn pods(cluster: &Cluster, namespace: &str, tries: u32) -> Result<Vec<Pod>, CliError> {
    let what = || cannot_search(namespace);
    for selector in constants::AGGREGATOR_SELECTORS {
        let pods = list(cluster, namespace, selector, tries).await;
        let pods = pods.map_err(|error| CliError::of_cluster(what(), &error))?;
        let pods: Result<Vec<Pod>, _> = pods.into_iter().map(serde_json::from_value).collect();
        let pods = pods.map_err(|error| CliError::new(what()).caused_by(&error))?;
        if !pods.is_empty() {
            return Ok(pods);
        }
    }
    Ok(Vec::new())
}

/// Finds the Deployment that controls the aggregator's pod.
pub(crate) async fn workload(cluster: &Cluster, namespace: &str) -> AggregatorWorkload {
    // The account may still be able to see the pod when it exists.
    let found = read_workload(cluster, namespace).await;
    found.unwrap_or(AggregatorWorkload::Forbidden)
}

/// Like [`workload`]; fails if a retry may succeed.
async fn read_workload(cluster: &Cluster, namespace: &str) -> Result<AggregatorWorkload, KubeError> {
    let selector = constants::AGGREGATOR_SELECTORS[0];
    match cluster.list(Kind::Deployment, Some(namespace), selector).await {
        Ok(found) => Ok(AggregatorWorkload::of(found)),
        Err(error) if error.is_not_served() => Ok(AggregatorWorkload::None),
        Err(error) => {
            tracing::debug!(%error, "cannot read the aggregator's Deployment");
            if error.is_transient() {
                return Err(error);
            }
            Ok(AggregatorWorkload::Forbidden)
        }
    }
}

fn cannot_search(namespace: &str) -> String {
    format!("cannot search for a run in namespace `{namespace}`")
}

/// Selects a run in a namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WhichRun<'a> {
    Newest,
    /// The run with this UUID.
    Id(&'a str),
    /// The run that this command created.
    Created(&'a Identity),
}

impl<'a> WhichRun<'a> {
    /// Selection by the flag `--run`.
    pub(crate) fn of(id: Option<&'a String>) -> Self {
        id.map_or(Self::Newest, |id| Self::Id(id))
    }
}

/// A run and its aggregator.
#[derive(Debug)]
pub(crate) struct FoundRun {
    pub(crate) identity: Identity,
    /// `None` if the pod does not exist yet, or is being replaced.
    pub(crate) pod: Option<Box<Pod>>,
    /// Reason why the pod cannot be created.
    pub(crate) uncreated: Option<String>,
    /// The pod is being deleted and may be that of an earlier run: the account may not see the Deployment.
    pub(crate) is_ambiguous: bool,
}

impl FoundRun {
    /// Prints the selected run on standard error.
    pub(crate) fn announce(&self, namespace: &str, printer: &Printer) {
        let Some(id) = &self.identity.id else { return };
        let deleting = match &self.pod {
            Some(pod) if self.uncreated.is_none() && identity::is_terminating(pod) => {
                "; its aggregator is being deleted"
            }
            _ => "",
        };
        printer.note(&format!("run {id} in namespace {namespace}{deleting}"));
    }
}

/// Finds a run in the namespace.
pub(crate) async fn find(cluster: &Cluster, namespace: &str, requested: WhichRun<'_>) -> Result<FoundRun, CliError> {
    find_trying(cluster, namespace, requested, 1).await
}

async fn find_trying(
    cluster: &Cluster,
    namespace: &str,
    requested: WhichRun<'_>,
    tries: u32,
) -> Result<FoundRun, CliError> {
    let pods = pods(cluster, namespace, tries).await?;
    let workload = if pods.is_empty() {
        // Only the Deployment shows whether a run without a pod exists.
        let found = read_workload(cluster, namespace).await;
        found.map_err(|error| CliError::of_cluster(cannot_search(namespace), &error))?
    } else if pods.iter().any(is_replaced) {
        workload(cluster, namespace).await
    } else {
        AggregatorWorkload::None
    };
    let mut identity = match requested {
        WhichRun::Created(identity) => identity.clone(),
        WhichRun::Newest | WhichRun::Id(_) => match identity::newest(&pods, &workload) {
            Some(newest) => newest,
            None => return Err(absence(cluster, namespace).await),
        },
    };
    if identity.id.is_none() {
        let pod = identity.aggregator(&pods);
        identity.id = match pod.and_then(archive_run) {
            Some(id) => Some(id),
            // The configuration may already belong to the next run.
            None if pod.is_some_and(identity::is_terminating) => None,
            None => configured_id(cluster, namespace).await,
        };
    }
    if let WhichRun::Id(id) = requested
        && identity.id.as_deref() != Some(id)
    {
        let newest = identity.id.take();
        let of_id = |pod: &&Pod| identity::id_of(pod) == Some(id);
        let Some(pod) = pods.iter().filter(of_id).min_by_key(|pod| newest_first(pod)) else {
            return Err(another(namespace, id, newest.as_deref()));
        };
        identity = Identity::of_pod(pod);
    }
    let deployment = match &workload {
        AggregatorWorkload::Deployment(deployment) if identity.includes_deployment(deployment) => Some(deployment),
        _ => None,
    };
    let pod = identity.aggregator(&pods).cloned().map(Box::new);
    if let Some(pod) = &pod {
        identity.learn(pod);
    }
    match (&pod, deployment, &workload) {
        (None, None, AggregatorWorkload::Forbidden | AggregatorWorkload::Unknown)
        | (Some(_), ..)
        | (None, Some(_), _) => {}
        (None, None, AggregatorWorkload::None | AggregatorWorkload::Deployment(_)) => {
            return Err(match requested {
                WhichRun::Created(_) => deleted(namespace, identity.id.as_deref()),
                WhichRun::Newest | WhichRun::Id(_) => absence(cluster, namespace).await,
            });
        }
    }
    Ok(FoundRun {
        uncreated: deployment.filter(|_| pod.is_none()).and_then(uncreated),
        is_ambiguous: matches!(workload, AggregatorWorkload::Forbidden)
            && pod
                .as_ref()
                .is_some_and(|pod| is_replaced(pod) && identity::is_terminating(pod)),
        identity,
        pod,
    })
}

/// Id of the run, from the archive name in the pod's status.
fn archive_run(pod: &Pod) -> Option<String> {
    let status = status_of(pod)?.ok()?;
    identity::run_of(&status.archive()?.name).map(str::to_owned)
}

/// Id of the run from its configuration, for pods of older versions, which lack it. `None` if it cannot be read.
async fn configured_id(cluster: &Cluster, namespace: &str) -> Option<String> {
    let found = cluster
        .get(Kind::ConfigMap, Some(namespace), constants::CONFIG_MAP)
        .await;
    manifest::uuid(&found.ok()??).filter(|id| identity::is_id(id))
}

/// Finds the aggregator's pod. Fails with the reason if it does not exist.
pub(crate) async fn expect(
    cluster: &Cluster,
    namespace: &str,
    requested: WhichRun<'_>,
    tries: u32,
) -> Result<(Pod, FoundRun), CliError> {
    let mut found = find_trying(cluster, namespace, requested, tries).await?;
    if let Some(pod) = found.pod.take() {
        found.pod = Some(pod.clone());
        return Ok((*pod, found));
    }
    let error = CliError::new(format!(
        "the aggregator in namespace `{namespace}` currently has no pod"
    ));
    Err(error.details(found.uncreated).hint(format!(
        "to wait for it: sono wait -n {namespace}; for details: kubectl -n {namespace} describe deployment sonobuoy"
    )))
}

/// Error: the namespace contains another run than `requested`.
fn another(namespace: &str, requested: &str, newest: Option<&str>) -> CliError {
    let what = format!("run `{requested}` does not exist in namespace `{namespace}`");
    let details = newest.map(|newest| format!("the namespace contains run {newest}"));
    CliError::new(what)
        .details(details)
        .hint("omit --run to use the newest run, or select another namespace with -n")
}

/// Error: the run that this command created no longer exists.
fn deleted(namespace: &str, id: Option<&str>) -> CliError {
    let run = id.map_or_else(|| "the run".to_owned(), |id| format!("run {id}"));
    CliError::new(format!("{run} in namespace `{namespace}` was deleted"))
        .hint("another command deleted the run or its aggregator's pod; start a new run: sono run")
}

/// Error for a namespace without a complete run.
pub(crate) async fn absence(cluster: &Cluster, namespace: &str) -> CliError {
    let (space, configuration) = futures::join!(
        cluster.get(Kind::Namespace, None, namespace),
        cluster.get(Kind::ConfigMap, Some(namespace), constants::CONFIG_MAP)
    );
    for error in [space.as_ref().err(), configuration.as_ref().err()]
        .into_iter()
        .flatten()
    {
        if error.is_transient() {
            return CliError::of_cluster(cannot_search(namespace), error);
        }
    }
    match configuration {
        Ok(Some(configuration)) if text(&configuration, "/metadata/deletionTimestamp").is_empty() => {
            remains(cluster, namespace, &configuration).await
        }
        _ => absent(namespace, space.is_ok_and(|space| space.is_none())),
    }
}

/// Error for a run with a deleted aggregator: it cannot continue, and `run` refuses its namespace.
async fn remains(cluster: &Cluster, namespace: &str, configuration: &Value) -> CliError {
    let labels = format!("{}={}", constants::COMPONENT.0, constants::COMPONENT.1);
    let mut remains = vec![format!("configmap {}", constants::CONFIG_MAP)];
    for kind in [Kind::DaemonSet, Kind::Pod, Kind::Service] {
        let found = cluster.list(kind, Some(namespace), &labels).await.unwrap_or_default();
        let names: Vec<&str> = found
            .iter()
            .filter(|object| text(object, "/metadata/deletionTimestamp").is_empty())
            .map(|object| text(object, "/metadata/name"))
            .collect();
        if let Some((first, others)) = names.split_first() {
            let more = match others.len() {
                0 => String::new(),
                number => format!(" and {number} more"),
            };
            remains.push(format!("{} {first}{more}", kind.name().to_lowercase()));
        }
    }
    let id = manifest::uuid(configuration).filter(|id| identity::is_id(id));
    let run = id.map_or_else(|| "the run".to_owned(), |id| format!("run {id}"));
    CliError::new(format!(
        "{run} in namespace `{namespace}` has no aggregator pod: it was deleted, or does not exist yet"
    ))
    .details([format!("remaining objects: {}", remains.join(", "))])
    .hint(format!(
        "to remove them: sono delete -n {namespace} --wait; results that were not retrieved are lost"
    ))
}

/// Whether a Deployment is not being deleted.
pub(crate) fn creates_pods(workload: &Value) -> bool {
    text(workload, "/metadata/deletionTimestamp").is_empty()
}

/// Reason why a Deployment cannot create pods: a quota, a pod security level or a webhook.
pub(crate) fn uncreated(workload: &Value) -> Option<String> {
    let conditions = workload.pointer("/status/conditions")?.as_array()?;
    let failing =
        |condition: &&Value| text(condition, "/type") == "ReplicaFailure" && text(condition, "/status") == "True";
    let message = text(conditions.iter().find(failing)?, "/message").trim_end_matches('.');
    Some(format!("no pod can be created: {message}"))
}

/// Error for a namespace without a run.
pub(crate) fn absent(namespace: &str, no_namespace: bool) -> CliError {
    let what = if no_namespace {
        format!("namespace `{namespace}` does not exist")
    } else {
        format!("no run found in namespace `{namespace}`")
    };
    CliError::new(what).hint("start a run with sono run, or select another namespace with -n")
}

/// Sort key for pods of an aggregator that is being replaced: the current pod is first.
pub(crate) fn newest_first(pod: &Pod) -> (bool, bool, std::cmp::Reverse<Option<jiff::Timestamp>>) {
    let metadata = &pod.metadata;
    (
        metadata.deletion_timestamp.is_some(),
        matches!(phase(pod), "Failed" | "Succeeded"),
        std::cmp::Reverse(metadata.creation_timestamp.as_ref().map(|time| time.0)),
    )
}

/// Whether a controller replaces the pod when it is deleted.
pub(crate) fn is_replaced(pod: &Pod) -> bool {
    pod.metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.controller == Some(true))
}

/// Whether a pod runs an aggregator, by the labels of [`constants::AGGREGATOR_SELECTORS`].
pub(crate) fn is_aggregator(pod: &Pod) -> bool {
    let Some(labels) = pod.metadata.labels.as_ref() else {
        return false;
    };
    let selectors = constants::AGGREGATOR_SELECTORS.iter();
    selectors
        .filter_map(|selector| selector.split_once('='))
        .any(|(label, value)| labels.get(label).is_some_and(|found| found == value))
}

/// The plugin that a pod belongs to.
pub(crate) fn plugin_of(pod: &Pod) -> Option<&str> {
    pod.metadata
        .labels
        .as_ref()?
        .get(constants::PLUGIN_LABEL)
        .map(String::as_str)
}

/// The status in the pod's annotation; `None` before the first status.
pub(crate) fn status_of(pod: &Pod) -> Option<Result<RunStatus, serde_json::Error>> {
    let text = status_text(pod)?;
    Some(serde_json::from_str(text))
}

/// The text of the status annotation.
pub(crate) fn status_text(pod: &Pod) -> Option<&str> {
    pod.metadata
        .annotations
        .as_ref()?
        .get(constants::STATUS_ANNOTATION)
        .map(String::as_str)
}

/// `Pending`, `Running`, …; empty before the kubelet reports.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

fn containers(pod: &Pod) -> impl Iterator<Item = &sono_kube::ContainerStatus> {
    let status = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    status.into_iter().flatten()
}

/// Number of restarts of the pod's containers.
pub(crate) fn restarts(pod: &Pod) -> i32 {
    containers(pod).map(|container| container.restart_count).sum()
}

/// Start of the pod's containers.
pub(crate) fn started(pod: &Pod) -> Option<jiff::Timestamp> {
    let running = |container: &sono_kube::ContainerStatus| {
        container
            .state
            .as_ref()?
            .running
            .as_ref()?
            .started_at
            .as_ref()
            .map(|time| time.0)
    };
    containers(pod).filter_map(running).max()
}

/// Name of the pod's node.
pub(crate) fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Text at a JSON pointer; empty if missing.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
