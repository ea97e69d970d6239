//! Access to bytes by index, which cannot panic.

#[cfg(test)]
thread_local! {
    /// Bytes that were looked at in runs and searches.
    pub(crate) static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
fn count(steps: usize) {
    STEPS.with(|total| total.set(total.get() + steps as u64 + 1));
}

/// The byte at `index`; NUL outside of the text.
pub(crate) fn at(text: &[u8], index: usize) -> u8 {
    text.get(index).copied().unwrap_or_default()
}

/// The byte before `index`; a line end at the start of the text.
pub(crate) fn before(text: &[u8], index: usize) -> u8 {
    index
        .checked_sub(1)
        .and_then(|index| text.get(index))
        .copied()
        .unwrap_or(b'\n')
}

/// The bytes from `start` to `end`; nothing if that range is not in the text.
pub(crate) fn part(text: &[u8], start: usize, end: usize) -> &[u8] {
    text.get(start..end).unwrap_or_default()
}

/// The end of the run of accepted bytes that starts at `start`, of at most `most` bytes.
pub(crate) fn run(text: &[u8], start: usize, most: usize, accept: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let length = rest.iter().take(most).take_while(|byte| accept(**byte)).count();
    #[cfg(test)]
    count(length);
    start + length
}

/// The start of the run of accepted bytes that ends at `end`, of at most `most` bytes.
pub(crate) fn run_back(text: &[u8], end: usize, most: usize, accept: impl Fn(u8) -> bool) -> usize {
    let head = text.get(..end).unwrap_or_default();
    let length = head.iter().rev().take(most).take_while(|byte| accept(**byte)).count();
    #[cfg(test)]
    count(length);
    end - length
}

/// The first place of `needle` in the first `most` bytes after `start`.
pub(crate) fn find(text: &[u8], start: usize, most: usize, needle: &[u8]) -> Option<usize> {
    let end = start.saturating_add(most).min(text.len());
    let window = text.get(start..end)?;
    let found = window.windows(needle.len()).position(|bytes| bytes == needle);
    #[cfg(test)]
    count(found.unwrap_or(window.len()));
    Some(start + found?)
}

pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

pub(crate) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// Whether the text at `start` begins with `word`, in any case.
pub(crate) fn has_word(text: &[u8], start: usize, word: &str) -> bool {
    part(text, start, start.saturating_add(word.len())).eq_ignore_ascii_case(word.as_bytes())
}
