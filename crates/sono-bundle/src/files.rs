//! [`ResultFiles`] of a directory.

use std::{
    io::{self, Read},
    ops::ControlFlow,
    path::PathBuf,
};

use fs_err as fs;
use sono_types::ResultFiles;

use crate::walk::{resolve, walk};

/// The files of a directory. Links are not followed, and names that lead out of the directory are not found.
#[derive(Debug, Clone)]
pub struct DirectoryFiles {
    root: PathBuf,
}

impl DirectoryFiles {
    /// The files below `root`, which may not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

impl ResultFiles for DirectoryFiles {
    fn list(&self, below: &str) -> io::Result<Vec<String>> {
        let Some(directory) = resolve(&self.root, below)? else {
            return Ok(Vec::new());
        };
        let prefix = below.trim_matches('/');
        let mut names = Vec::new();
        walk(&directory, &mut |found| {
            if found.kind.is_file() {
                names.push(if prefix.is_empty() {
                    found.name.clone()
                } else {
                    format!("{prefix}/{}", found.name)
                });
            }
            Ok::<_, io::Error>(ControlFlow::Continue(()))
        })?;
        Ok(names)
    }

    fn directories(&self, below: &str) -> io::Result<Vec<String>> {
        let Some(directory) = resolve(&self.root, below)? else {
            return Ok(Vec::new());
        };
        if !directory.is_dir() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        match resolve(&self.root, name)? {
            Some(path) if path.is_file() => Ok(Box::new(fs::File::open(path)?)),
            _ => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("no file {name:?} in {}", self.root.display()),
            )),
        }
    }
}
