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

/// How long workers that kept their result have to begin to send it to an aggregator that took another's place, and then each from the
/// one before on: they ask every minute at the latest, and it may take a while until the new address is known everywhere.
const COLLECT_AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// How long a worker that still runs is waited for whatever has become of its plugin.
const PATIENCE: SignedDuration = SignedDuration::from_mins(30);

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

    /// What plugins last said of their progress.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Takes up what a plugin last said to an earlier process; of a result that is not expected nothing is kept.
    pub fn restore_progress(&mut self, key: ResultKey, update: ProgressUpdate) {
        if self.ledger.state(&key).is_some() {
            self.progress.restore(key, update);
        }
    }

    fn replay(&mut self, record: &Record) {
        match record {
            // Who the run is, is known from its plans.
            Record::Begun(_) => {}
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
            // Who may act is not for the run itself to know.
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

    /// Results come again from workers that kept them, which takes a moment; for those whose time was up meanwhile too.
    fn take_over(&mut self, at: Timestamp, ended: &BTreeSet<PluginName>) {
        let until = at.checked_add(COLLECT_AGAIN).unwrap_or(at);
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

    /// Results of plugins whose time is up, or that had ended, come for as long as any do.
    pub(super) fn collect_on(&mut self, at: Timestamp, plugin: &PluginName) {
        let Some(takeover) = &self.takeover else { return };
        let until = at.checked_add(COLLECT_AGAIN).unwrap_or(at);
        let waits = takeover.launched.contains(plugin) && !self.is_done(plugin);
        if let Some(deadline) = self.deadlines.get_mut(plugin).filter(|_| waits)
            && deadline.due() < until
        {
            *deadline = Deadline::new(until);
        }
    }

    /// Until when a worker of this plugin that still runs is waited for whatever has become of its plugin: it may have to
    /// send a result that it sent before.
    pub fn patient_until(&self, plugin: &PluginName) -> Option<Timestamp> {
        let takeover = self
            .takeover
            .as_ref()
            .filter(|takeover| takeover.launched.contains(plugin))?;
        takeover.at.checked_add(PATIENCE).ok()
    }

    /// A failure of a plugin that another process launched may be that of a result which that one had.
    pub(super) fn explain(&self, plugin: &PluginName, failure: Failure) -> Failure {
        let Some(takeover) = self
            .takeover
            .as_ref()
            .filter(|takeover| takeover.launched.contains(plugin))
        else {
            return failure;
        };
        let Failure { message, details } = failure;
        // At the end: readers of archives know some failures by how their text begins.
        let came = if takeover.ended.contains(plugin) {
            "its result had been received, and was lost with the aggregator's pod"
        } else {
            "if its result was received before the aggregator's pod was replaced, it was lost with that pod"
        };
        let message = format!("{message} ({came})");
        Failure { message, details }
    }

    /// Plugins whose results ended an earlier process while it read them.
    pub fn unprocessed(&self) -> &BTreeSet<PluginName> {
        &self.unprocessed
    }

    /// Plugins that were launched and of which nothing is waited for.
    pub fn ended(&self) -> impl Iterator<Item = &PluginName> {
        self.launched.iter().filter(|plugin| self.is_done(plugin))
    }

    /// What is to be done after [`Run::recover`]: plugins that were being started are started again (which finds what is
    /// there already), those that were started are watched, errors are written again, and what has been missed happens.
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
        // A process that starts late still has the whole of that time.
        for plugin in self.launched.clone() {
            self.collect_on(at, &plugin);
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
