//! The tree of results: `plugins/<name>/sonobuoy_results.yaml`, and what a `manual` plugin writes (core spec §6.1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One node of the tree of results: a plugin, a node, a file, a suite or a test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// What it is called.
    pub name: String,
    /// `passed`, `failed`, `skipped`, `unknown`, `timeout`, or whatever the plugin says.
    pub status: String,
    /// `file` (path below `plugins/<name>`), `type` (`summary`, `node`, `file`), `error`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    /// Whatever the plugin adds: `failure`, `error`, `system-out`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, Value>,
    /// Children; an item without any is a leaf, and only leaves are counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Self>,
}

/// Statuses with a meaning; any other text is a plugin's own.
pub mod status {
    /// The test passed.
    pub const PASSED: &str = "passed";
    /// The test failed.
    pub const FAILED: &str = "failed";
    /// The test was not run on purpose.
    pub const SKIPPED: &str = "skipped";
    /// Nothing can be said.
    pub const UNKNOWN: &str = "unknown";
    /// The plugin's time was up.
    pub const TIMEOUT: &str = "timeout";
}

/// How a plugin's files are read (`result-format`). Anything unknown is raw, as in Sonobuoy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ResultFormat {
    /// Every file is an item of its own.
    #[default]
    Raw,
    /// JUnit XML; `e2e` is an alias.
    Junit,
    /// The stream of `go test -json`.
    GoJson,
    /// An [`Item`] tree written by the plugin.
    Manual,
}

impl ResultFormat {
    /// The format that `result-format` names.
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
    /// All leaves below (or the item itself when it has no children), depth first.
    pub fn leaves(&self) -> Vec<&Self> {
        if self.items.is_empty() {
            vec![self]
        } else {
            self.items.iter().flat_map(Self::leaves).collect()
        }
    }

    /// How many leaves have each status.
    pub fn status_counts(&self) -> BTreeMap<String, i64> {
        let mut counts = BTreeMap::new();
        for leaf in self.leaves() {
            *counts.entry(leaf.status.clone()).or_insert(0) += 1;
        }
        counts
    }

    /// The first item of that name, depth first, this one included.
    pub fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            Some(self)
        } else {
            self.items.iter().find_map(|item| item.find(name))
        }
    }
}
