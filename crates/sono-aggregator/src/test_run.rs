//! A run for unit tests.

use sono_run::{PluginPlan, Run, RunPolicy};
use sono_types::{PluginName, ResultKey, Target};

/// A run of the plugin `p` that expects one result, of which the key is returned. `discovers_targets`: further targets may follow.
pub(crate) fn run_of_one_result(discovers_targets: bool) -> (Run, ResultKey) {
    let key = ResultKey::new(PluginName::parse("p").unwrap(), Target::Global);
    let plan = PluginPlan {
        plugin: key.plugin.clone(),
        order: 0,
        expected: vec![key.clone()],
        timeout: None,
        discovers_targets,
    };
    (Run::new(vec![plan], RunPolicy::default()), key)
}
