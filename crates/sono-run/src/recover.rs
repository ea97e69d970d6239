//! Recovery of a run that another process started.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sono_types::{OverallStatus, PluginName, ProgressUpdate, ResultKey};

use super::{
    checkpoint::Takeover,
    event::{Effect, Failure, PluginPlan, RunPolicy},
    ledger::State,
    machine::{Deadline, Phase, Run},
    progress::Progress,
    record::Record,
};

/// Time for workers to send a retained result again after a takeover, counted from the takeover and then from the previous result:
/// they query every minute at least, and a new address takes time to spread.
const RECOLLECTION_LIMIT: SignedDuration = SignedDuration::from_mins(10);
/// Time for a running worker after a takeover, even if its plugin has failed.
const TAKEOVER_GRACE: SignedDuration = SignedDuration::from_mins(30);

impl Run {
    /// The run after replaying the records, in the order in which they were written. [`Run::resume`] returns its next effects.
    pub fn recover<'a>(
        plans: Vec<PluginPlan>,
        policy: RunPolicy,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Self {
        let mut run = Self::new(plans, policy);
        for record in records {
            run.replay(record);
        }
        run.recount();
        run
    }

    /// The latest progress of plugins.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Restores progress received by an earlier process. Ignored if the result is not expected.
    pub fn restore_progress(&mut self, key: ResultKey, update: ProgressUpdate) {
        if self.ledger.state(&key).is_some() {
            self.progress.restore(key, update);
        }
    }

    fn replay(&mut self, record: &Record) {
        match record {
            // The plans already contain the identity.
            Record::Started(_) => {}
            Record::Launching { plugin, deadline } => {
                self.start();
                self.launched.insert(plugin.clone());
                if let Some(deadline) = deadline {
                    self.deadlines.insert(plugin.clone(), Deadline::new(*deadline));
                }
            }
            Record::Launched { plugin } => {
                self.created.insert(plugin.clone());
            }
            Record::TargetDiscovered { key } => {
                self.add(key);
            }
            Record::DiscoveryEnded { plugin } => {
                self.discovering.remove(plugin);
            }
            Record::Stored { key } | Record::StoredInJournal { key, .. } => {
                self.failures.remove(key);
                self.ledger.restore(key, State::Stored);
            }
            Record::Failed { key, failure } => {
                self.reasons.insert(key.clone(), failure.reason());
                self.failures.insert(key.clone(), failure.clone());
                self.ledger.restore(key, State::Failed);
            }
            Record::TakenOver { at, ended } => self.take_over(*at, ended),
            // Ownership does not concern the state machine.
            Record::Owned { .. } => {}
            Record::Finishing => {
                self.phase = Phase::Finishing;
            }
            Record::Processing { plugin } => {
                self.unprocessed.insert(plugin.clone());
            }
            Record::Processed { plugins } => self.unprocessed.retain(|plugin| !plugins.contains(plugin)),
            Record::Sealed { status } => {
                self.phase = match status.status {
                    OverallStatus::Complete => Phase::Sealed,
                    _ => Phase::Failed,
                };
                self.archive = status.tarball.clone();
            }
        }
    }

    /// Extends the time limits of launched plugins, so that workers can send their retained results again.
    fn take_over(&mut self, at: Timestamp, ended: &BTreeSet<PluginName>) {
        let until = at.checked_add(RECOLLECTION_LIMIT).unwrap_or(at);
        for plugin in &self.launched {
            let deadline = self.deadlines.get(plugin).map(Deadline::due);
            if ended.contains(plugin) || deadline.is_some_and(|deadline| deadline < until) {
                self.deadlines.insert(plugin.clone(), Deadline::new(until));
            }
        }
        self.takeover = Some(Takeover {
            at,
            ended: ended.clone(),
            launched: self.launched.clone(),
        });
    }

    /// Extends the time limit of a plugin after each result that arrives after a takeover.
    pub(super) fn extend_deadline(&mut self, at: Timestamp, plugin: &PluginName) {
        let Some(takeover) = &self.takeover else { return };
        let until = at.checked_add(RECOLLECTION_LIMIT).unwrap_or(at);
        let waits = takeover.launched.contains(plugin) && !self.is_done(plugin);
        if let Some(deadline) = self.deadlines.get_mut(plugin).filter(|_| waits)
            && deadline.due() < until
        {
            *deadline = Deadline::new(until);
        }
    }

    /// Until when a running worker of this plugin is given time even if its plugin has failed: it may have to send its result
    /// again.
    pub fn grace_until(&self, plugin: &PluginName) -> Option<Timestamp> {
        let takeover = self
            .takeover
            .as_ref()
            .filter(|takeover| takeover.launched.contains(plugin))?;
        takeover.at.checked_add(TAKEOVER_GRACE).ok()
    }

    /// Adds to a failure after a takeover that the previous process may have had the result.
    pub(super) fn explain(&self, plugin: &PluginName, failure: Failure) -> Failure {
        let Some(takeover) = self
            .takeover
            .as_ref()
            .filter(|takeover| takeover.launched.contains(plugin))
        else {
            return failure;
        };
        let Failure { message, details } = failure;
        // At the end: readers of archives recognize some failures by the start of their text.
        let came = if takeover.ended.contains(plugin) {
            "its result had been received, and was lost with the aggregator's pod"
        } else {
            "if its result was received before the aggregator's pod was replaced, it was lost with that pod"
        };
        let message = format!("{message} ({came})");
        Failure { message, details }
    }

    /// Plugins whose results ended an earlier process during post-processing.
    pub fn unprocessed(&self) -> &BTreeSet<PluginName> {
        &self.unprocessed
    }

    /// Plugins that were launched and are done.
    pub fn ended(&self) -> impl Iterator<Item = &PluginName> {
        self.launched.iter().filter(|plugin| self.is_done(plugin))
    }

    /// The effects after [`Run::recover`]: plugins whose creation was interrupted are created again (existing objects are used),
    /// created plugins are watched, errors are written again, and missed deadlines apply.
    pub fn resume(&mut self, at: Timestamp) -> Vec<Effect> {
        self.start();
        let mut effects: Vec<Effect> = std::mem::take(&mut self.failures)
            .into_iter()
            .map(|(key, failure)| Effect::RecordError { key, failure })
            .collect();
        if self.finishing() {
            effects.extend([Effect::Publish, Effect::Finish]);
            return effects;
        }
        // Time limits count from the start of the process, however late.
        for plugin in self.launched.clone() {
            self.extend_deadline(at, &plugin);
        }
        for plan in &self.plans {
            let plugin = &plan.plugin;
            if !self.launched.contains(plugin) || self.is_done(plugin) {
                continue;
            }
            let deadline = self.deadlines.get(plugin).map(Deadline::due);
            let plugin = plugin.clone();
            effects.push(if self.created.contains(&plugin) {
                Effect::Watch { plugin, deadline }
            } else {
                Effect::Launch { plugin, deadline }
            });
        }
        effects.extend(self.advance(at));
        effects
    }
}
