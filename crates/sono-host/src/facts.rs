//! What was read from a machine, unjudged.

use std::collections::{BTreeMap, BTreeSet};

/// Raw texts and numbers of one machine. Paths are absolute as the machine itself sees them, wherever its root is
/// mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The node's name; empty where nobody gave one.
    pub node: String,
    /// Where the machine's root directory is seen: `/`, or where it is mounted in a container.
    pub root: String,
    /// The operating system this program was built for: `linux`, `macos`, `windows`.
    pub system: String,
    /// The processor this program was built for: `x86_64`, `aarch64`.
    pub architecture: String,
    /// Processors this process may use; none where the system does not say.
    pub processors: Option<u64>,
    /// Text of each file that is there, or why it could not be read.
    pub files: BTreeMap<String, Result<String, String>>,
    /// Names of the running processes, cut to 15 bytes by Linux.
    pub processes: BTreeSet<String>,
    /// Directories whose file system was asked for its space.
    pub volumes: Vec<Volume>,
}

/// A directory and the file system it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The directory.
    pub path: String,
    /// Number of the device; directories with the same number share one file system.
    pub device: u64,
    /// What the file system holds.
    pub space: Space,
}

/// Size and remainder of a file system. Sizes are bytes; `available` is what ordinary users may still take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total: u64,
    /// Bytes left.
    pub available: u64,
    /// Inodes in all; 0 where the file system makes them as needed.
    pub inodes: u64,
    /// Inodes left.
    pub inodes_available: u64,
}

impl Facts {
    /// The text of a file, or in words why there is none.
    pub(crate) fn text(&self, path: &str) -> Result<&str, String> {
        match self.files.get(path) {
            Some(Ok(text)) => Ok(text),
            Some(Err(error)) => Err(format!("{path} cannot be read: {error}")),
            None if self.system != "linux" => Err(format!("there is no {path} on {}", self.system)),
            None => Err(format!("there is no {path}")),
        }
    }

    /// The whole number that a file begins with.
    pub(crate) fn number(&self, path: &str) -> Result<u64, String> {
        let text = self.text(path)?;
        let word = text.split_whitespace().next().unwrap_or_default();
        word.parse()
            .map_err(|_| format!("{path} does not begin with a number: {word:?}"))
    }
}
