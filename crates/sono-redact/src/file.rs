//! Redaction of a file of any format, which may be compressed or an archive.

use std::io::{self, Read, Seek, Write};

use crate::{
    REDACTED,
    hits::{Redactions, Rule},
    packed::{self, Contents, Limits},
    redactor::Redactor,
    scan::Layers,
    stream::TextStream,
};

/// Bytes that show the format of a file.
const HEAD: u64 = 512;
const PIECE: usize = 64 << 10;
/// A content with a NUL in so many first bytes is binary: it may contain compressed parts.
const TEXT_BYTES: u64 = 8 << 10;

impl Redactor {
    /// Copies a file to `out` without secrets. Of a file that is compressed or an archive, the contents are searched: it is
    /// copied unchanged, or replaced as a whole by [`REDACTED`] if anything is found. `kind` names the file in the counts.
    ///
    /// # Errors
    ///
    /// Those of reading and writing. Damaged archives are opaque in the result.
    pub fn file(
        &self,
        kind: &str,
        content: &mut (impl Read + Seek),
        layers: Layers,
        out: &mut dyn Write,
    ) -> io::Result<Redactions> {
        let mut head = Vec::new();
        content.by_ref().take(HEAD).read_to_end(&mut head)?;
        content.rewind()?;
        if packed::is_packed(&head) {
            let mut found = self.search_file(kind, content, layers)?;
            if found.total() > 0 {
                found.add(kind, "", Rule::Encoded);
                out.write_all(REDACTED.as_bytes())?;
            } else {
                content.rewind()?;
                io::copy(content, out)?;
            }
            return Ok(found);
        }
        let mut search = ContentSearch::new(self, kind, layers);
        search.start("");
        let mut piece = vec![0; PIECE];
        loop {
            match content.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => search.push(piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            out.write_all(&search.decided)?;
            search.decided.clear();
        }
        search.close();
        out.write_all(&search.decided)?;
        Ok(search.found)
    }

    /// Finds the secrets in a file, and in its contents within [`Limits::RESULT`] if it is compressed or an archive.
    ///
    /// # Errors
    ///
    /// Those of reading `content`.
    pub fn search_file(&self, kind: &str, content: &mut dyn Read, layers: Layers) -> io::Result<Redactions> {
        let mut search = ContentSearch::new(self, kind, layers);
        packed::open("", content, &Limits::RESULT, &mut search)?;
        Ok(search.found)
    }
}

/// Searches each content of a file.
struct ContentSearch<'r> {
    redactor: &'r Redactor,
    kind: &'r str,
    layers: Layers,
    stream: Option<TextStream<'r>>,
    /// Path of the content in the file.
    path: String,
    /// Bytes of the content so far.
    read: u64,
    /// Whether the content may be binary, and what was found about it.
    binary: Binary,
    /// The redacted content.
    decided: Vec<u8>,
    found: Redactions,
}

/// Whether a content is binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binary {
    /// Not yet known.
    No,
    /// The last byte was a NUL: a text may end in some.
    Ended,
    Yes,
    /// Binary by its format, which is known.
    Names,
}

impl<'r> ContentSearch<'r> {
    fn new(redactor: &'r Redactor, kind: &'r str, layers: Layers) -> Self {
        Self {
            redactor,
            kind,
            layers,
            stream: None,
            path: String::new(),
            read: 0,
            binary: Binary::No,
            decided: Vec::new(),
            found: Redactions::default(),
        }
    }

    fn push(&mut self, piece: &[u8]) {
        let first = usize::try_from(TEXT_BYTES.saturating_sub(self.read)).unwrap_or_default();
        for byte in piece.iter().take(first) {
            self.binary = match (self.binary, byte) {
                (Binary::No | Binary::Ended, 0) => Binary::Ended,
                (Binary::Ended, _) => Binary::Yes,
                (known, _) => known,
            };
        }
        self.read += piece.len() as u64;
        if let Some(stream) = &mut self.stream {
            stream.push(piece, &mut self.decided);
        }
    }

    fn close(&mut self) {
        if let Some(stream) = self.stream.take() {
            let mut found = stream.finish(&mut self.decided);
            if self.binary == Binary::Yes && found.opaque().is_empty() {
                found.add_opaque("binary");
            }
            self.found.merge_nested(&self.path, found);
        }
    }
}

impl Contents for ContentSearch<'_> {
    fn start(&mut self, path: &str) {
        self.stream = Some(self.redactor.stream(self.layers).named(self.kind));
        path.trim_start_matches('!').clone_into(&mut self.path);
        self.read = 0;
        self.binary = Binary::No;
    }

    fn start_names(&mut self, path: &str) {
        self.start(path);
        self.binary = Binary::Names;
    }

    fn bytes(&mut self, piece: &[u8]) {
        self.push(piece);
        self.decided.clear();
    }

    fn end(&mut self) {
        self.close();
        self.decided.clear();
    }

    fn opaque(&mut self, _: &str, format: &'static str) {
        self.found.add_opaque(format);
    }
}
