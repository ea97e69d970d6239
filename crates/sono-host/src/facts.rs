//! The raw data of a machine.

use std::collections::{BTreeMap, BTreeSet};

/// Texts and numbers of one machine. Paths are absolute for the machine itself, wherever its root is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The node's name; may be empty.
    pub node: String,
    /// Where the machine's root directory is mounted: `/`, or another directory in a container.
    pub root: String,
    /// The operating system of this program: `linux`, `macos`, `windows`.
    pub system: String,
    /// The processor architecture of this program: `x86_64`, `aarch64`.
    pub architecture: String,
    /// Processors available to this process; `None` if unknown.
    pub processors: Option<u64>,
    /// The text of each existing file, or the error of reading it.
    pub files: BTreeMap<String, Result<String, String>>,
    /// Names of running processes, cut to 15 bytes by Linux.
    pub processes: BTreeSet<String>,
    /// File systems and their space, by directory.
    pub volumes: Vec<Volume>,
}

/// A directory and the file system it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The directory.
    pub path: String,
    /// Device number; directories with the same number share one file system.
    pub device: u64,
    /// Space of the file system.
    pub space: Space,
}

/// Size and free space of a file system. Sizes are in bytes; `available` is the space for unprivileged users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes in total.
    pub total: u64,
    /// Bytes available.
    pub available: u64,
    /// Inodes in total; 0 if they are allocated dynamically.
    pub inodes: u64,
    /// Inodes available.
    pub inodes_available: u64,
}

impl Facts {
    /// The text of a file, or the reason why it is unknown.
    pub(crate) fn text(&self, path: &str) -> Result<&str, String> {
        match self.files.get(path) {
            Some(Ok(text)) => Ok(text),
            Some(Err(error)) => Err(format!("cannot read {path}: {error}")),
            None if self.system != "linux" => Err(format!("{path} does not exist on {}", self.system)),
            None => Err(format!("{path} does not exist")),
        }
    }

    /// The integer at the start of a file.
    pub(crate) fn number(&self, path: &str) -> Result<u64, String> {
        let text = self.text(path)?;
        let word = text.split_whitespace().next().unwrap_or_default();
        word.parse()
            .map_err(|_| format!("{path} does not begin with a number: {word:?}"))
    }
}
