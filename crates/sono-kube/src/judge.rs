//! Whether a plugin's pod can still deliver a result (core §2.9; fixes weaknesses W-8, W-35 and W-36).
//!
//! Pure: takes a pod as the API server shows it and a time, and returns a verdict.

use std::time::Duration;

use jiff::Timestamp;
use sono_types::constants;

pub use self::events::{CREATE_EVENT, MOUNT_EVENTS, creation_failure, mount_failure};
use crate::{
    NodeView, PodView, elapsed,
    image::pull_reason,
    view::{ConditionView, ContainerState, ContainerView, Ended},
};

mod events;
#[cfg(test)]
mod tests;

/// How long each kind of trouble may last before the pod counts as failing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// No node can run the pod: an autoscaler may be adding one.
    pub unschedulable: Duration,
    /// An image cannot be pulled: the registry may recover.
    pub image_pull: Duration,
    /// A container cannot be created as described: its ConfigMap or Secret may be created soon.
    pub container: Duration,
    /// The last container ended, one of them with an error: a result may be on its way.
    pub settle: Duration,
    /// A container ended with an error while the worker runs: the worker may be packing, sending, or waiting to retry.
    pub worker: Duration,
    /// A container ended with an error while containers other than the worker run: one of them may still report a
    /// result.
    pub others: Duration,
    /// No container was created yet: a volume may be attaching, or a large image being pulled.
    pub mount: Duration,
    /// The pod's node is lost, or the pod was evicted and should be replaced.
    pub lost: Duration,
    /// The node does not respond: it may be restarting.
    pub unready: Duration,
    /// Restarts of one container that are tolerated.
    pub restarts: i32,
    /// Whether ended containers are restarted and deleted pods replaced, as for DaemonSets.
    pub replaced: bool,
}

impl Policy {
    /// The limits for bare pods with `restartPolicy: Never`.
    pub const fn job() -> Self {
        Self {
            unschedulable: Duration::from_mins(5),
            image_pull: Duration::from_mins(5),
            container: Duration::from_secs(30),
            settle: Duration::from_secs(10),
            worker: Duration::from_mins(1),
            others: Duration::from_mins(5),
            // The kubelet takes up to two minutes for each attempt.
            mount: Duration::from_mins(3),
            lost: Duration::from_mins(1),
            // The control plane evicts the pods of such a node after this time.
            unready: Duration::from_mins(5),
            restarts: 2,
            replaced: false,
        }
    }

    /// The limits for pods of a DaemonSet.
    pub const fn daemon_set() -> Self {
        Self {
            replaced: true,
            ..Self::job()
        }
    }
}

/// The state of a pod with respect to its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The pod may still deliver its result.
    Fine,
    /// The trouble may be temporary. Judge again at `until`, or when the pod changes.
    Wait {
        /// The time from which the trouble counts as failing.
        until: Timestamp,
        /// The trouble.
        reason: String,
    },
    /// The pod can no longer deliver a result.
    Failing {
        /// The pod, its node, the cause and a remedy.
        message: String,
    },
}

/// One kind of trouble: since when, and how long it may last.
struct Trouble {
    since: Timestamp,
    limit: Duration,
    message: String,
}

/// The verdict about `pod` at the time `now`.
pub fn judge(pod: &PodView, now: Timestamp, policy: &Policy) -> Verdict {
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

fn troubles(pod: &PodView, now: Timestamp, policy: &Policy) -> Vec<Trouble> {
    let place = place(pod);
    let mut troubles = Vec::new();
    troubles.extend(gone(pod, now, policy, &place));
    troubles.extend(unscheduled(pod, now, policy, &place));
    for (container, is_init) in containers(pod) {
        troubles.extend(of_container(pod, container, is_init, now, policy, &place));
    }
    if !policy.replaced && &*pod.phase == "Succeeded" {
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

/// The pod was deleted or evicted, or its node is lost.
fn gone(pod: &PodView, now: Timestamp, policy: &Policy, place: &str) -> Option<Trouble> {
    let reason = pod.reason.as_deref().unwrap_or_default();
    let message = pod.message.as_deref().unwrap_or_default();
    let disruption = condition(pod, "DisruptionTarget").filter(|condition| &*condition.status == "True");
    if reason == "NodeLost" || &*pod.phase == "Unknown" {
        let since = pod.deleted.unwrap_or_else(|| latest_change(pod, now));
        return Some(Trouble {
            since: since.min(now),
            limit: policy.lost,
            message: format!("{place}: the node no longer responds; bring the node back, or run again without it"),
        });
    }
    if let Some(deleted) = pod.deleted {
        // The controller creates a new pod; a bare pod may still upload within its grace period.
        return (!policy.replaced).then(|| Trouble {
            since: deleted,
            limit: Duration::ZERO,
            message: match disruption.and_then(|condition| condition.message.as_deref()) {
                Some(why) => format!(
                    "{place} was removed from its node before it sent a result ({}); run again",
                    sentence(why)
                ),
                None => format!("{place} was deleted before it sent a result; run again"),
            },
        });
    }
    if &*pod.phase == "Failed" && !reason.is_empty() {
        let since = disruption
            .and_then(|condition| condition.since)
            .unwrap_or_else(|| latest_change(pod, now));
        let why = if message.is_empty() {
            String::new()
        } else {
            format!(": {}", sentence(message))
        };
        let advice = match reason {
            "Evicted" => {
                "free resources on the node or set resource requests in the plugin's definition, and run again"
            }
            "DeadlineExceeded" => "raise the pod's activeDeadlineSeconds",
            _ => "check the node, and run again",
        };
        return Some(Trouble {
            since,
            limit: if policy.replaced { policy.lost } else { Duration::ZERO },
            message: format!("{place} was terminated by Kubernetes ({reason}{why}); {advice}"),
        });
    }
    None
}

fn unscheduled(pod: &PodView, now: Timestamp, policy: &Policy, place: &str) -> Option<Trouble> {
    let condition = condition(pod, "PodScheduled").filter(|condition| &*condition.status == "False")?;
    let reason = condition.reason.as_deref().unwrap_or_default();
    if !matches!(reason, "Unschedulable" | "SchedulingGated") {
        return None;
    }
    let since = condition.since.unwrap_or(now);
    let message = condition.message.as_deref().unwrap_or("no reason given");
    Some(Trouble {
        since,
        limit: policy.unschedulable,
        message: format!(
            "{place} cannot be scheduled: {}; free resources on a node, or change the plugin's node selector, tolerations or requests",
            sentence(message)
        ),
    })
}

fn of_container(
    pod: &PodView,
    container: &ContainerView,
    is_init: bool,
    now: Timestamp,
    policy: &Policy,
    place: &str,
) -> Option<Trouble> {
    let name = &container.name;
    if container.restarts > policy.restarts {
        let last = container.last.as_deref();
        let why = last
            .map(|last| format!(", most recently with {}", ending(last)))
            .unwrap_or_default();
        let advice = advice(last);
        return Some(Trouble {
            since: now,
            limit: Duration::ZERO,
            message: format!(
                "container {name} of {place} was restarted {}{why}; {advice}",
                times(container.restarts)
            ),
        });
    }
    if let ContainerState::Waiting { reason, message } = &container.state {
        let message = message.as_deref().unwrap_or_default();
        let since = latest_change(pod, now);
        let image = &container.image;
        return match &**reason {
            "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" => Some(Trouble {
                since: pod.started.unwrap_or(now),
                limit: policy.image_pull,
                message: format!(
                    "image {image} of container {name} of {place}: {} ({reason} for {}); correct the image name, load the image onto the node, or provide pull credentials",
                    pull_reason(message),
                    elapsed(policy.image_pull)
                ),
            }),
            "ErrImageNeverPull" => Some(Trouble {
                since,
                limit: policy.container,
                message: format!(
                    "image {image} of container {name} of {place} is not on the node and its pull policy is Never; load the image, or use another pull policy"
                ),
            }),
            "InvalidImageName" => Some(Trouble {
                since,
                limit: policy.container,
                message: format!("container {name} of {place} has an invalid image name, {image}; correct it"),
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
    let ended = container.state.ended()?;
    if policy.replaced || ended.code == 0 {
        return None;
    }
    let role = if is_init { "init container" } else { "container" };
    let advice = advice(Some(ended));
    let runs = |is_worker: bool| {
        containers(pod).any(|(other, _)| {
            other.state == ContainerState::Running && (&*other.name == constants::WORKER_CONTAINER) == is_worker
        })
    };
    // The worker's time begins when the other containers have ended.
    let (since, limit) = match (runs(false), runs(true)) {
        (true, _) => (ended.at, policy.others),
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

fn advice(ended: Option<&Ended>) -> &'static str {
    match ended.and_then(|ended| ended.reason.as_deref()) {
        Some("OOMKilled") => "raise its memory limit",
        _ => "see its log",
    }
}

/// The time since when the pod has been not ready although its containers run. The control plane marks the pods of an
/// unresponsive node like this; it does not evict pods of a DaemonSet.
pub fn not_ready_since(pod: &PodView) -> Option<Timestamp> {
    let condition = condition(pod, "Ready").filter(|condition| &*condition.status == "False")?;
    let runs = |(container, _): (&ContainerView, bool)| container.state == ContainerState::Running;
    condition
        .since
        .filter(|_| pod.deleted.is_none() && containers(pod).any(runs))
}

/// The trouble of a pod with an unresponsive node, and when it counts as failing; `None` if the node is ready.
pub fn unresponsive(pod: &PodView, node: &NodeView, policy: &Policy) -> Option<(Timestamp, String)> {
    let since = node.unready_since?;
    let due = since.checked_add(policy.unready).unwrap_or(Timestamp::MAX);
    let message = format!(
        "{}: the node has not responded since {since}; bring the node back, or run again without it",
        place(pod)
    );
    Some((due, message))
}

/// The time since when the pod has a node but no container; `None` if a container was created.
pub fn no_containers_since(pod: &PodView) -> Option<Timestamp> {
    let scheduled = condition(pod, "PodScheduled").filter(|condition| &*condition.status == "True")?;
    let waits = |(container, _): (&ContainerView, bool)| match &container.state {
        ContainerState::Waiting { reason, .. } => matches!(&**reason, "" | "ContainerCreating" | "PodInitializing"),
        ContainerState::Unknown | ContainerState::Running | ContainerState::Ended(_) => false,
    };
    let never_made = pod.deleted.is_none() && &*pod.phase == "Pending" && containers(pod).all(waits);
    scheduled.since.filter(|_| never_made)
}

/// Init containers, then the other containers.
pub(crate) fn containers(pod: &PodView) -> impl Iterator<Item = (&ContainerView, bool)> {
    let init = pod.init_containers.iter().map(|container| (container, true));
    init.chain(pod.containers.iter().map(|container| (container, false)))
}

/// When the last container of the pod ended.
fn last_end(pod: &PodView) -> Option<Timestamp> {
    containers(pod)
        .filter_map(|(container, _)| container.state.ended()?.at)
        .max()
}

/// `exit code 3 (Error: message)`.
pub(crate) fn ending(ended: &Ended) -> String {
    let reason = ended.reason.as_deref().unwrap_or_default();
    let message = ended.message.as_deref().map(sentence).unwrap_or_default();
    match (reason, message.as_str()) {
        ("" | "Error", "") => format!("exit code {}", ended.code),
        (reason, "") => format!("exit code {} ({reason})", ended.code),
        ("" | "Error", message) => format!("exit code {} ({message})", ended.code),
        (reason, message) => format!("exit code {} ({reason}: {message})", ended.code),
    }
}

/// `pod p on node n`.
pub(crate) fn place(pod: &PodView) -> String {
    let name = match &*pod.name {
        "" => "without a name",
        name => name,
    };
    match &pod.node {
        Some(node) => format!("pod {name} on node {node}"),
        None => format!("pod {name}"),
    }
}

pub(crate) fn condition<'a>(pod: &'a PodView, kind: &str) -> Option<&'a ConditionView> {
    pod.conditions.iter().find(|condition| &*condition.kind == kind)
}

/// When the pod's state last changed, according to its conditions.
pub(crate) fn latest_change(pod: &PodView, now: Timestamp) -> Timestamp {
    pod.changed.into_iter().chain(pod.started).max().unwrap_or(now)
}

/// `once`, `3 times`.
pub(crate) fn times(number: i32) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        number => format!("{number} times"),
    }
}

/// Joins a text to one line without a full stop, to be part of a sentence.
pub(crate) fn sentence(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .trim_end_matches('.')
        .to_owned()
}
