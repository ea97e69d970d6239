//! Redaction of a file of a plugin result, which may be compressed or an archive.

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
            let mut found = self.search_packed(kind, content, layers)?;
            if found.total() > 0 {
                found.add(kind, "", Rule::Encoded);
                out.write_all(REDACTED.as_bytes())?;
            } else {
                content.rewind()?;
                io::copy(content, out)?;
            }
            return Ok(found);
        }
        let mut stream = self.stream(layers).named(kind);
        let mut decided = Vec::new();
        let mut piece = vec![0; PIECE];
        loop {
            let count = content.read(&mut piece)?;
            if count == 0 {
                break;
            }
            stream.push(piece.get(..count).unwrap_or_default(), &mut decided);
            out.write_all(&decided)?;
            decided.clear();
        }
        let found = stream.finish(&mut decided);
        out.write_all(&decided)?;
        Ok(found)
    }

    /// Counts the secrets in the contents of a file, within [`Limits::RESULT`].
    ///
    /// # Errors
    ///
    /// Those of reading `content`.
    pub fn search_packed(&self, kind: &str, content: &mut dyn Read, layers: Layers) -> io::Result<Redactions> {
        let mut search = ContentSearch {
            redactor: self,
            kind,
            layers,
            stream: None,
            unused: Vec::new(),
            found: Redactions::default(),
        };
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
    /// The redacted content, which is not needed.
    unused: Vec<u8>,
    found: Redactions,
}

impl Contents for ContentSearch<'_> {
    fn start(&mut self, _: &str) {
        self.stream = Some(self.redactor.stream(self.layers).named(self.kind));
    }

    fn bytes(&mut self, piece: &[u8]) {
        if let Some(stream) = &mut self.stream {
            stream.push(piece, &mut self.unused);
            self.unused.clear();
        }
    }

    fn end(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.found.merge(stream.finish(&mut self.unused));
            self.unused.clear();
        }
    }

    fn opaque(&mut self, _: &str, format: &'static str) {
        self.found.add_opaque(format);
    }
}
