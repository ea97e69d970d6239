//! Why a pod does not run yet, in one line for humans. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    EventView, PodView, elapsed,
    image::pull_reason,
    judge::{condition, containers, ending, latest_change, mount_failure, place, sentence, times},
    view::ContainerState,
};

/// Creating containers takes some time; before it has passed, no explanation is needed.
const CREATION_TIME: Duration = Duration::from_secs(1);

/// The reason why `pod` does not run, and since when. `None` if it runs, succeeded, or needs only its ordinary time.
pub fn explain(pod: &PodView, now: Timestamp) -> Option<String> {
    if let Some(deleted) = pod.deleted {
        return Some(format!("being deleted{}", since(deleted, now)));
    }
    if &*pod.phase == "Failed"
        && let Some(reason) = pod.reason.as_deref()
    {
        let message = pod.message.as_deref().map(sentence).unwrap_or_default();
        return Some(if message.is_empty() {
            reason.to_owned()
        } else {
            format!("{message} ({reason})")
        });
    }
    if let Some(condition) = condition(pod, "PodScheduled").filter(|condition| &*condition.status == "False") {
        let reason = condition.reason.as_deref().unwrap_or("Unschedulable");
        let message = condition.message.as_deref().map(sentence).unwrap_or_default();
        let time = condition.since.unwrap_or(now);
        return Some(format!("cannot be scheduled: {message} ({reason}{})", after(time, now)));
    }
    containers(pod).find_map(|(container, _)| {
        let (reason, message) = match &container.state {
            ContainerState::Ended(ended) if ended.code != 0 => {
                return Some(format!("container {} ended with {}", container.name, ending(ended)));
            }
            ContainerState::Waiting { reason, message } => (reason, message),
            ContainerState::Unknown | ContainerState::Running | ContainerState::Ended(_) => return None,
        };
        let message = message.as_deref().map(sentence).unwrap_or_default();
        let time = latest_change(pod, now);
        match &**reason {
            "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" => Some(format!(
                "image {}: {} ({reason}{})",
                container.image,
                pull_reason(&message),
                after(time, now)
            )),
            "ErrImageNeverPull" => Some(format!(
                "image {} is not on the node and its pull policy is Never ({reason}{})",
                container.image,
                after(time, now)
            )),
            "InvalidImageName" => Some(format!("invalid image name {} ({reason})", container.image)),
            "CrashLoopBackOff" => {
                let last = container
                    .last
                    .as_deref()
                    .map(|last| format!(", most recently with {}", ending(last)))
                    .unwrap_or_default();
                Some(format!(
                    "container {} was restarted {}{last}",
                    container.name,
                    times(container.restarts)
                ))
            }
            "" | "ContainerCreating" | "PodInitializing" => {
                let waited = now.duration_since(time).unsigned_abs();
                (waited >= CREATION_TIME).then(|| format!("containers are being created{}", since(time, now)))
            }
            reason if message.is_empty() => Some(format!("container {}: {reason}", container.name)),
            reason => Some(format!(
                "container {}: {message} ({reason}{})",
                container.name,
                after(time, now)
            )),
        }
    })
}

/// The last known state of a pod at its time limit, with the namespace's `events` about volumes.
pub fn last_seen(pod: &PodView, events: &[EventView], now: Timestamp) -> String {
    if let Some(message) = mount_failure(pod, events, now) {
        return message;
    }
    let place = place(pod);
    match (explain(pod, now), &*pod.phase) {
        (Some(explanation), _) => format!("{place}: {explanation}"),
        (None, "Running") => format!("{place} was still running"),
        (None, "Succeeded") => format!("{place} had ended without an error"),
        (None, _) => format!("{place} had not started"),
    }
}

/// `, 1m10s`.
fn after(time: Timestamp, now: Timestamp) -> String {
    let span = now.duration_since(time);
    if span.as_secs() < 1 {
        String::new()
    } else {
        format!(", {}", elapsed(span.unsigned_abs()))
    }
}

/// ` for 1m10s`.
fn since(time: Timestamp, now: Timestamp) -> String {
    let span = now.duration_since(time);
    if span.as_secs() < 1 {
        String::new()
    } else {
        format!(" for {}", elapsed(span.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn view(pod: Value) -> PodView {
        PodView::from(&serde_json::from_value::<crate::Pod>(pod).unwrap())
    }

    fn explained(status: &Value) -> Option<String> {
        let pod = json!({"metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "image": "example.org/c:1"}]}, "status": status});
        explain(&view(pod), "2026-11-22T10:01:10Z".parse().unwrap())
    }

    fn waiting(reason: &str, message: &str) -> Option<String> {
        explained(
            &json!({"phase": "Pending", "startTime": "2026-11-22T10:00:00Z", "containerStatuses": [
            {"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"waiting": {"reason": reason, "message": message}}}]}),
        )
    }

    #[test]
    fn the_clusters_reason_is_passed_on() {
        assert_eq!(
            waiting(
                "ErrImagePull",
                "rpc error: code = NotFound desc = example.org/c:1: not found"
            )
            .as_deref(),
            Some("image example.org/c:1: not found (ErrImagePull, 1m10s)")
        );
        assert_eq!(
            waiting("CreateContainerConfigError", "secret \"s\" not found").as_deref(),
            Some("container c: secret \"s\" not found (CreateContainerConfigError, 1m10s)")
        );
        assert_eq!(
            waiting("ContainerCreating", "").as_deref(),
            Some("containers are being created for 1m10s")
        );
        assert_eq!(
            explained(
                &json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": "0/1 nodes are available: 1 node(s) had untolerated taint.",
                "lastTransitionTime": "2026-11-22T10:01:00Z"}]})
            )
            .as_deref(),
            Some("cannot be scheduled: 0/1 nodes are available: 1 node(s) had untolerated taint (Unschedulable, 10s)")
        );
    }

    #[test]
    fn what_was_last_seen_of_a_pod_is_one_sentence() {
        let seen = |status: Value| {
            let pod = json!({"metadata": {"name": "p", "uid": "u"},
                "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "example.org/c:1"}]}, "status": status});
            let event = json!({"involvedObject": {"uid": "u"}, "reason": "FailedMount",
                "message": "configmap \"c\" not found", "lastTimestamp": "2026-11-22T10:01:00Z"});
            let events = [serde_json::from_value(event).unwrap()];
            let now = "2026-11-22T10:01:10Z".parse().unwrap();
            last_seen(&view(pod), &events, now)
        };
        let mounting = json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-22T10:00:10Z"}]});
        assert_eq!(
            seen(mounting),
            "pod p on node n has no containers after 1m, because a volume cannot be mounted: configmap \"c\" not found \
             (FailedMount); correct the plugin's volumes, or create the missing objects"
        );
    }

    #[test]
    fn status_is_described_without_events() {
        let seen = |status: Value| {
            let pod = json!({"metadata": {"name": "p"},
                "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "example.org/c:1"}]}, "status": status});
            let now = "2026-11-22T10:01:10Z".parse().unwrap();
            last_seen(&view(pod), &[], now)
        };
        assert_eq!(seen(json!({"phase": "Running"})), "pod p on node n was still running");
        assert_eq!(
            seen(
                json!({"phase": "Pending", "startTime": "2026-11-22T10:00:00Z", "containerStatuses": [
                {"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                 "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}]})
            ),
            "pod p on node n: image example.org/c:1: not found (ErrImagePull, 1m10s)"
        );
        assert_eq!(seen(json!({"phase": "Pending"})), "pod p on node n had not started");
    }

    #[test]
    fn a_running_pod_needs_no_explanation() {
        assert_eq!(explained(&json!({"phase": "Running", "containerStatuses": []})), None);
        assert_eq!(explained(&json!({"phase": "Pending"})), None);
    }
}
