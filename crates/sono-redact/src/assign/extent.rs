//! Where the value of a name starts and ends.

use super::{Context, is_name_of_markup, is_named};
use crate::bytes::{at, before, find, has_word, is_blank, part, run, run_back};

/// Most bytes of a value.
const VALUE: usize = 4 << 10;
/// Most bytes between the start of a line and a name.
const LINE: usize = 200;

/// The text between a name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    Colon,
    Equals,
    /// Blanks after a flag, or the comma of a list of arguments.
    Blank,
    /// `<name>value</name>`
    Markup,
    /// `name: NAME` and `value: …`
    Pair,
}

/// The place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) separator: Separator,
    /// The value is in quotes.
    pub(super) quoted: bool,
    /// The name is in quotes.
    pub(super) quoted_name: bool,
    /// The name is the first word of a line.
    pub(super) starts_line: bool,
    /// A blank follows the separator.
    pub(super) blank: bool,
}

/// The value after a name.
pub(super) fn after(text: &[u8], context: &Context) -> Option<Extent> {
    let name_end = skip_quote(text, context.end);
    let quoted_name = name_end > context.end;
    let name_end = name_end + usize::from(quoted_name && at(text, name_end) == b']');
    let blanks_end = run(text, name_end, 16, is_blank);
    let (separator, first) = separator(text, context, name_end, blanks_end)?;
    let starts_line = !context.is_flag && starts_line(text, context.start);
    let value = run(text, first, 64, is_blank);
    let mut extent = Extent {
        start: value,
        end: value,
        separator,
        quoted: false,
        quoted_name,
        starts_line,
        blank: value > first,
    };
    let may_continue = matches!(separator, Separator::Colon | Separator::Equals | Separator::Pair);
    let indicator = run(text, value, 3, |byte| matches!(byte, b'|' | b'>' | b'-' | b'+'));
    if may_continue && at(text, value) != b'-' && indicator > value && is_line_end(text, indicator) {
        return block(text, context.start, indicator, extent);
    }
    if may_continue && is_line_end(text, value) {
        return next_line(text, context.start, value, extent);
    }
    if separator == Separator::Markup {
        extent.end = run(text, value, VALUE, |byte| byte != b'<' && byte != b'\n');
        return non_empty(extent);
    }
    if let Some((start, end)) = quoted(text, value) {
        (extent.start, extent.end, extent.quoted) = (start, end, true);
        return non_empty(extent);
    }
    extent.end = if starts_line && may_continue {
        line_value(text, value, separator)
    } else {
        run(text, value, VALUE, |byte| {
            !byte.is_ascii_whitespace()
                && !matches!(
                    byte,
                    b',' | b';' | b'&' | b'"' | b'\'' | b'{' | b'}' | b'[' | b']' | b'<' | b'>' | b'`' | b'\\'
                )
        })
    };
    // `${PASSWORD}` and `[redacted]` are not values; nor are lists and maps.
    (!matches!(at(text, value), b'{' | b'[')).then_some(())?;
    non_empty(extent)
}

fn non_empty(extent: Extent) -> Option<Extent> {
    (extent.end > extent.start).then_some(extent)
}

fn separator(text: &[u8], context: &Context, name_end: usize, blanks_end: usize) -> Option<(Separator, usize)> {
    if is_name_of_markup(text, context.start) {
        // Attributes may follow.
        let close = find(text, context.end, 200, b">")?;
        let attributes = part(text, context.end, close);
        let own = !attributes.contains(&b'<') && !attributes.ends_with(b"/");
        return own.then_some((Separator::Markup, close + 1));
    }
    let next = at(text, blanks_end);
    match next {
        b':' if at(text, blanks_end + 1) == b':' => None,
        b':' => Some((
            Separator::Colon,
            blanks_end + 1 + usize::from(at(text, blanks_end + 1) == b'='),
        )),
        b'=' => Some((
            Separator::Equals,
            run(text, blanks_end, 3, |byte| matches!(byte, b'=' | b'>')),
        )),
        b'%' if has_word(text, blanks_end, "%3d") || has_word(text, blanks_end, "%3a") => {
            Some((Separator::Equals, blanks_end + 3))
        }
        _ if is_named(text, context.start) => pair(text, name_end),
        b',' if context.is_flag && name_end > context.end => Some((Separator::Blank, blanks_end + 1)),
        _ if (context.is_flag || context.may_have_blank) && blanks_end > name_end && name_end == context.end => {
            Some((Separator::Blank, blanks_end))
        }
        _ => None,
    }
}

/// The separator after `value` in `name: NAME, value: …`.
fn pair(text: &[u8], name_end: usize) -> Option<(Separator, usize)> {
    let is_between = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'"' | b'\'' | b'-' | b';' | b'\\');
    let mut word = run(text, name_end, 80, is_between);
    // The letter of `\n`.
    if at(text, word) == b'n' && before(text, word) == b'\\' {
        word = run(text, word + 1, 80, is_between);
    }
    if !has_word(text, word, "value") {
        return None;
    }
    let end = skip_quote(text, word + 5);
    let end = run(text, end, 16, is_blank);
    matches!(at(text, end), b':' | b'=').then_some((Separator::Pair, end + 1))
}

/// Skips a quote, also an escaped one.
fn skip_quote(text: &[u8], start: usize) -> usize {
    let quote = run(text, start, 8, |byte| byte == b'\\');
    if matches!(at(text, quote), b'"' | b'\'' | b'`') {
        quote + 1
    } else {
        start
    }
}

/// Whether a line ends here, also an escaped one.
fn is_line_end(text: &[u8], index: usize) -> bool {
    let escapes = run(text, index, 8, |byte| byte == b'\\');
    index >= text.len()
        || matches!(at(text, index), b'\n' | b'\r')
        || (escapes > index && matches!(at(text, escapes), b'n' | b'r'))
}

/// The place after a line end.
fn skip_line_end(text: &[u8], index: usize) -> usize {
    if at(text, index) == b'\\' {
        let letter = run(text, index, 8, |byte| byte == b'\\');
        let after = letter + 1;
        return if at(text, letter) == b'r' && is_line_end(text, after) {
            skip_line_end_once(text, after)
        } else {
            after
        };
    }
    index + 1 + usize::from(at(text, index) == b'\r' && at(text, index + 1) == b'\n')
}

fn skip_line_end_once(text: &[u8], index: usize) -> usize {
    run(text, index, 8, |byte| byte == b'\\') + 1
}

/// The start of the line that contains `index`.
fn line_start(text: &[u8], index: usize) -> usize {
    let limit = index.saturating_sub(LINE);
    let mut start = index;
    while start > limit {
        let previous = before(text, start);
        let escaped = previous == b'n' && start >= 2 && at(text, start - 2) == b'\\';
        if previous == b'\n' || previous == b'\r' || escaped {
            break;
        }
        start -= 1;
    }
    start
}

/// Whether a name is the first word of its line, apart from list marks, quotes, `export` and comment signs.
fn starts_line(text: &[u8], name: usize) -> bool {
    let start = line_start(text, name);
    let head = part(text, start, name).trim_ascii();
    if start > 0 && name - start >= LINE {
        return false;
    }
    let words = [
        &b""[..],
        b"-",
        b"export",
        b"set",
        b"ENV",
        b"env",
        b"ARG",
        b"#",
        b"//",
        b";",
        b"\"",
        b"'",
        b"- \"",
        b"- -",
    ];
    words.contains(&head) || (head.len() <= 2 && head.ends_with(b"\""))
}

/// The end of a value without quotes that may contain blanks: the end of the line, or of the word if another `name=` follows.
fn line_value(text: &[u8], start: usize, separator: Separator) -> usize {
    let mut end = start;
    while end - start < VALUE && !is_line_end(text, end) && at(text, end) != 0 {
        end += 1;
    }
    let word = run(text, start, end - start, |byte| !is_blank(byte));
    if separator == Separator::Equals && word < end {
        let next = run(text, word, 8, is_blank);
        let name = run(text, next, 64, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
        });
        if name > next && at(text, name) == b'=' {
            return word;
        }
    }
    let value = part(text, start, end).trim_ascii_end();
    let value = value.strip_suffix(b",").unwrap_or(value);
    // The rest of a URL's query.
    let query = value
        .iter()
        .position(|byte| *byte == b'&')
        .filter(|_| separator == Separator::Equals);
    start + query.unwrap_or(value.len())
}

/// The bounds of a text in quotes, which may be escaped; without the closing quote, to the end of the line.
fn quoted(text: &[u8], start: usize) -> Option<(usize, usize)> {
    let quote = run(text, start, 8, |byte| byte == b'\\');
    let mark = at(text, quote);
    if !matches!(mark, b'"' | b'\'' | b'`') {
        return None;
    }
    let level = quote - start;
    let first = quote + 1;
    let mut index = first;
    while index - first < VALUE {
        let byte = at(text, index);
        if index >= text.len() || byte == b'\n' {
            break;
        }
        if byte == mark {
            let escapes = index - run_back(text, index, 16, |byte| byte == b'\\');
            let closes = match (mark, level) {
                (b'\'', 0) => true,
                (_, 0) => escapes % 2 == 0,
                _ => escapes <= level,
            };
            if closes {
                let end = if level > 0 { index - escapes } else { index };
                return Some((first, end.max(first)));
            }
        }
        index += 1;
    }
    Some((first, index))
}

/// The value on the line after `name:`, which is indented more than the name.
fn next_line(text: &[u8], name: usize, line_end: usize, mut extent: Extent) -> Option<Extent> {
    if line_end >= text.len() {
        return None;
    }
    let own = name - run_back(text, name, LINE, |byte| is_blank(byte) || matches!(byte, b'"' | b'\''));
    let next = skip_line_end(text, line_end);
    let first = run(text, next, LINE, is_blank);
    if let Some((start, end)) = quoted(text, first).filter(|_| extent.quoted_name && first - next >= own) {
        (extent.start, extent.end, extent.quoted) = (start, end, true);
        return non_empty(extent);
    }
    let end = line_value(text, first, Separator::Colon);
    let value = part(text, first, end);
    let is_structure =
        value.starts_with(b"- ") || value.starts_with(b"{") || value.starts_with(b"[") || value.starts_with(b"<");
    let is_entry = value.ends_with(b":")
        || value.windows(2).any(|bytes| bytes == b": ")
        || value.contains(&b'=') && !value.ends_with(b"=");
    let (start, end) = quoted(text, first).unwrap_or((first, end));
    (extent.start, extent.end) = (start, end);
    let words = value.split(|byte| is_blank(*byte)).count();
    (first - next > own && !is_structure && !is_entry && words <= 8)
        .then_some(extent)
        .and_then(non_empty)
}

/// The lines of a block scalar, which are indented more than the name.
fn block(text: &[u8], name: usize, indicator: usize, mut extent: Extent) -> Option<Extent> {
    let own = name - line_start(text, name);
    let mut line = skip_line_end(text, indicator);
    let first = line;
    while line < text.len() && line - first < VALUE {
        let content = run(text, line, LINE, is_blank);
        let blank_line = is_line_end(text, content);
        if !blank_line && content - line <= own {
            break;
        }
        let mut end = content;
        while end < text.len() && end - first < VALUE && !is_line_end(text, end) {
            end += 1;
        }
        if !blank_line {
            if extent.end <= extent.start || extent.start < first {
                extent.start = content;
            }
            extent.end = end;
        }
        if end >= text.len() {
            break;
        }
        line = skip_line_end(text, end);
    }
    (extent.start >= first).then_some(extent).and_then(non_empty)
}
