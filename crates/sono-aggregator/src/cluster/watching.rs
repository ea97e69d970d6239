//! The pods of a plugin as last seen by its monitor. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use sono_kube::{
    EventView, PodView, Text,
    judge::{self, Policy, Verdict},
};
use sono_types::{
    constants,
    containers::{ContainerExits, ContainersState},
};

/// The pods of one plugin.
#[derive(Debug, Default)]
pub(super) struct Pods {
    by_name: BTreeMap<Text, PodView>,
    /// Until then a pod with a running worker does not count as failed.
    grace_until: Option<Timestamp>,
    judged: Option<Timestamp>,
}

/// A node whose result will not arrive.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding<'a> {
    /// Its intended node, if known.
    pub(super) node: Option<Text>,
    /// Why.
    pub(super) message: String,
    /// The pod that failed, where there is one.
    pub(super) pod: Option<&'a PodView>,
}

impl<'a> Finding<'a> {
    /// A pod that will not deliver a result.
    pub(super) fn of_pod(pod: &'a PodView, message: String) -> Self {
        Self {
            node: pod.node_or_intended().cloned(),
            message,
            pod: Some(pod),
        }
    }

    /// A node without a pod.
    pub(super) fn of_node(node: String, message: String) -> Self {
        Self {
            node: Some(node.into()),
            message,
            pod: None,
        }
    }
}

/// Pause between two judgements per pod, of which judging the pod takes about a tenth. Judging all pods after every change would take
/// time that grows with the square of their number.
const PAUSE_PER_POD: SignedDuration = SignedDuration::from_micros(20);

impl Pods {
    pub(super) fn grace_until(grace_until: Option<Timestamp>) -> Self {
        Self {
            grace_until,
            ..Self::default()
        }
    }

    pub(super) fn restart(&mut self, pods: Vec<PodView>) {
        self.by_name = pods.into_iter().map(|pod| (Text::clone(&pod.name), pod)).collect();
    }

    pub(super) fn apply(&mut self, pod: PodView) {
        self.by_name.insert(Text::clone(&pod.name), pod);
    }

    pub(super) fn delete(&mut self, pod: &PodView) {
        self.by_name.remove(&pod.name);
    }

    /// Whether the pods are due to be judged; otherwise the time at which they are.
    pub(super) fn due(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        let pods = i32::try_from(self.by_name.len()).unwrap_or(i32::MAX);
        let due = self
            .judged
            .and_then(|judged| judged.checked_add(PAUSE_PER_POD * pods).ok())
            // Judging continues if the clock is set back.
            .filter(|due| *due > now && self.judged.is_some_and(|judged| judged <= now));
        if let Some(due) = due {
            return Err(due);
        }
        self.judged = Some(now);
        Ok(())
    }

    /// The current findings, and the time of the next check without a change.
    pub(super) fn judge(&self, now: Timestamp, policy: &Policy) -> (Vec<Finding<'_>>, Option<Timestamp>) {
        let mut findings = Vec::new();
        let mut next: Option<Timestamp> = None;
        for pod in self.by_name.values() {
            match judge::judge(pod, now, policy) {
                Verdict::Fine => {}
                Verdict::Wait { until, .. } => next = Some(next.map_or(until, |next| next.min(until))),
                Verdict::Failing { .. } if worker_runs(pod) && self.grace_until.is_some_and(|until| now < until) => {
                    next = next.into_iter().chain(self.grace_until).min();
                }
                Verdict::Failing { message } => findings.push(Finding::of_pod(pod, message)),
            }
        }
        (findings, next)
    }

    /// Pods whose containers should have been created by now, and the time at which the next one is due.
    pub(super) fn without_containers(&self, now: Timestamp, policy: &Policy) -> (Vec<&PodView>, Option<Timestamp>) {
        let (mut overdue, mut next) = (Vec::new(), None::<Timestamp>);
        for pod in self.by_name.values() {
            let due = judge::no_containers_since(pod).and_then(|since| since.checked_add(policy.mount).ok());
            match due {
                Some(due) if due <= now => overdue.push(pod),
                Some(due) => next = next.into_iter().chain([due]).min(),
                None => {}
            }
        }
        (overdue, next)
    }

    /// Pods that have been unready with running containers for so long that their nodes should be checked, and the time at which the
    /// next one is due.
    pub(super) fn unready(&self, now: Timestamp, policy: &Policy) -> (Vec<&PodView>, Option<Timestamp>) {
        let (mut overdue, mut next) = (Vec::new(), None::<Timestamp>);
        for pod in self.by_name.values() {
            match judge::not_ready_since(pod).and_then(|since| since.checked_add(policy.unready).ok()) {
                Some(due) if due <= now => overdue.push(pod),
                Some(due) => next = next.into_iter().chain([due]).min(),
                None => {}
            }
        }
        (overdue, next)
    }

    /// The state of each pod, by node, with the namespace's events about volumes.
    pub(super) fn last_seen(&self, events: &[EventView], now: Timestamp) -> BTreeMap<Option<Text>, String> {
        let seen = |pod: &PodView| {
            let node = pod.node_or_intended().cloned();
            (node, sono_kube::stuck::last_seen(pod, events, now))
        };
        self.by_name.values().map(seen).collect()
    }

    /// When the last pod was created.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.by_name.values().filter_map(|pod| pod.created).max()
    }

    /// Nodes with a running or starting pod.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Text> {
        let lives = |pod: &&PodView| pod.deleted.is_none() && !matches!(&*pod.phase, "Failed" | "Succeeded");
        self.by_name
            .values()
            .filter(lives)
            .filter_map(PodView::node_or_intended)
    }

    /// Nodes that have a pod, or for which one waits to be scheduled.
    pub(super) fn nodes(&self) -> BTreeSet<&str> {
        let nodes = self.by_name.values().filter_map(PodView::node_or_intended);
        nodes.map(AsRef::as_ref).collect()
    }

    /// State of the containers next to each worker, by node. Of two pods of a node, the one that is not terminating counts.
    pub(super) fn siblings(&self) -> BTreeMap<Option<Text>, ContainersState> {
        let (going, staying): (Vec<&PodView>, Vec<&PodView>) =
            self.by_name.values().partition(|pod| pod.deleted.is_some());
        let state = |pod: &PodView| (pod.node_or_intended().cloned(), siblings(pod));
        going.into_iter().chain(staying).map(state).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
}

/// Time before a plugin's deadline at which the reasons for its missing results are recorded.
const FINAL_CHECK: Duration = Duration::from_secs(2);

/// The time of this check for a plugin that is watched from `now` on: not before most of its time has passed.
pub(super) fn final_check(deadline: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let deadline = deadline?;
    let left = Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
    deadline.checked_sub(FINAL_CHECK.min(left / 4)).ok()
}

/// A running worker may still send a retained result.
fn worker_runs(pod: &PodView) -> bool {
    pod.runs(constants::WORKER_CONTAINER) && pod.deleted.is_none()
}

/// Judges the containers next to the worker's.
fn siblings(pod: &PodView) -> ContainersState {
    let names = pod
        .container_names()
        .filter(|name| *name != constants::WORKER_CONTAINER);
    let exits = |name: &str| {
        let (current, previous) = pod.exit_codes(name);
        ContainerExits {
            current: current.map(i64::from),
            previous: previous.map(i64::from),
        }
    };
    let others: Vec<ContainerExits> = names.map(exits).collect();
    ContainersState::of(&others).where_final(pod.is_final())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(value: Value) -> PodView {
        PodView::from(&serde_json::from_value::<sono_kube::Pod>(value).unwrap())
    }

    #[test]
    fn an_unscheduled_daemon_sets_pod_belongs_to_the_node_its_affinity_names() {
        let node = |spec: Value| {
            let pod = pod(json!({"metadata": {"name": "p"}, "spec": spec}));
            pod.node_or_intended().map(ToString::to_string)
        };
        let waiting = json!({"containers": [], "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]}}}});
        assert_eq!(node(waiting), Some("n1".to_owned()));
        assert_eq!(node(json!({"containers": [], "nodeName": "n2"})), Some("n2".to_owned()));
        assert_eq!(node(json!({"containers": []})), None);
    }

    /// Ten thousand pods change forty thousand times while they start.
    #[test]
    fn judging_pause_is_proportional_to_the_pods() {
        let at = |microseconds| Timestamp::from_microsecond(microseconds).unwrap();
        let mut pods = Pods::default();
        let named = |number: usize| pod(json!({"metadata": {"name": format!("p{number}")}}));
        pods.restart((0..1000).map(named).collect());
        assert_eq!(pods.due(at(0)), Ok(()));
        assert_eq!(pods.due(at(19_999)), Err(at(20_000)));
        assert_eq!(pods.due(at(20_000)), Ok(()));
        assert_eq!(pods.due(at(10_000)), Ok(()), "the clock was set back");
        pods.restart(vec![named(1)]);
        assert_eq!(pods.due(at(10_020)), Ok(()));
    }

    /// A plugin that failed long ago may have sent its result to the previous aggregator.
    #[test]
    fn running_worker_after_a_takeover_has_time_to_send_its_result_again() {
        let time = |minute: u8| format!("2026-11-23T10:{minute:02}:00Z").parse::<Timestamp>().unwrap();
        let ended = json!({"name": "p", "state": {"terminated": {"exitCode": 1, "finishedAt": time(0).to_string()}}});
        let with_worker = |state: Value| {
            let worker = json!({"name": constants::WORKER_CONTAINER, "state": state});
            pod(json!({"metadata": {"name": "p"}, "spec": {"containers": []},
                "status": {"phase": "Running", "containerStatuses": [ended, worker]}}))
        };
        let judge = |grace_until, worker: Value, now| {
            let mut pods = Pods::grace_until(grace_until);
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
        let node = |name: &str| Some(Text::from(name));
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
    fn final_check_is_shortly_before_the_deadline() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(final_check(Some(at(100)), at(0)), Some(at(98)));
        assert_eq!(final_check(Some(at(104)), at(100)), Some(at(103)));
        assert_eq!(final_check(Some(at(90)), at(100)), Some(at(90)));
        assert_eq!(final_check(None, at(0)), None);
    }
}
