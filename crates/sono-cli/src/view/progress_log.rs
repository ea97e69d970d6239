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
                        ..Change::step(format!("aggregator running on {node}"))
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
mod tests;
