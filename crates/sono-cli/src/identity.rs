//! Identity of a run. Two runs may share a namespace for a while: pods of a deleted run exist until their grace period
//! ends, and may report a complete run with an archive. Pure.

use jiff::Timestamp;
use serde_json::Value;
use sono_kube::Pod;
use sono_types::{TarInfo, constants, env};

use crate::aggregator::{creates_pods, is_aggregator, is_replaced, newest_first, text};

/// Identity of a run, as known from its objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The run's UUID. Unknown for objects of Sonobuoy, of older versions, and of manifests without a UUID.
    pub(crate) id: Option<String>,
    /// uid of the Deployment that controls the aggregator's pod.
    deployment: Option<String>,
    /// uid of the ReplicaSet that controls the aggregator's pod, or of the pod itself if it has no controller.
    owner: Option<String>,
    /// Creation time of the Deployment, for pods without the id: older pods belong to another run.
    since: Option<Timestamp>,
    /// Whether the aggregator is a single pod.
    alone: bool,
}

/// Deployment that controls the aggregator's pod, if any.
#[derive(Debug, Clone, Default)]
pub(crate) enum AggregatorWorkload {
    /// Not queried yet.
    #[default]
    Unknown,
    /// The account may not see Deployments.
    Forbidden,
    /// Does not exist: the aggregator is a single pod, or the run is being deleted.
    None,
    Deployment(Value),
}

impl AggregatorWorkload {
    /// Selects the first Deployment that is not being deleted.
    pub(crate) fn of(found: Vec<Value>) -> Self {
        found
            .into_iter()
            .find(creates_pods)
            .map_or(Self::None, Self::Deployment)
    }
}

impl Identity {
    /// Identity of a run from its created objects, as returned by the API server. `None` if the aggregator is not among
    /// them.
    pub(crate) fn of_created(created: &[Value], id: Option<&str>) -> Option<Self> {
        let aggregator = |object: &&Value| {
            let labels = ["/metadata/labels", "/spec/template/metadata/labels"];
            labels
                .iter()
                .any(|labels| text(object, &format!("{labels}/{}", constants::COMPONENT_LABEL)) == "aggregator")
        };
        let mut identity = created.iter().filter(aggregator).find_map(|object| {
            Some(match text(object, "/kind") {
                "Deployment" => Self::of_deployment(object),
                "Pod" => Self::of_pod(&serde_json::from_value(object.clone()).ok()?),
                _ => return None,
            })
        })?;
        identity.id = id.map(str::to_owned).or(identity.id);
        Some(identity)
    }

    /// Identity of the run of an aggregator's Deployment.
    pub(crate) fn of_deployment(deployment: &Value) -> Self {
        Self {
            id: template_id(deployment),
            since: text(deployment, "/metadata/creationTimestamp").parse().ok(),
            deployment: Some(text(deployment, "/metadata/uid").to_owned()),
            owner: None,
            alone: false,
        }
    }

    /// Identity of the run of an aggregator's pod.
    pub(crate) fn of_pod(pod: &Pod) -> Self {
        Self {
            id: id_of(pod).map(str::to_owned),
            deployment: None,
            owner: Some(owner_of(pod).to_owned()),
            since: None,
            alone: !is_replaced(pod),
        }
    }

    /// Whether `pod` is the pod of the run's aggregator. The id is not sufficient: applying a manifest twice creates two
    /// runs with one id.
    pub(crate) fn includes(&self, pod: &Pod) -> bool {
        let owner = self.owner.as_deref();
        if self.alone {
            return owner == Some(owner_of(pod));
        }
        let metadata = &pod.metadata;
        let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
        let is_same = self.id.as_deref().zip(id_of(pod)).map(|(own, other)| own == other);
        match (is_same, self.since, owner) {
            (Some(false), ..) => false,
            (Some(true), Some(since), _) => created.is_none_or(|created| created >= since),
            (_, _, Some(owner)) => owner_of(pod) == owner,
            // Times have a resolution of one second: a pod that is being deleted may belong to an earlier run.
            (None, Some(since), None) => {
                metadata.deletion_timestamp.is_none() && created.is_some_and(|created| created >= since)
            }
            (Some(true), None, None) => true,
            (None, None, None) => false,
        }
    }

    /// Whether `deployment` controls the run's aggregator.
    pub(crate) fn includes_deployment(&self, deployment: &Value) -> bool {
        let is_other = |own: &String| template_id(deployment).is_some_and(|other| other != *own);
        let has_uid = |uid: &str| uid == text(deployment, "/metadata/uid");
        !self.alone && !self.id.as_ref().is_some_and(is_other) && self.deployment.as_deref().is_none_or(has_uid)
    }

    /// Whether a pod may belong to this run. A plugin's pod has the id in an environment variable.
    pub(crate) fn may_include(&self, pod: &Pod) -> bool {
        if is_aggregator(pod) {
            return self.includes(pod);
        }
        match (&self.id, plugin_run(pod)) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        }
    }

    /// Completes the identity from a pod of the run.
    pub(crate) fn learn(&mut self, pod: &Pod) {
        if self.id.is_none() {
            self.id = id_of(pod).map(str::to_owned);
        }
        if self.owner.is_none() {
            self.owner = Some(owner_of(pod).to_owned());
            self.alone = !is_replaced(pod);
        }
    }

    /// The current pod of the run's aggregator.
    pub(crate) fn aggregator<'a>(&self, pods: impl IntoIterator<Item = &'a Pod>) -> Option<&'a Pod> {
        pods.into_iter()
            .filter(|pod| self.includes(pod))
            .min_by_key(|pod| newest_first(pod))
    }

    /// Whether an archive may belong to this run, by its name.
    pub(crate) fn owns(&self, archive: &TarInfo) -> bool {
        match (&self.id, run_of(&archive.name)) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        }
    }
}

/// The newest run of a namespace, from its aggregator pods and their Deployment.
pub(crate) fn newest(aggregators: &[Pod], workload: &AggregatorWorkload) -> Option<Identity> {
    match workload {
        AggregatorWorkload::Deployment(deployment) => Some(Identity::of_deployment(deployment)),
        AggregatorWorkload::Unknown | AggregatorWorkload::Forbidden | AggregatorWorkload::None => {
            let pod = aggregators.iter().min_by_key(|pod| newest_first(pod))?;
            Some(Identity::of_pod(pod))
        }
    }
}

/// Remains of an earlier run in a namespace without a configuration of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Previous {
    None,
    /// An aggregator that is not being deleted.
    Stays,
    /// Names of aggregator pods that are being deleted, or will be because their Deployment no longer exists.
    Leaves(Vec<String>),
}

/// Remains of an earlier run, from aggregator pods and their Deployment.
pub(crate) fn previous(aggregators: &[Pod], workload: &AggregatorWorkload) -> Previous {
    let stays = |pod: &Pod| !is_terminating(pod) && !is_replaced(pod);
    if aggregators.is_empty() {
        Previous::None
    } else if matches!(workload, AggregatorWorkload::Deployment(_)) || aggregators.iter().any(stays) {
        Previous::Stays
    } else {
        let names = aggregators.iter().filter_map(|pod| pod.metadata.name.clone());
        Previous::Leaves(names.collect())
    }
}

/// Whether a pod is being deleted.
pub(crate) fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Id of the run in the annotation of an aggregator's pod.
pub(crate) fn id_of(pod: &Pod) -> Option<&str> {
    let id = pod.metadata.annotations.as_ref()?.get(constants::RUN_ANNOTATION)?;
    Some(id.as_str()).filter(|id| is_id(id))
}

/// Whether a text from a cluster is a valid run id. Ids are used in messages and file names.
pub(crate) fn is_id(text: &str) -> bool {
    let may_be_in_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(may_be_in_one)
}

/// Id of the run in the name of an archive: `<when>_sonobuoy_<uuid>.tar.gz`.
pub(crate) fn run_of(archive: &str) -> Option<&str> {
    let (_, run) = archive.strip_suffix(".tar.gz")?.split_once("_sonobuoy_")?;
    Some(run).filter(|run| is_id(run))
}

/// Id of the run in the environment of a plugin's worker.
fn plugin_run(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    let variables = spec
        .containers
        .iter()
        .flat_map(|container| container.env.iter().flatten());
    variables
        .filter(|variable| variable.name == env::SONO_RUN_ID)
        .find_map(|variable| variable.value.as_deref())
}

fn template_id(deployment: &Value) -> Option<String> {
    let id = deployment
        .pointer("/spec/template/metadata/annotations")?
        .get(constants::RUN_ANNOTATION)?
        .as_str()?;
    is_id(id).then(|| id.to_owned())
}

/// uid of the pod's controller, or of the pod itself.
fn owner_of(pod: &Pod) -> &str {
    let metadata = &pod.metadata;
    let mut owners = metadata.owner_references.iter().flatten();
    owners
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
        .or(metadata.uid.as_deref())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
