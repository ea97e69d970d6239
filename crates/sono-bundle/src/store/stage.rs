//! Results that are checked and complete before it is decided how they get onto the disk: a small one may be there already
//! in another form (a journal), so that nothing of its own has to be synced.

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

/// A result beside its place. It goes away with this value unless it is put there.
#[must_use]
#[allow(
    missing_debug_implementations,
    clippy::allow_attributes,
    reason = "a directory that is about to be renamed"
)]
pub struct Staged(Scratch);

impl Staged {
    /// Makes the directory in which `destination` will appear, so that nothing is left to go wrong then but its name.
    pub fn prepare(&self, destination: &Path) -> Result<(), StoreError> {
        create_directories(parent(destination))
    }

    /// Puts it at `destination`, where an older one is replaced as a whole. Nothing is synced: after power loss it may be
    /// gone, or there in part.
    pub fn appear(self, destination: &Path) -> Result<(), StoreError> {
        self.0.put(destination)
    }

    /// Puts it at `destination`, all of it synced but for its name there: it stays once the directory above is synced
    /// ([`sync_directory`](super::sync_directory)), which then serves everything that appeared in it before. After power
    /// loss it is there whole or not at all.
    pub fn appear_whole(self, destination: &Path) -> Result<(), StoreError> {
        sync_tree(self.0.path())?;
        self.0.put(destination)
    }

    /// Puts it at `destination` so that it stays, as [`place_file`](super::place_file) does.
    pub fn appear_durably(self, destination: &Path) -> Result<(), StoreError> {
        sync_tree(self.0.path())?;
        self.0.appear_as(destination)
    }
}

/// A directory with the one file `file_name`, whose content is that of `incoming`, which is moved away. `file_name` must
/// have passed [`safe_file_name`](super::safe_file_name).
pub fn stage_file(incoming: &Path, file_name: &str) -> Result<Staged, StoreError> {
    let scratch = Scratch::beside(incoming)?;
    let target = scratch.path().join(file_name);
    fs::rename(incoming, &target).map_err(StoreError::at("move the file to", &target))?;
    set_shared(&target)?;
    Ok(Staged(scratch))
}

/// A directory in `directory` with the one file `file_name` of these bytes. `file_name` must have passed
/// [`safe_file_name`](super::safe_file_name).
pub fn stage_bytes(bytes: &[u8], file_name: &str, directory: &Path) -> Result<Staged, StoreError> {
    let scratch = Scratch::inside(directory)?;
    let target = scratch.path().join(file_name);
    fs::write(&target, bytes).map_err(StoreError::at("write", &target))?;
    set_shared(&target)?;
    Ok(Staged(scratch))
}

/// A directory in `directory` with the content of a `.tar.gz`.
pub fn stage_archive(
    archive: impl Read,
    directory: &Path,
    limits: &UploadLimits,
) -> Result<(Staged, Unpacked), PlaceError> {
    let scratch = Scratch::inside(directory)?;
    let unpacked = unpack_tar_gz(archive, scratch.path(), limits)?;
    Ok((Staged(scratch), unpacked))
}

/// A file that is written next to its destination. It goes away with this value unless it is committed.
#[derive(Debug)]
#[must_use]
pub struct StagedFile {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl StagedFile {
    /// An empty file that is to become `path`. Parents are created.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        create_directories(parent(path))?;
        Ok(Self {
            file: BufWriter::with_capacity(256 << 10, temporary(path)?),
            path: path.to_path_buf(),
        })
    }

    /// Renames it into place, synced: readers see the old content or the new one, never a part.
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

    type Appear = fn(Staged, &Path) -> Result<(), StoreError>;

    #[test]
    fn a_staged_file_appears_when_it_is_wanted_and_leaves_nothing_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let (incoming, destination) = (folder.path().join("body"), folder.path().join("results/p/n1"));
        let ways: [(&str, Appear); 3] = [
            ("one", Staged::appear),
            ("two", Staged::appear_durably),
            ("three", Staged::appear_whole),
        ];
        for (content, appear) in ways {
            fs::write(&incoming, content).unwrap();
            appear(stage_file(&incoming, "file.txt").unwrap(), &destination).unwrap();
            assert_eq!(fs::read_to_string(destination.join("file.txt")).unwrap(), content);
            let bytes = format!("{content} of memory");
            let staged = stage_bytes(bytes.as_bytes(), "file.txt", folder.path()).unwrap();
            appear(staged, &destination).unwrap();
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
    fn staged_content_is_the_files_once_committed_and_gone_otherwise() {
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
