//! Limits on untrusted archives, which could otherwise fill the disk or memory.

use std::{io, path::Path};

use sono_types::{
    UploadLimits,
    limits::{RUN_ITEMS, RUN_TREE_BYTES},
};

/// Limits on reading one archive. A good compression ratio alone is not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes of all entries, according to their headers and when unpacked.
    pub max_unpacked_bytes: u64,
    /// Number of entries.
    pub max_entries: u64,
    /// Bytes of one parsed file below `meta/`.
    pub max_meta_bytes: u64,
    /// Bytes of all files that are parsed in memory.
    pub max_parsed_bytes: u64,
    /// Result items of all plugins.
    pub max_items: u64,
    /// Bytes of all result trees that are read item by item, without the whole tree in memory.
    pub max_tree_bytes: u64,
}

impl ReadLimits {
    /// The limits for reading without writing to disk. An aggregator stores 256 GiB of results by default; limits on result
    /// trees are those of its post-processing.
    pub const DEFAULT: Self = Self {
        max_unpacked_bytes: 256 << 30,
        max_entries: 2_000_000,
        max_meta_bytes: 64 << 20,
        max_parsed_bytes: 256 << 20,
        max_items: RUN_ITEMS,
        max_tree_bytes: RUN_TREE_BYTES,
    };

    /// No limits.
    pub const NONE: Self = Self {
        max_unpacked_bytes: u64::MAX,
        max_entries: u64::MAX,
        max_meta_bytes: u64::MAX,
        max_parsed_bytes: u64::MAX,
        max_items: u64::MAX,
        max_tree_bytes: u64::MAX,
    };

    /// Bytes of the file `name` that may be read into memory.
    pub fn max_bytes_of(&self, name: &str) -> u64 {
        if name.starts_with("meta/") {
            self.max_meta_bytes.min(self.max_parsed_bytes)
        } else {
            self.max_parsed_bytes
        }
    }

    /// The corresponding limits on unpacking.
    pub(crate) fn unpacking(&self) -> UploadLimits {
        UploadLimits {
            max_unpacked_bytes: self.max_unpacked_bytes,
            max_entries: self.max_entries,
            // A result's own names have up to 1024 bytes, with the names of a plugin and a node in front.
            max_name_bytes: 4096,
            max_ratio: u64::MAX,
            ..UploadLimits::DEFAULT
        }
    }
}

/// Bytes that may be written to the file system of `path`: the free space less 10 %.
pub fn usable_space(path: &Path) -> io::Result<u64> {
    let free = fs4::available_space(path)?;
    Ok(free - free / 10)
}
