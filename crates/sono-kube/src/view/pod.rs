//! The view of a pod.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{self as core, Affinity, Pod, PodStatus},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Partial, StringPool, Text};

/// Bytes of a message that are stored.
pub(super) const MESSAGE_BYTES: usize = 1 << 10;
/// Conditions that affect verdicts.
const CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "DisruptionTarget"];

/// The fields of a pod that affect verdicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// `metadata.name`.
    pub name: Text,
    /// `metadata.uid`.
    pub uid: Option<Text>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When its grace period ends, once it is deleted.
    pub deleted: Option<Timestamp>,
    /// The node to which the pod is bound.
    pub node: Option<Text>,
    /// The only node that its affinity allows, as for a DaemonSet's pod.
    pub intended_node: Option<Text>,
    /// `Pending`, `Running`, …; empty if unknown.
    pub phase: Text,
    pub(crate) reason: Option<Text>,
    pub(crate) message: Option<Text>,
    pub(crate) started: Option<Timestamp>,
    /// When a condition last changed.
    pub(crate) changed: Option<Timestamp>,
    pub(crate) conditions: Box<[ConditionView]>,
    pub(crate) init_containers: Box<[ContainerView]>,
    pub(crate) containers: Box<[ContainerView]>,
    /// Names of the containers in its specification, without init containers.
    names: Box<[Text]>,
    restart_policy: Option<Text>,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConditionView {
    pub(crate) kind: Text,
    pub(crate) status: Text,
    pub(crate) reason: Option<Text>,
    pub(crate) message: Option<Text>,
    pub(crate) since: Option<Timestamp>,
}

/// The status of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerView {
    pub(crate) name: Text,
    /// The image of the specification; the status may name a digest.
    pub(crate) image: Text,
    pub(crate) restarts: i32,
    pub(crate) state: ContainerState,
    /// How the container ended before its last restart.
    pub(crate) last: Option<Box<Ended>>,
}

/// The state of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ContainerState {
    /// The status has no state.
    Unknown,
    /// The container was not created yet.
    Waiting { reason: Text, message: Option<Text> },
    /// The container runs.
    Running,
    /// The container ended.
    Ended(Box<Ended>),
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) reason: Option<Text>,
    pub(crate) message: Option<Text>,
    pub(crate) at: Option<Timestamp>,
}

/// A pod as a watch parses it.
pub(crate) type PartialPod = Partial<PartialSpec, PodStatus>;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartialSpec {
    node_name: Option<String>,
    restart_policy: Option<String>,
    affinity: Option<Affinity>,
    containers: Option<Vec<PartialContainer>>,
    init_containers: Option<Vec<PartialContainer>>,
}

#[derive(Debug, Clone, Deserialize)]
struct PartialContainer {
    #[serde(default)]
    name: String,
    image: Option<String>,
}

/// The parts of a specification that a view uses.
#[derive(Default)]
struct Spec<'a> {
    node: Option<&'a str>,
    restart_policy: Option<&'a str>,
    affinity: Option<&'a Affinity>,
    /// Names and images.
    init_containers: Vec<(&'a str, Option<&'a str>)>,
    containers: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> From<&'a PartialSpec> for Spec<'a> {
    fn from(spec: &'a PartialSpec) -> Self {
        let described = |containers: &'a Option<Vec<PartialContainer>>| {
            let containers = containers.iter().flatten();
            containers
                .map(|container| (container.name.as_str(), container.image.as_deref()))
                .collect()
        };
        Self {
            node: spec.node_name.as_deref(),
            restart_policy: spec.restart_policy.as_deref(),
            affinity: spec.affinity.as_ref(),
            init_containers: described(&spec.init_containers),
            containers: described(&spec.containers),
        }
    }
}

impl<'a> From<&'a core::PodSpec> for Spec<'a> {
    fn from(spec: &'a core::PodSpec) -> Self {
        let described = |container: &'a core::Container| (container.name.as_str(), container.image.as_deref());
        Self {
            node: spec.node_name.as_deref(),
            restart_policy: spec.restart_policy.as_deref(),
            affinity: spec.affinity.as_ref(),
            init_containers: spec.init_containers.iter().flatten().map(described).collect(),
            containers: spec.containers.iter().map(described).collect(),
        }
    }
}

impl From<&Pod> for PodView {
    fn from(pod: &Pod) -> Self {
        let spec = pod.spec.as_ref().map(Spec::from).unwrap_or_default();
        let empty = PodStatus::default();
        Self::new(
            &pod.metadata,
            &spec,
            pod.status.as_ref().unwrap_or(&empty),
            &mut StringPool::default(),
        )
    }
}

impl PodView {
    pub(crate) fn of(pod: &PartialPod, strings: &mut StringPool) -> Self {
        let spec = pod.spec.as_ref().map(Spec::from).unwrap_or_default();
        let empty = PodStatus::default();
        Self::new(&pod.metadata, &spec, pod.status.as_ref().unwrap_or(&empty), strings)
    }

    fn new(metadata: &ObjectMeta, spec: &Spec<'_>, status: &PodStatus, strings: &mut StringPool) -> Self {
        let conditions = status.conditions.iter().flatten();
        let relevant = conditions
            .clone()
            .filter(|condition| CONDITIONS.contains(&condition.type_.as_str()));
        let relevant = relevant
            .map(|condition| ConditionView::new(condition, strings))
            .collect();
        let changes = conditions.filter_map(|condition| condition.last_transition_time.as_ref().map(|time| time.0));
        let changed = changes.max();
        let mut containers = |statuses: &Option<Vec<core::ContainerStatus>>| {
            let statuses = statuses.iter().flatten();
            statuses
                .map(|status| ContainerView::new(status, spec, strings))
                .collect()
        };
        let init_containers = containers(&status.init_container_statuses);
        let containers = containers(&status.container_statuses);
        Self {
            name: metadata.name.as_deref().unwrap_or_default().into(),
            uid: metadata.uid.as_deref().map(Text::from),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            deleted: metadata.deletion_timestamp.as_ref().map(|time| time.0),
            node: spec.node.filter(|node| !node.is_empty()).map(Text::from),
            intended_node: spec.affinity.and_then(intended_node).map(Text::from),
            phase: strings.get(status.phase.as_deref().unwrap_or_default()),
            reason: status.reason.as_deref().map(|reason| strings.get(reason)),
            message: status.message.as_deref().map(|message| strings.get(cut(message))),
            started: status.start_time.as_ref().map(|time| time.0),
            changed,
            conditions: relevant,
            init_containers,
            containers,
            names: spec.containers.iter().map(|(name, _)| strings.get(name)).collect(),
            restart_policy: spec.restart_policy.map(|policy| strings.get(policy)),
        }
    }

    /// The node on which the pod runs; for an unscheduled pod of a DaemonSet, the node that its affinity names.
    pub fn node_or_intended(&self) -> Option<&Text> {
        self.node.as_ref().or(self.intended_node.as_ref())
    }

    /// The names of its containers, each once, without init containers.
    pub fn container_names(&self) -> impl Iterator<Item = &str> {
        let unknown = self.containers.iter().map(|container| &container.name);
        let unknown = unknown.filter(|name| !self.names.contains(*name));
        self.names.iter().chain(unknown).map(AsRef::as_ref)
    }

    /// Whether a container of this name runs.
    pub fn runs(&self, name: &str) -> bool {
        let mut named = self.containers.iter().filter(|container| &*container.name == name);
        named.any(|container| container.state == ContainerState::Running)
    }

    /// The exit codes of a container and of its run before the last restart; `None` for a run that has not ended.
    pub fn exit_codes(&self, name: &str) -> (Option<i32>, Option<i32>) {
        let found = self.containers.iter().find(|container| &*container.name == name);
        let now = found.and_then(|container| container.state.ended().map(|ended| ended.code));
        let before = found.and_then(|container| container.last.as_ref().map(|ended| ended.code));
        (now, before)
    }

    /// Whether no container will be restarted and all sidecars have ended.
    pub fn is_final(&self) -> bool {
        let mut sidecars = self.init_containers.iter();
        self.restart_policy.as_deref() == Some("Never") && sidecars.all(|container| container.state.ended().is_some())
    }

    /// The JSON of the pod, with the fields of the view only.
    pub fn to_json(&self) -> Value {
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let statuses = |containers: &[ContainerView]| -> Vec<Value> { containers.iter().map(container_json).collect() };
        let conditions = self.conditions.iter().map(|condition| {
            filled([
                ("type", condition.kind.as_ref().into()),
                ("status", condition.status.as_ref().into()),
                ("reason", condition.reason.as_deref().into()),
                ("message", condition.message.as_deref().into()),
                ("lastTransitionTime", time(condition.since).into()),
            ])
        });
        let names = self.names.iter().map(|name| json!({"name": name.as_ref()}));
        filled([
            ("apiVersion", "v1".into()),
            ("kind", "Pod".into()),
            (
                "metadata",
                filled([
                    ("name", self.name.as_ref().into()),
                    ("uid", self.uid.as_deref().into()),
                    ("creationTimestamp", time(self.created).into()),
                    ("deletionTimestamp", time(self.deleted).into()),
                ]),
            ),
            (
                "spec",
                filled([
                    ("nodeName", self.node.as_deref().into()),
                    ("restartPolicy", self.restart_policy.as_deref().into()),
                    ("containers", names.collect()),
                ]),
            ),
            (
                "status",
                filled([
                    ("phase", self.phase.as_ref().into()),
                    ("reason", self.reason.as_deref().into()),
                    ("message", self.message.as_deref().into()),
                    ("startTime", time(self.started).into()),
                    ("conditions", conditions.collect()),
                    ("initContainerStatuses", statuses(&self.init_containers).into()),
                    ("containerStatuses", statuses(&self.containers).into()),
                ]),
            ),
        ])
    }
}

/// A JSON object of the fields that are not empty.
fn filled<const COUNT: usize>(fields: [(&str, Value); COUNT]) -> Value {
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    let fields = fields.into_iter().filter(|(_, value)| says(value));
    let fields: Map<String, Value> = fields.map(|(name, value)| (name.to_owned(), value)).collect();
    fields.into()
}

fn container_json(container: &ContainerView) -> Value {
    let ended = |ended: &Ended| {
        filled([
            ("exitCode", ended.code.into()),
            ("reason", ended.reason.as_deref().into()),
            ("message", ended.message.as_deref().into()),
            ("finishedAt", ended.at.map(|at| at.to_string()).into()),
        ])
    };
    let state = match &container.state {
        ContainerState::Unknown => Value::Null,
        ContainerState::Running => json!({"running": {}}),
        ContainerState::Waiting { reason, message } => {
            json!({"waiting": filled([("reason", reason.as_ref().into()), ("message", message.as_deref().into())])})
        }
        ContainerState::Ended(end) => json!({"terminated": ended(end)}),
    };
    filled([
        ("name", container.name.as_ref().into()),
        ("image", container.image.as_ref().into()),
        ("restartCount", container.restarts.into()),
        ("state", state),
        (
            "lastState",
            container
                .last
                .as_ref()
                .map(|last| json!({"terminated": ended(last)}))
                .into(),
        ),
    ])
}

impl ConditionView {
    fn new(condition: &core::PodCondition, strings: &mut StringPool) -> Self {
        Self {
            kind: strings.get(&condition.type_),
            status: strings.get(&condition.status),
            reason: condition.reason.as_deref().map(|reason| strings.get(reason)),
            message: condition.message.as_deref().map(|message| strings.get(cut(message))),
            since: condition.last_transition_time.as_ref().map(|time| time.0),
        }
    }
}

impl ContainerView {
    fn new(status: &core::ContainerStatus, spec: &Spec<'_>, strings: &mut StringPool) -> Self {
        let mut described = spec.init_containers.iter().chain(&spec.containers);
        let image = described
            .find(|(name, _)| *name == status.name)
            .and_then(|(_, image)| *image);
        let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        Self {
            name: strings.get(&status.name),
            image: strings.get(image.unwrap_or(&status.image)),
            restarts: status.restart_count,
            state: ContainerState::new(status.state.as_ref(), strings),
            last: last.map(|last| Box::new(Ended::new(last, strings))),
        }
    }
}

impl ContainerState {
    fn new(state: Option<&core::ContainerState>, strings: &mut StringPool) -> Self {
        let Some(state) = state else { return Self::Unknown };
        if let Some(waiting) = &state.waiting {
            Self::Waiting {
                reason: strings.get(waiting.reason.as_deref().unwrap_or_default()),
                message: waiting.message.as_deref().map(|message| strings.get(cut(message))),
            }
        } else if let Some(ended) = &state.terminated {
            Self::Ended(Box::new(Ended::new(ended, strings)))
        } else if state.running.is_some() {
            Self::Running
        } else {
            Self::Unknown
        }
    }

    /// How the container ended, if it did.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        match self {
            Self::Ended(ended) => Some(ended),
            Self::Unknown | Self::Waiting { .. } | Self::Running => None,
        }
    }
}

impl Ended {
    fn new(ended: &core::ContainerStateTerminated, strings: &mut StringPool) -> Self {
        Self {
            code: ended.exit_code,
            reason: ended.reason.as_deref().map(|reason| strings.get(reason)),
            message: ended.message.as_deref().map(|message| strings.get(cut(message))),
            at: ended.finished_at.as_ref().map(|time| time.0),
        }
    }
}

/// The node that a required affinity names.
fn intended_node(affinity: &Affinity) -> Option<&str> {
    let affinity = affinity.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required
        .node_selector_terms
        .iter()
        .flat_map(|term| term.match_fields.iter().flatten());
    fields
        .filter(|field| field.key == "metadata.name" && field.operator == "In")
        .find_map(|field| field.values.as_ref()?.first().map(String::as_str))
}

/// The start of a message, up to [`MESSAGE_BYTES`].
pub(super) fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_BYTES)]
}
