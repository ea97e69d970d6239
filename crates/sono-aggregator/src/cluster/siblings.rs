//! The state of the containers next to workers, as the monitors of their plugins last saw it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use sono_kube::Text;
use sono_types::{ContainersState, PluginName, ResultKey, Target};

/// By plugin and node: one entry per watched pod.
#[derive(Debug, Default)]
pub(super) struct Siblings(Mutex<BTreeMap<PluginName, BTreeMap<Option<Text>, ContainersState>>>);

impl Siblings {
    /// Replaces all entries of a plugin.
    pub(super) fn set(&self, plugin: &PluginName, states: BTreeMap<Option<Text>, ContainersState>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(plugin.clone(), states);
    }

    /// The state of the containers next to the worker of that result. A plugin for the whole cluster has one pod, on any node.
    pub(super) fn of(&self, key: &ResultKey) -> ContainersState {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&key.plugin).and_then(|states| match &key.target {
            Target::Global => states.values().next().filter(|_| states.len() == 1),
            Target::Node(node) => states.get(&Some(Text::from(node.as_str()))),
        });
        found.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_gets_the_state_of_its_own_pod_only() {
        let plugin = |name: &str| PluginName::parse(name).unwrap();
        let key = |name: &str, target: &str| ResultKey::new(plugin(name), Target::parse(target).unwrap());
        let node = |name: &str| Some(Text::from(name));
        let siblings = Siblings::default();
        siblings.set(
            &plugin("job"),
            BTreeMap::from([(node("n1"), ContainersState::Succeeded)]),
        );
        siblings.set(
            &plugin("set"),
            BTreeMap::from([
                (node("n1"), ContainersState::Running),
                (node("n2"), ContainersState::Failed),
            ]),
        );
        for (asked, expected) in [
            (key("job", "global"), ContainersState::Succeeded),
            (key("set", "n1"), ContainersState::Running),
            (key("set", "n2"), ContainersState::Failed),
            (key("set", "n3"), ContainersState::Unknown),
            (key("set", "global"), ContainersState::Unknown),
            (key("other", "global"), ContainersState::Unknown),
        ] {
            assert_eq!(siblings.of(&asked), expected, "{asked}");
        }
        siblings.set(&plugin("job"), BTreeMap::new());
        assert_eq!(siblings.of(&key("job", "global")), ContainersState::Unknown);
    }
}
