//! Whether a plugin's pod still can bring a result (core spec §2.9, with weaknesses W-8, W-35 and W-36 mended).
//!
//! Pure: a pod as the API server shows it and a time in, a verdict out.

use std::time::Duration;

use jiff::Timestamp;
use sono_types::constants;

pub use self::events::{CREATE_EVENT, MOUNT_EVENTS, uncreated, unmounted};
use crate::{
    NodeView, PodView, elapsed,
    image::pull_reason,
    view::{ConditionView, ContainerState, ContainerView, Ended},
};

mod events;
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

/// Deleted, evicted, or its node is lost.
fn gone(pod: &PodView, now: Timestamp, policy: &Policy, place: &str) -> Option<Trouble> {
    let reason = pod.reason.as_deref().unwrap_or_default();
    let message = pod.message.as_deref().unwrap_or_default();
    let disruption = condition(pod, "DisruptionTarget").filter(|condition| &*condition.status == "True");
    if reason == "NodeLost" || &*pod.phase == "Unknown" {
        let since = pod.deleted.unwrap_or_else(|| latest_change(pod, now));
        return Some(Trouble {
            since: since.min(now),
            limit: policy.lost,
            message: format!(
                "the node under {place} does not answer any more; bring the node back, or run again without it"
            ),
        });
    }
    if let Some(deleted) = pod.deleted {
        // The controller makes a new one; for a bare pod the grace period is the last chance to upload.
        return (!policy.replaced).then(|| Trouble {
            since: deleted,
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
            "no node can take {place}: {}; free a node, or change the plugin's node selector, tolerations or requests",
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
            .map(|last| format!(", the last time with {}", ending(last)))
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
    // The others' end begins the worker's time.
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
        _ => "its log says more",
    }
}

/// Since when the pod is not ready although its containers run, as far as anybody knows: so the control plane marks the pods of a
/// node that does not answer. Those of a DaemonSet are not taken off it.
pub fn unready(pod: &PodView) -> Option<Timestamp> {
    let condition = condition(pod, "Ready").filter(|condition| &*condition.status == "False")?;
    let runs = |(container, _): (&ContainerView, bool)| container.state == ContainerState::Running;
    condition
        .since
        .filter(|_| pod.deleted.is_none() && containers(pod).any(runs))
}

/// What is wrong with a pod whose node does not answer, and from when on that counts; `None` where it does.
pub fn unanswering(pod: &PodView, node: &NodeView, policy: &Policy) -> Option<(Timestamp, String)> {
    let since = node.unready_since?;
    let due = since.checked_add(policy.unready).unwrap_or(Timestamp::MAX);
    let message = format!(
        "the node under {} has not answered since {since}; bring the node back, or run again without it",
        place(pod)
    );
    Some((due, message))
}

/// Since when the pod has a node and no container of it was made; `None` where one was.
pub fn without_containers(pod: &PodView) -> Option<Timestamp> {
    let scheduled = condition(pod, "PodScheduled").filter(|condition| &*condition.status == "True")?;
    let waits = |(container, _): (&ContainerView, bool)| match &container.state {
        ContainerState::Waiting { reason, .. } => matches!(&**reason, "" | "ContainerCreating" | "PodInitializing"),
        ContainerState::Unknown | ContainerState::Running | ContainerState::Ended(_) => false,
    };
    let never_made = pod.deleted.is_none() && &*pod.phase == "Pending" && containers(pod).all(waits);
    scheduled.since.filter(|_| never_made)
}

/// Init containers, then the others.
pub(crate) fn containers(pod: &PodView) -> impl Iterator<Item = (&ContainerView, bool)> {
    let init = pod.init_containers.iter().map(|container| (container, true));
    init.chain(pod.containers.iter().map(|container| (container, false)))
}

/// When the last of its containers ended.
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

/// When anything about the pod's state changed last, as far as the pod tells.
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

/// On one line and without a full stop, to stand inside a sentence.
pub(crate) fn sentence(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .trim_end_matches('.')
        .to_owned()
}
