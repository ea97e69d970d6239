//! Staged results: complete and checked before the caller decides how they are synced. A small result may already be
//! durable in the journal and need no sync of its own.

use std::{
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use fs_err as fs;
use sono_types::UploadLimits;
use tempfile::NamedTempFile;

use super::{
    PlaceError, Scratch, StoreError, parent, persist, set_shared,
    sync::{create_directories, sync_tree},
    temporary,
};
use crate::codec::unpack::{Unpacked, unpack_tar_gz};

/// A complete result under a temporary name. It is removed on drop unless committed.
#[must_use]
#[allow(
    missing_debug_implementations,
    clippy::allow_attributes,
    reason = "a directory that is about to be renamed"
)]
pub struct Staged(Scratch);

impl Staged {
    /// Creates the parent of `destination`, so that only the rename can still fail.
    pub fn prepare(&self, destination: &Path) -> Result<(), StoreError> {
        create_directories(parent(destination))
    }

    /// Renames it to `destination`, replacing an existing directory. Nothing is synced: after power loss it may be
    /// missing or incomplete.
    pub fn commit_unsynced(self, destination: &Path) -> Result<(), StoreError> {
        self.0.commit(destination)
    }

    /// Renames it to `destination` with its content synced, but not its name. It is durable once the directory above is
    /// synced ([`sync_directory`](super::sync_directory)), which serves all results committed there before. After power
    /// loss it is complete or missing.
    pub fn commit_synced(self, destination: &Path) -> Result<(), StoreError> {
        sync_tree(self.0.path())?;
        self.0.commit(destination)
    }

    /// Renames it to `destination`, fully synced.
    pub fn commit_durable(self, destination: &Path) -> Result<(), StoreError> {
        sync_tree(self.0.path())?;
        self.0.commit_durable(destination)
    }
}

/// Stages a directory with the single file `file_name`, by moving `incoming`. `file_name` must have passed
/// [`safe_file_name`](super::safe_file_name).
pub fn stage_file(incoming: &Path, file_name: &str) -> Result<Staged, StoreError> {
    let scratch = Scratch::next_to(incoming)?;
    let target = scratch.path().join(file_name);
    fs::rename(incoming, &target).map_err(StoreError::at("move the file to", &target))?;
    set_shared(&target)?;
    Ok(Staged(scratch))
}

/// Stages a directory in `directory` with the single file `file_name` of these bytes. `file_name` must have passed
/// [`safe_file_name`](super::safe_file_name).
pub fn stage_bytes(bytes: &[u8], file_name: &str, directory: &Path) -> Result<Staged, StoreError> {
    let scratch = Scratch::in_directory(directory)?;
    let target = scratch.path().join(file_name);
    fs::write(&target, bytes).map_err(StoreError::at("write", &target))?;
    set_shared(&target)?;
    Ok(Staged(scratch))
}

/// Stages a directory in `directory` with the content of a `.tar.gz`.
pub fn stage_archive(
    archive: impl Read,
    directory: &Path,
    limits: &UploadLimits,
) -> Result<(Staged, Unpacked), PlaceError> {
    let scratch = Scratch::in_directory(directory)?;
    let unpacked = unpack_tar_gz(archive, scratch.path(), limits)?;
    Ok((Staged(scratch), unpacked))
}

/// A file that is written next to its destination. It is removed on drop unless committed.
#[derive(Debug)]
#[must_use]
pub struct StagedFile {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl StagedFile {
    /// An empty file to be committed as `path`. Creates parent directories.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        create_directories(parent(path))?;
        Ok(Self {
            file: BufWriter::with_capacity(256 << 10, temporary(path)?),
            path: path.to_path_buf(),
        })
    }

    /// Syncs and renames it into place: readers see the old content or the new.
    pub fn commit(self) -> Result<(), StoreError> {
        let Self { file, path } = self;
        let file = file
            .into_inner()
            .map_err(|error| StoreError::at("write", &path)(error.into_error()))?;
        persist(file, &path)
    }
}

impl Write for StagedFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write_all(buffer)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Commit = fn(Staged, &Path) -> Result<(), StoreError>;

    #[test]
    fn staged_directory_appears_when_committed_and_is_removed_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let (incoming, destination) = (folder.path().join("body"), folder.path().join("results/p/n1"));
        let ways: [(&str, Commit); 3] = [
            ("one", Staged::commit_unsynced),
            ("two", Staged::commit_durable),
            ("three", Staged::commit_synced),
        ];
        for (content, commit) in ways {
            fs::write(&incoming, content).unwrap();
            commit(stage_file(&incoming, "file.txt").unwrap(), &destination).unwrap();
            assert_eq!(fs::read_to_string(destination.join("file.txt")).unwrap(), content);
            let bytes = format!("{content} of memory");
            let staged = stage_bytes(bytes.as_bytes(), "file.txt", folder.path()).unwrap();
            commit(staged, &destination).unwrap();
            assert_eq!(fs::read_to_string(destination.join("file.txt")).unwrap(), bytes);
        }
        fs::write(&incoming, "four").unwrap();
        drop(stage_file(&incoming, "file.txt").unwrap());
        let there = fs::read_to_string(destination.join("file.txt")).unwrap();
        assert_eq!(there, "three of memory");
        let left = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["results"]);
    }
    #[test]
    fn staged_file_appears_when_committed_and_is_removed_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.txt");
        for content in ["one", "two"] {
            let mut staged = StagedFile::create(&path).unwrap();
            staged.write_all(content.as_bytes()).unwrap();
            staged.commit().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        let mut staged = StagedFile::create(&path).unwrap();
        staged.write_all(b"three").unwrap();
        drop(staged);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
    }
}
