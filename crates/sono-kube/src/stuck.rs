//! Why a pod does not run yet, in one line for humans. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    EventView, PodView, elapsed,
    image::pull_reason,
    judge::{condition, containers, ending, mount_failure, place, sentence, times},
    view::{ContainerState, ContainerView},
};

/// Creating containers takes some time; before it has passed, no explanation is needed.
const CREATION_TIME: Duration = Duration::from_secs(1);

/// Why a pod does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// One word, such as `ErrImagePull`.
    pub reason: String,
    /// One sentence without the reason and the time.
    pub message: String,
    /// Start of this state, if known.
    pub since: Option<Timestamp>,
    form: Form,
}

/// What a text adds to the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Nothing,
    /// ` (ErrImagePull, 1m10s)`
    Reason,
    /// ` for 1m10s`
    Duration,
}

impl Explanation {
    /// Explanation whose text is its message.
    pub fn new(reason: impl Into<String>, message: impl Into<String>, since: Option<Timestamp>) -> Self {
        Self {
            reason: reason.into(),
            message: message.into(),
            since,
            form: Form::Nothing,
        }
    }

    fn with(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// One line, with the reason and the time since it applies, where they help.
    pub fn text(&self, now: Timestamp) -> String {
        let span = self.since.map(|since| now.duration_since(since));
        let span = span
            .filter(|span| span.as_secs() >= 1)
            .map(|span| elapsed(span.unsigned_abs()));
        let Self { message, reason, .. } = self;
        match (self.form, span) {
            (Form::Nothing, _) | (Form::Duration, None) => message.clone(),
            (Form::Duration, Some(span)) => format!("{message} for {span}"),
            (Form::Reason, None) => format!("{message} ({reason})"),
            (Form::Reason, Some(span)) => format!("{message} ({reason}, {span})"),
        }
    }
}

/// Why `pod` does not run. `None` if it runs, succeeded, or needs only its ordinary time.
pub fn explain(pod: &PodView, now: Timestamp) -> Option<Explanation> {
    if let Some(deleted) = pod.deleted {
        return Some(Explanation::new("Terminating", "being deleted", Some(deleted)).with(Form::Duration));
    }
    if &*pod.phase == "Failed"
        && let Some(reason) = pod.reason.as_deref()
    {
        let message = pod.message.as_deref().map(sentence).unwrap_or_default();
        return Some(if message.is_empty() {
            Explanation::new(reason, reason, None)
        } else {
            Explanation::new(reason, message, None).with(Form::Reason)
        });
    }
    if let Some(condition) = condition(pod, "PodScheduled").filter(|condition| &*condition.status == "False") {
        let reason = condition.reason.as_deref().unwrap_or("Unschedulable");
        let message = condition.message.as_deref().map(sentence).unwrap_or_default();
        return Some(
            Explanation::new(reason, format!("cannot be scheduled: {message}"), condition.since).with(Form::Reason),
        );
    }
    containers(pod).find_map(|(container, _)| of_container(pod, container, now))
}

/// Why a container of `pod` does not run.
fn of_container(pod: &PodView, container: &ContainerView, now: Timestamp) -> Option<Explanation> {
    let name = &container.name;
    let (reason, message) = match &container.state {
        ContainerState::Ended(ended) if ended.code != 0 => {
            let reason = ended.reason.as_deref().unwrap_or("Error");
            let message = format!("container {name} ended with {}", ending(ended));
            return Some(Explanation::new(reason, message, ended.at));
        }
        ContainerState::Waiting { reason, message } => (&**reason, message),
        ContainerState::Unknown | ContainerState::Running | ContainerState::Ended(_) => return None,
    };
    let message = message.as_deref().map(sentence).unwrap_or_default();
    let since = pod.changed.into_iter().chain(pod.started).max();
    let because = |message: String| Explanation::new(reason, message, since).with(Form::Reason);
    Some(match reason {
        "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" => {
            because(format!("image {}: {}", container.image, pull_reason(&message)))
        }
        "ErrImageNeverPull" => because(format!(
            "image {} is not on the node and its pull policy is Never",
            container.image
        )),
        "InvalidImageName" => {
            Explanation::new(reason, format!("invalid image name {}", container.image), None).with(Form::Reason)
        }
        "CrashLoopBackOff" => {
            let last = container
                .last
                .as_deref()
                .map(|last| format!(", most recently with {}", ending(last)))
                .unwrap_or_default();
            let message = format!("container {name} was restarted {}{last}", times(container.restarts));
            Explanation::new(reason, message, since)
        }
        "" | "ContainerCreating" | "PodInitializing" => {
            if now.duration_since(since?).unsigned_abs() < CREATION_TIME {
                return None;
            }
            let reason = if reason.is_empty() { "ContainerCreating" } else { reason };
            Explanation::new(reason, "containers are being created", since).with(Form::Duration)
        }
        reason if message.is_empty() => Explanation::new(reason, format!("container {name}: {reason}"), since),
        _ => because(format!("container {name}: {message}")),
    })
}

/// The last known state of a pod at its time limit, with the namespace's `events` about volumes.
pub fn last_seen(pod: &PodView, events: &[EventView], now: Timestamp) -> String {
    if let Some(message) = mount_failure(pod, events, now) {
        return message;
    }
    let place = place(pod);
    match (explain(pod, now), &*pod.phase) {
        (Some(explanation), _) => format!("{place}: {}", explanation.text(now)),
        (None, "Running") => format!("{place} was still running"),
        (None, "Succeeded") => format!("{place} had ended without an error"),
        (None, _) => format!("{place} had not started"),
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
        let now = "2026-11-22T10:01:10Z".parse().unwrap();
        explain(&view(pod), now).map(|explanation| explanation.text(now))
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
