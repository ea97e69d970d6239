//! Unpacks untrusted archives (core §5.3; fixes weaknesses W-4 and W-28).

use std::{
    io::{self, Read},
    ops::ControlFlow,
    path::Path,
};

use fs_err as fs;
use sono_types::UploadLimits;

use super::{
    gzip::{ArchiveError, Bounds, Head, Kind, WalkError, walk_entries},
    name::{NameFault, normalize},
    private::{create_private_directories, create_private_file},
};
use crate::limits::ReadLimits;

/// Statistics of an unpacked archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries in the archive, including skipped ones.
    pub entries: u64,
    /// Bytes of content written.
    pub bytes: u64,
    /// Skipped links and special files: `name (kind)`.
    pub dropped: Vec<String>,
}

/// Why unpacking failed.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive cannot be read, or exceeds a limit.
    #[error(transparent)]
    Archive(ArchiveError),
    /// An entry has an unsafe or invalid name.
    #[error("archive entry {name:?} {fault}")]
    Name {
        /// The name, possibly shortened.
        name: String,
        /// The fault.
        fault: String,
    },
    /// An entry has a name that is longer than the limit.
    #[error("archive entry {name:?} is longer than {limit} bytes")]
    LongName {
        /// The shortened name.
        name: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The archive has too many entries.
    #[error("archive has more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// Two entries make the same name a file and a directory.
    #[error("archive entry {name:?} is both a file and a directory")]
    Conflict {
        /// The name.
        name: String,
    },
    /// The local disk failed.
    #[error("cannot write archive entry {name:?}")]
    Write {
        /// The name.
        name: String,
        /// The system's error.
        source: io::Error,
    },
}

impl UnpackError {
    /// Whether a limit on the whole archive was exceeded.
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::TooManyEntries { .. } | Self::Archive(ArchiveError::TooLarge { .. } | ArchiveError::Ratio { .. })
        )
    }

    /// Whether the archive is invalid, so that sending it again is useless. Otherwise the local disk failed.
    pub fn is_content(&self) -> bool {
        match self {
            Self::Archive(error) => error.is_content(),
            Self::Name { .. } | Self::LongName { .. } | Self::TooManyEntries { .. } | Self::Conflict { .. } => true,
            Self::Write { .. } => false,
        }
    }
}

/// Unpacks the `.tar.gz` in `reader` into `directory`, which must be empty and have no other writer. Only regular files
/// and directories are created; links and special files are skipped and reported. A leading `/` is removed from names.
/// A name that leads out of the directory, or an exceeded limit, is an error. Files written before the error remain.
pub fn unpack_tar_gz(reader: impl Read, directory: &Path, limits: &UploadLimits) -> Result<Unpacked, UnpackError> {
    unpack(reader, directory, limits, false)
}

/// Like [`unpack_tar_gz`], but readable by this user only: files have mode 0600, directories 0700.
pub fn unpack_private(reader: impl Read, directory: &Path, limits: &ReadLimits) -> Result<Unpacked, UnpackError> {
    unpack(reader, directory, &limits.unpacking(), true)
}

fn unpack(
    reader: impl Read,
    directory: &Path,
    limits: &UploadLimits,
    is_private: bool,
) -> Result<Unpacked, UnpackError> {
    let bounds = Bounds {
        // Headers count, too; each entry has one or, with a long name, a few.
        max_bytes: limits
            .max_unpacked_bytes
            .saturating_add(limits.max_entries.saturating_mul(4096))
            .saturating_add(1 << 20),
        // Both are counted per entry below.
        max_announced: u64::MAX,
        max_entries: u64::MAX,
        max_ratio: limits.max_ratio,
        ratio_floor: limits.ratio_floor_bytes,
    };
    let mut unpacker = Unpacker {
        directory,
        limits,
        is_private,
        done: Unpacked::default(),
    };
    walk_entries(reader, bounds, &mut |head, content| {
        unpacker.entry(head, content).map(|()| ControlFlow::Continue(()))
    })
    .map_err(|error| match error {
        WalkError::Archive(ArchiveError::TooLarge { .. }) => UnpackError::Archive(ArchiveError::TooLarge {
            limit: limits.max_unpacked_bytes,
        }),
        WalkError::Archive(error) => UnpackError::Archive(error),
        WalkError::Visitor(error) => error,
    })?;
    Ok(unpacker.done)
}

struct Unpacker<'a> {
    directory: &'a Path,
    limits: &'a UploadLimits,
    is_private: bool,
    done: Unpacked,
}

impl Unpacker<'_> {
    fn entry(&mut self, head: &Head, content: &mut dyn Read) -> Result<(), UnpackError> {
        self.done.entries += 1;
        if self.done.entries > self.limits.max_entries {
            return Err(UnpackError::TooManyEntries {
                limit: self.limits.max_entries,
            });
        }
        let name = normalize(&head.name, self.limits.max_name_bytes).map_err(|fault| self.refuse(head, fault))?;
        match head.kind {
            Kind::Other(kind) => {
                self.done.dropped.push(format!("{name} ({kind})"));
                Ok(())
            }
            Kind::Directory => self.make_directory(&name),
            Kind::File => {
                if name.is_empty() {
                    return Err(UnpackError::Conflict { name: ".".to_owned() });
                }
                if let Some((parent, _)) = name.rsplit_once('/') {
                    self.make_directory(parent)?;
                }
                self.make_file(&name, head, content)
            }
        }
    }

    fn refuse(&self, head: &Head, fault: NameFault) -> UnpackError {
        // The message is written to logs and sent to clients, so a long name is shortened.
        let shown = head
            .name
            .get(..self.limits.max_name_bytes.min(200))
            .unwrap_or(&head.name);
        let name = String::from_utf8_lossy(shown).into_owned();
        match fault {
            NameFault::Long(limit) => UnpackError::LongName { name, limit },
            fault => UnpackError::Name {
                name,
                fault: fault.to_string(),
            },
        }
    }

    fn make_directory(&self, name: &str) -> Result<(), UnpackError> {
        let path = self.directory.join(name);
        let created = if self.is_private {
            create_private_directories(&path)
        } else {
            fs::create_dir_all(&path)
        };
        created.map_err(|source| self.failed(name, Kind::Directory, source))
    }

    fn make_file(&mut self, name: &str, head: &Head, content: &mut dyn Read) -> Result<(), UnpackError> {
        let too_large = || {
            UnpackError::Archive(ArchiveError::TooLarge {
                limit: self.limits.max_unpacked_bytes,
            })
        };
        let left = self.limits.max_unpacked_bytes.saturating_sub(self.done.bytes);
        // Checked by the header alone: a sparse file can claim any size, and must not fill the disk.
        if head.size > left {
            return Err(too_large());
        }
        let path = self.directory.join(name);
        let created = if self.is_private {
            create_private_file(&path)
        } else {
            fs::File::create(&path)
        };
        let mut file = created.map_err(|source| self.failed(name, Kind::File, source))?;
        let written = io::copy(content, &mut file).map_err(|source| UnpackError::Write {
            name: name.to_owned(),
            source,
        })?;
        self.done.bytes += written;
        if self.is_private {
            return Ok(());
        }
        set_mode(&file, head.mode).map_err(|source| UnpackError::Write {
            name: name.to_owned(),
            source,
        })
    }

    /// Distinguishes contradictory entries from a failing disk.
    fn failed(&self, name: &str, wanted: Kind, source: io::Error) -> UnpackError {
        let mut path = self.directory.to_path_buf();
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            path.push(part);
            let Ok(found) = fs::symlink_metadata(&path) else { break };
            let must_be_directory = parts.peek().is_some() || wanted == Kind::Directory;
            if found.is_dir() != must_be_directory {
                return UnpackError::Conflict {
                    name: path
                        .strip_prefix(self.directory)
                        .map_or_else(|_| name.to_owned(), |path| path.to_string_lossy().into_owned()),
                };
            }
        }
        UnpackError::Write {
            name: name.to_owned(),
            source,
        }
    }
}

#[cfg(unix)]
fn set_mode(file: &fs::File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644 | (mode & 0o111)))
}

#[cfg(not(unix))]
fn set_mode(_file: &fs::File, _mode: u32) -> io::Result<()> {
    Ok(())
}
