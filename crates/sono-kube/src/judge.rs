//! Whether a plugin's pod still can bring a result (core spec §2.9, with weaknesses W-8, W-35 and W-36 mended).
//!
//! Pure: a pod as the API server shows it and a time in, a verdict out.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ContainerStateTerminated;
pub use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::Value;
use sono_types::constants;

use crate::{elapsed, image::pull_reason};

#[cfg(test)]
mod tests;

/// How long each kind of trouble may last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// No node can take the pod: an autoscaler may be adding one.
    pub unschedulable: Duration,
    /// An image cannot be pulled: the registry may come back.
    pub image_pull: Duration,
    /// A container cannot be made as it is described: a ConfigMap or Secret may be about to come.
    pub container: Duration,
    /// The last container ended, one of them with an error: what there is may be on its way.
    pub settle: Duration,
    /// A container ended with an error, and the worker runs: it may be packing, sending, or waiting for its next try.
    pub worker: Duration,
    /// A container ended with an error, and others than the worker run: one of them may still name a result.
    pub others: Duration,
    /// Its containers are not being made: a volume may be on its way, or a large image.
    pub mount: Duration,
    /// The pod's node is lost, or it was evicted and should be replaced.
    pub lost: Duration,
    /// The node does not answer: it may be starting anew.
    pub unready: Duration,
    /// Restarts of one container that are still let pass.
    pub restarts: i32,
    /// Containers that end are started again, and pods that go are replaced: DaemonSets.
    pub replaced: bool,
}

impl Policy {
    /// Bare pods with `restartPolicy: Never`.
    pub const fn job() -> Self {
        Self {
            unschedulable: Duration::from_mins(5),
            image_pull: Duration::from_mins(5),
            container: Duration::from_secs(30),
            settle: Duration::from_secs(10),
            worker: Duration::from_mins(1),
            others: Duration::from_mins(5),
            // The kubelet itself gives each try two minutes.
            mount: Duration::from_mins(3),
            lost: Duration::from_mins(1),
            // After which the control plane takes other pods off such a node.
            unready: Duration::from_mins(5),
            restarts: 2,
            replaced: false,
        }
    }

    /// Pods of a DaemonSet.
    pub const fn daemon_set() -> Self {
        Self {
            replaced: true,
            ..Self::job()
        }
    }
}

/// What a pod looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against a result.
    Fine,
    /// Trouble that may pass: look again at that time, unless the pod changes before.
    Wait {
        /// When it counts as failing.
        until: Timestamp,
        /// What the trouble is.
        reason: String,
    },
    /// It brings no result any more.
    Failing {
        /// What happened, to which pod, on which node, and what to do about it.
        message: String,
    },
}

/// Trouble, and since when and how long it may last.
struct Trouble {
    since: Timestamp,
    limit: Duration,
    message: String,
}

/// Judges `pod` as of `now`.
pub fn judge(pod: &Pod, now: Timestamp, policy: &Policy) -> Verdict {
    let mut waiting: Option<(Timestamp, String)> = None;
    for trouble in troubles(pod, now, policy) {
        let until = trouble.since.checked_add(trouble.limit).unwrap_or(Timestamp::MAX);
        if until <= now {
            return Verdict::Failing {
                message: trouble.message,
            };
        }
        if waiting.as_ref().is_none_or(|(earliest, _)| until < *earliest) {
            waiting = Some((until, trouble.message));
        }
    }
    waiting.map_or(Verdict::Fine, |(until, reason)| Verdict::Wait { until, reason })
}

fn troubles(pod: &Pod, now: Timestamp, policy: &Policy) -> Vec<Trouble> {
    let place = place(pod);
    let mut troubles = Vec::new();
    troubles.extend(gone(pod, now, policy, &place));
    troubles.extend(unscheduled(pod, now, policy, &place));
    for (container, is_init) in containers(pod) {
        troubles.extend(of_container(pod, container, is_init, now, policy, &place));
    }
    if !policy.replaced && phase(pod) == "Succeeded" {
        troubles.push(Trouble {
            since: last_end(pod).unwrap_or(now),
            limit: policy.settle,
            message: format!(
                "all containers of {place} ended without an error, but no result arrived; the plugin must write its done file before it ends"
            ),
        });
    }
    troubles
}

/// Deleted, evicted, or its node is lost.
fn gone(pod: &Pod, now: Timestamp, policy: &Policy, place: &str) -> Option<Trouble> {
    let status = pod.status.as_ref();
    let reason = status.and_then(|status| status.reason.as_deref()).unwrap_or_default();
    let message = status.and_then(|status| status.message.as_deref()).unwrap_or_default();
    let disruption = condition(pod, "DisruptionTarget").filter(|condition| condition.status == "True");
    if reason == "NodeLost" || phase(pod) == "Unknown" {
        let since = pod
            .metadata
            .deletion_timestamp
            .as_ref()
            .map_or_else(|| latest_change(pod, now), |time| time.0);
        return Some(Trouble {
            since: since.min(now),
            limit: policy.lost,
            message: format!(
                "the node under {place} does not answer any more; bring the node back, or run again without it"
            ),
        });
    }
    if let Some(time) = &pod.metadata.deletion_timestamp {
        // The controller makes a new one; for a bare pod the grace period is the last chance to upload.
        return (!policy.replaced).then(|| Trouble {
            since: time.0,
            limit: Duration::ZERO,
            message: match disruption.and_then(|condition| condition.message.as_deref()) {
                Some(why) => format!(
                    "{place} was taken off its node before it sent a result ({}); run again",
                    sentence(why)
                ),
                None => format!("{place} was deleted before it sent a result; run again"),
            },
        });
    }
    if phase(pod) == "Failed" && !reason.is_empty() {
        let since = disruption
            .and_then(|condition| condition.last_transition_time.as_ref())
            .map_or_else(|| latest_change(pod, now), |time| time.0);
        let why = if message.is_empty() {
            String::new()
        } else {
            format!(": {}", sentence(message))
        };
        let advice = match reason {
            "Evicted" => "give the node room or the plugin a resource request, and run again",
            "DeadlineExceeded" => "raise the pod's activeDeadlineSeconds",
            _ => "see to the node, and run again",
        };
        return Some(Trouble {
            since,
            limit: if policy.replaced { policy.lost } else { Duration::ZERO },
            message: format!("{place} was ended by Kubernetes ({reason}{why}); {advice}"),
        });
    }
    None
}

fn unscheduled(pod: &Pod, now: Timestamp, policy: &Policy, place: &str) -> Option<Trouble> {
    let condition = condition(pod, "PodScheduled").filter(|condition| condition.status == "False")?;
    let reason = condition.reason.as_deref().unwrap_or_default();
    if !matches!(reason, "Unschedulable" | "SchedulingGated") {
        return None;
    }
    let since = condition.last_transition_time.as_ref().map_or(now, |time| time.0);
    let message = condition.message.as_deref().unwrap_or("no reason given");
    Some(Trouble {
        since,
        limit: policy.unschedulable,
        message: format!(
            "no node can take {place}: {}; free a node, or change the plugin's node selector, tolerations or requests",
            sentence(message)
        ),
    })
}

fn of_container(
    pod: &Pod,
    container: &ContainerStatus,
    is_init: bool,
    now: Timestamp,
    policy: &Policy,
    place: &str,
) -> Option<Trouble> {
    let name = &container.name;
    if container.restart_count > policy.restarts {
        let last = container
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        let why = last
            .map(|last| format!(", the last time with {}", ending(last)))
            .unwrap_or_default();
        let advice = advice(last);
        return Some(Trouble {
            since: now,
            limit: Duration::ZERO,
            message: format!(
                "container {name} of {place} was restarted {}{why}; {advice}",
                times(container.restart_count)
            ),
        });
    }
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let message = waiting.message.as_deref().unwrap_or_default();
        let since = latest_change(pod, now);
        let image = image_of(pod, container);
        return match reason {
            "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" => Some(Trouble {
                since: pod
                    .status
                    .as_ref()
                    .and_then(|status| status.start_time.as_ref())
                    .map_or(now, |time| time.0),
                limit: policy.image_pull,
                message: format!(
                    "image {image} of container {name} of {place}: {} ({reason} for {}); correct the image's name, load it onto the node, or give credentials",
                    pull_reason(message),
                    elapsed(policy.image_pull)
                ),
            }),
            "ErrImageNeverPull" => Some(Trouble {
                since,
                limit: policy.container,
                message: format!(
                    "image {image} of container {name} of {place} is not on the node and its pull policy is Never; load it, or use another policy"
                ),
            }),
            "InvalidImageName" => Some(Trouble {
                since,
                limit: policy.container,
                message: format!(
                    "container {name} of {place} has an image name that cannot be read, {image}; correct it"
                ),
            }),
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "PreCreateHookError" => {
                Some(Trouble {
                    since,
                    limit: policy.container,
                    message: format!(
                        "container {name} of {place} cannot be started: {} ({reason}); correct the plugin's definition",
                        sentence(if message.is_empty() { "no reason given" } else { message })
                    ),
                })
            }
            _ => None,
        };
    }
    let ended = state.terminated.as_ref()?;
    if policy.replaced || ended.exit_code == 0 {
        return None;
    }
    let role = if is_init { "init container" } else { "container" };
    let advice = advice(Some(ended));
    let runs = |is_worker: bool| {
        containers(pod).any(|(other, _)| {
            let runs = other.state.as_ref().is_some_and(|state| state.running.is_some());
            runs && (other.name == constants::WORKER_CONTAINER) == is_worker
        })
    };
    // The others' end begins the worker's time.
    let (since, limit) = match (runs(false), runs(true)) {
        (true, _) => (finished(ended), policy.others),
        (false, true) => (last_end(pod), policy.worker),
        (false, false) => (last_end(pod), policy.settle),
    };
    Some(Trouble {
        since: since.unwrap_or(now),
        limit,
        message: format!(
            "{role} {name} of {place} ended with {} and no result arrived; {advice}",
            ending(ended)
        ),
    })
}

fn advice(ended: Option<&ContainerStateTerminated>) -> &'static str {
    match ended.and_then(|ended| ended.reason.as_deref()) {
        Some("OOMKilled") => "raise its memory limit",
        _ => "its log says more",
    }
}

/// Since when the pod is not ready although its containers run, as far as anybody knows: so the control plane marks the pods of a
/// node that does not answer. Those of a DaemonSet are not taken off it.
pub fn unready(pod: &Pod) -> Option<Timestamp> {
    let condition = condition(pod, "Ready").filter(|condition| condition.status == "False")?;
    let runs = |(container, _): (&ContainerStatus, bool)| {
        container.state.as_ref().is_some_and(|state| state.running.is_some())
    };
    let since = condition.last_transition_time.as_ref().map(|time| time.0);
    since.filter(|_| pod.metadata.deletion_timestamp.is_none() && containers(pod).any(runs))
}

/// What is wrong with a pod whose `node` (as the API server has it) does not answer, and from when on that counts; `None` where it
/// does.
pub fn unanswering(pod: &Pod, node: &Value, policy: &Policy) -> Option<(Timestamp, String)> {
    let conditions = node.pointer("/status/conditions")?.as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
    if ready["status"] == "True" {
        return None;
    }
    let since: Timestamp = ready["lastTransitionTime"].as_str()?.parse().ok()?;
    let due = since.checked_add(policy.unready).unwrap_or(Timestamp::MAX);
    let message = format!(
        "the node under {} has not answered since {since}; bring the node back, or run again without it",
        place(pod)
    );
    Some((due, message))
}

/// Since when the pod has a node and no container of it was made; `None` where one was.
pub fn without_containers(pod: &Pod) -> Option<Timestamp> {
    let scheduled = condition(pod, "PodScheduled").filter(|condition| condition.status == "True")?;
    let waits = |(container, _): (&ContainerStatus, bool)| {
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        let reason = waiting.map(|waiting| waiting.reason.as_deref().unwrap_or_default());
        matches!(reason, Some("" | "ContainerCreating" | "PodInitializing"))
    };
    let never_made = pod.metadata.deletion_timestamp.is_none() && phase(pod) == "Pending" && containers(pod).all(waits);
    never_made.then(|| scheduled.last_transition_time.as_ref().map(|time| time.0))?
}

/// Reasons of the events that tell of volumes.
pub const MOUNT_EVENTS: [&str; 2] = ["FailedMount", "FailedAttachVolume"];

/// How old an event may be that still tells of now: the kubelet waits up to two minutes between its tries, each of which
/// may take two.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// What the events (as the API server has them) say about volumes that keep the containers of `pod` from being made.
pub fn unmounted(pod: &Pod, events: &[Value], now: Timestamp) -> Option<String> {
    let (reason, message) = latest_event(pod.metadata.uid.as_deref()?, &MOUNT_EVENTS, events, now)?;
    let since = without_containers(pod).map_or(SignedDuration::ZERO, |since| now.duration_since(since));
    Some(format!(
        "{} has no containers after {}, because a volume cannot be mounted: {message} ({reason}); correct the plugin's volumes, or make what they name",
        place(pod),
        elapsed(since.unsigned_abs())
    ))
}

/// Reason of the events that tell of pods that a controller cannot create.
pub const CREATE_EVENT: &str = "FailedCreate";

/// What the events (as the API server has them) say about pods that the controller of `owner` cannot create.
pub fn uncreated(owner: &Value, events: &[Value], now: Timestamp) -> Option<String> {
    let uid = owner.pointer("/metadata/uid").and_then(Value::as_str)?;
    let (_, message) = latest_event(uid, &[CREATE_EVENT], events, now)?;
    Some(message)
}

/// Reason and message of the latest fresh event about an object.
fn latest_event(uid: &str, reasons: &[&str], events: &[Value], now: Timestamp) -> Option<(String, String)> {
    let text = |event: &Value, pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let time = |event: &Value| {
        [
            "/series/lastObservedTime",
            "/lastTimestamp",
            "/eventTime",
            "/metadata/creationTimestamp",
        ]
        .iter()
        .find_map(|pointer| text(event, pointer)?.parse::<Timestamp>().ok())
    };
    let wanted = events.iter().filter(|event| {
        text(event, "/involvedObject/uid").as_deref() == Some(uid)
            && text(event, "/reason").is_some_and(|reason| reasons.contains(&reason.as_str()))
    });
    let (_, last) = wanted
        .filter_map(|event| Some((time(event)?, event)))
        .filter(|(time, _)| now.duration_since(*time) <= FRESH)
        .max_by_key(|(time, _)| *time)?;
    Some((
        text(last, "/reason")?,
        sentence(text(last, "/message").unwrap_or_default().trim_start_matches(COMBINED)),
    ))
}

/// What the recorder of events puts in front of one that stands for many.
const COMBINED: &str = "(combined from similar events): ";

/// Init containers, then the others.
pub(crate) fn containers(pod: &Pod) -> impl Iterator<Item = (&ContainerStatus, bool)> {
    let status = pod.status.as_ref();
    let init = status
        .and_then(|status| status.init_container_statuses.as_ref())
        .into_iter()
        .flatten();
    let others = status
        .and_then(|status| status.container_statuses.as_ref())
        .into_iter()
        .flatten();
    init.map(|container| (container, true))
        .chain(others.map(|container| (container, false)))
}

fn ended(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.state.as_ref()?.terminated.as_ref()
}

fn finished(ended: &ContainerStateTerminated) -> Option<Timestamp> {
    ended.finished_at.as_ref().map(|time| time.0)
}

/// When the last of its containers ended.
fn last_end(pod: &Pod) -> Option<Timestamp> {
    containers(pod)
        .filter_map(|(container, _)| finished(ended(container)?))
        .max()
}

/// `exit code 3 (Error: message)`.
pub(crate) fn ending(ended: &ContainerStateTerminated) -> String {
    let reason = ended.reason.as_deref().unwrap_or_default();
    let message = ended.message.as_deref().map(sentence).unwrap_or_default();
    match (reason, message.as_str()) {
        ("" | "Error", "") => format!("exit code {}", ended.exit_code),
        (reason, "") => format!("exit code {} ({reason})", ended.exit_code),
        ("" | "Error", message) => format!("exit code {} ({message})", ended.exit_code),
        (reason, message) => format!("exit code {} ({reason}: {message})", ended.exit_code),
    }
}

/// The image as the pod asks for it; the runtime's own name for it may be a digest.
pub(crate) fn image_of<'a>(pod: &'a Pod, container: &'a ContainerStatus) -> &'a str {
    let spec = pod.spec.as_ref();
    let init = spec
        .and_then(|spec| spec.init_containers.as_ref())
        .into_iter()
        .flatten();
    let mut all = init.chain(spec.map(|spec| &spec.containers).into_iter().flatten());
    all.find(|described| described.name == container.name)
        .and_then(|described| described.image.as_deref())
        .unwrap_or(&container.image)
}

/// `pod p on node n`.
pub(crate) fn place(pod: &Pod) -> String {
    let name = pod.metadata.name.as_deref().unwrap_or("without a name");
    match pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
        Some(node) => format!("pod {name} on node {node}"),
        None => format!("pod {name}"),
    }
}

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

pub(crate) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a k8s_openapi::api::core::v1::PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// When anything about the pod's state changed last, as far as the pod tells.
pub(crate) fn latest_change(pod: &Pod, now: Timestamp) -> Timestamp {
    let status = pod.status.as_ref();
    let start = status.and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    let conditions = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten();
    let changes = conditions.filter_map(|condition| condition.last_transition_time.as_ref().map(|time| time.0));
    changes.chain(start).max().unwrap_or(now)
}

/// `once`, `3 times`.
pub(crate) fn times(number: i32) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        number => format!("{number} times"),
    }
}

/// On one line and without a full stop, to stand inside a sentence.
pub(crate) fn sentence(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .trim_end_matches('.')
        .to_owned()
}
