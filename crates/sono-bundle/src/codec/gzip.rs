//! Walks the entries of an untrusted `.tar.gz` with bounded memory and size, and distinguishes damaged archives from
//! local I/O errors.

use std::{
    cell::{Cell, RefCell},
    io::{self, BufRead, BufReader, Read},
    ops::ControlFlow,
    rc::Rc,
};

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, EntryType};

/// Bytes of headers before one entry. Long names and PAX records are held in memory, so they have their own limit.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The bytes could not be read; the archive itself may be intact.
    #[error("cannot read the archive's bytes")]
    Source(#[source] io::Error),
    /// The file is empty.
    #[error("not a gzip file: it is empty")]
    Empty,
    /// The content does not begin like gzip.
    #[error("not a gzip file")]
    NotGzip,
    /// An uncompressed tar archive.
    #[error("not a gzip file: an uncompressed tar archive; compress it with gzip")]
    PlainTar,
    /// The gzip stream is damaged: wrong checksum, invalid data, or garbage at its end.
    #[error("damaged gzip stream")]
    Damaged(#[source] io::Error),
    /// The gzip stream or the tar archive in it ends too early.
    #[error("truncated archive")]
    Truncated,
    /// The gzip stream contains no tar archive.
    #[error("gzip stream contains no tar archive")]
    NotTar,
    /// The tar archive is damaged after its first entries.
    #[error("damaged tar archive")]
    DamagedTar(#[source] io::Error),
    /// A header, such as a long name, exceeds the limit.
    #[error("archive has a header of more than {limit} bytes")]
    Header {
        /// The limit in bytes.
        limit: u64,
    },
    /// The unpacked size exceeds the limit.
    #[error("archive unpacks to more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The archive has too many entries.
    #[error("archive has more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// The compression ratio exceeds the limit, as that of a decompression bomb.
    #[error("archive unpacks to more than {limit} times its size")]
    Ratio {
        /// The limit: unpacked bytes per compressed byte.
        limit: u64,
    },
}

impl ArchiveError {
    /// Whether the archive is invalid, as opposed to unreadable.
    pub fn is_content(&self) -> bool {
        !matches!(self, Self::Source(_))
    }
}

/// Limits on the unpacked archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes from the decompressor.
    pub(crate) max_bytes: u64,
    /// Bytes of all entries according to their headers; more than that for sparse files.
    pub(crate) max_announced: u64,
    pub(crate) max_entries: u64,
    pub(crate) max_ratio: u64,
    pub(crate) ratio_floor: u64,
}

impl Bounds {
    pub(crate) const NONE: Self = Self {
        max_bytes: u64::MAX,
        max_announced: u64::MAX,
        max_entries: u64::MAX,
        max_ratio: u64::MAX,
        ratio_floor: u64::MAX,
    };
}

/// The header of one entry.
#[derive(Debug)]
pub(crate) struct Head {
    /// The name as in the archive.
    pub(crate) name: Vec<u8>,
    pub(crate) kind: Kind,
    /// Size of the content in bytes.
    pub(crate) size: u64,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Time of the last change, in seconds since 1970.
    pub(crate) modified: u64,
}

/// The type of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    /// Links, devices and all other types, by name.
    Other(&'static str),
}

/// Why a walk ended early: an error of the archive or of the visitor.
#[derive(Debug)]
pub(crate) enum WalkError<E> {
    Archive(ArchiveError),
    Visitor(E),
}

/// Visits one entry and its content, and returns whether to continue.
pub(crate) type EntryVisitor<'a, E> = dyn FnMut(&Head, &mut dyn Read) -> Result<ControlFlow<()>, E> + 'a;

/// Calls `visit` for every entry, in the archive's order. A read error that `visit` returns counts as the archive's
/// error. Unless `visit` breaks, the rest of the stream is read after the last entry, to detect damage at its end.
pub(crate) fn walk_entries<E>(
    reader: impl Read,
    bounds: Bounds,
    visit: &mut EntryVisitor<'_, E>,
) -> Result<(), WalkError<E>> {
    let meter = Rc::new(Meter::new(bounds));
    let mut compressed = BufReader::with_capacity(
        64 << 10,
        Compressed {
            inner: reader,
            meter: Rc::clone(&meter),
        },
    );
    match compressed.fill_buf() {
        Ok([]) => return Err(WalkError::Archive(ArchiveError::Empty)),
        Ok(start) if !start.starts_with(&[0x1f]) => return Err(WalkError::Archive(ArchiveError::NotGzip)),
        Ok(_) => {}
        Err(error) => return Err(WalkError::Archive(meter.explain(error))),
    }
    let plain = Plain {
        inner: MultiGzDecoder::new(compressed),
        meter: Rc::clone(&meter),
    };
    let mut archive = Archive::new(plain);
    let archive_error = |error: io::Error| WalkError::Archive(meter.explain(error));
    meter.begin_header();
    let mut entries = archive.entries().map_err(archive_error)?;
    loop {
        meter.begin_header();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(archive_error)?;
        meter.has_entries.set(true);
        let kind = kind(entry.header().entry_type());
        let head = Head {
            name: entry.path_bytes().into_owned(),
            kind: match kind {
                // Archives of the oldest format mark directories only by the slash.
                Some(Kind::File) if entry.path_bytes().ends_with(b"/") => Kind::Directory,
                Some(kind) => kind,
                // A PAX record for the whole archive is not an entry.
                None => {
                    meter.begin_content();
                    io::copy(&mut entry, &mut io::sink()).map_err(archive_error)?;
                    continue;
                }
            },
            size: entry.size(),
            mode: entry.header().mode().unwrap_or(0o644),
            modified: entry.header().mtime().unwrap_or_default(),
        };
        meter.begin_content();
        meter.count_entry(head.size).map_err(WalkError::Archive)?;
        let mut content = Exactly {
            left: head.size,
            inner: &mut entry,
            meter: &meter,
        };
        let flow = visit(&head, &mut content).map_err(|error| match meter.take_failure() {
            Some(failure) => WalkError::Archive(failure),
            None => WalkError::Visitor(error),
        })?;
        if flow.is_break() {
            return Ok(());
        }
        io::copy(&mut content, &mut io::sink()).map_err(archive_error)?;
    }
    meter.begin_content();
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(archive_error)?;
    Ok(())
}

/// Decompresses gzip data of any content, up to `max_bytes`.
pub fn gunzip(reader: impl Read, max_bytes: u64) -> Result<Vec<u8>, ArchiveError> {
    let meter = Rc::new(Meter::new(Bounds {
        max_bytes,
        ..Bounds::NONE
    }));
    let compressed = Compressed {
        inner: reader,
        meter: Rc::clone(&meter),
    };
    let mut plain = Plain {
        inner: MultiGzDecoder::new(BufReader::with_capacity(64 << 10, compressed)),
        meter: Rc::clone(&meter),
    };
    let mut bytes = Vec::new();
    plain.read_to_end(&mut bytes).map_err(|error| meter.explain(error))?;
    Ok(bytes)
}

fn kind(entry: EntryType) -> Option<Kind> {
    Some(match entry {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::XGlobalHeader => return None,
        EntryType::Symlink => Kind::Other("symbolic link"),
        EntryType::Link => Kind::Other("hard link"),
        EntryType::Char => Kind::Other("character device"),
        EntryType::Block => Kind::Other("block device"),
        EntryType::Fifo => Kind::Other("named pipe"),
        _ => Kind::Other("special entry"),
    })
}

/// Counts bytes before and after the decompressor, and stores the first failure, which readers above may wrap or lose.
#[derive(Debug)]
struct Meter {
    bounds: Bounds,
    compressed: Cell<u64>,
    plain: Cell<u64>,
    /// Bytes left for headers; `None` while content is read.
    header_left: Cell<Option<u64>>,
    /// Whether at least one header was valid.
    has_entries: Cell<bool>,
    entries: Cell<u64>,
    /// Bytes of all entries according to their headers.
    announced: Cell<u64>,
    failure: RefCell<Option<ArchiveError>>,
}

impl Meter {
    fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            compressed: Cell::new(0),
            plain: Cell::new(0),
            header_left: Cell::new(None),
            has_entries: Cell::new(false),
            entries: Cell::new(0),
            announced: Cell::new(0),
            failure: RefCell::new(None),
        }
    }

    fn begin_header(&self) {
        self.header_left.set(Some(MAX_HEADER_BYTES));
    }

    fn begin_content(&self) {
        self.header_left.set(None);
    }

    fn fail(&self, failure: ArchiveError) -> io::Error {
        let error = io::Error::other(failure.to_string());
        self.failure.borrow_mut().get_or_insert(failure);
        error
    }

    fn take_failure(&self) -> Option<ArchiveError> {
        self.failure.borrow_mut().take()
    }

    /// Maps an error of the tar reader to the failure below it, or to an invalid tar archive.
    fn explain(&self, error: io::Error) -> ArchiveError {
        if let Some(failure) = self.take_failure() {
            return failure;
        }
        if error.kind() == io::ErrorKind::UnexpectedEof || error.to_string().contains("failed to read entire block") {
            ArchiveError::Truncated
        } else if self.has_entries.get() {
            ArchiveError::DamagedTar(error)
        } else {
            // The tar reader's message is about numbers in an invalid header.
            ArchiveError::NotTar
        }
    }

    fn count_entry(&self, size: u64) -> Result<(), ArchiveError> {
        self.entries.set(self.entries.get() + 1);
        self.announced.set(self.announced.get().saturating_add(size));
        if self.entries.get() > self.bounds.max_entries {
            return Err(ArchiveError::TooManyEntries {
                limit: self.bounds.max_entries,
            });
        }
        if self.announced.get() > self.bounds.max_announced {
            return Err(ArchiveError::TooLarge {
                limit: self.bounds.max_announced,
            });
        }
        Ok(())
    }

    fn count_plain(&self, bytes: u64) -> io::Result<()> {
        let plain = self.plain.get().saturating_add(bytes);
        self.plain.set(plain);
        if let Some(left) = self.header_left.get() {
            match left.checked_sub(bytes) {
                Some(left) => self.header_left.set(Some(left)),
                None => {
                    return Err(self.fail(ArchiveError::Header {
                        limit: MAX_HEADER_BYTES,
                    }));
                }
            }
        }
        if plain > self.bounds.max_bytes {
            return Err(self.fail(ArchiveError::TooLarge {
                limit: self.bounds.max_bytes,
            }));
        }
        if plain > self.bounds.ratio_floor && plain / self.compressed.get().max(1) > self.bounds.max_ratio {
            return Err(self.fail(ArchiveError::Ratio {
                limit: self.bounds.max_ratio,
            }));
        }
        Ok(())
    }
}

/// The compressed bytes, counted.
struct Compressed<R> {
    inner: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Compressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(buffer) {
                Ok(count) => {
                    let total = self.meter.compressed.get().saturating_add(count as u64);
                    self.meter.compressed.set(total);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.meter.fail(ArchiveError::Source(error))),
            }
        }
    }
}

/// The decompressed bytes, counted and bounded.
struct Plain<R> {
    inner: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Headers are read in small steps, so the limit for headers is not exceeded by much.
        match self.inner.read(buffer) {
            Ok(count) => {
                self.meter.count_plain(count as u64)?;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.meter.fail(ArchiveError::Truncated)),
            Err(error) => Err(self.meter.fail(ArchiveError::Damaged(error))),
        }
    }
}

/// Content of exactly the size in its header. The tar reader would accept truncated content.
struct Exactly<'a, R> {
    left: u64,
    inner: R,
    meter: &'a Meter,
}

impl<R: Read> Read for Exactly<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(self.meter.fail(ArchiveError::Truncated));
        }
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}
