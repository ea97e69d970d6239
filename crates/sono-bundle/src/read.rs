//! Reads results from an extracted directory or a tarball.

mod in_order;

use std::{
    collections::BTreeMap,
    io::{self, Read},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use fs_err as fs;
pub use in_order::FileTaker;

use crate::{
    codec::{
        gzip::{ArchiveError, Bounds, Kind, WalkError, walk_entries},
        name::normalize,
    },
    limits::ReadLimits,
    walk::{resolve, walk},
};

/// Why results cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The path does not exist.
    #[error("no such file or directory: {}", .0.display())]
    Missing(PathBuf),
    /// The file or directory cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is damaged or not an archive.
    #[error("cannot read {}", path.display())]
    Archive {
        /// The path.
        path: PathBuf,
        /// The error.
        source: ArchiveError,
    },
    /// A file in the archive cannot be read, or the visitor failed.
    #[error("cannot read {name:?} in {}", path.display())]
    File {
        /// The archive or directory.
        path: PathBuf,
        /// The file in it.
        name: String,
        /// The error.
        source: io::Error,
    },
    /// A directory cannot be listed.
    #[error("cannot list {}", path.display())]
    List {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl ReadError {
    /// Whether one of [`ReadLimits`] was exceeded.
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

/// Visits one file with its name and content, and returns whether to continue.
pub type FileVisitor<'a> = dyn FnMut(&str, &mut dyn Read) -> io::Result<ControlFlow<()>> + 'a;

/// The results of a run: a `.tar.gz`, or the directory to which it was extracted. Names are relative, with `/`; a
/// leading `./` is ignored.
#[derive(Debug, Clone)]
pub struct Bundle {
    path: PathBuf,
    is_directory: bool,
    limits: ReadLimits,
}

/// Position of the magic bytes of POSIX tar (ustar, pax and GNU).
const TAR_MAGIC: std::ops::Range<usize> = 257..TAR_MAGIC_END;
const TAR_MAGIC_END: usize = 262;

impl Bundle {
    /// Opens a directory or archive with [`ReadLimits::DEFAULT`]. Of a file, only the first bytes are checked.
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

    /// Replaces the limits.
    #[must_use]
    pub fn with_limits(self, limits: ReadLimits) -> Self {
        Self { limits, ..self }
    }

    /// The limits on reading.
    pub fn limits(&self) -> &ReadLimits {
        &self.limits
    }

    /// The path of the archive or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads one file; `None` if it does not exist. A tarball is read up to the file: use [`Bundle::read_many`] for
    /// several files.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.read_many(&[name])?.into_values().next())
    }

    /// Reads several files in one pass; missing files are omitted. Keys are the names as given.
    pub fn read_many(&self, names: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, ReadError> {
        let mut found = BTreeMap::new();
        let mut memory = MemoryBudget::new(&self.limits);
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
        let requested: BTreeMap<String, &str> = names
            .iter()
            .filter_map(|name| Some((normalize(name.as_bytes(), usize::MAX).ok()?, *name)))
            .collect();
        if requested.is_empty() {
            return Ok(found);
        }
        self.visit(&mut |name, content| {
            if let Some(given) = requested.get(name) {
                found.insert((*given).to_owned(), memory.read(name, content)?);
            }
            Ok(if found.len() == requested.len() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(found)
    }

    /// Calls `visitor` for every regular file, in one pass with constant memory. The order is that of the archive, or
    /// lexical in a directory. Entries with names that lead out of the archive are skipped.
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

/// A budget for file content in memory.
#[derive(Debug)]
pub struct MemoryBudget {
    limits: ReadLimits,
    left: u64,
}

impl MemoryBudget {
    /// The full budget.
    pub fn new(limits: &ReadLimits) -> Self {
        Self {
            limits: *limits,
            left: limits.max_parsed_bytes,
        }
    }

    /// Reads the whole file `name` within the budget.
    pub fn read(&mut self, name: &str, content: &mut dyn Read) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader(name, content).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A reader of the file `name` that fails when the budget is exceeded.
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
    memory: &'a mut MemoryBudget,
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
            (None, _) => Err(beyond(format!("the file is larger than {} bytes", self.limit))),
            (_, None) => {
                let limit = self.memory.limits.max_parsed_bytes;
                Err(beyond(format!("the files to be parsed exceed {limit} bytes")))
            }
        }
    }
}

fn beyond(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}
