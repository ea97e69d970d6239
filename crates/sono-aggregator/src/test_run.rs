//! A run for unit tests.

use sono_run::{Plan, Policy, Run};
use sono_types::{PluginName, ResultKey, Target};

/// A run of the plugin `p` that expects one result, of which the key is returned. `learns`: further targets may follow.
pub(crate) fn run_of_one_result(learns: bool) -> (Run, ResultKey) {
    let key = ResultKey::new(PluginName::parse("p").unwrap(), Target::Global);
    let plan = Plan {
        plugin: key.plugin.clone(),
        order: 0,
        expected: vec![key.clone()],
        timeout: None,
        learns,
    };
    (Run::new(vec![plan], Policy::default()), key)
}
