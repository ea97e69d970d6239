//! Results that turn out to be expected while the plugin runs (weaknesses W-14 and W-52).

use sono_types::{PluginName, ResultKey, Target};

use super::{event::Effect, machine::Run, record::Record};

impl Run {
    /// Expects a result more. False where that changes nothing.
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

    /// The results that were not known from the start, in the order in which they turned up.
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

    /// Whether more results of any plugin may turn out to be expected.
    pub fn learns_any(&self) -> bool {
        !self.uncounted.is_empty()
    }

    /// Whether more results of this plugin may turn out to be expected.
    pub fn learns(&self, plugin: &PluginName) -> bool {
        self.uncounted.contains(plugin)
    }

    /// What is known of a plugin that learns its results is all there is. Where that is nothing, one result stands for
    /// the whole plugin, so that its end can be stated.
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
