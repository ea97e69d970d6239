//! Progress of a run as lines: one for each relevant change. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use sono_kube::Pod;
use sono_types::{OverallStatus, RunStatus, status::plugin_status};

use super::{
    counts::{PluginView, plugins},
    obstacles::{Obstacle, sentences},
    words::{counted, names, without_variations},
};
use crate::aggregator;

/// Minimum duration of an obstacle before it is reported.
const REPORT_DELAY: Duration = Duration::from_secs(2);

/// One change of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) kind: ChangeKind,
    pub(crate) time: ChangeTime,
    pub(crate) text: String,
}

/// Importance of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// Expected step, which bars show themselves.
    Step,
    /// Obstacle, lost result or interruption.
    Notice,
    /// Test that failed.
    FailedTest,
}

/// Time of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeTime {
    Now,
    /// In the past, at a known time.
    At(Timestamp),
    /// Before the command was started.
    Earlier,
}

impl Change {
    fn new(kind: ChangeKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            time: ChangeTime::Now,
            text: text.into(),
        }
    }

    fn step(text: impl Into<String>) -> Self {
        Self::new(ChangeKind::Step, text)
    }

    pub(crate) fn notice(text: impl Into<String>) -> Self {
        Self::new(ChangeKind::Notice, text)
    }
}

/// Identity of the aggregator's process: its pod, and the number of restarts.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    pod: String,
    restarts: i32,
}

/// Progress reported so far.
#[derive(Debug)]
pub(crate) struct ProgressLog {
    started: Timestamp,
    /// Whether changes before the first status happened before this command.
    is_attached: bool,
    status: Option<RunStatus>,
    aggregator: Option<Process>,
    waiting_reported: bool,
    /// Start of each obstacle, by plugin and message.
    obstacles: BTreeMap<String, Timestamp>,
    reported: BTreeSet<String>,
}

impl ProgressLog {
    /// Progress of a run that begins now.
    pub(crate) fn new(started: Timestamp) -> Self {
        Self {
            started,
            is_attached: false,
            status: None,
            aggregator: None,
            waiting_reported: false,
            obstacles: BTreeMap::new(),
            reported: BTreeSet::new(),
        }
    }

    /// Progress of a run that began before this command.
    pub(crate) fn attached(started: Timestamp) -> Self {
        Self {
            is_attached: true,
            ..Self::new(started)
        }
    }

    /// Changes of the current pods. Call it every second, since waiting is reported after a delay.
    pub(crate) fn pods<'a>(&mut self, pods: impl Iterator<Item = &'a Pod>, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        for pod in pods.filter(|pod| aggregator::is_aggregator(pod) && aggregator::phase(pod) == "Running") {
            let process = Process {
                pod: pod
                    .metadata
                    .uid
                    .clone()
                    .or_else(|| pod.metadata.name.clone())
                    .unwrap_or_default(),
                restarts: aggregator::restarts(pod),
            };
            let node = aggregator::node(pod).unwrap_or("its node");
            let is_deleted = pod.metadata.deletion_timestamp.is_some();
            match &self.aggregator {
                None => {
                    let started = aggregator::started(pod).filter(|_| self.is_attached);
                    changes.push(Change {
                        time: started.map_or(ChangeTime::Now, ChangeTime::At),
                        ..Change::step(format!("aggregator runs on {node}"))
                    });
                }
                Some(known) if *known == process || is_deleted => continue,
                Some(known) if known.pod == process.pod => {
                    changes.push(Change::notice(format!("aggregator restarted, continuing on {node}")));
                }
                Some(_) => changes.push(Change::notice(format!("aggregator replaced, continuing on {node}"))),
            }
            self.aggregator = Some(process);
        }
        let late = now.duration_since(self.started).unsigned_abs() >= REPORT_DELAY;
        if late && self.aggregator.is_none() && !self.waiting_reported {
            self.waiting_reported = true;
            if self.obstacles.is_empty() {
                changes.push(Change::step("waiting for the aggregator's pod to start"));
            }
        }
        changes
    }

    /// Changes of the current obstacles. Call it every second, since they are reported after a delay.
    pub(crate) fn obstacles(&mut self, obstacles: &[Obstacle], now: Timestamp) -> Vec<Change> {
        let keys = obstacles.iter().map(Obstacle::key);
        self.obstacles = keys
            .map(|key| {
                let since = self.obstacles.get(&key).copied().unwrap_or(now);
                (key, since)
            })
            .collect();
        let lasting = self.lasting(obstacles, now);
        let new: Vec<&Obstacle> = lasting
            .into_iter()
            .filter(|obstacle| !self.reported.contains(&obstacle.key()))
            .collect();
        self.reported.extend(new.iter().map(|obstacle| obstacle.key()));
        sentences(new, now).into_iter().map(Change::notice).collect()
    }

    /// Obstacles that have existed for a while.
    pub(crate) fn lasting<'a>(&self, obstacles: &'a [Obstacle], now: Timestamp) -> Vec<&'a Obstacle> {
        let is_lasting = |obstacle: &&Obstacle| {
            let since = self.obstacles.get(&obstacle.key());
            since.is_some_and(|since| now.duration_since(*since).unsigned_abs() >= REPORT_DELAY)
        };
        obstacles.iter().filter(is_lasting).collect()
    }

    /// Changes since the previous status. A change is reported once, even if a new aggregator reports it again.
    pub(crate) fn status(&mut self, next: &RunStatus) -> Vec<Change> {
        let is_first = self.status.is_none();
        let before = self.status.replace(next.clone()).unwrap_or_default();
        let mut changes = changes(&before, next);
        changes.retain(|change| self.reported.insert(change.text.clone()));
        if is_first && self.is_attached {
            for change in &mut changes {
                change.time = ChangeTime::Earlier;
            }
        }
        changes
    }
}

fn changes(before: &RunStatus, next: &RunStatus) -> Vec<Change> {
    let mut changes = Vec::new();
    let known: BTreeMap<String, PluginView> = plugins(before)
        .into_iter()
        .map(|view| (view.name.clone(), view))
        .collect();
    for view in plugins(next) {
        let name = &view.name;
        let old = known.get(name).cloned().unwrap_or_default();
        if old.targets == 0 && view.targets > 0 {
            let nodes = if view.is_global {
                String::new()
            } else {
                format!(" on {}{}", view.target(), view.gap())
            };
            changes.push(Change::step(format!("{name} started{nodes}")));
        } else if view.left_out != old.left_out {
            changes.push(Change::step(format!("{name} runs on {}{}", view.target(), view.gap())));
        }
        let total = |view: &PluginView| view.progress.map_or(0, |(total, _, _)| total);
        if total(&view) != total(&old) && view.is_global && total(&view) > 0 {
            let tests = counted(total(&view).unsigned_abs(), "test");
            changes.push(Change::step(format!("{name} has {tests}")));
        }
        changes.extend(new_failures(before, next, name));
        changes.extend(tenth(&old, &view).map(|far| Change::step(format!("{name}: {far}"))));
        changes.extend(lost(&old, &view));
        let all_done = view.done == view.targets;
        if all_done && view.targets > 0 && old.done != old.targets.max(1) && view.lost < view.targets {
            let nodes = if view.is_global {
                String::new()
            } else {
                format!(" from {}", view.sender())
            };
            changes.push(Change::step(format!("{name} has sent its results{nodes}")));
        }
        if let Some(verdict) = view.verdict()
            && old.verdict().is_none()
        {
            changes.push(Change::step(format!("{name} {verdict}")));
        }
    }
    if next.status == OverallStatus::PostProcessing && before.status != next.status {
        changes.push(Change::step(
            "all plugins are done; the aggregator is packing the results",
        ));
    }
    changes
}

/// Newly lost results of a plugin. Equal reasons of several nodes are one change.
fn lost(old: &PluginView, view: &PluginView) -> Vec<Change> {
    let is_new = |node: &str| !old.broken.iter().any(|(known, _)| known == node);
    let mut groups: Vec<(String, &str, Vec<&str>)> = Vec::new();
    for (node, error) in view.broken.iter().filter(|(node, _)| is_new(node)) {
        let key = without_variations(error, node);
        match groups.iter_mut().find(|(known, ..)| *known == key) {
            Some((.., nodes)) => nodes.push(node),
            None => groups.push((key, error, vec![node])),
        }
    }
    let change = |(_, error, nodes): (String, &str, Vec<&str>)| {
        let from = if view.is_global {
            String::new()
        } else {
            format!(" from {}", names(&nodes))
        };
        let why = if error.is_empty() {
            String::new()
        } else {
            format!(": {error}")
        };
        Change::notice(format!("no result of {}{from}{why}", view.name))
    };
    groups.into_iter().map(change).collect()
}

/// Progress of a plugin with one result, after each 10 %.
fn tenth(old: &PluginView, new: &PluginView) -> Option<String> {
    let (total, passed, failed) = new.progress.filter(|(total, ..)| new.is_global && *total >= 10)?;
    let tenths = |view: &PluginView| {
        let (_, passed, failed) = view.progress.unwrap_or_default();
        let ended = passed.saturating_add(i64::try_from(failed).unwrap_or(i64::MAX));
        (ended, ended.saturating_mul(10) / total)
    };
    let (ended, tenth) = tenths(new);
    (tenth > tenths(old).1 && ended < total).then(|| match failed {
        0 => format!("{passed} of {total} tests passed"),
        failed => format!("{passed} of {total} tests passed, {failed} failed"),
    })
}

/// Tests that failed since the previous status.
fn new_failures(before: &RunStatus, next: &RunStatus, plugin: &str) -> Vec<Change> {
    let failures = |status: &RunStatus| -> Vec<(String, String)> {
        let rows = status
            .rows()
            .iter()
            .filter(|row| row.plugin == plugin && row.status == plugin_status::RUNNING);
        rows.filter_map(|row| Some((row.node.clone(), row.progress.as_ref()?)))
            .flat_map(|(node, progress)| {
                // A folded status has empty names.
                let names = progress.failures.iter().filter(|name| !name.is_empty());
                names.map(move |failure| (node.clone(), failure.clone()))
            })
            .collect()
    };
    let known: BTreeSet<(String, String)> = failures(before).into_iter().collect();
    failures(next)
        .into_iter()
        .filter(|failure| !known.contains(failure))
        .map(|(_, test)| Change::new(ChangeKind::FailedTest, format!("{plugin} failed test: {test}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn texts(log: &mut ProgressLog, next: &RunStatus) -> Vec<String> {
        log.status(next).into_iter().map(|change| change.text).collect()
    }

    fn status(value: Value) -> RunStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_change_is_reported_once() {
        let mut log = ProgressLog::new(Timestamp::UNIX_EPOCH);
        let running = json!({"status": "running", "plugins": [
            {"plugin": "e2e", "node": "global", "status": "running"},
            {"plugin": "logs", "node": "n1", "status": "running"},
            {"plugin": "logs", "node": "n2", "status": "running"}]});
        assert_eq!(
            texts(&mut log, &status(running.clone())),
            ["e2e started", "logs started on 2 nodes"]
        );
        assert_eq!(texts(&mut log, &status(running.clone())), Vec::<String>::new());
        let mut later = running;
        later["plugins"][0]["progress"] = json!({"name": "e2e", "node": "global",
            "timestamp": "2026-01-01T00:00:00Z", "total": 414, "completed": 3, "failures": ["[sig] a"]});
        later["plugins"][1]["status"] = "complete".into();
        assert_eq!(
            texts(&mut log, &status(later.clone())),
            ["e2e has 414 tests", "e2e failed test: [sig] a"]
        );
        later["plugins"][0]["progress"]["completed"] = 40.into();
        assert_eq!(texts(&mut log, &status(later.clone())), Vec::<String>::new());
        later["plugins"][0]["progress"]["completed"] = 41.into();
        assert_eq!(
            texts(&mut log, &status(later.clone())),
            ["e2e: 41 of 414 tests passed, 1 failed"]
        );
        later["plugins"][0]["progress"]["completed"] = 43.into();
        assert_eq!(texts(&mut log, &status(later.clone())), Vec::<String>::new());
        for row in 0..3 {
            later["plugins"][row]["status"] = "complete".into();
        }
        later["plugins"][2]["status"] = "failed".into();
        later["plugins"][2]["error"] = "pod p on n2 was evicted: low on memory".into();
        later["status"] = "post-processing".into();
        assert_eq!(
            texts(&mut log, &status(later.clone())),
            [
                "e2e has sent its results",
                "no result of logs from n2: pod p on n2 was evicted: low on memory",
                "logs has sent its results from 1 of 2 nodes",
                "all plugins are done; the aggregator is packing the results"
            ]
        );
        for row in 0..3 {
            later["plugins"][row]["result-status"] = "passed".into();
            later["plugins"][row]["result-counts"] = json!({"passed": 1});
        }
        later["status"] = "complete".into();
        assert_eq!(
            texts(&mut log, &status(later)),
            ["e2e passed: 1 passed", "logs passed: 2 passed"]
        );
    }

    #[test]
    fn skipped_nodes_are_named_when_the_plugin_starts() {
        let mut log = ProgressLog::new(Timestamp::UNIX_EPOCH);
        let left_out = json!([{"plugin": "p", "count": 1, "nodes": ["node2"], "reason": "taint bad=yes:NoSchedule"},
            {"plugin": "q", "count": 2, "nodes": ["node1", "node2"], "reason": "taint a:NoExecute"}]);
        let mut run = json!({"status": "running", "left-out": left_out,
            "plugins": [{"plugin": "p", "node": "node1", "status": "running"}]});
        assert_eq!(
            texts(&mut log, &status(run.clone())),
            [
                "p started on 1 of 2 nodes; not on node2: taint bad=yes:NoSchedule",
                "q runs on 0 of 2 nodes; not on node1, node2: taint a:NoExecute"
            ]
        );
        assert_eq!(texts(&mut log, &status(run.clone())), Vec::<String>::new());
        run["plugins"][0]["status"] = "complete".into();
        assert_eq!(
            texts(&mut log, &status(run)),
            ["p has sent its results from 1 of 2 nodes"]
        );
    }

    #[test]
    fn results_are_attributed_to_nodes_that_sent_one() {
        let row = |node: &str, state: &str| json!({"plugin": "p", "node": node, "status": state});
        let last = |rows: Value| {
            let mut log = ProgressLog::new(Timestamp::UNIX_EPOCH);
            let lines = texts(&mut log, &status(json!({"status": "running", "plugins": rows})));
            lines.last().unwrap().clone()
        };
        assert_eq!(
            last(json!([row("n1", "complete"), row("n2", "complete")])),
            "p has sent its results from 2 nodes"
        );
        assert_eq!(
            last(json!([row("n1", "complete"), row("n2", "failed")])),
            "p has sent its results from 1 of 2 nodes"
        );
        assert_eq!(
            last(json!([row("n1", "failed"), row("n2", "failed")])),
            "no result of p from n1, n2"
        );
        assert_eq!(last(json!([row("global", "failed")])), "no result of p");
        // Rows of a large cluster are folded.
        assert_eq!(
            last(json!([
                row("(9900 nodes)", "complete"),
                row("(99 nodes)", "failed"),
                row("n1", "failed")
            ])),
            "p has sent its results from 9900 of 10000 nodes"
        );
        assert_eq!(
            last(json!([row("(9900 nodes)", "failed")])),
            "no result of p from (9900 nodes)"
        );
    }

    #[test]
    fn lasting_obstacle_is_reported_once() {
        let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let mut log = ProgressLog::new(start);
        let obstacle = Obstacle {
            plugin: Some("bench".to_owned()),
            node: Some("n1".to_owned()),
            pending: true,
            failed_pod: None,
            why: sono_kube::stuck::Explanation::new("ErrImagePull", "image i:1: not found", Some(start)),
        };
        let mut changes_at = |seconds: i64| log.obstacles(std::slice::from_ref(&obstacle), at(start, seconds));
        assert_eq!(changes_at(1), []);
        assert_eq!(
            changes_at(3),
            [Change::notice("bench waits on n1: image i:1: not found")]
        );
        assert_eq!(changes_at(4), []);
    }

    fn at(start: Timestamp, seconds: i64) -> Timestamp {
        Timestamp::from_second(start.as_second() + seconds).unwrap()
    }

    #[test]
    fn waiting_is_reported_after_two_seconds() {
        let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let mut log = ProgressLog::new(start);
        let mut changes_at = |seconds: i64| log.pods([].into_iter(), at(start, seconds));
        assert_eq!(changes_at(1), []);
        assert_eq!(
            changes_at(2),
            [Change::step("waiting for the aggregator's pod to start")]
        );
        assert_eq!(changes_at(3), []);
    }

    fn aggregator(uid: &str, node: &str, restarts: i32, more: Value) -> Pod {
        let mut pod = json!({
            "metadata": {"name": format!("sonobuoy-{uid}"), "uid": uid, "labels": {"sonobuoy-component": "aggregator"}},
            "spec": {"nodeName": node, "containers": [{"name": "kube-sonobuoy", "image": "i:1"}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "kube-sonobuoy", "image": "", "imageID": "",
                "ready": true, "restartCount": restarts, "state": {"running": {"startedAt": "2026-11-22T09:59:30Z"}}}]}
        });
        pod["metadata"]
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap_or_default());
        serde_json::from_value(pod).unwrap()
    }

    /// A new process is one line, and what it reports again is not repeated.
    #[test]
    fn replaced_aggregator_is_one_change() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let mut log = ProgressLog::new(now);
        let mut seen = |pods: &[Pod]| -> Vec<Change> { log.pods(pods.iter(), now) };
        let first = aggregator("1", "node1", 0, json!({}));
        assert_eq!(
            seen(std::slice::from_ref(&first)),
            [Change::step("aggregator runs on node1")]
        );
        assert_eq!(seen(&[first]), []);
        let again = aggregator("1", "node1", 1, json!({}));
        assert_eq!(
            seen(&[again]),
            [Change::notice("aggregator restarted, continuing on node1")]
        );
        let deleted = json!({"deletionTimestamp": "2026-11-22T10:00:00Z"});
        let both = [
            aggregator("1", "node1", 1, deleted),
            aggregator("2", "node2", 0, json!({})),
        ];
        assert_eq!(
            seen(&both),
            [Change::notice("aggregator replaced, continuing on node2")]
        );
        assert_eq!(seen(&both), []);

        let rows = |state: &str| {
            status(json!({"status": "running", "plugins": [{"plugin": "p", "node": "n1", "status": state}]}))
        };
        assert_eq!(
            texts(&mut log, &rows("complete")),
            ["p started on 1 node", "p has sent its results from 1 node"]
        );
        assert_eq!(texts(&mut log, &RunStatus::default()), Vec::<String>::new());
        assert_eq!(texts(&mut log, &rows("complete")), Vec::<String>::new());
    }

    #[test]
    fn changes_before_the_command_carry_their_own_time() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let mut log = ProgressLog::attached(now);
        let times = |changes: Vec<Change>| changes.into_iter().map(|change| change.time).collect::<Vec<_>>();
        let pod = aggregator("1", "node1", 0, json!({}));
        assert_eq!(
            times(log.pods([&pod].into_iter(), now)),
            [ChangeTime::At("2026-11-22T09:59:30Z".parse().unwrap())]
        );
        let row = |state: &str| {
            status(json!({"status": "running", "plugins": [{"plugin": "p", "node": "global", "status": state}]}))
        };
        assert_eq!(times(log.status(&row("running"))), [ChangeTime::Earlier]);
        assert_eq!(times(log.status(&row("complete"))), [ChangeTime::Now]);
    }

    /// 100 nodes with one reason are one line.
    #[test]
    fn equal_reasons_of_many_nodes_are_one_change() {
        let rows: Vec<Value> = (1..=100)
            .map(|number| {
                json!({"plugin": "p", "node": format!("node{number}"), "status": "failed",
                    "error": format!("the pod of plugin p for node node{number} cannot be created: pods \"sonobuoy-p-{number}x\" is forbidden")})
            })
            .collect();
        let mut log = ProgressLog::new(Timestamp::UNIX_EPOCH);
        assert_eq!(
            texts(&mut log, &status(json!({"status": "running", "plugins": rows}))),
            [
                "p started on 100 nodes",
                "no result of p from node1, node2 and 98 more: the pod of plugin p for node node1 cannot be created: pods \"sonobuoy-p-1x\" is forbidden"
            ]
        );
    }
}
