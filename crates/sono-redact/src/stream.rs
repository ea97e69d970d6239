//! Redaction of a text that arrives in pieces of any size.

use crate::{
    REDACTED,
    bytes::part,
    finding::{Finding, OverLimit},
    hits::{Redactions, Rule},
    scan::{Layers, Scratch, Search},
};

/// Bytes that are decided at once.
const BLOCK: usize = 128 << 10;
/// Bytes after a block that are read with it: no secret and no decision is longer.
const REACH: usize = 20 << 10;
/// Decided bytes that are read again with the next block, since names are before their values.
const HISTORY: usize = 2 << 10;

/// Redacts a text in pieces. The result does not depend on where the pieces end; the buffer has at most 300 KiB.
#[derive(Debug)]
pub struct TextStream<'r> {
    search: &'r Search,
    layers: Layers,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are decided.
    decided: usize,
    /// Bytes that were read so far, decided or not.
    read: u64,
    /// Bytes before the buffer.
    dropped: u64,
    redactions: Redactions,
    path: String,
}

impl<'r> TextStream<'r> {
    pub(crate) fn new(search: &'r Search, layers: Layers) -> Self {
        Self {
            search,
            layers,
            buffer: Vec::new(),
            decided: 0,
            read: 0,
            dropped: 0,
            redactions: Redactions::default(),
            path: String::new(),
        }
    }

    /// Names the kind of text in the counts, such as `PodLog`.
    #[must_use]
    pub fn named(mut self, kind: &str) -> Self {
        kind.clone_into(&mut self.path);
        self
    }

    /// Reads a piece of the text and appends the decided part of the result to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while !rest.is_empty() {
            let missing = (self.decided + BLOCK + REACH).saturating_sub(self.buffer.len());
            let (now, later) = rest.split_at(missing.min(rest.len()));
            self.note_format(now);
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() >= self.decided + BLOCK + REACH {
                self.decide(false, out);
            }
        }
    }

    /// Appends the rest of the result to `out`. Returns the counts and what could not be searched.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Redactions {
        self.decide(true, out);
        self.redactions
    }

    /// Notes formats that are searched for known values only, or not at all.
    fn note_format(&mut self, piece: &[u8]) {
        if self.read == 0 {
            let format = match piece {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("utf-16"),
                [0x1f, 0x8b, ..] => Some("gzip"),
                [b'P', b'K', 3, 4, ..] => Some("zip"),
                [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
                [0xfd, b'7', b'z', b'X', ..] => Some("xz"),
                [b'B', b'Z', b'h', ..] => Some("bzip2"),
                _ => None,
            };
            if let Some(format) = format {
                self.redactions.add_opaque(format);
            }
        }
        self.read += piece.len() as u64;
    }

    fn decide(&mut self, last: bool, out: &mut Vec<u8>) {
        let length = self.buffer.len();
        let mut cut = if last { length } else { self.decided + BLOCK };
        let Self {
            search,
            layers,
            buffer,
            decided,
            redactions,
            path,
            dropped,
            ..
        } = self;
        let mut position = *decided;
        // Several times the size of the buffer, and needed only now: many streams may wait for their next piece.
        let mut scratch = Scratch::default();
        if search.scan(buffer, *layers, &mut scratch) == Err(OverLimit) {
            scratch.findings.clear();
            scratch.findings.push(Finding {
                start: *decided,
                end: cut,
                rule: Rule::Limit,
            });
        }
        for finding in &scratch.findings {
            if finding.end <= position || finding.start >= cut {
                continue;
            }
            let start = finding.start.max(position);
            out.extend_from_slice(part(buffer, position, start));
            out.extend_from_slice(REDACTED.as_bytes());
            redactions.add_at(path, *dropped + start as u64, finding.rule);
            position = finding.end;
            cut = cut.max(finding.end);
        }
        out.extend_from_slice(part(buffer, position, cut));
        let keep = cut.saturating_sub(HISTORY);
        let keep_from = keep.min(length);
        buffer.drain(..keep_from);
        *dropped += keep_from as u64;
        *decided = cut - keep;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Known, KnownValues, Place, Redactor};

    #[test]
    fn places_are_offsets_in_the_whole_text() {
        let mut known = KnownValues::default();
        known.add("password", b"Zq8-wL2mPx");
        let redactor = Redactor::new(Known::Values(known));
        let offsets = [3, BLOCK - 4, BLOCK + 100, 3 * BLOCK + 7];
        let mut text = vec![b'.'; 4 * BLOCK];
        for offset in offsets {
            text[offset..offset + 10].copy_from_slice(b"Zq8-wL2mPx");
        }
        let mut stream = redactor.stream(Layers::Known);
        let mut out = Vec::new();
        for piece in text.chunks(1_000) {
            stream.push(piece, &mut out);
        }
        let place = |offset: usize| Place {
            within: String::new(),
            offset: offset as u64,
            rule: Rule::Known,
        };
        assert_eq!(stream.finish(&mut out).places(), offsets.map(place));
    }

    #[test]
    fn places_of_nested_texts_have_their_path() {
        let place = |within: &str| Place {
            within: within.to_owned(),
            offset: 5,
            rule: Rule::Known,
        };
        let mut inner = Redactions::default();
        inner.add_at("", 5, Rule::Known);
        let (mut middle, mut outer) = (Redactions::default(), Redactions::default());
        middle.merge_nested("b.txt", inner);
        outer.merge_nested("a.tar", middle);
        assert_eq!((outer.places(), outer.total()), (&[place("a.tar/b.txt")][..], 1));
    }
}
