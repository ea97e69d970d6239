//! Order groups, time limits and the status, on top of the ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use sono_types::{
    OverallStatus, PluginName, PluginStatus, ProgressUpdate, ResultKey, RunStatus, TarInfo, constants::TIMEOUT_MESSAGE,
    status::plugin_status,
};

use super::ledger::{Claim, Ledger, Outcome, Refusal, State, Ticket};

/// How much longer a plugin whose time is up has for a result that is being put in place.
const PLACING: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

/// What is known of a plugin before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The plugin.
    pub plugin: PluginName,
    /// Plugins of a lower order are settled before this one starts.
    pub order: i64,
    /// The results it will send, in the order in which the status lists them.
    pub expected: Vec<ResultKey>,
    /// How long it may take from its own launch on; `None` means as long as it likes.
    pub timeout: Option<Duration>,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// One sentence: what happened, to what, and what to do.
    pub message: String,
    /// More keys for `error.json`, such as the pod.
    pub details: BTreeMap<String, Value>,
}

impl Failure {
    /// A failure without details.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            details: BTreeMap::new(),
        }
    }
}

/// Everything that can move the run on, apart from uploads ([`Run::begin`], [`Run::claim`], [`Run::finish`]).
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Start the first group.
    Start,
    /// The plugin's objects could not be created.
    LaunchFailed {
        /// The plugin.
        plugin: PluginName,
        /// Why.
        failure: Failure,
    },
    /// A monitor found that this result will not come.
    Failed {
        /// The result.
        key: ResultKey,
        /// Why.
        failure: Failure,
    },
    /// A progress update arrived.
    Progress {
        /// From where.
        key: ResultKey,
        /// What it says.
        update: ProgressUpdate,
    },
    /// Time passed; see [`Run::next_deadline`].
    Tick,
    /// Post-processing of one result is done.
    Processed {
        /// The result.
        key: ResultKey,
        /// Status of its part of the item tree.
        status: String,
        /// Its leaves by status.
        counts: BTreeMap<String, i64>,
    },
    /// The archive is sealed; the run is complete.
    Sealed(TarInfo),
    /// There will be no archive.
    Broken,
}

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Create the plugin's objects and watch them.
    Launch {
        /// The plugin.
        plugin: PluginName,
        /// When its time is up.
        deadline: Option<Timestamp>,
    },
    /// The plugin is settled: nothing needs to be watched any more.
    StopMonitor(PluginName),
    /// Write the error that stands for this result.
    RecordError {
        /// The result.
        key: ResultKey,
        /// Why there is none.
        failure: Failure,
    },
    /// The status changed.
    Publish,
    /// All results are in: query, post-process, pack.
    Finish,
}

/// One run.
#[derive(Debug)]
pub struct Run {
    plans: Vec<Plan>,
    ledger: Ledger,
    progress: BTreeMap<ResultKey, ProgressUpdate>,
    processed: BTreeMap<ResultKey, (String, BTreeMap<String, i64>)>,
    /// Findings about results whose body is on its way: the body goes first.
    deferred: BTreeMap<ResultKey, Failure>,
    launched: BTreeSet<PluginName>,
    settled: BTreeSet<PluginName>,
    deadlines: BTreeMap<PluginName, Timestamp>,
    started: bool,
    timed_out: bool,
    overall: OverallStatus,
    archive: TarInfo,
}

impl Run {
    /// A run that has not started. Plugins start in the order of (order, name).
    pub fn new(mut plans: Vec<Plan>) -> Self {
        plans.sort_by(|left, right| (left.order, &left.plugin).cmp(&(right.order, &right.plugin)));
        let mut ledger = Ledger::default();
        for key in plans.iter().flat_map(|plan| &plan.expected) {
            ledger.expect(key.clone());
        }
        Self {
            plans,
            ledger,
            progress: BTreeMap::new(),
            processed: BTreeMap::new(),
            deferred: BTreeMap::new(),
            launched: BTreeSet::new(),
            settled: BTreeSet::new(),
            deadlines: BTreeMap::new(),
            started: false,
            timed_out: false,
            overall: OverallStatus::Running,
            archive: TarInfo::default(),
        }
    }

    /// Phase one of an upload: may this result be sent?
    pub fn begin(&mut self, key: &ResultKey) -> Result<Ticket, Refusal> {
        if self.finishing() && self.ledger.state(key).is_some() {
            // The archive is being made of what is there; what comes now would be lost without a word.
            return Err(Refusal::AlreadyReceived(key.clone()));
        }
        self.ledger.begin(key)
    }

    /// Phase two: the body is complete; may it be put in place now?
    pub fn claim(&mut self, ticket: &Ticket) -> Claim {
        if self.finishing() {
            Claim::AlreadyReceived
        } else {
            self.ledger.claim(ticket)
        }
    }

    /// The last phase: how the upload ended.
    pub fn finish(&mut self, at: Timestamp, ticket: &Ticket, outcome: Outcome) -> Vec<Effect> {
        let changed = self.ledger.finish(ticket, &outcome);
        let key = ticket.key();
        if !changed {
            if let Outcome::Refused(reason) | Outcome::Reported(reason) = outcome
                && !self.ledger.settled(key)
            {
                // Another request is putting this result in place; it counts only when that one fails.
                self.deferred.insert(key.clone(), Failure::new(reason));
            }
            if self.ledger.receiving(key) {
                return Vec::new();
            }
            let Some(failure) = self.deferred.remove(key) else {
                return Vec::new();
            };
            return self.handle(
                at,
                Event::Failed {
                    key: key.clone(),
                    failure,
                },
            );
        }
        self.deferred.remove(key);
        let mut effects = Vec::new();
        if let Outcome::Refused(reason) | Outcome::Reported(reason) = outcome {
            effects.push(Effect::RecordError {
                key: ticket.key().clone(),
                failure: Failure::new(reason),
            });
        }
        effects.extend(self.advance(at));
        effects
    }

    /// Takes one event in and says what is to be done.
    pub fn handle(&mut self, at: Timestamp, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Start => self.started = true,
            Event::LaunchFailed { plugin, failure } => {
                for key in self.waiting_for(&plugin) {
                    self.fail(&key, failure.clone(), &mut effects);
                }
            }
            Event::Failed { key, failure } if self.ledger.receiving(&key) && !self.ledger.settled(&key) => {
                // A plugin may fail and its large result be on its way all the same. Its time limit still holds.
                self.deferred.insert(key, failure);
                return effects;
            }
            Event::Failed { key, failure } => self.fail(&key, failure, &mut effects),
            Event::Progress { key, update } => {
                let folded = ProgressUpdate::fold(self.progress.remove(&key), update);
                self.progress.insert(key, folded);
            }
            Event::Tick => {
                let due: Vec<PluginName> = self
                    .deadlines
                    .iter()
                    .filter(|(_, deadline)| **deadline <= at)
                    .map(|(plugin, _)| plugin.clone())
                    .collect();
                for plugin in due {
                    self.deadlines.remove(&plugin);
                    for key in self.waiting_for(&plugin) {
                        if self.ledger.placing(&key) {
                            // Complete, and about to be on disk: a moment more loses no time and keeps a result.
                            let soon = at.checked_add(PLACING).unwrap_or(at);
                            self.deadlines.insert(plugin.clone(), soon);
                            continue;
                        }
                        self.timed_out = true;
                        self.fail(&key, Failure::new(TIMEOUT_MESSAGE), &mut effects);
                    }
                }
                if effects.is_empty() {
                    return effects;
                }
            }
            Event::Processed { key, status, counts } => {
                self.processed.insert(key, (status, counts));
            }
            Event::Sealed(archive) => {
                self.archive = archive;
                self.overall = OverallStatus::Complete;
            }
            Event::Broken => self.overall = OverallStatus::Failed,
        }
        effects.extend(self.advance(at));
        effects
    }

    /// When [`Event::Tick`] is wanted next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.values().min().copied()
    }

    /// Whether a result is expected under that key.
    pub fn expects(&self, key: &ResultKey) -> bool {
        self.ledger.state(key).is_some()
    }

    /// All expected results, in the status' order.
    pub fn expected(&self) -> impl Iterator<Item = &ResultKey> {
        self.plans.iter().flat_map(|plan| &plan.expected)
    }

    /// The results that are stored.
    pub fn stored(&self) -> Vec<ResultKey> {
        self.expected()
            .filter(|key| self.ledger.state(key) == Some(&State::Stored))
            .cloned()
            .collect()
    }

    /// Whether some result is missing because its plugin's time was up.
    pub fn timed_out(&self) -> bool {
        self.timed_out
    }

    /// The status as clients see it.
    pub fn status(&self) -> RunStatus {
        let rows = self.expected().map(|key| {
            let (result_status, result_counts) = match self.processed.get(key) {
                Some((status, counts)) => (status.clone(), Some(counts.clone())),
                None => (String::new(), None),
            };
            let status = match self.ledger.state(key) {
                Some(State::Stored) => plugin_status::COMPLETE,
                Some(State::Failed) => plugin_status::FAILED,
                Some(State::Waiting) | None => plugin_status::RUNNING,
            };
            PluginStatus {
                plugin: key.plugin.to_string(),
                node: key.target.to_string(),
                status: status.to_owned(),
                result_status,
                result_counts,
                progress: self.progress.get(key).cloned(),
            }
        });
        RunStatus {
            plugins: Some(rows.collect()),
            status: self.overall.clone(),
            tarball: self.archive.clone(),
        }
    }

    fn finishing(&self) -> bool {
        self.overall != OverallStatus::Running
    }

    fn waiting_for(&self, plugin: &PluginName) -> Vec<ResultKey> {
        self.expected()
            .filter(|key| key.plugin == *plugin && !self.ledger.settled(key))
            .cloned()
            .collect()
    }

    fn fail(&mut self, key: &ResultKey, failure: Failure, effects: &mut Vec<Effect>) {
        if !self.finishing() && self.ledger.fail(key) {
            effects.push(Effect::RecordError {
                key: key.clone(),
                failure,
            });
        }
    }

    /// Settles plugins whose results are all in, starts the next group when the one before is settled, and ends the
    /// collecting when there is none.
    fn advance(&mut self, at: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !self.started || self.finishing() {
            effects.push(Effect::Publish);
            return effects;
        }
        for plan in &self.plans {
            let done = plan.expected.iter().all(|key| self.ledger.settled(key));
            if done && self.launched.contains(&plan.plugin) && self.settled.insert(plan.plugin.clone()) {
                self.deadlines.remove(&plan.plugin);
                effects.push(Effect::StopMonitor(plan.plugin.clone()));
            }
        }
        loop {
            let open = |plan: &&Plan| !self.settled.contains(&plan.plugin);
            let Some(order) = self.plans.iter().find(open).map(|plan| plan.order) else {
                self.overall = OverallStatus::PostProcessing;
                effects.extend([Effect::Publish, Effect::Finish]);
                return effects;
            };
            let mut waits = false;
            for plan in self.plans.iter().filter(|plan| plan.order == order) {
                if self.settled.contains(&plan.plugin) {
                    continue;
                }
                if plan.expected.is_empty() {
                    // No node matches: there is nothing to start and nothing to wait for.
                    self.settled.insert(plan.plugin.clone());
                    continue;
                }
                waits = true;
                if self.launched.insert(plan.plugin.clone()) {
                    let deadline = plan
                        .timeout
                        .and_then(|timeout| jiff::SignedDuration::try_from(timeout).ok())
                        .and_then(|timeout| at.checked_add(timeout).ok());
                    if let Some(deadline) = deadline {
                        self.deadlines.insert(plan.plugin.clone(), deadline);
                    }
                    effects.push(Effect::Launch {
                        plugin: plan.plugin.clone(),
                        deadline,
                    });
                }
            }
            if waits {
                effects.push(Effect::Publish);
                return effects;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sono_types::Target;

    use super::*;

    fn name(text: &str) -> PluginName {
        PluginName::parse(text).unwrap()
    }

    fn key(plugin: &str, target: &str) -> ResultKey {
        ResultKey::new(name(plugin), Target::parse(target).unwrap())
    }

    fn plan(plugin: &str, order: i64, targets: &[&str]) -> Plan {
        Plan {
            plugin: name(plugin),
            order,
            expected: targets.iter().map(|target| key(plugin, target)).collect(),
            timeout: Some(Duration::from_secs(10)),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn store(run: &mut Run, second: i64, key: &ResultKey) -> Vec<Effect> {
        let ticket = run.begin(key).unwrap();
        assert_eq!(run.claim(&ticket), Claim::Granted);
        run.finish(at(second), &ticket, Outcome::Stored)
    }

    fn launch(plugin: &str, deadline: i64) -> Effect {
        Effect::Launch {
            plugin: name(plugin),
            deadline: Some(at(deadline)),
        }
    }

    #[test]
    fn a_group_starts_the_moment_the_one_before_is_settled() {
        let mut run = Run::new(vec![
            plan("late", 1, &["global"]),
            plan("b", 0, &["n1"]),
            plan("a", 0, &["global"]),
        ]);
        assert_eq!(
            run.handle(at(0), Event::Start),
            [launch("a", 10), launch("b", 10), Effect::Publish]
        );
        assert_eq!(
            store(&mut run, 1, &key("a", "global")),
            [Effect::StopMonitor(name("a")), Effect::Publish]
        );
        let failure = Failure::new("gone");
        assert_eq!(
            run.handle(
                at(2),
                Event::Failed {
                    key: key("b", "n1"),
                    failure: failure.clone()
                }
            ),
            [
                Effect::RecordError {
                    key: key("b", "n1"),
                    failure
                },
                Effect::StopMonitor(name("b")),
                launch("late", 12),
                Effect::Publish
            ]
        );
        assert_eq!(
            store(&mut run, 3, &key("late", "global")),
            [Effect::StopMonitor(name("late")), Effect::Publish, Effect::Finish]
        );
        assert_eq!(run.status().status, OverallStatus::PostProcessing);
        assert_eq!(run.next_deadline(), None);
    }

    #[test]
    fn time_limits_count_from_the_plugins_own_launch() {
        let mut run = Run::new(vec![plan("p", 0, &["n1", "n2"])]);
        run.handle(at(5), Event::Start);
        assert_eq!(run.next_deadline(), Some(at(15)));
        store(&mut run, 6, &key("p", "n1"));
        assert_eq!(run.handle(at(14), Event::Tick), []);
        assert_eq!(
            run.handle(at(15), Event::Tick),
            [
                Effect::RecordError {
                    key: key("p", "n2"),
                    failure: Failure::new(TIMEOUT_MESSAGE)
                },
                Effect::StopMonitor(name("p")),
                Effect::Publish,
                Effect::Finish
            ]
        );
        assert!(run.timed_out());
    }

    #[test]
    fn a_launch_failure_reaches_every_expected_result() {
        let mut run = Run::new(vec![plan("p", 0, &["n1", "n2"])]);
        run.handle(at(0), Event::Start);
        let failure = Failure::new("quota");
        assert_eq!(
            run.handle(
                at(1),
                Event::LaunchFailed {
                    plugin: name("p"),
                    failure: failure.clone()
                }
            ),
            [
                Effect::RecordError {
                    key: key("p", "n1"),
                    failure: failure.clone()
                },
                Effect::RecordError {
                    key: key("p", "n2"),
                    failure
                },
                Effect::StopMonitor(name("p")),
                Effect::Publish,
                Effect::Finish
            ]
        );
    }

    #[test]
    fn a_good_result_takes_an_errors_place_while_others_are_awaited() {
        let mut run = Run::new(vec![plan("p", 0, &["n1", "n2"])]);
        run.handle(at(0), Event::Start);
        run.handle(
            at(1),
            Event::Failed {
                key: key("p", "n1"),
                failure: Failure::new("x"),
            },
        );
        store(&mut run, 2, &key("p", "n1"));
        assert_eq!(run.stored(), [key("p", "n1")]);
        run.handle(
            at(3),
            Event::Failed {
                key: key("p", "n1"),
                failure: Failure::new("late"),
            },
        );
        assert_eq!(run.stored(), [key("p", "n1")]);
    }

    #[test]
    fn a_result_on_its_way_goes_before_a_finding() {
        let failed = || Event::Failed {
            key: key("p", "n1"),
            failure: Failure::new("exit code 1"),
        };
        let mut run = Run::new(vec![plan("p", 0, &["n1"])]);
        run.handle(at(0), Event::Start);
        let ticket = run.begin(&key("p", "n1")).unwrap();
        assert_eq!(run.handle(at(1), failed()), []);
        assert_eq!(run.claim(&ticket), Claim::Granted);
        run.finish(at(2), &ticket, Outcome::Stored);
        assert_eq!(run.stored(), [key("p", "n1")]);

        let mut run = Run::new(vec![plan("p", 0, &["n1"])]);
        run.handle(at(0), Event::Start);
        let ticket = run.begin(&key("p", "n1")).unwrap();
        assert_eq!(run.handle(at(1), failed()), []);
        assert_eq!(
            run.finish(at(2), &ticket, Outcome::Aborted).first(),
            Some(&Effect::RecordError {
                key: key("p", "n1"),
                failure: Failure::new("exit code 1")
            })
        );

        let mut run = Run::new(vec![plan("p", 0, &["n1"])]);
        run.handle(at(0), Event::Start);
        let _still_sending = run.begin(&key("p", "n1")).unwrap();
        assert_eq!(
            run.handle(at(10), Event::Tick).first(),
            Some(&Effect::RecordError {
                key: key("p", "n1"),
                failure: Failure::new(TIMEOUT_MESSAGE)
            })
        );
    }

    #[test]
    fn a_result_that_is_being_put_in_place_is_not_timed_out() {
        let mut run = Run::new(vec![plan("p", 0, &["n1"])]);
        run.handle(at(0), Event::Start);
        let ticket = run.begin(&key("p", "n1")).unwrap();
        assert_eq!(run.claim(&ticket), Claim::Granted);
        assert_eq!(run.handle(at(10), Event::Tick), []);
        assert_eq!(run.next_deadline(), Some(at(11)));
        run.finish(at(11), &ticket, Outcome::Stored);
        assert_eq!(run.stored(), [key("p", "n1")]);
    }

    #[test]
    fn nothing_is_taken_once_the_archive_is_being_made() {
        let mut run = Run::new(vec![plan("p", 0, &["n1"])]);
        run.handle(at(0), Event::Start);
        let late = run.begin(&key("p", "n1")).unwrap();
        run.handle(at(10), Event::Tick);
        assert_eq!(run.claim(&late), Claim::AlreadyReceived);
        assert_eq!(
            run.begin(&key("p", "n1")),
            Err(Refusal::AlreadyReceived(key("p", "n1")))
        );
        assert_eq!(run.begin(&key("q", "n1")), Err(Refusal::Unexpected("q/n1".to_owned())));
    }

    #[test]
    fn plugins_without_nodes_are_settled_at_once() {
        let mut run = Run::new(vec![plan("none", 0, &[]), plan("p", 1, &["global"])]);
        assert_eq!(run.handle(at(0), Event::Start), [launch("p", 10), Effect::Publish]);
        let mut nothing = Run::new(Vec::new());
        assert_eq!(nothing.handle(at(0), Event::Start), [Effect::Publish, Effect::Finish]);
    }

    #[test]
    fn the_status_tells_everything() {
        let mut run = Run::new(vec![plan("p", 0, &["n1", "n2"])]);
        run.handle(at(0), Event::Start);
        store(&mut run, 1, &key("p", "n1"));
        let update = ProgressUpdate {
            msg: "half".to_owned(),
            ..ProgressUpdate::default()
        };
        run.handle(
            at(2),
            Event::Progress {
                key: key("p", "n2"),
                update: update.clone(),
            },
        );
        run.handle(
            at(3),
            Event::Failed {
                key: key("p", "n2"),
                failure: Failure::new("x"),
            },
        );
        let counts = BTreeMap::from([("passed".to_owned(), 2)]);
        run.handle(
            at(4),
            Event::Processed {
                key: key("p", "n1"),
                status: "passed".to_owned(),
                counts: counts.clone(),
            },
        );
        let archive = TarInfo {
            name: "a.tar.gz".to_owned(),
            created: at(5),
            sha256: "ab".to_owned(),
            size: 7,
        };
        run.handle(at(5), Event::Sealed(archive.clone()));
        let row = |node: &str, status: &str| PluginStatus {
            plugin: "p".to_owned(),
            node: node.to_owned(),
            status: status.to_owned(),
            ..PluginStatus::default()
        };
        assert_eq!(
            run.status(),
            RunStatus {
                plugins: Some(vec![
                    PluginStatus {
                        result_status: "passed".to_owned(),
                        result_counts: Some(counts),
                        ..row("n1", "complete")
                    },
                    PluginStatus {
                        progress: Some(update),
                        ..row("n2", "failed")
                    },
                ]),
                status: OverallStatus::Complete,
                tarball: archive,
            }
        );
    }
}
