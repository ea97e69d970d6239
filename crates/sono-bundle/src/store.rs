//! The durable store: files and directories appear atomically and survive `kill -9` and power loss.
//!
//! Everything is written under a temporary name, synced, renamed, and the directory synced.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use fs_err as fs;
use sha2::{Digest, Sha256};
use sono_types::UploadLimits;
use tempfile::TempDir;

use crate::codec::{
    pack::{PackError, Packed, pack_directory},
    unpack::UnpackError,
};

mod stage;
mod sync;

pub use stage::{Staged, StagedFile, stage_archive, stage_bytes, stage_file};
pub use sync::{create_directories, sync_directory};

/// gzip's default level.
const COMPRESSION: u32 = 6;

/// A step of storing that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {}", path.display())]
pub struct StoreError {
    step: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl StoreError {
    pub(crate) fn at(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self { step, path, source }
    }

    /// Whether the disk is full or a quota exhausted.
    pub fn is_full(&self) -> bool {
        is_full(&self.source)
    }
}

/// Whether the error is a full disk or an exhausted quota.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Why an archive was not placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The archive is invalid, or its entries could not be written.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// Another step failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PlaceError {
    /// Whether the archive is invalid, so that sending it again is useless. Otherwise the local disk failed.
    pub fn is_content(&self) -> bool {
        match self {
            Self::Unpack(error) => error.is_content(),
            Self::Store(_) => false,
        }
    }

    /// Whether the disk is full or a quota exhausted.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Unpack(UnpackError::Write { source, .. }) => is_full(source),
            Self::Unpack(_) => false,
            Self::Store(error) => error.is_full(),
        }
    }
}

/// Why a file name is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// The name is empty.
    #[error("file name is empty")]
    Empty,
    /// The name is `.` or `..`.
    #[error("file name {0:?} names a directory")]
    Dots(String),
    /// The name contains a slash, a backslash or a control character.
    #[error("file name {name:?} contains {character:?}")]
    Character {
        /// The name.
        name: String,
        /// The forbidden character.
        character: char,
    },
    /// The name is too long.
    #[error("file name is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

/// Checks that a file name from a client is a plain base name.
pub fn safe_file_name(name: &str, limits: &UploadLimits) -> Result<String, FileNameError> {
    // The limit of common file systems.
    let limit = limits.max_name_bytes.min(255);
    if name.is_empty() {
        return Err(FileNameError::Empty);
    }
    if name.len() > limit {
        return Err(FileNameError::TooLong { limit });
    }
    if name == "." || name == ".." {
        return Err(FileNameError::Dots(name.to_owned()));
    }
    let forbidden = |character: char| {
        matches!(character, '/' | '\\') || character.is_control() || (cfg!(windows) && r#":<>"|?*"#.contains(character))
    };
    match name.chars().find(|character| forbidden(*character)) {
        Some(character) => Err(FileNameError::Character {
            name: name.to_owned(),
            character,
        }),
        None => Ok(name.to_owned()),
    }
}

/// Writes a file atomically and durably: readers see the old content or the new. Creates parent directories.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let parent = parent(path);
    create_directories(parent)?;
    let mut file = temporary(path)?;
    file.write_all(bytes).map_err(StoreError::at("write", path))?;
    persist(file, path)
}

/// A complete archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Bytes of the archive.
    pub size: u64,
    /// SHA-256 of the archive in lower-case hexadecimal.
    pub sha256: String,
    /// Statistics of its content.
    pub packed: Packed,
}

/// Why sealing failed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Packing failed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Another step failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Packs `directory` into the file `archive`, atomically. The archive may lie below `directory` and does not contain
/// itself.
pub fn seal(directory: &Path, archive: &Path) -> Result<Sealed, SealError> {
    let parent = parent(archive);
    create_directories(parent)?;
    let file = temporary(archive)?;
    let exclude = [archive.to_path_buf(), file.path().to_path_buf()];
    let writer = BufWriter::with_capacity(256 << 10, Hashing::new(file));
    let (writer, packed) = pack_directory(directory, writer, &exclude, COMPRESSION)?;
    let Hashing { inner, digest, size } = writer
        .into_inner()
        .map_err(|error| StoreError::at("write", archive)(error.into_error()))?;
    persist(inner, archive)?;
    Ok(Sealed {
        size,
        sha256: hex::encode(digest.finalize()),
        packed,
    })
}

/// The directory of `path`; the current directory for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Prefix and suffix of the names of unfinished files.
const PREFIX: &str = ".sono-";
const SUFFIX: &str = ".partial";

/// The prefix of unfinished files for `path`.
fn unfinished_prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Names have at most 255 bytes, including the prefix and suffix.
    let name: String = name.chars().take(60).collect();
    format!("{PREFIX}{name}-")
}

fn is_unfinished(path: &Path, prefix: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(prefix) && name.ends_with(SUFFIX)
}

/// Removes unfinished files for `path` that a killed process left. Best effort: leftovers only use disk space.
pub fn remove_unfinished(path: &Path) {
    let prefix = unfinished_prefix(path);
    for entry in fs::read_dir(parent(path)).into_iter().flatten().flatten() {
        if is_unfinished(&entry.path(), &prefix) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// Removes unfinished files below `directory` that a killed process left, except in directories for which `is_excluded`
/// holds (paths relative to `directory`), which may contain a plugin's files of such names. Best effort.
pub fn remove_unfinished_below(directory: &Path, is_excluded: &dyn Fn(&Path) -> bool) {
    let mut open = vec![directory.to_path_buf()];
    while let Some(current) = open.pop() {
        for entry in fs::read_dir(current).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !path.strip_prefix(directory).is_ok_and(is_excluded) {
                    open.push(path);
                }
            } else if is_unfinished(&path, PREFIX) {
                fs::remove_file(path).ok();
            }
        }
    }
}

/// Creates a temporary file next to `path`, to be renamed to it.
fn temporary(path: &Path) -> Result<tempfile::NamedTempFile, StoreError> {
    let (directory, prefix) = (parent(path), unfinished_prefix(path));
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder
        .tempfile_in(directory)
        .map_err(StoreError::at("create a file in", directory))
}

fn persist(file: tempfile::NamedTempFile, path: &Path) -> Result<(), StoreError> {
    file.as_file().sync_all().map_err(StoreError::at("sync", path))?;
    file.persist(path)
        .map_err(|error| StoreError::at("rename a file to", path)(error.error))?;
    sync_directory(parent(path))
}

#[cfg(unix)]
fn set_shared(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    // Temporary files are private; results are not.
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).map_err(StoreError::at("set the mode of", path))
}

#[cfg(not(unix))]
fn set_shared(_path: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// A directory to be renamed to its destination, removed on drop otherwise.
struct Scratch {
    /// The temporary directory.
    fresh: TempDir,
}

impl Scratch {
    fn next_to(incoming: &Path) -> Result<Self, StoreError> {
        Self::in_directory(parent(incoming))
    }

    fn in_directory(directory: &Path) -> Result<Self, StoreError> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".sono-");
        // Temporary directories are private; results are not.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let fresh = builder
            .tempdir_in(directory)
            .map_err(StoreError::at("create a directory in", directory))?;
        Ok(Self { fresh })
    }

    fn path(&self) -> &Path {
        self.fresh.path()
    }

    /// Like [`Scratch::commit`], and syncs the name.
    fn commit_durable(self, destination: &Path) -> Result<(), StoreError> {
        self.commit(destination)?;
        sync_directory(parent(destination))
    }

    /// Renames the directory to `destination`. An existing directory is moved away first. A crash between the two
    /// renames leaves neither, so only unacknowledged results may be replaced.
    fn commit(self, destination: &Path) -> Result<(), StoreError> {
        create_directories(parent(destination))?;
        let old = self.path().with_extension("old");
        let has_old = fs::symlink_metadata(destination).is_ok();
        if has_old {
            fs::rename(destination, &old).map_err(StoreError::at("replace", destination))?;
        }
        if let Err(error) = fs::rename(self.path(), destination) {
            if has_old {
                // If this fails, too, the first error is the relevant one.
                drop(fs::rename(&old, destination));
            }
            return Err(StoreError::at("rename a directory to", destination)(error));
        }
        // The temporary name no longer exists.
        drop(self.fresh.keep());
        if has_old {
            // If this fails, the old directory only uses disk space.
            fs::remove_dir_all(&old).or_else(|_| fs::remove_file(&old)).ok();
        }
        Ok(())
    }
}

/// Hashes and counts the bytes written through it.
struct Hashing<W> {
    inner: W,
    digest: Sha256,
    size: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            digest: Sha256::new(),
            size: 0,
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.inner.write_all(buffer)?;
        self.digest.update(buffer);
        self.size += buffer.len() as u64;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
