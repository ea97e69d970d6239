//! Limits of post-processing. Files of plugins are untrusted and are read in the process that holds all results.

use sono_types::{
    limits::{PLUGIN_ITEMS, PLUGIN_TREE_BYTES, RUN_ITEMS, RUN_TREE_BYTES},
    yaml,
};

/// Maximum size of a result file in bytes. The largest JUnit files of conformance runs have about 10 MB.
pub(crate) const FILE_BYTES: u64 = 64 << 20;
/// Maximum size of an `error.json` in bytes.
pub(crate) const ERROR_BYTES: u64 = 4 << 20;
/// Maximum number of items per file. The largest known suite has 7,100 tests.
pub(crate) const FILE_ITEMS: usize = 250_000;
/// Maximum size of all scalars of a plugin's YAML file in bytes; aliases count each time.
pub(crate) const FILE_SCALAR_BYTES: usize = 64 << 20;
/// Maximum nesting of maps and lists in one file's item. The root and node of the tree add four levels.
pub(crate) const FILE_DEPTH: usize = yaml::MAX_DEPTH - 4;
/// Maximum length of a custom status in bytes. It is a key of counts.
pub(crate) const STATUS_BYTES: usize = 256;
/// Maximum size of all statuses of one file in bytes, including items with children, which may list all statuses below
/// them.
pub(crate) const FILE_STATUS_BYTES: usize = 16 << 20;
/// Maximum number of different custom statuses per node or plugin; further ones are counted as [`OTHER`].
pub(crate) const STATUSES: usize = 100;
/// Replaces statuses beyond [`STATUSES`].
pub(crate) const OTHER: &str = "other";
/// Maximum number of listed problems per plugin.
pub(crate) const PROBLEMS: usize = 1_000;

/// Limits on the result trees of a plugin or a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeLimits {
    /// Number of items.
    pub items: u64,
    /// Size of the tree as JSON in bytes, slightly less than as YAML.
    pub bytes: u64,
}

impl TreeLimits {
    /// Limits of one plugin.
    pub const PLUGIN: Self = Self {
        items: PLUGIN_ITEMS,
        bytes: PLUGIN_TREE_BYTES,
    };
    /// Limits of all plugins of a run.
    pub const RUN: Self = Self {
        items: RUN_ITEMS,
        bytes: RUN_TREE_BYTES,
    };

    /// The rest of these limits after `used`.
    #[must_use]
    pub fn after(self, used: Self) -> Self {
        Self {
            items: self.items.saturating_sub(used.items),
            bytes: self.bytes.saturating_sub(used.bytes),
        }
    }

    /// The smaller value of each limit.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            items: self.items.min(other.items),
            bytes: self.bytes.min(other.bytes),
        }
    }
}
