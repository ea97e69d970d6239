//! Getting names and bytes onto the disk.

use std::{ops::ControlFlow, path::Path};

use fs_err as fs;

use super::StoreError;
use crate::walk::walk;

/// Syncs a file's bytes.
pub(super) fn sync_file(path: &Path) -> Result<(), StoreError> {
    // Windows syncs only through handles that may write.
    fs::OpenOptions::new()
        .read(true)
        .write(cfg!(windows))
        .open(path)
        .and_then(|file| file.sync_all())
        .map_err(StoreError::at("sync", path))
}

/// Syncs the names in a directory. Windows has no way to do so and needs none.
pub fn sync_directory(path: &Path) -> Result<(), StoreError> {
    if cfg!(unix) { sync_file(path) } else { Ok(()) }
}

/// Syncs every file and directory below `root`, and `root` itself.
pub(super) fn sync_tree(root: &Path) -> Result<(), StoreError> {
    struct Failed(StoreError);
    impl From<std::io::Error> for Failed {
        fn from(error: std::io::Error) -> Self {
            Self(StoreError::at("list", Path::new(""))(error))
        }
    }
    walk(root, &mut |found| {
        if found.kind.is_dir() {
            sync_directory(&found.path).map_err(Failed)?;
        } else {
            sync_file(&found.path).map_err(Failed)?;
        }
        Ok(ControlFlow::Continue(()))
    })
    .map_err(|Failed(error)| error)?;
    sync_directory(root)
}

/// Creates a directory with its parents, each of them synced into the one above.
pub(super) fn create_directories(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = super::parent(path);
    if parent != path {
        create_directories(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => sync_directory(parent),
        // Somebody else was quicker.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(StoreError::at("make the directory", path)(error)),
    }
}
