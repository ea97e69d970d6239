//! Order groups: which plugins start next, and when the collection of results ends.

use jiff::{SignedDuration, Timestamp};
use sono_types::PluginName;

use super::{Deadline, Phase, Run};
use crate::{
    event::{Effect, Failure, PluginPlan},
    ledger::State,
    record::Record,
};

impl Run {
    /// Settles plugins whose results are settled, starts the next group when the previous one is settled, and ends the
    /// collection of results after the last group.
    pub(crate) fn advance(&mut self, at: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.phase != Phase::Running {
            effects.push(Effect::Publish);
            return effects;
        }
        for plan in &self.plans {
            let done = self.is_done(&plan.plugin);
            if done && self.launched.contains(&plan.plugin) && self.settled.insert(plan.plugin.clone()) {
                self.deadlines.remove(&plan.plugin);
                effects.push(Effect::StopMonitor(plan.plugin.clone()));
                let is_failed = |key| self.ledger.state(key) == Some(&State::Failed);
                if self.failed.is_none() && plan.expected.iter().any(is_failed) {
                    self.failed = Some(plan.plugin.clone());
                }
            }
        }
        self.stop_after_failure(&mut effects);
        loop {
            let open = |plan: &&PluginPlan| !self.settled.contains(&plan.plugin);
            let Some(order) = self.plans.iter().find(open).map(|plan| plan.order) else {
                self.phase = Phase::Finishing;
                effects.extend([Effect::Record(Record::Finishing), Effect::Publish, Effect::Finish]);
                return effects;
            };
            let mut waits = false;
            for plan in self.plans.iter().filter(|plan| plan.order == order) {
                if self.settled.contains(&plan.plugin) {
                    continue;
                }
                if self.is_done(&plan.plugin) {
                    // No node matches, or the plugin is not to be started.
                    self.settled.insert(plan.plugin.clone());
                    continue;
                }
                waits = true;
                if self.launched.insert(plan.plugin.clone()) {
                    let deadline = plan
                        .timeout
                        .and_then(|timeout| SignedDuration::try_from(timeout).ok())
                        .and_then(|timeout| at.checked_add(timeout).ok());
                    if let Some(deadline) = deadline {
                        self.deadlines.insert(plan.plugin.clone(), Deadline::new(deadline));
                    }
                    let plugin = plan.plugin.clone();
                    effects.push(Effect::Record(Record::Launching {
                        plugin: plugin.clone(),
                        deadline,
                    }));
                    effects.push(Effect::Launch { plugin, deadline });
                }
            }
            if waits {
                effects.push(Effect::Publish);
                return effects;
            }
        }
    }

    /// With `stop_on_failure`: fails all plugins that were not started, once a plugin ended without a result.
    fn stop_after_failure(&mut self, effects: &mut Vec<Effect>) {
        let Some(first) = self.failed.clone().filter(|_| self.policy.stop_on_failure) else {
            return;
        };
        let never: Vec<PluginName> = self
            .plans
            .iter()
            .map(|plan| &plan.plugin)
            .filter(|plugin| !self.launched.contains(plugin) && !self.settled.contains(plugin))
            .cloned()
            .collect();
        let message = format!("not started, because plugin {first} failed and StopOnFailure is set");
        for plugin in never {
            self.end_discovery(&plugin, effects);
            for key in self.waiting_for(&plugin) {
                self.fail(&key, Failure::new(message.as_str()), effects);
            }
        }
    }
}
