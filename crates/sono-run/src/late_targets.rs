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
        self.discovered.push(key.clone());
        self.ledger.expect(key.clone());
        *self.open.entry(key.plugin.clone()).or_default() += 1;
        true
    }

    /// The discovered results, in the order of their discovery.
    pub fn discovered(&self) -> &[ResultKey] {
        &self.discovered
    }

    /// Expects another result from now on, unless its plugin is settled.
    pub(super) fn discover(&mut self, key: ResultKey, effects: &mut Vec<Effect>) -> bool {
        let waits = self.launched.contains(&key.plugin) && !self.settled.contains(&key.plugin) && !self.finishing();
        let is_new = waits && self.add(&key);
        if is_new {
            effects.push(Effect::Record(Record::TargetDiscovered { key }));
        }
        is_new
    }

    /// Whether further targets of any plugin may be discovered.
    pub fn discovers_any(&self) -> bool {
        !self.discovering.is_empty()
    }

    /// Whether further targets of this plugin may be discovered.
    pub fn discovers_targets(&self, plugin: &PluginName) -> bool {
        self.discovering.contains(plugin)
    }

    /// Ends the discovery of a plugin's targets. If none was discovered, one result represents the whole plugin, so that its end
    /// can be recorded.
    pub(super) fn end_discovery(&mut self, plugin: &PluginName, effects: &mut Vec<Effect>) {
        if self.finishing() || !self.discovering.remove(plugin) {
            return;
        }
        let key = ResultKey::new(plugin.clone(), Target::Global);
        let is_empty = |plan: &super::PluginPlan| plan.plugin == *plugin && plan.expected.is_empty();
        if self.plans.iter().any(is_empty) && self.add(&key) {
            effects.push(Effect::Record(Record::TargetDiscovered { key }));
        }
        let plugin = plugin.clone();
        effects.push(Effect::Record(Record::DiscoveryEnded { plugin }));
    }
}
