//! Targets that are discovered while a plugin runs (weaknesses W-14 and W-52).

use sono_types::{PluginName, ResultKey, Target};

use super::{event::Effect, machine::Run, record::Record};

impl Run {
    /// Expects another result. False if that changes nothing.
    pub(super) fn add(&mut self, key: &ResultKey) -> bool {
        let Some(plan) = self.plans.iter_mut().find(|plan| plan.plugin == key.plugin) else {
            return false;
        };
        if self.ledger.state(key).is_some() {
            return false;
        }
        plan.expected.push(key.clone());
        self.joined.push(key.clone());
        self.ledger.expect(key.clone());
        *self.open.entry(key.plugin.clone()).or_default() += 1;
        true
    }

    /// The results that were not known from the start, in the order of their discovery.
    pub fn joined(&self) -> &[ResultKey] {
        &self.joined
    }

    /// Expects another result from now on, unless its plugin is settled.
    pub(super) fn join(&mut self, key: ResultKey, effects: &mut Vec<Effect>) -> bool {
        let waits = self.launched.contains(&key.plugin) && !self.settled.contains(&key.plugin) && !self.finishing();
        let joins = waits && self.add(&key);
        if joins {
            effects.push(Effect::Record(Record::Expected { key }));
        }
        joins
    }

    /// Whether more results of any plugin may be discovered.
    pub fn learns_any(&self) -> bool {
        !self.uncounted.is_empty()
    }

    /// Whether more results of this plugin may be discovered.
    pub fn learns(&self, plugin: &PluginName) -> bool {
        self.uncounted.contains(plugin)
    }

    /// Ends the discovery of a plugin's targets. If none were found, one result stands for the whole plugin, so that its end can
    /// be recorded.
    pub(super) fn stop_learning(&mut self, plugin: &PluginName, effects: &mut Vec<Effect>) {
        if self.finishing() || !self.uncounted.remove(plugin) {
            return;
        }
        let key = ResultKey::new(plugin.clone(), Target::Global);
        let is_empty = |plan: &super::Plan| plan.plugin == *plugin && plan.expected.is_empty();
        if self.plans.iter().any(is_empty) && self.add(&key) {
            effects.push(Effect::Record(Record::Expected { key }));
        }
        let plugin = plugin.clone();
        effects.push(Effect::Record(Record::Counted { plugin }));
    }
}
