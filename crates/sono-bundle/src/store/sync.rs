//! Syncs files and directories to disk.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{Mutex, PoisonError},
};

use fs_err as fs;

use super::StoreError;
use crate::walk::walk;

/// Syncs the content of a file.
pub(super) fn sync_file(path: &Path) -> Result<(), StoreError> {
    // Windows syncs only through handles that may write.
    fs::OpenOptions::new()
        .read(true)
        .write(cfg!(windows))
        .open(path)
        .and_then(|file| file.sync_all())
        .map_err(StoreError::at("sync", path))
}

/// Syncs the names in a directory. Not possible, and not needed, on Windows.
pub fn sync_directory(path: &Path) -> Result<(), StoreError> {
    #[cfg(test)]
    tests::SYNCED.with_borrow_mut(|synced| synced.push(path.to_path_buf()));
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

/// Held while a directory is created and synced, since other threads may rely on a directory as soon as it exists.
static CREATING: Mutex<()> = Mutex::new(());

/// Creates a directory and its parents, and syncs each name. On return, directories created by other threads are
/// synced, too. Directories that an earlier process created without a sync are not.
pub fn create_directories(path: &Path) -> Result<(), StoreError> {
    let _one_at_a_time = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    create(path)
}

fn create(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = super::parent(path);
    if parent != path {
        create(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => sync_directory(parent),
        // Another process created it, and may not have synced it yet.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => sync_directory(parent),
        Err(error) => Err(StoreError::at("create the directory", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, path::PathBuf, sync::mpsc, time::Duration};

    use super::*;

    thread_local! {
        /// Directories synced by this thread.
        pub(super) static SYNCED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
    }

    #[test]
    fn new_directory_is_synced_into_each_one_above() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/plugins/p");
        create_directories(&path).unwrap();
        let synced = SYNCED.take();
        let expected = [
            folder.path().to_path_buf(),
            folder.path().join("run"),
            folder.path().join("run/plugins"),
        ];
        assert_eq!(synced, expected);
        create_directories(&path).unwrap();
        assert_eq!(SYNCED.take(), [] as [PathBuf; 0]);
    }

    /// The second of two results of a new plugin must not be acknowledged before the plugin's directory is synced.
    #[test]
    fn directory_that_another_thread_creates_is_synced_before_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins");
        let (used, is_used) = mpsc::channel();
        let creating = CREATING.lock().unwrap();
        fs::create_dir(&path).unwrap();
        let second = path.clone();
        std::thread::spawn(move || used.send(create_directories(&second)).unwrap());
        assert!(
            is_used.recv_timeout(Duration::from_millis(200)).is_err(),
            "used before it was synced"
        );
        sync_directory(folder.path()).unwrap();
        drop(creating);
        is_used.recv_timeout(Duration::from_secs(30)).unwrap().unwrap();
    }
}
