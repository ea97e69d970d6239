//! The state of a plugin's containers, read from the worker's own pod.

use std::collections::BTreeSet;

use serde::Deserialize;
use sono_types::containers::{ContainerExits, ContainersState};

/// The fields of a pod that the worker reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Pod {
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    containers: Vec<Named>,
    #[serde(default)]
    restart_policy: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Named {
    name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    container_statuses: Option<Vec<ContainerStatus>>,
    #[serde(default)]
    init_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    #[serde(default)]
    state: State,
    #[serde(default)]
    last_state: State,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct State {
    #[serde(default)]
    terminated: Option<Terminated>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated {
    #[serde(default)]
    exit_code: i64,
}

impl Pod {
    /// The state of all containers except `worker` ([`ContainersState::of`]).
    pub(crate) fn others(&self, worker: &str) -> ContainersState {
        let statuses = self.status.container_statuses.as_deref().unwrap_or_default();
        let names: BTreeSet<&str> = self
            .spec
            .containers
            .iter()
            .map(|container| container.name.as_str())
            .chain(statuses.iter().map(|status| status.name.as_str()))
            .filter(|name| *name != worker)
            .collect();
        let exits = |name: &str| {
            let status = statuses.iter().find(|status| status.name == name);
            let code = |state: fn(&ContainerStatus) -> &State| Some(state(status?).terminated?.exit_code);
            ContainerExits {
                current: code(|status| &status.state),
                previous: code(|status| &status.last_state),
            }
        };
        let others: Vec<ContainerExits> = names.into_iter().map(exits).collect();
        ContainersState::of(&others).where_final(self.is_final())
    }

    /// Whether no container will be restarted and all sidecars have ended.
    fn is_final(&self) -> bool {
        let sidecars = self.status.init_container_statuses.iter().flatten();
        self.spec.restart_policy == "Never" && sidecars.into_iter().all(|status| status.state.terminated.is_some())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(statuses: &Value, expected: ContainersState) {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "plugin"}, {"name": "side"}, {"name": "sonobuoy-worker"}]},
            "status": {"phase": "Running", "containerStatuses": statuses},
        }))
        .unwrap();
        assert_eq!(pod.others("sonobuoy-worker"), expected);
    }

    fn ended(name: &str, code: i64) -> Value {
        json!({"name": name, "state": {"terminated": {"exitCode": code, "reason": "x"}}, "lastState": {}})
    }

    fn running(name: &str) -> Value {
        json!({"name": name, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}})
    }

    #[test]
    fn all_containers_must_succeed() {
        let worker = running("sonobuoy-worker");
        check(
            &json!([ended("plugin", 0), ended("side", 0), worker]),
            ContainersState::Succeeded,
        );
        check(
            &json!([ended("plugin", 0), running("side"), worker]),
            ContainersState::Running,
        );
        check(
            &json!([ended("plugin", 0), ended("side", 3), worker]),
            ContainersState::Failed,
        );
        check(
            &json!([ended("plugin", 1), running("side"), worker]),
            ContainersState::Running,
        );
    }

    #[test]
    fn containers_that_are_not_started_again_fail_permanently() {
        let state = |policy: &str, sidecar: Value| {
            let pod: Pod = serde_json::from_value(json!({
                "spec": {"restartPolicy": policy, "containers": [{"name": "plugin"}, {"name": "sonobuoy-worker"}]},
                "status": {"containerStatuses": [ended("plugin", 1), running("sonobuoy-worker")],
                    "initContainerStatuses": [ended("init", 0), sidecar]},
            }))
            .unwrap();
            pod.others("sonobuoy-worker")
        };
        assert_eq!(state("Never", ended("side", 0)), ContainersState::PermanentlyFailed);
        assert_eq!(state("Never", running("side")), ContainersState::Failed);
        for policy in ["OnFailure", "Always", ""] {
            assert_eq!(state(policy, ended("side", 0)), ContainersState::Failed, "{policy}");
        }
    }

    #[test]
    fn a_restarted_container_counts_by_how_it_ended() {
        let restarted = |code: i64| json!({"name": "side", "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": code}}});
        check(&json!([ended("plugin", 0), restarted(0)]), ContainersState::Succeeded);
        check(&json!([ended("plugin", 0), restarted(1)]), ContainersState::Running);
    }

    #[test]
    fn unreported_container_counts_as_running() {
        check(&json!([ended("plugin", 0)]), ContainersState::Running);
        check(&json!(null), ContainersState::Running);
        check(&json!([]), ContainersState::Running);
    }

    #[test]
    fn a_pod_of_the_worker_alone_is_never_done() {
        let pod: Pod = serde_json::from_value(json!({
            "spec": {"containers": [{"name": "sonobuoy-worker"}]},
            "status": {"containerStatuses": [ended("sonobuoy-worker", 0)]},
        }))
        .unwrap();
        assert_eq!(pod.others("sonobuoy-worker"), ContainersState::Unknown);
        assert_eq!(Pod::default().others("w"), ContainersState::Unknown);
    }
}
