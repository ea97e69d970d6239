//! Result trees: `plugins/<name>/sonobuoy_results.yaml`, and the files of `manual` plugins (core §6.1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One item of a result tree: a plugin, a node, a file, a suite or a test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Name of the item.
    pub name: String,
    /// `passed`, `failed`, `skipped`, `unknown`, `timeout`, or a custom status of the plugin.
    pub status: String,
    /// `file` (path below `plugins/<name>`), `type` (`summary`, `node`, `file`), `error`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    /// Details from the plugin: `failure`, `error`, `system-out`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, Value>,
    /// Child items. An item without children is a leaf; only leaves are counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Self>,
}

/// Defined statuses; any other text is a custom status of a plugin.
pub mod status {
    /// The test passed.
    pub const PASSED: &str = "passed";
    /// The test failed.
    pub const FAILED: &str = "failed";
    /// The test was deliberately not run.
    pub const SKIPPED: &str = "skipped";
    /// The verdict is not known.
    pub const UNKNOWN: &str = "unknown";
    /// The plugin timed out.
    pub const TIMEOUT: &str = "timeout";
}

/// Format of a plugin's result files (`result-format`). Unknown formats are raw, as in Sonobuoy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ResultFormat {
    /// Each file is one item.
    #[default]
    Raw,
    /// JUnit XML; `e2e` is an alias.
    Junit,
    /// Output of `go test -json`.
    GoJson,
    /// An [`Item`] tree written by the plugin.
    Manual,
}

impl ResultFormat {
    /// The format with this name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "junit" | "e2e" => Self::Junit,
            "gojson" => Self::GoJson,
            "manual" => Self::Manual,
            _ => Self::Raw,
        }
    }
}

impl Item {
    /// All leaves below the item, or the item itself if it has no children, depth first.
    pub fn leaves(&self) -> Vec<&Self> {
        if self.items.is_empty() {
            vec![self]
        } else {
            self.items.iter().flat_map(Self::leaves).collect()
        }
    }

    /// Number of leaves by status.
    pub fn status_counts(&self) -> BTreeMap<String, i64> {
        let mut counts = BTreeMap::new();
        for leaf in self.leaves() {
            *counts.entry(leaf.status.clone()).or_insert(0) += 1;
        }
        counts
    }

    /// The first item with this name, depth first, including this one.
    pub fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            Some(self)
        } else {
            self.items.iter().find_map(|item| item.find(name))
        }
    }
}
