//! The table of eight-byte windows, and the search.

use std::fmt;

use zeroize::{Zeroize as _, Zeroizing};

use super::{
    Literal,
    encode::{Form, encode, forms},
    filter::Filter,
    normal::{Track, escape, is_dropped, is_escape},
};
use crate::{
    bytes::{at, part},
    finding::{Finding, OverLimit},
    hits::Rule,
};

/// Bytes of a window.
const WINDOW: usize = 8;
/// Most encoded values with the same window.
const SAME_WINDOW: usize = 48;
/// Values of at least this many characters without blanks are also found if a part is missing, as in a torn line.
const TORN: usize = 32;
/// Characters of such a part.
const TORN_PART: usize = 24;
/// Values without blanks and shorter than this are not searched across line ends, where ordinary words would match.
const FOLDED: usize = 16;
/// Most compared bytes for each byte of a text.
const WORK: usize = 128;
/// Bytes around a window in which its value is: longer than a value in any encoding, as the buffer of a stream is.
const AROUND: usize = 20 << 10;

#[derive(Debug, Clone, Copy)]
struct Candidate {
    value: u32,
    form: Form,
    offset: u32,
}

/// Searches all values in one pass.
pub(crate) struct Index {
    values: Vec<Literal>,
    candidates: Vec<Candidate>,
    windows: Vec<(u64, u32)>,
    filter: Filter,
    not_searched: usize,
}

impl fmt::Debug for Index {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Index").finish_non_exhaustive()
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        for (window, _) in &mut self.windows {
            window.zeroize();
        }
    }
}

/// Buffers of a search, for the next text.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    plain: Track,
    decoded: Track,
    seen: Vec<Seen>,
    /// Parts of the text that have a window of a value.
    regions: Vec<(usize, usize)>,
}

/// A window of the table in a text: where it ends in each track.
#[derive(Debug, Clone, Copy)]
struct Seen {
    window: u64,
    plain: Option<usize>,
    decoded: Option<usize>,
}

impl Index {
    pub(super) fn new(values: Vec<Literal>) -> Self {
        let mut candidates = Vec::new();
        // Its size is known to a factor, so that no copy of windows stays behind in memory.
        let mut windows: Vec<(u64, u32)> = Vec::with_capacity(values.len() * 40);
        for (number, value) in values.iter().enumerate() {
            let Ok(number) = u32::try_from(number) else { break };
            for (form, encoded) in forms(value.bytes()) {
                for offset in places(&encoded) {
                    let (Some(window), Ok(candidate), Ok(offset)) = (
                        window(&encoded, offset),
                        u32::try_from(candidates.len()),
                        u32::try_from(offset),
                    ) else {
                        continue;
                    };
                    windows.push((window, candidate));
                    candidates.push(Candidate {
                        value: number,
                        form,
                        offset,
                    });
                }
            }
        }
        windows.sort_unstable();
        let not_searched = limit_same(&mut windows, &candidates, values.len());
        let filter = Filter::new(windows.iter().map(|(window, _)| *window));
        Self {
            values,
            candidates,
            windows,
            filter,
            not_searched,
        }
    }

    /// Values without any window in the table.
    pub(super) fn not_searched(&self) -> usize {
        self.not_searched
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    fn may_contain(&self, window: u64) -> bool {
        self.filter.may_contain(window)
    }

    fn contains(&self, window: u64) -> bool {
        self.windows
            .binary_search_by_key(&window, |(window, _)| *window)
            .is_ok()
    }

    /// Appends the places of values in `text` to `findings`. `steps` counts compared bytes.
    pub(crate) fn search(
        &self,
        text: &[u8],
        scratch: &mut Scratch,
        findings: &mut Vec<Finding>,
        steps: &mut u64,
    ) -> Result<(), OverLimit> {
        let mut regions = std::mem::take(&mut scratch.regions);
        regions.clear();
        self.filter.scan(text, |window, end| {
            let is_searched = regions.last().is_some_and(|(_, last)| end + AROUND / 2 <= *last);
            if !is_searched && self.contains(window) {
                let (first, last) = (end.saturating_sub(AROUND), (end + AROUND).min(text.len()));
                match regions.last_mut() {
                    Some((_, previous)) if first <= *previous => *previous = last,
                    _ => regions.push((first, last)),
                }
            }
        });
        let mut work = text.len().saturating_mul(WORK).saturating_add(1 << 20);
        let outcome = regions.iter().try_for_each(|(first, last)| {
            let known = findings.len();
            let outcome = self.search_region(part(text, *first, *last), scratch, findings, (&mut work, &mut *steps));
            for finding in findings.iter_mut().skip(known) {
                finding.start += first;
                finding.end += first;
            }
            outcome
        });
        scratch.regions = regions;
        outcome
    }

    fn search_region(
        &self,
        text: &[u8],
        scratch: &mut Scratch,
        findings: &mut Vec<Finding>,
        (work, steps): (&mut usize, &mut u64),
    ) -> Result<(), OverLimit> {
        let Scratch {
            plain, decoded, seen, ..
        } = scratch;
        plain.clear();
        decoded.clear();
        seen.clear();
        plain.reserve(text.len());
        if text.iter().any(|byte| is_escape(*byte)) {
            decoded.reserve(text.len());
            self.read_both(text, plain, decoded, seen);
        } else {
            self.read_plain(text, plain, seen);
        }
        for seen in seen.iter() {
            let first = self.windows.partition_point(|(window, _)| *window < seen.window);
            let same = self
                .windows
                .iter()
                .skip(first)
                .take_while(|(window, _)| *window == seen.window);
            for (_, candidate) in same {
                let Some((value, candidate)) = self.candidate(*candidate) else {
                    continue;
                };
                let encoded = encode(value.bytes(), candidate.form);
                *steps += encoded.len() as u64;
                *work = work.checked_sub(encoded.len()).ok_or(OverLimit)?;
                let found = [(seen.plain, &*plain), (seen.decoded, &*decoded)]
                    .into_iter()
                    .find_map(|(end, track)| compare(text, track, end?, value, candidate, &encoded));
                if let Some((start, end)) = found {
                    findings.push(Finding {
                        start,
                        end,
                        rule: Rule::Known,
                    });
                }
            }
        }
        Ok(())
    }

    fn candidate(&self, index: u32) -> Option<(&Literal, Candidate)> {
        let candidate = *self.candidates.get(usize::try_from(index).ok()?)?;
        let value = self.values.get(usize::try_from(candidate.value).ok()?)?;
        Some((value, candidate))
    }

    fn read_plain(&self, text: &[u8], plain: &mut Track, seen: &mut Vec<Seen>) {
        let mut window = 0;
        for (index, byte) in text.iter().enumerate() {
            if is_dropped(*byte) {
                continue;
            }
            plain.push(*byte, index, index + 1);
            window = window << 8 | u64::from(*byte);
            if self.may_contain(window) {
                seen.push(Seen {
                    window,
                    plain: Some(plain.bytes.len()),
                    decoded: None,
                });
            }
        }
    }

    /// Reads a text with and without its escapes at the same time.
    fn read_both(&self, text: &[u8], plain: &mut Track, decoded: &mut Track, seen: &mut Vec<Seen>) {
        let (mut first, mut second) = (0_u64, 0_u64);
        let mut index = 0;
        while let Some(byte) = text.get(index) {
            if is_dropped(*byte) {
                index += 1;
                continue;
            }
            if is_escape(*byte)
                && let Some(escape) = escape(text, index)
            {
                let end = index + escape.length;
                for (place, byte) in part(text, index, end)
                    .iter()
                    .enumerate()
                    .filter(|(_, byte)| !is_dropped(**byte))
                {
                    plain.push(*byte, index + place, index + place + 1);
                    first = first << 8 | u64::from(*byte);
                    if self.may_contain(first) {
                        seen.push(Seen {
                            window: first,
                            plain: Some(plain.bytes.len()),
                            decoded: None,
                        });
                    }
                }
                for byte in escape.bytes() {
                    decoded.push(*byte, index, end);
                    second = second << 8 | u64::from(*byte);
                    if self.may_contain(second) {
                        seen.push(Seen {
                            window: second,
                            plain: None,
                            decoded: Some(decoded.bytes.len()),
                        });
                    }
                }
                index = end;
                continue;
            }
            plain.push(*byte, index, index + 1);
            decoded.push(*byte, index, index + 1);
            first = first << 8 | u64::from(*byte);
            second = second << 8 | u64::from(*byte);
            let (in_plain, in_decoded) = (plain.bytes.len(), decoded.bytes.len());
            if self.may_contain(first) {
                seen.push(Seen {
                    window: first,
                    plain: Some(in_plain),
                    decoded: (first == second).then_some(in_decoded),
                });
            }
            if first != second && self.may_contain(second) {
                seen.push(Seen {
                    window: second,
                    plain: None,
                    decoded: Some(in_decoded),
                });
            }
            index += 1;
        }
    }
}

/// Removes entries beyond the limit for one window. Returns the number of values without any entry.
fn limit_same(windows: &mut Vec<(u64, u32)>, candidates: &[Candidate], values: usize) -> usize {
    let (mut last, mut count) = (None, 0);
    windows.retain(|(window, _)| {
        count = if last == Some(*window) { count + 1 } else { 1 };
        last = Some(*window);
        count <= SAME_WINDOW
    });
    let mut searched = vec![false; values];
    for (_, candidate) in windows.iter() {
        let value = usize::try_from(*candidate).ok().and_then(|index| candidates.get(index));
        let value = value.and_then(|candidate| usize::try_from(candidate.value).ok());
        if let Some(searched) = value.and_then(|value| searched.get_mut(value)) {
            *searched = true;
        }
    }
    searched.iter().filter(|searched| !**searched).count()
}

fn window(encoded: &[u8], offset: usize) -> Option<u64> {
    let bytes: [u8; WINDOW] = encoded.get(offset..offset + WINDOW)?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

/// Where to take windows of an encoded value: one of a short value, two of a longer one, so that either end may be missing.
fn places(encoded: &[u8]) -> Vec<usize> {
    let Some(last) = encoded.len().checked_sub(WINDOW) else {
        return Vec::new();
    };
    let best = |first: usize, end: usize| {
        let step = ((end - first) / 6).max(1);
        (first..=end)
            .step_by(step)
            .max_by_key(|offset| distinct(part(encoded, *offset, offset + WINDOW)))
    };
    let places = if encoded.len() < TORN {
        [best(0, last), None]
    } else {
        [best(encoded.len() / 4, last / 2), best(last / 2 + 1, last)]
    };
    places.into_iter().flatten().collect()
}

/// Different bytes, and digits and capitals: windows of ordinary words are in many texts.
fn distinct(bytes: &[u8]) -> usize {
    let different = bytes
        .iter()
        .enumerate()
        .filter(|(index, byte)| !part(bytes, 0, *index).contains(byte))
        .count();
    let kinds =
        usize::from(bytes.iter().any(u8::is_ascii_digit)) + usize::from(bytes.iter().any(u8::is_ascii_uppercase));
    different + 2 * kinds
}

/// Compares a value around a window that ends at `end`. Returns the place of the value, or of the part of it that exists.
fn compare(
    text: &[u8],
    track: &Track,
    end: usize,
    value: &Literal,
    candidate: Candidate,
    encoded: &Zeroizing<Vec<u8>>,
) -> Option<(usize, usize)> {
    let offset = usize::try_from(candidate.offset).ok()?;
    let start = end.checked_sub(WINDOW)?;
    if part(&track.bytes, start, end) != part(encoded, offset, offset + WINDOW) {
        return None;
    }
    let back = part(encoded, 0, offset)
        .iter()
        .rev()
        .zip(part(&track.bytes, 0, start).iter().rev())
        .take_while(|(one, other)| one == other)
        .count();
    let after = encoded.get(offset + WINDOW..)?;
    let forward = after
        .iter()
        .zip(track.bytes.get(end..)?)
        .take_while(|(one, other)| one == other)
        .count();
    let length = back + WINDOW + forward;
    let blanks = blank_runs(value.bytes());
    let whole = length == encoded.len();
    let torn = blanks.plain == 0 && encoded.len() >= TORN && length >= TORN_PART;
    if !whole && !torn {
        return None;
    }
    let (first, last) = track.place(start - back, end + forward)?;
    let literal = !matches!(candidate.form, Form::Base64 { .. } | Form::Hex { .. });
    let found = blank_runs(part(text, first, last));
    let allowed = match candidate.form {
        Form::Base64 { .. } => 0,
        // Dumps have blanks between bytes.
        Form::Hex { .. } => usize::MAX,
        _ => blanks.plain + blanks.folds,
    };
    let may_fold = !literal || blanks.plain + blanks.folds > 0 || encoded.len() >= FOLDED || found.continued;
    (found.plain <= allowed && (found.folds == 0 || may_fold)).then_some((first, last))
}

#[derive(Debug, Clone, Copy, Default)]
struct Blanks {
    /// Runs of blanks without a line end.
    plain: usize,
    /// Runs with a line end.
    folds: usize,
    /// All line ends follow a backslash.
    continued: bool,
}

fn blank_runs(text: &[u8]) -> Blanks {
    let mut blanks = Blanks {
        continued: true,
        ..Blanks::default()
    };
    let mut index = 0;
    while index < text.len() {
        let is_gap = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        if !is_gap(at(text, index)) {
            index += 1;
            continue;
        }
        let end = crate::bytes::run(text, index, usize::MAX, is_gap);
        if part(text, index, end).contains(&b'\n') {
            blanks.folds += 1;
            blanks.continued &= crate::bytes::before(text, index) == b'\\';
        } else {
            blanks.plain += 1;
        }
        index = end;
    }
    blanks
}
