//! The state machine: phases, uploads and time limits, on top of the ledger.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sono_types::{
    OverallStatus, PluginName, ResultKey, TarInfo,
    constants::{LAST_SEEN, TIMEOUT_MESSAGE},
};

use super::{
    checkpoint::Takeover,
    event::{Effect, Event, Failure, PluginPlan, RunPolicy},
    ledger::{CommitDecision, Ledger, Refusal, State, Stored, Ticket, UploadOutcome},
    progress::Progress,
    record::{NotRecorded, Record},
};

/// Extension of a time limit while a complete result is being committed; repeated until the commit ends.
const COMMIT_EXTENSION: SignedDuration = SignedDuration::from_secs(1);
/// Maximum extension: a disk that hangs must not block the run.
const MAX_COMMIT_EXTENSION: SignedDuration = SignedDuration::from_mins(2);

/// The time limit of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline {
    /// When the time limit expires.
    due: Timestamp,
    /// When results that are still being committed fail as well.
    last: Timestamp,
}

impl Deadline {
    pub(super) fn new(due: Timestamp) -> Self {
        let last = due.checked_add(MAX_COMMIT_EXTENSION).unwrap_or(due);
        Self { due, last }
    }

    pub(super) fn due(&self) -> Timestamp {
        self.due
    }
}

/// The state of a result, for a worker that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultState {
    /// It is stored, or will no longer be accepted.
    Result,
    /// It failed; a result would replace the error.
    Error,
    /// Neither stored nor failed.
    Missing,
}

/// The phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is started yet.
    Starting,
    /// Plugins run, and their results are collected.
    Running,
    /// All results are settled, and the archive is being written.
    Finishing,
    /// The archive is on disk.
    Sealed,
    /// There will be no archive.
    Failed,
}

/// For each plugin the nodes that it leaves out, by the taint that it does not tolerate.
pub type LeftOutNodes = BTreeMap<PluginName, BTreeMap<String, Vec<String>>>;

/// One run.
#[derive(Debug, PartialEq)]
pub struct Run {
    pub(super) plans: Vec<PluginPlan>,
    policy: RunPolicy,
    pub(super) ledger: Ledger,
    /// The number of pending results of each plugin.
    pub(super) open: BTreeMap<PluginName, usize>,
    /// Plugins whose targets are still being discovered.
    pub(super) discovering: BTreeSet<PluginName>,
    /// Results that were discovered while the run was in progress.
    pub(super) discovered: Vec<ResultKey>,
    pub(super) progress: Progress,
    /// Status and counts of results after post-processing.
    pub(super) summaries: BTreeMap<ResultKey, (String, BTreeMap<String, i64>)>,
    /// Failures of results whose body is being received: the body takes precedence.
    deferred: BTreeMap<ResultKey, Failure>,
    /// The last known state of pending results, shortly before the time limit of their plugin.
    last_seen: BTreeMap<ResultKey, String>,
    pub(super) launched: BTreeSet<PluginName>,
    /// Plugins whose objects exist.
    pub(super) created: BTreeSet<PluginName>,
    pub(super) settled: BTreeSet<PluginName>,
    /// The first plugin that ended without some result.
    failed: Option<PluginName>,
    pub(super) deadlines: BTreeMap<PluginName, Deadline>,
    /// Errors recorded by an earlier process, whose files have to be written again.
    pub(super) failures: BTreeMap<ResultKey, Failure>,
    /// The message of each failure, for the status: its details may contain a whole pod.
    pub(super) reasons: BTreeMap<ResultKey, String>,
    timed_out: bool,
    /// Nodes without an expected result.
    pub(super) left_out: LeftOutNodes,
    pub(super) phase: Phase,
    pub(super) archive: TarInfo,
    /// Plugins whose results an earlier process was reading when it ended.
    pub(super) unprocessed: BTreeSet<PluginName>,
    /// The takeover by which this process lost the results of another one.
    pub(super) takeover: Option<Takeover>,
}

impl Run {
    /// A run that has not started. Plugins start in the order of (order, name).
    pub fn new(mut plans: Vec<PluginPlan>, policy: RunPolicy) -> Self {
        plans.sort_by(|left, right| (left.order, &left.plugin).cmp(&(right.order, &right.plugin)));
        let mut ledger = Ledger::new(policy.store_tries);
        for key in plans.iter().flat_map(|plan| &plan.expected) {
            ledger.expect(key.clone());
        }
        let discovering = plans.iter().filter(|plan| plan.discovers_targets);
        let discovering = discovering.map(|plan| plan.plugin.clone()).collect();
        let mut run = Self {
            plans,
            policy,
            ledger,
            open: BTreeMap::new(),
            discovering,
            discovered: Vec::new(),
            progress: Progress::default(),
            summaries: BTreeMap::new(),
            deferred: BTreeMap::new(),
            last_seen: BTreeMap::new(),
            launched: BTreeSet::new(),
            created: BTreeSet::new(),
            settled: BTreeSet::new(),
            failed: None,
            deadlines: BTreeMap::new(),
            failures: BTreeMap::new(),
            reasons: BTreeMap::new(),
            timed_out: false,
            phase: Phase::Starting,
            left_out: LeftOutNodes::new(),
            archive: TarInfo::default(),
            unprocessed: BTreeSet::new(),
            takeover: None,
        };
        run.recount();
        run
    }

    /// The first request of an upload: whether this result may be sent.
    pub fn begin(&mut self, key: &ResultKey) -> Result<Ticket, Refusal> {
        match self.ledger.state(key) {
            // The archive is being made; a result that arrives now would be lost without notice.
            Some(State::Waiting | State::Failed) if self.finishing() => Err(Refusal::TooLate(key.clone())),
            _ => self.ledger.begin(key),
        }
    }

    /// The second request of an upload, with a complete body: whether it may be committed now.
    pub fn request_commit(&mut self, ticket: &Ticket) -> CommitDecision {
        match self.ledger.state(ticket.key()) {
            Some(State::Waiting | State::Failed) if self.finishing() => CommitDecision::TooLate,
            _ => self.ledger.request_commit(ticket),
        }
    }

    /// The last request of an upload: its outcome.
    pub fn finish(&mut self, at: Timestamp, ticket: &Ticket, outcome: UploadOutcome) -> Vec<Effect> {
        if self.finishing() {
            // The archive is being made without it.
            return Vec::new();
        }
        let key = ticket.key();
        let waited = !self.ledger.settled(key);
        let changed = self.ledger.finish(ticket, &outcome);
        if !changed {
            if let UploadOutcome::Refused(reason) | UploadOutcome::Reported(reason) = outcome
                && waited
            {
                // Another request is committing this result; this outcome counts only if that one fails.
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
        if waited {
            self.count_down(key);
        }
        self.extend_deadline(at, &key.plugin);
        let mut effects = Vec::new();
        match outcome {
            UploadOutcome::Stored(stored) => {
                let key = key.clone();
                effects.push(Effect::Record(match stored {
                    Stored::InPlace => Record::Stored { key },
                    Stored::InJournal(body) => Record::StoredInJournal { key, body },
                }));
            }
            UploadOutcome::Refused(reason) | UploadOutcome::Reported(reason) | UploadOutcome::Unstored(reason) => {
                self.note_error(key, Failure::new(reason), &mut effects);
            }
            UploadOutcome::Aborted => {}
        }
        effects.extend(self.advance(at));
        effects
    }

    /// Handles one event, and returns the effects to carry out.
    pub fn handle(&mut self, at: Timestamp, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Start => self.start(),
            Event::Launched { plugin } => {
                if self.created.insert(plugin.clone()) {
                    effects.push(Effect::Record(Record::Launched { plugin }));
                }
                return effects;
            }
            Event::LaunchFailed { plugin, failure } => {
                self.end_discovery(&plugin, &mut effects);
                for key in self.waiting_for(&plugin) {
                    self.fail(&key, failure.clone(), &mut effects);
                }
            }
            Event::TargetDiscovered { key } => {
                if !self.discover(key, &mut effects) {
                    return effects;
                }
            }
            Event::DiscoveryEnded { plugin } => {
                if !self.discovering.remove(&plugin) {
                    return effects;
                }
                effects.push(Effect::Record(Record::DiscoveryEnded { plugin }));
            }
            Event::Failed { key, failure } if self.ledger.receiving(&key) && !self.ledger.settled(&key) => {
                // A plugin may fail while its result is being uploaded. Its time limit still applies.
                self.deferred.insert(key, failure);
                return effects;
            }
            Event::Failed { key, failure } => self.fail(&key, failure, &mut effects),
            Event::LastSeen(seen) => {
                self.last_seen.extend(seen);
                return effects;
            }
            Event::Progress { key, update } => {
                self.progress.fold(key, update);
                effects.push(Effect::Progressed);
            }
            Event::Tick => {
                self.time_out(at, &mut effects);
                if effects.is_empty() {
                    return effects;
                }
            }
            Event::Processed { plugins } => return vec![Effect::Record(Record::Processed { plugins })],
            Event::Summarized(results) => {
                let results = results.into_iter();
                self.summaries
                    .extend(results.map(|result| (result.key, (result.status, result.counts))));
            }
            Event::Packed(archive) => {
                self.archive = archive;
                self.phase = Phase::Sealed;
                let status = self.status();
                return vec![Effect::Commit(Record::Sealed { status })];
            }
            Event::Committed(committed) => return self.close(committed),
            Event::Broken => {
                self.phase = Phase::Failed;
                return vec![Effect::Flush, Effect::Show(self.status()), Effect::End];
            }
        }
        effects.extend(self.advance(at));
        effects
    }

    /// The first plugins may be started.
    pub(super) fn start(&mut self) {
        if self.phase == Phase::Starting {
            self.phase = Phase::Running;
        }
    }

    /// The last effects of a run whose archive is sealed, in the order in which they are safe.
    fn close(&self, committed: Result<(), NotRecorded>) -> Vec<Effect> {
        let released = self.policy.checkpointed.then_some(Effect::Release);
        let removed = match committed {
            Ok(()) => Effect::RemoveResults,
            Err(reason) => Effect::KeepResults(reason),
        };
        let last = [
            Effect::Serve(self.archive.clone()),
            Effect::Show(self.status()),
            removed,
            Effect::End,
        ];
        released.into_iter().chain(last).collect()
    }

    fn time_out(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        let due: Vec<(PluginName, Deadline)> = self
            .deadlines
            .iter()
            .filter(|(_, deadline)| deadline.due <= at)
            .map(|(plugin, deadline)| (plugin.clone(), *deadline))
            .collect();
        for (plugin, deadline) in due {
            self.deadlines.remove(&plugin);
            self.end_discovery(&plugin, effects);
            for key in self.waiting_for(&plugin) {
                if self.ledger.committing(&key) && at < deadline.last {
                    // The body is complete: waiting for its commit costs a second and saves the result.
                    let soon = at.checked_add(COMMIT_EXTENSION).unwrap_or(at).min(deadline.last);
                    let again = Deadline { due: soon, ..deadline };
                    self.deadlines.insert(plugin.clone(), again);
                    continue;
                }
                self.timed_out = true;
                // The details follow: readers of archives recognize a time limit by the start of the text.
                let message = match self.last_seen.remove(&key) {
                    Some(seen) => format!("{TIMEOUT_MESSAGE}{LAST_SEEN}{seen}."),
                    None => TIMEOUT_MESSAGE.to_owned(),
                };
                self.fail(&key, Failure::new(message), effects);
            }
        }
    }

    /// When [`Event::Tick`] is due next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.values().map(Deadline::due).min()
    }

    /// Whether a result is expected under that key.
    pub fn expects(&self, key: &ResultKey) -> bool {
        self.ledger.state(key).is_some()
    }

    /// All expected results, in the status' order.
    pub fn expected(&self) -> impl Iterator<Item = &ResultKey> {
        self.plans.iter().flat_map(|plan| &plan.expected)
    }

    /// The answer to a worker that asks for the state of its result.
    pub fn result_state(&self, key: &ResultKey) -> Option<ResultState> {
        let state = self.ledger.state(key)?;
        Some(match state {
            State::Stored => ResultState::Result,
            // The archive is being made.
            _ if self.finishing() => ResultState::Result,
            State::Failed => ResultState::Error,
            State::Waiting => ResultState::Missing,
        })
    }

    /// Whether this result is stored.
    pub fn is_stored(&self, key: &ResultKey) -> bool {
        self.ledger.state(key) == Some(&State::Stored)
    }

    /// The results that are stored.
    pub fn stored(&self) -> Vec<ResultKey> {
        self.expected().filter(|key| self.is_stored(key)).cloned().collect()
    }

    /// Whether a result failed because of its plugin's time limit.
    pub fn timed_out(&self) -> bool {
        self.timed_out
    }

    /// The phase of the run.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The phase in the terms of the status.
    pub(super) fn overall(&self) -> OverallStatus {
        match self.phase {
            Phase::Starting | Phase::Running => OverallStatus::Running,
            Phase::Finishing => OverallStatus::PostProcessing,
            Phase::Sealed => OverallStatus::Complete,
            Phase::Failed => OverallStatus::Failed,
        }
    }

    pub(super) fn finishing(&self) -> bool {
        !matches!(self.phase, Phase::Starting | Phase::Running)
    }

    /// Whether all results of this plugin are settled and no further targets will be discovered.
    pub(super) fn is_done(&self, plugin: &PluginName) -> bool {
        let open = self.open.get(plugin).copied().unwrap_or_default();
        open == 0 && !self.discovering.contains(plugin)
    }

    /// Counts the pending results of each plugin from the ledger.
    pub(super) fn recount(&mut self) {
        let count = |plan: &PluginPlan| plan.expected.iter().filter(|key| !self.ledger.settled(key)).count();
        self.open = self
            .plans
            .iter()
            .map(|plan| (plan.plugin.clone(), count(plan)))
            .collect();
    }

    fn count_down(&mut self, key: &ResultKey) {
        if let Some(open) = self.open.get_mut(&key.plugin) {
            *open = open.saturating_sub(1);
        }
    }

    fn waiting_for(&self, plugin: &PluginName) -> Vec<ResultKey> {
        self.expected()
            .filter(|key| key.plugin == *plugin && !self.ledger.settled(key))
            .cloned()
            .collect()
    }

    fn fail(&mut self, key: &ResultKey, failure: Failure, effects: &mut Vec<Effect>) {
        if !self.finishing() && self.ledger.fail(key) {
            self.count_down(key);
            let failure = self.explain(&key.plugin, failure);
            self.note_error(key, failure, effects);
        }
    }

    fn note_error(&mut self, key: &ResultKey, failure: Failure, effects: &mut Vec<Effect>) {
        self.reasons.insert(key.clone(), failure.reason());
        effects.push(Effect::Record(Record::Failed {
            key: key.clone(),
            failure: failure.for_record(),
        }));
        effects.push(Effect::RecordError {
            key: key.clone(),
            failure,
        });
    }
}

mod groups;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
