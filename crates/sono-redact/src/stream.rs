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

/// Sizes of the buffer: smaller ones in tests.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    block: usize,
    reach: usize,
    history: usize,
}

const SIZES: Sizes = Sizes {
    block: BLOCK,
    reach: REACH,
    history: HISTORY,
};

/// Redacts a text in pieces. The result does not depend on where the pieces end; the buffer has at most 300 KiB.
#[derive(Debug)]
pub struct TextStream<'r> {
    search: &'r Search,
    layers: Layers,
    sizes: Sizes,
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
            sizes: SIZES,
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
            let whole = self.decided + self.sizes.block + self.sizes.reach;
            let missing = whole.saturating_sub(self.buffer.len());
            let (now, later) = rest.split_at(missing.min(rest.len()));
            self.note_format(now);
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() >= whole {
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
        let mut cut = if last { length } else { self.decided + self.sizes.block };
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
        let keep = cut.saturating_sub(self.sizes.history);
        let keep_from = keep.min(length);
        buffer.drain(..keep_from);
        *dropped += keep_from as u64;
        *decided = cut - keep;
    }
}

#[cfg(test)]
mod tests;
