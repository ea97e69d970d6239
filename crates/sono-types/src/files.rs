//! Read access to result files in a directory, an archive or a map.

use std::io::{self, Read};

/// Read access to a tree of files. Names are relative to the tree's root, with `/` and without a leading `./`.
pub trait ResultFiles {
    /// Names of all regular files below the directory `below` (`""` is the root), at any depth, in lexical order of
    /// their path's parts. A missing directory has no files.
    fn list(&self, below: &str) -> io::Result<Vec<String>>;

    /// Names (last part only) of the direct subdirectories of `below`, including empty ones, in lexical order.
    fn directories(&self, below: &str) -> io::Result<Vec<String>>;

    /// Opens a regular file for reading. Fails with [`io::ErrorKind::NotFound`] if it does not exist.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>>;

    /// The whole content of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.open(name)?.read_to_end(&mut content)?;
        Ok(content)
    }
}
