//! Pods of plugins before they exist.

use serde_json::Value;
use sono_types::PluginName;

/// Pods of a plugin.
#[derive(Debug)]
pub(crate) struct PluginPod {
    pub(crate) plugin: PluginName,
    /// Plugins of one order run at the same time.
    pub(crate) order: i64,
    pub(crate) spec: Value,
}
