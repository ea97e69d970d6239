//! Taking up a run that another process began.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sono_types::{OverallStatus, ProgressUpdate, ResultKey};

use super::{
    event::{Effect, Plan, Policy},
    ledger::State,
    machine::{Deadline, Run},
    record::Record,
};

impl Run {
    /// The run as the records leave it, in the order in which they were written. [`Run::resume`] then goes on.
    pub fn recover<'a>(plans: Vec<Plan>, policy: Policy, records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut run = Self::new(plans, policy);
        for record in records {
            run.replay(record);
        }
        run.recount();
        run
    }

    /// What plugins last said of their progress.
    pub fn progress(&self) -> &BTreeMap<ResultKey, ProgressUpdate> {
        &self.progress
    }

    /// Takes up what plugins last said; of results that nobody expects nothing is kept.
    pub fn restore_progress(&mut self, progress: BTreeMap<ResultKey, ProgressUpdate>) {
        let expected = progress.into_iter().filter(|(key, _)| self.ledger.state(key).is_some());
        self.progress = expected.collect();
    }

    fn replay(&mut self, record: &Record) {
        match record {
            // Who the run is, is known from its plans.
            Record::Begun(_) => {}
            Record::Launching { plugin, deadline } => {
                self.started = true;
                self.launched.insert(plugin.clone());
                if let Some(deadline) = deadline {
                    self.deadlines.insert(plugin.clone(), Deadline::new(*deadline));
                }
            }
            Record::Launched { plugin } => {
                self.created.insert(plugin.clone());
            }
            Record::Expected { key } => {
                self.add(key);
            }
            Record::Counted { plugin } => {
                self.uncounted.remove(plugin);
            }
            Record::Stored { key } | Record::Kept { key, .. } => {
                self.failures.remove(key);
                self.ledger.restore(key, State::Stored);
            }
            Record::Failed { key, failure } => {
                self.reasons.insert(key.clone(), failure.reason());
                self.failures.insert(key.clone(), failure.clone());
                self.ledger.restore(key, State::Failed);
            }
            Record::Finishing => {
                self.started = true;
                self.overall = OverallStatus::PostProcessing;
            }
            Record::Sealed { status } => {
                self.overall = status.status.clone();
                self.archive = status.tarball.clone();
            }
        }
    }

    /// What is to be done after [`Run::recover`]: plugins that were being started are started again (which finds what is
    /// there already), those that were started are watched, errors are written again, and what has been missed happens.
    pub fn resume(&mut self, at: Timestamp) -> Vec<Effect> {
        self.started = true;
        let mut effects: Vec<Effect> = std::mem::take(&mut self.failures)
            .into_iter()
            .map(|(key, failure)| Effect::RecordError { key, failure })
            .collect();
        if self.finishing() {
            effects.extend([Effect::Publish, Effect::Finish]);
            return effects;
        }
        for plan in &self.plans {
            let plugin = &plan.plugin;
            if !self.launched.contains(plugin) || self.is_done(plugin) {
                continue;
            }
            let deadline = self.deadlines.get(plugin).map(Deadline::due);
            let plugin = plugin.clone();
            effects.push(if self.created.contains(&plugin) {
                Effect::Adopt { plugin, deadline }
            } else {
                Effect::Launch { plugin, deadline }
            });
        }
        effects.extend(self.advance(at));
        effects
    }
}
