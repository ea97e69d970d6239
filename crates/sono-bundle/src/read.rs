//! One reader over an extracted directory or a tarball.

mod in_order;
mod limits;

pub use in_order::FileTaker;
pub use limits::{ReadLimits, usable_space};

use std::{
    collections::BTreeMap,
    io::{self, Read},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use fs_err as fs;

use crate::{
    codec::{
        gzip::{ArchiveError, Bounds, Kind, WalkError, walk_entries},
        name::normalize,
    },
    walk::{resolve, walk},
};

/// Why results cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is nothing of that name.
    #[error("no such file or directory: {}", .0.display())]
    Missing(PathBuf),
    /// The file or directory cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The archive is broken, or none at all.
    #[error("cannot read {}", path.display())]
    Archive {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// A file in it cannot be read, or the visitor failed.
    #[error("cannot read {name:?} in {}", path.display())]
    File {
        /// The archive or directory.
        path: PathBuf,
        /// The file in it.
        name: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A directory cannot be listed.
    #[error("cannot list {}", path.display())]
    List {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ReadError {
    /// Whether one of [`ReadLimits`] is exceeded.
    pub fn is_limit(&self) -> bool {
        match self {
            Self::Archive { source, .. } => {
                matches!(
                    source,
                    ArchiveError::TooLarge { .. } | ArchiveError::TooManyEntries { .. }
                )
            }
            Self::File { source, .. } => source.kind() == io::ErrorKind::FileTooLarge,
            Self::Missing(_) | Self::Open { .. } | Self::List { .. } => false,
        }
    }
}

/// Looks at one file, its name and its content, and says whether to go on.
pub type FileVisitor<'a> = dyn FnMut(&str, &mut dyn Read) -> io::Result<ControlFlow<()>> + 'a;

/// The results of a run: a `.tar.gz` or the directory it was extracted to. Names are relative, with `/`; a leading `./`
/// makes no difference.
#[derive(Debug, Clone)]
pub struct Bundle {
    path: PathBuf,
    is_directory: bool,
    limits: ReadLimits,
}

/// Where POSIX tar (ustar, pax and GNU alike) says what it is.
const TAR_MAGIC: std::ops::Range<usize> = 257..TAR_MAGIC_END;
const TAR_MAGIC_END: usize = 262;

impl Bundle {
    /// Looks whether there is something to read, within [`ReadLimits::DEFAULT`]. A file must at least begin like a gzip file.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let failed = |source: io::Error| {
            if source.kind() == io::ErrorKind::NotFound {
                ReadError::Missing(path.to_path_buf())
            } else {
                ReadError::Open {
                    path: path.to_path_buf(),
                    source,
                }
            }
        };
        let is_directory = fs::metadata(path).map_err(failed)?.is_dir();
        if !is_directory {
            let mut start = Vec::new();
            fs::File::open(path)
                .and_then(|file| file.take(TAR_MAGIC_END as u64).read_to_end(&mut start))
                .map_err(failed)?;
            let wrong = match start.as_slice() {
                [] => Some(ArchiveError::Empty),
                [0x1f, 0x8b, ..] => None,
                _ if start.get(TAR_MAGIC).is_some_and(|magic| magic == b"ustar") => Some(ArchiveError::PlainTar),
                _ => Some(ArchiveError::NotGzip),
            };
            if let Some(source) = wrong {
                return Err(ReadError::Archive {
                    path: path.to_path_buf(),
                    source,
                });
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            is_directory,
            limits: ReadLimits::DEFAULT,
        })
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(self, limits: ReadLimits) -> Self {
        Self { limits, ..self }
    }

    /// The limits on what is read of it.
    pub fn limits(&self) -> &ReadLimits {
        &self.limits
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of one file; `None` when there is none of that name. Of a tarball everything up to it is read:
    /// [`Bundle::read_many`] is for more than one.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.read_many(&[name])?.into_values().next())
    }

    /// The content of several files, in one pass; those that are not there are not in the result. Keys are the names as
    /// they were given.
    pub fn read_many(&self, names: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, ReadError> {
        let mut found = BTreeMap::new();
        let mut memory = Memory::new(&self.limits);
        if self.is_directory {
            for name in names {
                let content = match resolve(&self.path, name) {
                    Ok(Some(path)) if path.is_file() => {
                        fs::File::open(path).and_then(|mut file| memory.read(name, &mut file))
                    }
                    Ok(_) => continue,
                    Err(error) => Err(error),
                };
                let content = content.map_err(|source| self.file_error(name, source))?;
                found.insert((*name).to_owned(), content);
            }
            return Ok(found);
        }
        let wanted: BTreeMap<String, &str> = names
            .iter()
            .filter_map(|name| Some((normalize(name.as_bytes(), usize::MAX).ok()?, *name)))
            .collect();
        if wanted.is_empty() {
            return Ok(found);
        }
        self.visit(&mut |name, content| {
            if let Some(given) = wanted.get(name) {
                found.insert((*given).to_owned(), memory.read(name, content)?);
            }
            Ok(if found.len() == wanted.len() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(found)
    }

    /// Calls `visitor` with every regular file, in one pass and without holding more than its reader's buffer. The
    /// order is the archive's, or the lexical one in a directory. Entries whose names lead out of the archive are
    /// passed over.
    pub fn visit(&self, visitor: &mut FileVisitor<'_>) -> Result<(), ReadError> {
        if self.is_directory {
            self.visit_directory(visitor)
        } else {
            self.visit_archive(visitor)
        }
    }

    fn visit_directory(&self, visitor: &mut FileVisitor<'_>) -> Result<(), ReadError> {
        let mut current = None;
        let result = walk(&self.path, &mut |found| {
            if !found.kind.is_file() {
                return Ok(ControlFlow::Continue(()));
            }
            current = Some(found.name.clone());
            let flow = visitor(&found.name, &mut fs::File::open(&found.path)?)?;
            current = None;
            Ok::<_, io::Error>(flow)
        });
        match (result, current) {
            (Ok(()), _) => Ok(()),
            (Err(source), Some(name)) => Err(self.file_error(&name, source)),
            (Err(source), None) => Err(ReadError::List {
                path: self.path.clone(),
                source,
            }),
        }
    }

    fn visit_archive(&self, visitor: &mut FileVisitor<'_>) -> Result<(), ReadError> {
        let file = fs::File::open(&self.path).map_err(|source| ReadError::Open {
            path: self.path.clone(),
            source,
        })?;
        let bounds = Bounds {
            max_bytes: self.limits.max_unpacked_bytes,
            max_announced: self.limits.max_unpacked_bytes,
            max_entries: self.limits.max_entries,
            ..Bounds::NONE
        };
        walk_entries(file, bounds, &mut |head, content| {
            if head.kind != Kind::File {
                return Ok(ControlFlow::Continue(()));
            }
            match normalize(&head.name, usize::MAX) {
                Ok(name) => visitor(&name, content).map_err(|error| (name, error)),
                Err(_) => Ok(ControlFlow::Continue(())),
            }
        })
        .map_err(|error| match error {
            WalkError::Archive(source) => ReadError::Archive {
                path: self.path.clone(),
                source,
            },
            WalkError::Visitor((name, source)) => self.file_error(&name, source),
        })
    }

    fn file_error(&self, name: &str, source: io::Error) -> ReadError {
        ReadError::File {
            path: self.path.clone(),
            name: name.to_owned(),
            source,
        }
    }
}

/// Counts what is read into memory.
#[derive(Debug)]
pub struct Memory {
    limits: ReadLimits,
    left: u64,
}

impl Memory {
    /// Nothing has been read.
    pub fn new(limits: &ReadLimits) -> Self {
        Self {
            limits: *limits,
            left: limits.max_parsed_bytes,
        }
    }

    /// The whole content of the file `name`.
    pub fn read(&mut self, name: &str, content: &mut dyn Read) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader(name, content).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The content of the file `name`, which fails where it becomes more than may be in memory.
    pub fn reader<'a>(&'a mut self, name: &str, content: &'a mut dyn Read) -> impl Read + 'a {
        Counted {
            limit: self.limits.max_bytes_of(name),
            left: self.limits.max_bytes_of(name),
            memory: self,
            content,
        }
    }
}

struct Counted<'a> {
    memory: &'a mut Memory,
    content: &'a mut dyn Read,
    limit: u64,
    left: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        let left = |left: u64| left.checked_sub(count as u64);
        match (left(self.left), left(self.memory.left)) {
            (Some(own), Some(all)) => {
                self.left = own;
                self.memory.left = all;
                Ok(count)
            }
            (None, _) => Err(beyond(format!("the file has more than {} bytes", self.limit))),
            (_, None) => {
                let limit = self.memory.limits.max_parsed_bytes;
                Err(beyond(format!("the files to be parsed have more than {limit} bytes")))
            }
        }
    }
}

fn beyond(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}
