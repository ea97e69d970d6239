//! The aggregator's pod, and the status it wears.

use std::time::Duration;

use serde_json::Value;
use sono_kube::{Cluster, Kind, KubeError, Pod};
use sono_types::{RunStatus, constants};

use crate::{
    error::CliError,
    identity::{self, Identity, Maker},
    manifest,
    output::Printer,
};

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

/// All pods of aggregators in the namespace.
async fn pods(cluster: &Cluster, namespace: &str, tries: u32) -> Result<Vec<Pod>, CliError> {
    let what = || format!("cannot look for a run in namespace `{namespace}`");
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

/// The Deployment that makes the aggregator's pod.
pub(crate) async fn maker(cluster: &Cluster, namespace: &str) -> Maker {
    let selector = constants::AGGREGATOR_SELECTORS[0];
    match cluster.list(Kind::Deployment, Some(namespace), selector).await {
        Ok(found) => Maker::of(found),
        Err(error) if error.is_not_served() => Maker::None,
        // An account that may not see it may still see its pod, in a moment.
        Err(error) => {
            tracing::debug!(%error, "cannot see the aggregator's Deployment");
            Maker::Hidden
        }
    }
}

/// Which run of a namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WhichRun<'a> {
    Newest,
    /// The run with this UUID.
    Id(&'a str),
    /// The run that this command created.
    Created(&'a Identity),
}

impl<'a> WhichRun<'a> {
    /// As the flag `--run` says.
    pub(crate) fn of(id: Option<&'a String>) -> Self {
        id.map_or(Self::Newest, |id| Self::Id(id))
    }
}

/// A run, and its aggregator.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) identity: Identity,
    /// None where its pod does not exist yet, or was deleted and is being replaced.
    pub(crate) pod: Option<Box<Pod>>,
    /// Why its pod cannot be created.
    pub(crate) uncreated: Option<String>,
    /// The pod is being deleted and may be that of an earlier run: the account may not see the Deployment.
    pub(crate) is_ambiguous: bool,
}

impl Found {
    /// Names the run on standard error, for a command that chose it.
    pub(crate) fn announce(&self, namespace: &str, printer: &Printer) {
        let Some(id) = &self.identity.id else { return };
        let deleting = match &self.pod {
            Some(pod) if self.uncreated.is_none() && identity::is_terminating(pod) => {
                ", whose aggregator is being deleted"
            }
            _ => "",
        };
        printer.note(&format!("run {id} in namespace {namespace}{deleting}"));
    }
}

/// The run of that namespace, or that there is none.
pub(crate) async fn find(cluster: &Cluster, namespace: &str, wanted: WhichRun<'_>) -> Result<Found, CliError> {
    find_trying(cluster, namespace, wanted, 1).await
}

async fn find_trying(cluster: &Cluster, namespace: &str, wanted: WhichRun<'_>, tries: u32) -> Result<Found, CliError> {
    let pods = pods(cluster, namespace, tries).await?;
    let maker = if pods.is_empty() || pods.iter().any(is_replaced) {
        maker(cluster, namespace).await
    } else {
        Maker::None
    };
    let mut identity = match wanted {
        WhichRun::Created(identity) => identity.clone(),
        WhichRun::Newest | WhichRun::Id(_) => match identity::newest(&pods, &maker) {
            Some(newest) => newest,
            None => return Err(absence(cluster, namespace).await),
        },
    };
    if identity.id.is_none() {
        let pod = identity.aggregator(&pods);
        identity.id = match pod.and_then(archive_run) {
            Some(id) => Some(id),
            // The configuration may be that of the next run already.
            None if pod.is_some_and(identity::is_terminating) => None,
            None => configured_id(cluster, namespace).await,
        };
    }
    if let WhichRun::Id(id) = wanted
        && identity.id.as_deref() != Some(id)
    {
        let newest = identity.id.take();
        let of_id = |pod: &&Pod| identity::id_of(pod) == Some(id);
        let Some(pod) = pods.iter().filter(of_id).min_by_key(|pod| succession(pod)) else {
            return Err(another(namespace, id, newest.as_deref()));
        };
        identity = Identity::of_pod(pod);
    }
    let deployment = match &maker {
        Maker::There(deployment) if identity.includes_deployment(deployment) => Some(deployment),
        _ => None,
    };
    let pod = identity.aggregator(&pods).cloned().map(Box::new);
    if let Some(pod) = &pod {
        identity.learn(pod);
    }
    match (&pod, deployment, &maker) {
        (None, None, Maker::Hidden | Maker::Unknown) | (Some(_), ..) | (None, Some(_), _) => {}
        (None, None, Maker::None | Maker::There(_)) => {
            return Err(match wanted {
                WhichRun::Created(_) => deleted(namespace, identity.id.as_deref()),
                WhichRun::Newest | WhichRun::Id(_) => absence(cluster, namespace).await,
            });
        }
    }
    Ok(Found {
        uncreated: deployment.filter(|_| pod.is_none()).and_then(uncreated),
        is_ambiguous: matches!(maker, Maker::Hidden)
            && pod
                .as_ref()
                .is_some_and(|pod| is_replaced(pod) && identity::is_terminating(pod)),
        identity,
        pod,
    })
}

/// The run in the name of the archive that a pod's status names.
fn archive_run(pod: &Pod) -> Option<String> {
    let status = status_of(pod)?.ok()?;
    identity::run_of(&status.archive()?.name).map(str::to_owned)
}

/// The run in the configuration, where it can be read: pods of older versions do not carry it.
async fn configured_id(cluster: &Cluster, namespace: &str) -> Option<String> {
    let found = cluster
        .get(Kind::ConfigMap, Some(namespace), constants::CONFIG_MAP)
        .await;
    manifest::uuid(&found.ok()??).filter(|id| identity::is_id(id))
}

/// The aggregator's pod, or why there is none.
pub(crate) async fn expect(
    cluster: &Cluster,
    namespace: &str,
    wanted: WhichRun<'_>,
    tries: u32,
) -> Result<(Pod, Found), CliError> {
    let mut found = find_trying(cluster, namespace, wanted, tries).await?;
    if let Some(pod) = found.pod.take() {
        found.pod = Some(pod.clone());
        return Ok((*pod, found));
    }
    let error = CliError::new(format!(
        "the aggregator in namespace `{namespace}` has no pod at the moment"
    ));
    Err(error.details(found.uncreated).hint(format!(
        "sono wait -n {namespace} waits for it; kubectl -n {namespace} describe deployment sonobuoy says more"
    )))
}

/// The namespace holds another run than the wanted one.
fn another(namespace: &str, wanted: &str, newest: Option<&str>) -> CliError {
    let what = format!("run `{wanted}` does not exist in namespace `{namespace}`");
    let details = newest.map(|newest| format!("the run in it is {newest}"));
    CliError::new(what)
        .details(details)
        .hint("leave out --run for the newest run, or name another namespace with -n")
}

/// The run that a command created does not exist any more.
fn deleted(namespace: &str, id: Option<&str>) -> CliError {
    let run = id.map_or_else(|| "the run".to_owned(), |id| format!("run {id}"));
    CliError::new(format!("{run} in namespace `{namespace}` was deleted"))
        .hint("another command deleted it, or its aggregator's pod: start it again with sono run")
}

/// Why no run was found: there is none, or only parts of one.
pub(crate) async fn absence(cluster: &Cluster, namespace: &str) -> CliError {
    let (space, configuration) = futures::join!(
        cluster.get(Kind::Namespace, None, namespace),
        cluster.get(Kind::ConfigMap, Some(namespace), constants::CONFIG_MAP)
    );
    match configuration {
        Ok(Some(configuration)) if text(&configuration, "/metadata/deletionTimestamp").is_empty() => {
            remains(cluster, namespace, &configuration).await
        }
        _ => absent(namespace, space.is_ok_and(|space| space.is_none())),
    }
}

/// A run whose aggregator was deleted: nothing continues it, and `run` refuses its namespace.
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
    .details([format!("what remains: {}", remains.join(", "))])
    .hint(format!(
        "sono delete -n {namespace} --wait removes what remains; results that were not fetched are lost"
    ))
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
