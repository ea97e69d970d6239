//! What a plugin's monitor remembers: its pods as last seen, and which findings it has reported. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use sono_kube::{
    judge::{self, Pod, Policy, Verdict},
    redact::{Redactions, redact_as},
};
use sono_types::{
    constants,
    containers::{ContainerEnds, ContainersState},
};

use crate::run::Failure;

/// The pods of one plugin.
#[derive(Debug, Default)]
pub(super) struct Pods {
    pods: BTreeMap<String, Pod>,
    /// Until when a pod whose worker runs is not given up.
    patient_until: Option<Timestamp>,
}

/// A pod that will not bring a result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    /// Node it is meant for, where that is known.
    pub(super) node: Option<String>,
    /// Why.
    pub(super) failure: Failure,
}

impl Pods {
    pub(super) fn patient_until(patient_until: Option<Timestamp>) -> Self {
        Self {
            patient_until,
            ..Self::default()
        }
    }

    pub(super) fn restart(&mut self, pods: Vec<Pod>) {
        self.pods = pods.into_iter().map(|pod| (name(&pod), pod)).collect();
    }

    pub(super) fn apply(&mut self, pod: Pod) {
        self.pods.insert(name(&pod), pod);
    }

    pub(super) fn delete(&mut self, pod: &Pod) {
        self.pods.remove(&name(pod));
    }

    /// Findings as of now, and when to look again although nothing changes.
    pub(super) fn judge(&self, now: Timestamp, policy: &Policy) -> (Vec<Finding>, Option<Timestamp>) {
        let mut findings = Vec::new();
        let mut next: Option<Timestamp> = None;
        for pod in self.pods.values() {
            match judge::judge(pod, now, policy) {
                Verdict::Fine => {}
                Verdict::Wait { until, .. } => next = Some(next.map_or(until, |next| next.min(until))),
                Verdict::Failing { .. } if worker_runs(pod) && self.patient_until.is_some_and(|until| now < until) => {
                    next = next.into_iter().chain(self.patient_until).min();
                }
                Verdict::Failing { message } => {
                    findings.push(Finding {
                        node: node_of(pod),
                        failure: failure(message, pod),
                    });
                }
            }
        }
        (findings, next)
    }

    /// Pods whose containers should have been made by now, and when the next one is due.
    pub(super) fn without_containers(&self, now: Timestamp, policy: &Policy) -> (Vec<&Pod>, Option<Timestamp>) {
        let (mut overdue, mut next) = (Vec::new(), None::<Timestamp>);
        for pod in self.pods.values() {
            let due = judge::without_containers(pod).and_then(|since| since.checked_add(policy.mount).ok());
            match due {
                Some(due) if due <= now => overdue.push(pod),
                Some(due) => next = next.into_iter().chain([due]).min(),
                None => {}
            }
        }
        (overdue, next)
    }

    /// Pods that are not ready although their containers run, for so long that their nodes should be looked at, and when the next one is
    /// due.
    pub(super) fn unready(&self, now: Timestamp, policy: &Policy) -> (Vec<&Pod>, Option<Timestamp>) {
        let (mut overdue, mut next) = (Vec::new(), None::<Timestamp>);
        for pod in self.pods.values() {
            match judge::unready(pod).and_then(|since| since.checked_add(policy.unready).ok()) {
                Some(due) if due <= now => overdue.push(pod),
                Some(due) => next = next.into_iter().chain([due]).min(),
                None => {}
            }
        }
        (overdue, next)
    }

    /// What became of each pod, by node, with the namespace's events about volumes.
    pub(super) fn last_seen(&self, events: &[Value], now: Timestamp) -> BTreeMap<Option<String>, String> {
        let seen = |pod: &Pod| (node_of(pod), sono_kube::stuck::last_seen(pod, events, now));
        self.pods.values().map(seen).collect()
    }

    /// When the last pod was created.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        let created = self
            .pods
            .values()
            .filter_map(|pod| pod.metadata.creation_timestamp.as_ref());
        created.map(|time| time.0).max()
    }

    /// Nodes on which a pod runs or is about to.
    pub(super) fn places(&self) -> impl Iterator<Item = String> {
        let lives = |pod: &&Pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Failed" | "Succeeded"))
        };
        self.pods.values().filter(lives).filter_map(node_of)
    }

    /// Nodes that have a pod, or for which one waits to be scheduled.
    pub(super) fn nodes(&self) -> BTreeSet<String> {
        self.pods.values().filter_map(node_of).collect()
    }

    /// What the containers beside each worker are up to, by node. Of two pods of a node the one counts that stays.
    pub(super) fn siblings(&self) -> BTreeMap<Option<String>, ContainersState> {
        let (going, staying): (Vec<&Pod>, Vec<&Pod>) = self
            .pods
            .values()
            .partition(|pod| pod.metadata.deletion_timestamp.is_some());
        let state = |pod: &Pod| (node_of(pod), siblings(pod));
        going.into_iter().chain(staying).map(state).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }
}

/// Before a plugin's time is up there is a last look at why it has not sent its results.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// When that is, for a plugin that is watched from `now` on: not before most of its time has passed.
pub(super) fn last_look(deadline: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let deadline = deadline?;
    let left = Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
    deadline.checked_sub(LAST_LOOK.min(left / 4)).ok()
}

/// It may still send what it has.
fn worker_runs(pod: &Pod) -> bool {
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    let mut workers = statuses.filter(|container| container.name == constants::WORKER_CONTAINER);
    let runs = workers.any(|worker| worker.state.as_ref().is_some_and(|state| state.running.is_some()));
    runs && pod.metadata.deletion_timestamp.is_none()
}

/// Judges the containers beside the worker's.
fn siblings(pod: &Pod) -> ContainersState {
    let statuses = || {
        pod.status
            .iter()
            .flat_map(|status| status.container_statuses.iter().flatten())
    };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let names: BTreeSet<&str> = containers
        .map(|container| container.name.as_str())
        .chain(statuses().map(|status| status.name.as_str()))
        .filter(|name| *name != constants::WORKER_CONTAINER)
        .collect();
    let ends = |name: &str| {
        let status = statuses().find(|status| status.name == name);
        let now = status.and_then(|status| status.state.as_ref()?.terminated.as_ref());
        let before = status.and_then(|status| status.last_state.as_ref()?.terminated.as_ref());
        ContainerEnds {
            now: now.map(|ended| i64::from(ended.exit_code)),
            before: before.map(|ended| i64::from(ended.exit_code)),
        }
    };
    let others: Vec<ContainerEnds> = names.into_iter().map(ends).collect();
    ContainersState::of(&others).where_final(is_final(pod))
}

/// No container is started again, and none of those that run beside the main ones is left.
fn is_final(pod: &Pod) -> bool {
    let sidecars = pod
        .status
        .iter()
        .flat_map(|status| status.init_container_statuses.iter().flatten());
    let mut running = sidecars.filter(|status| {
        let state = status.state.as_ref();
        state.is_none_or(|state| state.terminated.is_none())
    });
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    policy == Some("Never") && running.next().is_none()
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

/// The node that a pod runs on; for a DaemonSet's pod that is not scheduled yet, the one its affinity names.
pub(super) fn node_of(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    if let Some(node) = spec.node_name.as_ref().filter(|node| !node.is_empty()) {
        return Some(node.clone());
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required
        .node_selector_terms
        .iter()
        .flat_map(|term| term.match_fields.iter().flatten());
    fields
        .filter(|field| field.key == "metadata.name" && field.operator == "In")
        .find_map(|field| field.values.as_ref()?.first().cloned())
}

/// The failure with the pod as it was, values of its environment taken out: they may be secrets.
pub(super) fn failure(message: String, pod: &Pod) -> Failure {
    let mut pod = serde_json::to_value(pod).unwrap_or_else(|error| json!({ "error": error.to_string() }));
    redact_as("Pod", &mut pod, &mut Redactions::default());
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            for variable in container
                .get_mut("env")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                if let Some(value) = variable.get_mut("value") {
                    *value = "removed".into();
                }
            }
        }
    }
    Failure {
        message,
        details: BTreeMap::from([("pod".to_owned(), pod)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_unscheduled_daemon_sets_pod_belongs_to_the_node_its_affinity_names() {
        let waiting = pod(
            json!({"metadata": {"name": "p"}, "spec": {"containers": [], "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]}}}}}),
        );
        assert_eq!(node_of(&waiting), Some("n1".to_owned()));
        let running = pod(json!({"metadata": {"name": "p"}, "spec": {"containers": [], "nodeName": "n2"}}));
        assert_eq!(node_of(&running), Some("n2".to_owned()));
        assert_eq!(
            node_of(&pod(json!({"metadata": {"name": "p"}, "spec": {"containers": []}}))),
            None
        );
    }

    /// A plugin that ended with an error long ago may have sent its result to an aggregator that has gone since.
    #[test]
    fn a_worker_that_runs_is_given_time_to_send_its_result_again() {
        let time = |minute: u8| format!("2026-11-23T10:{minute:02}:00Z").parse::<Timestamp>().unwrap();
        let ended = json!({"name": "p", "state": {"terminated": {"exitCode": 1, "finishedAt": time(0).to_string()}}});
        let with_worker = |state: Value| {
            let worker = json!({"name": constants::WORKER_CONTAINER, "state": state});
            pod(json!({"metadata": {"name": "p"}, "spec": {"containers": []},
                "status": {"phase": "Running", "containerStatuses": [ended, worker]}}))
        };
        let judge = |patient_until, worker: Value, now| {
            let mut pods = Pods::patient_until(patient_until);
            pods.restart(vec![with_worker(worker)]);
            let (findings, next) = pods.judge(now, &Policy::job());
            (findings.len(), next)
        };
        let (runs, gone) = (json!({"running": {}}), json!({"terminated": {"exitCode": 0}}));
        assert_eq!(judge(Some(time(30)), runs.clone(), time(29)), (0, Some(time(30))));
        assert_eq!(judge(Some(time(30)), runs.clone(), time(30)), (1, None));
        assert_eq!(judge(Some(time(30)), gone, time(29)), (1, None));
        assert_eq!(judge(None, runs, time(29)), (1, None));
    }

    #[test]
    fn siblings_are_judged_by_node_without_the_worker() {
        let ended = |code: i64| json!({"terminated": {"exitCode": code}});
        let of = |name: &str, node: Option<&str>, state: Value, last: Value, going: bool| {
            let mut found = json!({"metadata": {"name": name},
            "spec": {"containers": [{"name": "main"}, {"name": constants::WORKER_CONTAINER}], "nodeName": node},
            "status": {"containerStatuses": [
                {"name": "main", "state": state, "lastState": last, "image": "", "imageID": "", "ready": false, "restartCount": 0},
                {"name": constants::WORKER_CONTAINER, "state": {"running": {}}, "image": "", "imageID": "", "ready": true,
                    "restartCount": 0},
            ]}});
            if going {
                found["metadata"]["deletionTimestamp"] = json!("2026-11-23T10:00:00Z");
            }
            pod(found)
        };
        let mut pods = Pods::default();
        let (runs, none) = (json!({"running": {}}), json!({}));
        pods.restart(vec![
            of("a", None, ended(0), none.clone(), false),
            of("b", Some("n1"), runs.clone(), none.clone(), false),
            of("c", Some("n2"), ended(2), none.clone(), false),
            of("d", Some("n3"), json!({"waiting": {}}), ended(0), false),
            of("z", Some("n1"), ended(0), none.clone(), true),
            pod(json!({"metadata": {"name": "e"}, "spec": {"containers": [{"name": "main"}], "nodeName": "n4"}})),
            pod(
                json!({"metadata": {"name": "f"}, "spec": {"containers": [{"name": constants::WORKER_CONTAINER}],
                "nodeName": "n5"}}),
            ),
        ]);
        let node = |name: &str| Some(name.to_owned());
        assert_eq!(
            pods.siblings(),
            BTreeMap::from([
                (None, ContainersState::Succeeded),
                (node("n1"), ContainersState::Running),
                (node("n2"), ContainersState::Failed),
                (node("n3"), ContainersState::Succeeded),
                (node("n4"), ContainersState::Running),
                (node("n5"), ContainersState::Unknown),
            ])
        );
    }

    /// Issue 16 (operator A4)
    #[test]
    fn siblings_that_are_not_started_again_fail_permanently() {
        let of = |policy: &str, sidecar: Value| {
            siblings(&pod(json!({"metadata": {"name": "p"},
                "spec": {"restartPolicy": policy, "containers": [{"name": "main"}]},
                "status": {
                    "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 1}}, "image": "", "imageID": "",
                        "ready": false, "restartCount": 0}],
                    "initContainerStatuses": [{"name": "side", "state": sidecar, "image": "", "imageID": "", "ready": false,
                        "restartCount": 0}]}})))
        };
        let (runs, ended) = (json!({"running": {}}), json!({"terminated": {"exitCode": 0}}));
        assert_eq!(of("Never", ended.clone()), ContainersState::PermanentlyFailed);
        assert_eq!(of("Never", runs), ContainersState::Failed);
        assert_eq!(of("OnFailure", ended), ContainersState::Failed);
    }

    #[test]
    fn the_last_look_is_near_the_end() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(last_look(Some(at(100)), at(0)), Some(at(98)));
        assert_eq!(last_look(Some(at(104)), at(100)), Some(at(103)));
        assert_eq!(last_look(Some(at(90)), at(100)), Some(at(90)));
        assert_eq!(last_look(None, at(0)), None);
    }

    #[test]
    fn a_failure_keeps_the_pod_and_drops_its_secrets() {
        let failing = pod(json!({"metadata": {"name": "p", "managedFields": [{"manager": "m"}]},
            "spec": {"containers": [{"name": "c", "env": [{"name": "CLIENT_KEY", "value": "secret"}],
                "args": ["--password=hunter2", "x"]}]}}));
        let failure = failure("why".to_owned(), &failing);
        assert_eq!(failure.message, "why");
        assert_eq!(
            failure.details["pod"].pointer("/spec/containers/0/env/0"),
            Some(&json!({"name": "CLIENT_KEY", "value": "removed"}))
        );
        assert_eq!(
            failure.details["pod"].pointer("/spec/containers/0/args"),
            Some(&json!(["--password=[redacted]", "x"]))
        );
        assert_eq!(failure.details["pod"].pointer("/metadata"), Some(&json!({"name": "p"})));
    }
}
