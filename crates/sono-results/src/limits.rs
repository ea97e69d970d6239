//! Bounds of post-processing: a plugin's files are somebody else's, and the process that reads them has the results of all.

use sono_types::yaml;

/// Bytes of a result file. The largest JUnit files of conformance runs have some ten million bytes.
pub(crate) const FILE_BYTES: u64 = 64 << 20;
/// Bytes of an `error.json`.
pub(crate) const ERROR_BYTES: u64 = 4 << 20;
/// Items that one file may have. The largest suite known has 7,100 tests.
pub(crate) const FILE_ITEMS: usize = 250_000;
/// Bytes of all scalars of a plugin's own YAML, repeated ones counted again.
pub(crate) const FILE_SCALAR_BYTES: usize = 64 << 20;
/// How deep maps and lists of one file's item may nest, so that the plugin's tree can be read: root and node stand around it.
pub(crate) const FILE_DEPTH: usize = yaml::MAX_DEPTH - 4;
/// Bytes of a status of a plugin's own: it is a key of counts.
pub(crate) const STATUS_BYTES: usize = 256;
/// Bytes that the statuses of all items of one file may have, those of items with children included: each may list the statuses
/// of everything below it.
pub(crate) const FILE_STATUS_BYTES: usize = 16 << 20;
/// Different statuses of a plugin's own that are counted for a node or a plugin; further ones are counted as [`OTHER`].
pub(crate) const STATUSES: usize = 100;
/// Stands for statuses beyond [`STATUSES`].
pub(crate) const OTHER: &str = "other";
/// Problems of one plugin that are listed.
pub(crate) const PROBLEMS: usize = 1_000;

/// What the trees of several files may hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeLimits {
    /// Items.
    pub items: u64,
    /// Bytes of the tree as JSON, which is a little less than YAML.
    pub bytes: u64,
}

impl TreeLimits {
    /// Of one plugin: 200 items on each of 10,000 nodes are 2 million, and some 400 MB.
    pub const PLUGIN: Self = Self {
        items: 5_000_000,
        bytes: 2 << 30,
    };
    /// Of all plugins of a run.
    pub const RUN: Self = Self {
        items: 20_000_000,
        bytes: 4 << 30,
    };

    /// What is left of `self` after `used`.
    #[must_use]
    pub fn after(self, used: Self) -> Self {
        Self {
            items: self.items.saturating_sub(used.items),
            bytes: self.bytes.saturating_sub(used.bytes),
        }
    }

    /// The smaller of each.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            items: self.items.min(other.items),
            bytes: self.bytes.min(other.bytes),
        }
    }
}
