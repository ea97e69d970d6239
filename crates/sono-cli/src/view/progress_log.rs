//! Progress of a run as lines: one for each relevant change. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use sono_kube::{Pod, PodView, stuck};
use sono_types::{OverallStatus, RunStatus, status::plugin_status};

use super::counts::{PluginView, plugins};
use crate::aggregator;

/// Minimum duration of an obstacle before it is reported.
const REPORT_DELAY: Duration = Duration::from_secs(2);

/// Progress reported so far.
#[derive(Debug)]
pub(crate) struct ProgressLog {
    started: Timestamp,
    status: Option<RunStatus>,
    running: bool,
    waiting_reported: bool,
    /// Obstacle of each pod, and its start.
    obstacles: BTreeMap<String, (String, Timestamp)>,
    reported: BTreeSet<String>,
    /// Start of the period in which the aggregator's pod cannot be created.
    uncreated_since: Option<Timestamp>,
}

impl ProgressLog {
    pub(crate) fn new(started: Timestamp) -> Self {
        Self {
            started,
            status: None,
            running: false,
            waiting_reported: false,
            obstacles: BTreeMap::new(),
            reported: BTreeSet::new(),
            uncreated_since: None,
        }
    }

    /// Lines for the current pods. Call it every second, since obstacles are reported after a delay.
    pub(crate) fn pods<'a>(&mut self, pods: impl Iterator<Item = &'a Pod>, now: Timestamp) -> Vec<String> {
        let mut lines = Vec::new();
        let mut obstacles = BTreeMap::new();
        for pod in pods {
            let is_aggregator = aggregator::is_aggregator(pod);
            if is_aggregator && !self.running && aggregator::phase(pod) == "Running" {
                self.running = true;
                lines.push(format!(
                    "aggregator runs on {}",
                    aggregator::node(pod).unwrap_or("its node")
                ));
            }
            if pod.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let Some(why) = stuck::explain(&PodView::from(pod), now) else {
                continue;
            };
            let name = pod.metadata.name.clone().unwrap_or_default();
            let key = without_times(&why);
            let since = self
                .obstacles
                .get(&name)
                .filter(|(known, _)| *known == key)
                .map_or(now, |(_, since)| *since);
            obstacles.insert(name, (key.clone(), since));
            if now.duration_since(since).unsigned_abs() < REPORT_DELAY {
                continue;
            }
            let subject = match aggregator::plugin_of(pod) {
                Some(plugin) => plugin.to_owned(),
                None if is_aggregator => "aggregator".to_owned(),
                None => continue,
            };
            if self.reported.insert(format!("{subject} {key}")) {
                let node = aggregator::node(pod)
                    .filter(|_| !is_aggregator)
                    .map(|node| format!(" on {node}"));
                lines.push(format!("{subject} waits{}: {why}", node.unwrap_or_default()));
            }
        }
        self.obstacles = obstacles;
        let late = now.duration_since(self.started).unsigned_abs() >= REPORT_DELAY;
        if late && !self.running && !self.waiting_reported {
            self.waiting_reported = true;
            if lines.is_empty() && self.reported.is_empty() {
                lines.push("waiting for the aggregator's pod to start".to_owned());
            }
        }
        lines
    }

    /// Line for an aggregator without a pod, if creating it keeps failing.
    pub(crate) fn uncreated(&mut self, why: Option<String>, now: Timestamp) -> Vec<String> {
        let Some(why) = why else {
            self.uncreated_since = None;
            return Vec::new();
        };
        let since = *self.uncreated_since.get_or_insert(now);
        let lasts = now.duration_since(since).unsigned_abs() >= REPORT_DELAY;
        if lasts && self.reported.insert(format!("aggregator {why}")) {
            vec![format!("aggregator waits: {why}")]
        } else {
            Vec::new()
        }
    }

    /// Obstacle of a plugin's pods, for display in its bar.
    pub(crate) fn obstacle<'a>(
        &self,
        pods: impl Iterator<Item = &'a Pod>,
        plugin: &str,
        now: Timestamp,
    ) -> Option<String> {
        pods.filter(|pod| aggregator::plugin_of(pod) == Some(plugin))
            .filter(|pod| {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                self.obstacles
                    .get(name)
                    .is_some_and(|(_, since)| now.duration_since(*since).unsigned_abs() >= REPORT_DELAY)
            })
            .find_map(|pod| stuck::explain(&PodView::from(pod), now))
    }

    /// Lines for the changes since the previous status.
    pub(crate) fn status(&mut self, next: &RunStatus) -> Vec<String> {
        let mut lines = Vec::new();
        let before = self.status.replace(next.clone()).unwrap_or_default();
        let known: BTreeMap<String, PluginView> = plugins(&before)
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
                lines.push(format!("{name} started{nodes}"));
            } else if view.left_out != old.left_out {
                lines.push(format!("{name} runs on {}{}", view.target(), view.gap()));
            }
            let total = |view: &PluginView| view.progress.map_or(0, |(total, _, _)| total);
            if total(&view) != total(&old) && view.is_global && total(&view) > 0 {
                lines.push(format!("{name} has {} tests", total(&view)));
            }
            lines.extend(new_failures(&before, next, name));
            lines.extend(tenth(&old, &view).map(|far| format!("{name}: {far}")));
            let is_new = |node: &str| !old.broken.iter().any(|(known, _)| known == node);
            for (node, error) in view.broken.iter().filter(|(node, _)| is_new(node)) {
                let nodes = if view.is_global {
                    String::new()
                } else {
                    format!(" from {node}")
                };
                let why = if error.is_empty() {
                    String::new()
                } else {
                    format!(": {error}")
                };
                lines.push(format!("no result of {name}{nodes}{why}"));
            }
            let all_done = view.done == view.targets;
            if all_done && view.targets > 0 && old.done != old.targets.max(1) && view.lost < view.targets {
                let nodes = if view.is_global {
                    String::new()
                } else {
                    format!(" from {}", view.sender())
                };
                lines.push(format!("{name} has sent its results{nodes}"));
            }
            if let Some(verdict) = view.verdict()
                && old.verdict().is_none()
            {
                lines.push(format!("{name} {verdict}"));
            }
        }
        if next.status == OverallStatus::PostProcessing && before.status != next.status {
            lines.push("all plugins are done; the aggregator is packing the results".to_owned());
        }
        lines
    }
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

/// Lines for tests that failed since the previous status.
fn new_failures(before: &RunStatus, next: &RunStatus, plugin: &str) -> Vec<String> {
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
        .map(|(_, test)| format!("{plugin} failed test: {test}"))
        .collect()
}

/// Removes digits, so that an obstacle with a changed duration is recognized.
fn without_times(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

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
            log.status(&status(running.clone())),
            ["e2e started", "logs started on 2 nodes"]
        );
        assert_eq!(log.status(&status(running.clone())), Vec::<String>::new());
        let mut later = running;
        later["plugins"][0]["progress"] = json!({"name": "e2e", "node": "global",
            "timestamp": "2026-01-01T00:00:00Z", "total": 414, "completed": 3, "failures": ["[sig] a"]});
        later["plugins"][1]["status"] = "complete".into();
        assert_eq!(
            log.status(&status(later.clone())),
            ["e2e has 414 tests", "e2e failed test: [sig] a"]
        );
        later["plugins"][0]["progress"]["completed"] = 40.into();
        assert_eq!(log.status(&status(later.clone())), Vec::<String>::new());
        later["plugins"][0]["progress"]["completed"] = 41.into();
        assert_eq!(
            log.status(&status(later.clone())),
            ["e2e: 41 of 414 tests passed, 1 failed"]
        );
        later["plugins"][0]["progress"]["completed"] = 43.into();
        assert_eq!(log.status(&status(later.clone())), Vec::<String>::new());
        for row in 0..3 {
            later["plugins"][row]["status"] = "complete".into();
        }
        later["plugins"][2]["status"] = "failed".into();
        later["plugins"][2]["error"] = "pod p on n2 was evicted: low on memory".into();
        later["status"] = "post-processing".into();
        assert_eq!(
            log.status(&status(later.clone())),
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
            log.status(&status(later)),
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
            log.status(&status(run.clone())),
            [
                "p started on 1 of 2 nodes; not on node2: taint bad=yes:NoSchedule",
                "q runs on 0 of 2 nodes; not on node1, node2: taint a:NoExecute"
            ]
        );
        assert_eq!(log.status(&status(run.clone())), Vec::<String>::new());
        run["plugins"][0]["status"] = "complete".into();
        assert_eq!(log.status(&status(run)), ["p has sent its results from 1 of 2 nodes"]);
    }

    #[test]
    fn results_are_attributed_to_nodes_that_sent_one() {
        let row = |node: &str, state: &str| json!({"plugin": "p", "node": node, "status": state});
        let last = |rows: Value| {
            let mut log = ProgressLog::new(Timestamp::UNIX_EPOCH);
            let lines = log.status(&status(json!({"status": "running", "plugins": rows})));
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
            "no result of p from n2"
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
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "labels": {"sonobuoy-plugin": "bench"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i:1"}]},
            "status": {"phase": "Pending", "startTime": "2026-11-22T10:00:00Z", "containerStatuses": [
                {"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                 "state": {"waiting": {"reason": "ErrImagePull", "message": "i:1: not found"}}}]}
        }))
        .unwrap();
        let mut lines_at = |seconds: i64| {
            let now = Timestamp::from_second(start.as_second() + seconds).unwrap();
            log.pods([&pod].into_iter(), now)
        };
        assert_eq!(lines_at(1), Vec::<String>::new());
        assert_eq!(
            lines_at(3),
            ["bench waits on n1: image i:1: not found (ErrImagePull, 3s)"]
        );
        assert_eq!(lines_at(4), Vec::<String>::new());
    }

    #[test]
    fn waiting_is_reported_after_two_seconds() {
        let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let mut log = ProgressLog::new(start);
        let mut lines_at = |seconds: i64| {
            log.pods(
                [].into_iter(),
                Timestamp::from_second(start.as_second() + seconds).unwrap(),
            )
        };
        assert_eq!(lines_at(1), Vec::<String>::new());
        assert_eq!(lines_at(2), ["waiting for the aggregator's pod to start"]);
        assert_eq!(lines_at(3), Vec::<String>::new());
    }
}
