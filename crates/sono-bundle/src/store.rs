//! The durable store: what it says is stored appears at once and whole, and stays after `kill -9` and power loss.
//!
//! The rule everywhere: write under a name that nobody looks at, sync, rename, sync the directory.

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
    unpack::{UnpackError, Unpacked, unpack_tar_gz},
};

mod stage;
mod sync;

pub use stage::{Staged, StagedFile, stage_archive, stage_bytes, stage_file};
pub use sync::{create_directories, sync_directory};

use sync::{sync_file, sync_tree};

/// gzip's own default.
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

    /// Whether the disk is full or a quota is used up.
    pub fn is_full(&self) -> bool {
        is_full(&self.source)
    }
}

/// Whether the error says that there is no room for more bytes.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Why an archive was not placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The archive, or writing its entries.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// Anything around it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PlaceError {
    /// Whether the archive is at fault: sending it again does not help. Otherwise it is our own disk.
    pub fn is_content(&self) -> bool {
        match self {
            Self::Unpack(error) => error.is_content(),
            Self::Store(_) => false,
        }
    }

    /// Whether the disk is full or a quota is used up.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Unpack(UnpackError::Write { source, .. }) => is_full(source),
            Self::Unpack(_) => false,
            Self::Store(error) => error.is_full(),
        }
    }
}

/// Why a name is not taken as a file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// It is empty.
    #[error("file name is empty")]
    Empty,
    /// It is `.` or `..`.
    #[error("file name {0:?} names a directory")]
    Dots(String),
    /// It has a slash, a backslash or a control character.
    #[error("file name {name:?} contains {character:?}")]
    Character {
        /// The name.
        name: String,
        /// What it must not contain.
        character: char,
    },
    /// It is too long.
    #[error("file name is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

/// Checks the name under which a client wants its file stored: a base name and nothing else.
pub fn safe_file_name(name: &str, limits: &UploadLimits) -> Result<String, FileNameError> {
    // No file system holds a longer one.
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

/// Makes `destination` a directory with the one file `file_name`, whose content is that of `incoming`: a complete file
/// on the same file system, which is moved away. An older `destination` is replaced as a whole. `file_name` must have
/// passed [`safe_file_name`].
pub fn place_file(incoming: &Path, file_name: &str, destination: &Path) -> Result<(), StoreError> {
    sync_file(incoming)?;
    let scratch = Scratch::beside(incoming)?;
    let target = scratch.path().join(file_name);
    fs::rename(incoming, &target).map_err(StoreError::at("move the file to", &target))?;
    set_shared(&target)?;
    sync_directory(scratch.path())?;
    scratch.appear_as(destination)
}

/// Makes `destination` a directory with the content of the `.tar.gz` in `incoming`, which must be on the same file
/// system. An older `destination` is replaced as a whole; on error nothing changes there. `incoming` stays.
pub fn place_archive(incoming: &Path, destination: &Path, limits: &UploadLimits) -> Result<Unpacked, PlaceError> {
    let scratch = Scratch::beside(incoming)?;
    let archive = fs::File::open(incoming).map_err(StoreError::at("open", incoming))?;
    let unpacked = unpack_tar_gz(archive, scratch.path(), limits)?;
    // Syncing afterwards rather than file by file: the first sync commits most of the work of all others.
    sync_tree(scratch.path())?;
    scratch.appear_as(destination)?;
    Ok(unpacked)
}

/// Writes a file so that readers see the old content or the new one, never a part. Parents are created.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let parent = parent(path);
    create_directories(parent)?;
    let mut file = temporary(path)?;
    file.write_all(bytes).map_err(StoreError::at("write", path))?;
    persist(file, path)
}

/// A finished archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Bytes of the archive.
    pub size: u64,
    /// SHA-256 of the archive in lower-case hexadecimal digits.
    pub sha256: String,
    /// What went into it.
    pub packed: Packed,
}

/// Why an archive was not made.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Packing.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Anything around it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Packs `directory` into the file `archive`, which appears only when it is complete. It may lie below `directory`; it
/// does not contain itself then.
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
        sha256: hexadecimal(&digest.finalize()),
        packed,
    })
}

/// The directory that holds `path`; a bare name stands in the current one.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// How the names of unfinished files begin and end.
const PREFIX: &str = ".sono-";
const SUFFIX: &str = ".partial";

/// How the names of files begin that are to become `path`.
fn unfinished_prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Names have 255 bytes at most, and this one has more to say.
    let name: String = name.chars().take(60).collect();
    format!("{PREFIX}{name}-")
}

fn is_unfinished(path: &Path, prefix: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(prefix) && name.ends_with(SUFFIX)
}

/// Removes what a process that was killed left of writing the file `path`. Best effort: what stays only takes room.
pub fn remove_unfinished(path: &Path) {
    let prefix = unfinished_prefix(path);
    for entry in fs::read_dir(parent(path)).into_iter().flatten().flatten() {
        if is_unfinished(&entry.path(), &prefix) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// Removes what a process that was killed left of writing any file below `directory`, but for directories that `is_kept`
/// names (relative to it): such files there are somebody else's. Best effort.
pub fn remove_unfinished_below(directory: &Path, is_kept: &dyn Fn(&Path) -> bool) {
    let mut open = vec![directory.to_path_buf()];
    while let Some(current) = open.pop() {
        for entry in fs::read_dir(current).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !path.strip_prefix(directory).is_ok_and(is_kept) {
                    open.push(path);
                }
            } else if is_unfinished(&path, PREFIX) {
                fs::remove_file(path).ok();
            }
        }
    }
}

/// A file beside `path`, which it is to become.
fn temporary(path: &Path) -> Result<tempfile::NamedTempFile, StoreError> {
    let (directory, prefix) = (parent(path), unfinished_prefix(path));
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder
        .tempfile_in(directory)
        .map_err(StoreError::at("make a file in", directory))
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

/// A directory of ours on the way to its name. It is removed at the end unless it got there.
struct Scratch {
    /// What will appear.
    fresh: TempDir,
}

impl Scratch {
    fn beside(incoming: &Path) -> Result<Self, StoreError> {
        Self::inside(parent(incoming))
    }

    fn inside(directory: &Path) -> Result<Self, StoreError> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".sono-");
        // Temporary directories are private; results are not.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let fresh = builder
            .tempdir_in(directory)
            .map_err(StoreError::at("make a directory in", directory))?;
        Ok(Self { fresh })
    }

    fn path(&self) -> &Path {
        self.fresh.path()
    }

    /// As [`Scratch::put`], and its name is synced.
    fn appear_as(self, destination: &Path) -> Result<(), StoreError> {
        self.put(destination)?;
        sync_directory(parent(destination))
    }

    /// Renames the directory. An older one moves out of the way first: a crash between the two renames leaves none,
    /// which is why only results that were never acknowledged may be replaced.
    fn put(self, destination: &Path) -> Result<(), StoreError> {
        create_directories(parent(destination))?;
        let old = self.path().with_extension("old");
        let has_old = fs::symlink_metadata(destination).is_ok();
        if has_old {
            fs::rename(destination, &old).map_err(StoreError::at("replace", destination))?;
        }
        if let Err(error) = fs::rename(self.path(), destination) {
            if has_old {
                // Should this fail too, the first error is the one that tells why.
                drop(fs::rename(&old, destination));
            }
            return Err(StoreError::at("rename a directory to", destination)(error));
        }
        // There is nothing under that name any more.
        drop(self.fresh.keep());
        if has_old {
            // What remains is rubbish that may stay.
            fs::remove_dir_all(&old).or_else(|_| fs::remove_file(&old)).ok();
        }
        Ok(())
    }
}

/// Hashes and counts what passes through.
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

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
