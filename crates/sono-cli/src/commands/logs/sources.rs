//! Containers with logs, and failed containers. Pure.

use std::fmt;

use sono_kube::{ContainerStatus, Pod};

/// One start of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    pub(super) pod: String,
    pub(super) container: String,
    /// Number of restarts.
    pub(super) restarts: i32,
    /// Whether this is the container before its last restart.
    pub(super) previous: bool,
}

/// Prefix of log lines.
impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.pod, self.container)?;
        if self.previous {
            formatter.write_str(" (before its restart)")?;
        }
        Ok(())
    }
}

/// Containers of a pod.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) with_log: Vec<Source>,
    /// Containers that have not started, as `pod/container`, and the reason if known.
    pub(super) without: Vec<(String, Option<String>)>,
}

/// All containers of a pod, in the order of their start.
pub(super) fn all(pod: &Pod) -> Sources {
    let mut sources = Sources::default();
    for (name, status) in containers(pod) {
        let source = source(pod, name, status);
        let has_log =
            status.is_some_and(|status| is_running(status) || ended(status).is_some() || status.restart_count > 0);
        if has_log {
            sources.with_log.push(source);
        } else if !status.is_some_and(is_skipped) {
            sources.without.push((source.to_string(), status.and_then(obstacle)));
        }
    }
    sources
}

/// Containers that ended with an error, including restarted ones.
pub(super) fn failed(pod: &Pod) -> Vec<Source> {
    containers(pod)
        .into_iter()
        .filter_map(|(name, status)| {
            let status = status?;
            let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            let source = source(pod, name, Some(status));
            if ended(status).is_some_and(|code| code != 0) {
                return Some(source);
            }
            last.filter(|last| last.exit_code != 0)?;
            Some(Source {
                // The current log of a waiting container is that of its last start.
                previous: is_running(status) || ended(status).is_some(),
                ..source
            })
        })
        .collect()
}

/// Whether the container still runs since the start in `source`.
pub(super) fn is_still_running(pod: &Pod, source: &Source) -> bool {
    containers(pod).into_iter().any(|(name, status)| {
        name == source.container
            && status.is_some_and(|status| is_running(status) && status.restart_count == source.restarts)
    })
}

/// Current number of restarts of the container.
pub(super) fn restarts(pod: &Pod, source: &Source) -> i32 {
    let found = containers(pod).into_iter().find(|(name, _)| *name == source.container);
    found
        .and_then(|(_, status)| status)
        .map_or(source.restarts, |status| status.restart_count)
}

fn source(pod: &Pod, container: &str, status: Option<&ContainerStatus>) -> Source {
    Source {
        pod: pod.metadata.name.clone().unwrap_or_default(),
        container: container.to_owned(),
        restarts: status.map_or(0, |status| status.restart_count),
        previous: false,
    }
}

/// Names and statuses of all containers of a pod.
fn containers(pod: &Pod) -> Vec<(&str, Option<&ContainerStatus>)> {
    let (Some(spec), status) = (&pod.spec, pod.status.as_ref()) else {
        return Vec::new();
    };
    let first = spec.init_containers.iter().flatten().map(|container| {
        let statuses = status.and_then(|status| status.init_container_statuses.as_deref());
        (container.name.as_str(), statuses)
    });
    let others = spec.containers.iter().map(|container| {
        let statuses = status.and_then(|status| status.container_statuses.as_deref());
        (container.name.as_str(), statuses)
    });
    first
        .chain(others)
        .map(|(name, statuses)| {
            let status = statuses.unwrap_or_default().iter().find(|status| status.name == name);
            (name, status)
        })
        .collect()
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// Exit code of an ended container.
fn ended(status: &ContainerStatus) -> Option<i32> {
    Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
}

/// Reason why a container waits, except for normal creation.
fn obstacle(status: &ContainerStatus) -> Option<String> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting
        .reason
        .as_deref()
        .filter(|reason| *reason != "ContainerCreating")?;
    Some(match waiting.message.as_deref() {
        Some(message) if !message.is_empty() => format!("{message} ({reason})"),
        _ => reason.to_owned(),
    })
}

/// Whether the container waits only for init containers.
fn is_skipped(status: &ContainerStatus) -> bool {
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
    waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("PodInitializing"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(containers: &[(&str, i32, Value, Value)]) -> Pod {
        let specs: Vec<Value> = containers.iter().map(|(name, ..)| json!({"name": name})).collect();
        let statuses: Vec<Value> = containers
            .iter()
            .map(|(name, restarts, state, last)| {
                json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": restarts,
                    "state": state, "lastState": last})
            })
            .collect();
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"containers": specs},
            "status": {"containerStatuses": statuses}}))
        .unwrap()
    }

    fn names(sources: &[Source]) -> Vec<String> {
        sources.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn failed_containers_are_recognized() {
        let ended = |code| json!({"terminated": {"exitCode": code}});
        let (running, waiting, none) = (
            json!({"running": {}}),
            json!({"waiting": {"reason": "CrashLoopBackOff"}}),
            json!({}),
        );
        let pod = pod(&[
            ("fine", 0, ended(0), none.clone()),
            ("broken", 0, ended(2), none.clone()),
            ("again", 1, running.clone(), ended(1)),
            ("crashing", 3, waiting.clone(), ended(1)),
            ("new", 0, waiting, none.clone()),
            ("up", 0, running, none),
        ]);
        let all = all(&pod);
        assert_eq!(
            names(&all.with_log),
            ["p/fine", "p/broken", "p/again", "p/crashing", "p/up"]
        );
        assert_eq!(all.without, [("p/new".to_owned(), Some("CrashLoopBackOff".to_owned()))]);
        assert_eq!(
            names(&failed(&pod)),
            ["p/broken", "p/again (before its restart)", "p/crashing"]
        );
        let still: Vec<bool> = all
            .with_log
            .iter()
            .map(|source| is_still_running(&pod, source))
            .collect();
        assert_eq!(still, [false, false, true, false, true]);
        let before = Source {
            restarts: 0,
            ..all.with_log[2].clone()
        };
        assert!(!is_still_running(&pod, &before), "restarted since then");
    }
}
