//! YAML scalars as they stand after a key: the part that [`super::direct`] needs.

use std::borrow::Cow;

/// A scalar's text, and where the line after it starts.
pub(super) struct Line<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) end: usize,
}

fn spaces(text: &str) -> usize {
    text.bytes().take_while(|byte| *byte == b' ').count()
}

/// A plain scalar below a key with this indentation, with the lines that it goes on for.
pub(super) fn plain(text: &str, indent: usize) -> Option<Line<'_>> {
    let mut end = text.find('\n')?;
    let first = &text[..end];
    let starts_well = match first.as_bytes()[..] {
        [b'-' | b'?' | b':', next, ..] => next != b' ',
        [first, ..] => !b"-?:,[]{}#&*!|>'\"%@` \t".contains(&first),
        [] => false,
    };
    if !starts_well || !is_plain_line(first) {
        return None;
    }
    end += 1;
    let mut whole = Cow::Borrowed(first);
    loop {
        let rest = &text[end..];
        let found = spaces(rest);
        if rest[found..].starts_with('\n') {
            return None;
        }
        if found <= indent || found == rest.len() {
            return Some(Line { text: whole, end });
        }
        let length = rest.find('\n')?;
        let line = &rest[found..length];
        if line.starts_with(['#', '\t']) || !is_plain_line(line) {
            return None;
        }
        let whole = whole.to_mut();
        whole.push(' ');
        whole.push_str(line);
        end += length + 1;
    }
}

/// Whether a line has nothing in it that means something to YAML.
fn is_plain_line(line: &str) -> bool {
    let bytes = line.as_bytes();
    let means_something = |pair: &[u8]| matches!(pair, [b':', b' '] | [b' ', b'#']);
    !line.ends_with([' ', ':']) && !bytes.contains(&b'\t') && !bytes.windows(2).any(means_something)
}

/// A quoted scalar, with the lines that it goes on for, each indented by `indent` at least. The text, and where the
/// closing quote is left behind.
pub(super) fn quoted(text: &str, indent: usize) -> Option<(Cow<'_, str>, usize)> {
    let bytes = text.as_bytes();
    let quote = bytes[0];
    let mut whole = Cow::Borrowed("");
    // What of the whole is escaped, and so no blank that folding may take away.
    let mut kept = 0;
    let (mut start, mut at) = (1, 1);
    let flush = |whole: &mut Cow<'_, str>, part: &str| {
        if !part.is_empty() {
            whole.to_mut().push_str(part);
        }
    };
    loop {
        let next = bytes[at..]
            .iter()
            .position(|byte| *byte == quote || matches!(byte, b'\n' | b'\t') || (quote == b'"' && *byte == b'\\'))?;
        at += next;
        match bytes[at] {
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => {
                flush(&mut whole, &text[start..=at]);
                at += 2;
                start = at;
            }
            // Blanks that may or may not be taken away by folding.
            b'\t' => return None,
            b'\n' => {
                flush(&mut whole, &text[start..at]);
                let whole = whole.to_mut();
                let trimmed = whole.trim_end_matches(' ').len().max(kept);
                whole.truncate(trimmed);
                at = fold(text, at, indent, whole)?;
                start = at;
                kept = whole.len();
            }
            b'\\' => {
                flush(&mut whole, &text[start..at]);
                let whole = whole.to_mut();
                at += 1;
                if bytes.get(at) == Some(&b'\n') {
                    let found = spaces(&text[at + 1..]);
                    if found < indent || bytes.get(at + 1 + found) == Some(&b'\n') {
                        return None;
                    }
                    at += 1 + found;
                } else {
                    let (character, length) = escape(&text[at..])?;
                    whole.push(character);
                    at += length;
                }
                start = at;
                kept = whole.len();
            }
            _ => {
                if whole.is_empty() {
                    return Some((Cow::Borrowed(&text[start..at]), at + 1));
                }
                flush(&mut whole, &text[start..at]);
                return Some((whole, at + 1));
            }
        }
    }
}

/// One line end is a space, more are one less of themselves. Where the next line's text starts.
fn fold(text: &str, line_end: usize, indent: usize, whole: &mut String) -> Option<usize> {
    let mut at = line_end;
    let mut line_ends = 0;
    loop {
        line_ends += 1;
        at += 1;
        let found = spaces(&text[at..]);
        if text[at + found..].starts_with('\n') {
            at += found;
            continue;
        }
        if found < indent || text[at + found..].is_empty() {
            return None;
        }
        at += found;
        break;
    }
    if line_ends == 1 {
        whole.push(' ');
    }
    whole.extend(std::iter::repeat_n('\n', line_ends - 1));
    Some(at)
}

/// The character that stands after a backslash, and how long its name is.
fn escape(text: &str) -> Option<(char, usize)> {
    let hexadecimal = |digits: usize| {
        let code = text.get(1..=digits)?;
        if !code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let code = u32::from_str_radix(code, 16).ok()?;
        Some((char::from_u32(code)?, digits + 1))
    };
    let character = match text.as_bytes().first()? {
        b'x' => return hexadecimal(2),
        b'u' => return hexadecimal(4),
        b'U' => return hexadecimal(8),
        b'0' => '\0',
        b'a' => '\x07',
        b'b' => '\x08',
        b't' => '\t',
        b'n' => '\n',
        b'v' => '\x0b',
        b'f' => '\x0c',
        b'r' => '\r',
        b'e' => '\x1b',
        b' ' => ' ',
        b'"' => '"',
        b'/' => '/',
        b'\\' => '\\',
        b'N' => '\u{85}',
        b'_' => '\u{a0}',
        b'L' => '\u{2028}',
        b'P' => '\u{2029}',
        _ => return None,
    };
    Some((character, 1))
}

/// A literal scalar below a key with this indentation, and where the line after it starts.
pub(super) fn literal(text: &str, indent: usize) -> Option<(String, usize)> {
    let (mut digit, mut chomp) = (None, None);
    let header = text.find('\n')?;
    for byte in &text.as_bytes()[1..header] {
        match byte {
            b'1'..=b'9' if digit.is_none() => digit = Some(usize::from(byte - b'0')),
            b'-' | b'+' if chomp.is_none() => chomp = Some(*byte),
            _ => return None,
        }
    }
    let body = &text[header + 1..];
    let own = match digit {
        Some(digit) => indent + digit,
        None => own_indent(body)?,
    };
    if own <= indent {
        return None;
    }
    let mut whole = String::new();
    // Line ends that belong to the text only if more of it follows, or if they are kept.
    let mut pending = 0;
    let mut at = 0;
    let mut is_empty = true;
    while at < body.len() {
        let line = &body[at..];
        let length = line.find('\n')?;
        let found = spaces(&line[..length]);
        if found < own {
            if found < length {
                break;
            }
            pending += 1;
        } else if length == own {
            pending += 1;
        } else {
            whole.extend(std::iter::repeat_n('\n', pending));
            whole.push_str(&line[own..length]);
            pending = 1;
            is_empty = false;
        }
        at += length + 1;
    }
    // Scalars without any text have rules of their own.
    if is_empty {
        return None;
    }
    match chomp {
        Some(b'-') => {}
        Some(_) => whole.extend(std::iter::repeat_n('\n', pending)),
        None => whole.push('\n'),
    }
    Some((whole, header + 1 + at))
}

/// The indentation of the first line with text; blank lines before it may not be longer.
fn own_indent(body: &str) -> Option<usize> {
    let mut longest_blank = 0;
    for line in body.split('\n') {
        let found = spaces(line);
        if found < line.len() {
            return (longest_blank <= found && !line[found..].starts_with('\t')).then_some(found);
        }
        longest_blank = longest_blank.max(found);
    }
    None
}
