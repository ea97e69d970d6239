//! Contents of compressed files and archives: gzip, tar and zip, opened with limits.

mod tape;
mod zip;

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use flate2::{GzHeader, bufread::MultiGzDecoder};

/// Bytes that show the format of a file: one block of tar.
const HEAD: usize = 512;
/// Bytes of a piece.
const PIECE: usize = 64 << 10;
/// Most bytes of the name of a member.
const MAX_NAME: usize = 256;

/// Limits of opening one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Archives in archives; a compressed tar counts once.
    pub depth: usize,
    /// Unpacked bytes of all levels together.
    pub bytes: u64,
    /// Members of all archives together.
    pub members: u64,
}

impl Limits {
    /// Those of files in plugin results.
    pub const RESULT: Self = Self {
        depth: 4,
        bytes: 512 << 20,
        members: 100_000,
    };
}

/// Receives the contents of a file. A file that is not packed has one content.
pub trait Contents {
    /// A content begins. `path` is the path of the file, with `!` before the name of each member.
    fn start(&mut self, path: &str);
    /// A content begins that has the names of members, with binary fields between them. `path` is that of the archive.
    fn start_names(&mut self, path: &str) {
        self.start(path);
    }
    /// The next bytes of the content.
    fn bytes(&mut self, piece: &[u8]);
    /// The content is complete.
    fn end(&mut self);
    /// A part was not opened: its format, `torn`, `encrypted` or `limit`.
    fn opaque(&mut self, path: &str, format: &'static str);
}

/// Whether a file that starts with these bytes (at least 512, if it has as many) is opened.
pub fn is_packed(head: &[u8]) -> bool {
    format(head) != Format::Other
}

/// Opens a file and passes its contents on.
///
/// # Errors
///
/// Only those of reading `content`. Damaged archives are opaque.
pub fn open(path: &str, content: &mut dyn Read, limits: &Limits, contents: &mut dyn Contents) -> io::Result<()> {
    let mut source = Source { content, error: None };
    let mut opener = Opener {
        contents,
        bytes: Rc::new(Cell::new(limits.bytes)),
        members: limits.members,
        depth: limits.depth,
    };
    let position = Position {
        level: 0,
        unpacked: false,
    };
    let outcome = opener.file(path, &mut source, position);
    if let Some(error) = source.error {
        return Err(error);
    }
    if let Err(stop) = outcome {
        opener.contents.opaque(path, stop.reason());
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Gzip,
    Tar,
    Zip,
    Other,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Tar => "tar",
            Self::Zip => "zip",
            Self::Other => "other",
        }
    }
}

fn format(head: &[u8]) -> Format {
    match head {
        [0x1f, 0x8b, 8, ..] => Format::Gzip,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Format::Zip,
        head if tape::is_header(head) => Format::Tar,
        _ => Format::Other,
    }
}

/// Why a file was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Torn,
    Limit,
}

impl Stop {
    fn of(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::FileTooLarge {
            Self::Limit
        } else {
            Self::Torn
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Torn => "torn",
            Self::Limit => "limit",
        }
    }
}

/// The file itself. Its errors are not those of a damaged archive.
struct Source<'a> {
    content: &'a mut dyn Read,
    error: Option<io::Error>,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.content.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    self.error = Some(error);
                    return Err(kind.into());
                }
                count => return count,
            }
        }
    }
}

/// A decoder within the limit of unpacked bytes.
struct Counted<R> {
    decoder: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        let left = self.left.get().checked_sub(count as u64);
        self.left.set(left.ok_or(io::ErrorKind::FileTooLarge)?);
        Ok(count)
    }
}

#[derive(Debug, Clone, Copy)]
struct Position {
    /// Number of archives around a file.
    level: usize,
    /// Whether the file is the content of a gzip file.
    unpacked: bool,
}

impl Position {
    fn member(self) -> Self {
        Self {
            level: self.level + usize::from(!self.unpacked),
            unpacked: false,
        }
    }
}

struct Opener<'a> {
    contents: &'a mut dyn Contents,
    /// Unpacked bytes that may follow.
    bytes: Rc<Cell<u64>>,
    /// Members that may follow.
    members: u64,
    depth: usize,
}

impl Opener<'_> {
    fn file(&mut self, path: &str, content: &mut dyn Read, position: Position) -> Result<(), Stop> {
        let mut head = Vec::with_capacity(HEAD);
        (&mut *content)
            .take(HEAD as u64)
            .read_to_end(&mut head)
            .map_err(|error| Stop::of(&error))?;
        let format = format(&head);
        let deepest = match format {
            Format::Gzip | Format::Zip => position.level >= self.depth,
            Format::Tar => position.level >= self.depth && !position.unpacked,
            Format::Other => false,
        };
        let mut content = BufReader::with_capacity(PIECE, io::Cursor::new(head).chain(content));
        if deepest {
            self.contents.opaque(path, format.name());
            return self.content(path, &mut content);
        }
        match format {
            Format::Gzip => {
                let mut unpacked = self.counted(MultiGzDecoder::new(content));
                let position = Position {
                    level: position.level + 1,
                    unpacked: true,
                };
                let outcome = self.file(path, &mut unpacked, position);
                // Name and comment of the file before it was compressed.
                let header = unpacked.decoder.header();
                let texts = [header.and_then(GzHeader::filename), header.and_then(GzHeader::comment)];
                let names: Vec<u8> = texts
                    .into_iter()
                    .flatten()
                    .flat_map(|text| [text, b"\n"].concat())
                    .collect();
                self.names_in_memory(path, &names);
                outcome
            }
            Format::Tar => self.tar(path, &mut content, position.member()),
            Format::Zip => self.zip(path, &mut content, position.member()),
            Format::Other => self.content(path, &mut content),
        }
    }

    fn counted<R>(&self, decoder: R) -> Counted<R> {
        Counted {
            decoder,
            left: Rc::clone(&self.bytes),
        }
    }

    /// Opens a member of an archive. A damaged member does not end the archive.
    fn member(&mut self, path: &str, content: &mut dyn Read, position: Position) -> Result<(), Stop> {
        self.members = self.members.checked_sub(1).ok_or(Stop::Limit)?;
        match self.file(path, content, position) {
            Err(Stop::Torn) => {
                self.contents.opaque(path, Stop::Torn.reason());
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Passes a content on.
    fn content(&mut self, path: &str, content: &mut dyn BufRead) -> Result<(), Stop> {
        self.contents.start(path);
        self.pass(content)
    }

    /// Passes on the part of an archive that has the names of its members.
    fn names(&mut self, path: &str, content: &mut dyn BufRead) -> Result<(), Stop> {
        self.contents.start_names(path);
        self.pass(content)
    }

    fn pass(&mut self, content: &mut dyn BufRead) -> Result<(), Stop> {
        let outcome = loop {
            let piece = match content.fill_buf() {
                Ok([]) => break Ok(()),
                Ok(piece) => piece,
                Err(error) => break Err(Stop::of(&error)),
            };
            let length = piece.len();
            self.contents.bytes(piece);
            content.consume(length);
        };
        self.contents.end();
        outcome
    }

    fn names_in_memory(&mut self, path: &str, names: &[u8]) {
        if !names.is_empty() {
            self.contents.start_names(path);
            self.contents.bytes(names);
            self.contents.end();
        }
    }
}

/// The path of a member.
fn below(path: &str, name: &[u8]) -> String {
    let name = name.get(..MAX_NAME).unwrap_or(name);
    format!("{path}!{}", String::from_utf8_lossy(name))
}

/// Reads to the end of a member.
fn drain(content: &mut dyn Read) -> Result<(), Stop> {
    io::copy(content, &mut io::sink())
        .map(|_| ())
        .map_err(|error| Stop::of(&error))
}

#[cfg(test)]
mod tests;
