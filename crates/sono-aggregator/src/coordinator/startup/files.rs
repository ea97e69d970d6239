//! The files of a run at start-up: removes leftovers, makes missing directories, restores results from the journal.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use sono_run::{Planned, Record, SmallBody};
use sono_types::{SharedError, UploadLimits, layout};

use crate::{
    durability::disk_full::DiskFull,
    error::{RecordError, RunError},
    ingest::staging::{self, RestoreError},
};

/// Removes unfinished files of an earlier process: they take space, and would be in the archive. Files below a committed result
/// belong to its plugin, whatever their names, and are retained.
pub(super) async fn remove_unfinished(archive: &Path, progress: &Path, directory: &Path) -> Result<(), RunError> {
    let (archive, progress, directory) = (archive.to_path_buf(), progress.to_path_buf(), directory.to_path_buf());
    let is_results =
        |path: &Path| path.components().count() == 3 && path.starts_with("plugins") && path.ends_with("results");
    tokio::task::spawn_blocking(move || {
        sono_bundle::remove_unfinished(&archive);
        sono_bundle::remove_unfinished(&progress);
        sono_bundle::remove_unfinished_below(&directory, &is_results);
    })
    .await
    .map_err(not_restored)?;
    Ok(())
}

fn not_restored(error: impl std::error::Error + Send + Sync + 'static) -> RecordError {
    RecordError::Files(SharedError::new(error))
}

pub(super) async fn prepare(path: &Path, disk_full: &DiskFull) -> Result<(), RunError> {
    let path = path.to_path_buf();
    let make = move || sono_bundle::create_directories(&path).map_err(RunError::Write);
    disk_full.retry("the run's directory", make).await
}

/// Syncs the names of all directories above results, which an earlier process may have created without a sync: results in them
/// are about to be acknowledged, or exist already.
pub(super) async fn sync_names(root: &Path, directory: &Path, disk_full: &DiskFull) -> Result<(), RunError> {
    let (root, directory) = (root.to_path_buf(), directory.to_path_buf());
    let sync = move || {
        for name in result_directories(&root, &directory) {
            sono_bundle::sync_directory(&name).map_err(RunError::Write)?;
        }
        Ok(())
    };
    disk_full.retry("the run's directory", sync).await
}

/// The directories above results, with their own names: `plugins`, a plugin's, and its results and errors.
fn result_directories(root: &Path, directory: &Path) -> Vec<PathBuf> {
    let mut directories = vec![root.to_path_buf(), directory.to_path_buf()];
    let mut level = vec![directory.join("plugins")];
    for _ in 0..3 {
        level.retain(|path| path.is_dir());
        directories.extend(level.iter().cloned());
        let below = |path: PathBuf| fs_err::read_dir(path).into_iter().flatten().flatten();
        level = level.into_iter().flat_map(below).map(|entry| entry.path()).collect();
    }
    directories.sort();
    directories
}

/// Results in place whose record the journal lacks, because the process ended in between. They are complete: files are
/// synced before they are renamed.
pub(super) fn placed(directory: &Path, records: &[Record]) -> Vec<Record> {
    let known: BTreeSet<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Stored { key } | Record::StoredInJournal { key, .. } => Some(key),
            _ => None,
        })
        .collect();
    let expected = records.iter().flat_map(|record| match record {
        Record::Started(run_start) => run_start.plugins.iter().flat_map(Planned::expected).collect(),
        Record::TargetDiscovered { key } => vec![key.clone()],
        _ => Vec::new(),
    });
    expected
        .filter(|key| !known.contains(key))
        .filter(|key| fs_err::symlink_metadata(directory.join(layout::results_dir(key))).is_ok())
        .map(|key| Record::Stored { key })
        .collect()
}

/// Writes the files of results that are stored in the journal, waiting while the disk is full. Must precede the collection of other
/// results, because these were acknowledged.
pub(super) async fn restore(
    directory: &Path,
    incoming: &Path,
    records: &[Record],
    limits: UploadLimits,
    disk_full: &DiskFull,
) -> Result<(), RunError> {
    let kept: Vec<(PathBuf, SmallBody)> = records
        .iter()
        .filter_map(|record| match record {
            Record::StoredInJournal { key, body } => Some((directory.join(layout::results_dir(key)), body.clone())),
            _ => None,
        })
        .collect();
    let incoming = incoming.to_path_buf();
    // A retry continues with the result that did not fit.
    let next = AtomicUsize::new(0);
    let restore = move || {
        while let Some((destination, body)) = kept.get(next.load(Ordering::Relaxed)) {
            staging::restore(body, &incoming, destination, &limits)?;
            next.fetch_add(1, Ordering::Relaxed);
        }
        Ok::<_, RestoreError>(())
    };
    let restored = disk_full.retry("restoring results from the journal", restore);
    restored.await.map_err(not_restored)?;
    Ok(())
}

/// The size of all files below a directory, for the quota. Unreadable entries count as 0.
pub(super) fn bytes_below(directory: &Path) -> u64 {
    let mut bytes = 0;
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs_err::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => open.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A power loss may remove any of these entries, and a result with it: each directory above a result, none below one.
    #[test]
    fn result_directories_are_all_directories_above_results() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("run");
        sono_bundle::create_directories(&directory.join("plugins/p/results/n1/deep")).unwrap();
        sono_bundle::create_directories(&directory.join("plugins/p/errors/n2")).unwrap();
        sono_bundle::create_directories(&directory.join("meta")).unwrap();
        fs_err::write(directory.join("plugins/p/results/n1/file"), "").unwrap();
        let directories = result_directories(root.path(), &directory);
        let names = [
            "",
            "run",
            "run/plugins",
            "run/plugins/p",
            "run/plugins/p/errors",
            "run/plugins/p/results",
        ];
        assert_eq!(
            directories,
            names.map(|name| if name.is_empty() {
                root.path().to_path_buf()
            } else {
                root.path().join(name)
            })
        );
    }
}
