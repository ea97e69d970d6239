//! Texts without blanks and escapes, so that a value is found wherever it was folded or escaped.

use crate::bytes::{at, has_word, part, run};

/// Most backslashes before one escaped character: nested JSON doubles them at each level.
const BACKSLASHES: usize = 64;
/// Most levels of nested percent encodings and references of XML.
const NESTED: usize = 4;

/// Bytes of a text with their places in it.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) bytes: Vec<u8>,
    starts: Vec<u32>,
    ends: Vec<u32>,
}

impl Track {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
        self.ends.clear();
    }

    pub(super) fn reserve(&mut self, length: usize) {
        self.bytes.reserve(length);
        self.starts.reserve(length);
        self.ends.reserve(length);
    }

    /// Appends a byte, which stands for the bytes from `start` to `end` of the text.
    pub(super) fn push(&mut self, byte: u8, start: usize, end: usize) {
        self.bytes.push(byte);
        self.starts.push(u32::try_from(start).unwrap_or(u32::MAX));
        self.ends.push(u32::try_from(end).unwrap_or(u32::MAX));
    }

    /// The range in the text of the bytes from `first` to before `end`.
    pub(super) fn place(&self, first: usize, end: usize) -> Option<(usize, usize)> {
        let start = *self.starts.get(first)?;
        let end = *self.ends.get(end.checked_sub(1)?)?;
        Some((usize::try_from(start).ok()?, usize::try_from(end).ok()?))
    }
}

/// Whether a byte is left out: blanks, line ends, and the NULs of UTF-16.
pub(super) const fn is_dropped(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0 | 0x0b | 0x0c)
}

/// Whether an escape may start with this byte.
pub(super) const fn is_escape(byte: u8) -> bool {
    matches!(byte, b'\\' | b'%' | b'&') || is_quote(byte)
}

/// Quotes are left out with the escapes: YAML, CSV and SQL double them, shells close and open the text around them.
pub(super) const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'\'' | b'"')
}

const fn is_visible(byte: u8) -> bool {
    !is_dropped(byte) && !is_quote(byte)
}

/// A decoded escape: its length in the text, and at most four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Escape {
    pub(super) length: usize,
    bytes: [u8; 4],
    count: usize,
}

impl Escape {
    fn new(length: usize, code: u32) -> Self {
        let mut bytes = [0; 4];
        let count = match (u8::try_from(code), char::from_u32(code)) {
            (Ok(byte), _) if !is_visible(byte) => 0,
            (_, Some(character)) => character.encode_utf8(&mut bytes).len(),
            _ => 0,
        };
        Self { length, bytes, count }
    }

    fn byte(length: usize, byte: u8) -> Self {
        Self {
            length,
            bytes: [byte, 0, 0, 0],
            count: usize::from(is_visible(byte)),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        part(&self.bytes, 0, self.count)
    }
}

/// Decodes the escape at `start`: of JSON, YAML and programs at any level of nesting, of URLs, and of XML.
pub(super) fn escape(text: &[u8], start: usize) -> Option<Escape> {
    match at(text, start) {
        b'\\' => {
            let after = run(text, start, BACKSLASHES, |byte| byte == b'\\');
            let length = after - start;
            if after >= text.len() {
                return Some(Escape {
                    length,
                    bytes: [0; 4],
                    count: 0,
                });
            }
            Some(match at(text, after) {
                b'n' | b'r' | b't' | b'b' | b'f' => Escape::byte(length + 1, b' '),
                b'u' => unicode(text, after + 1, length),
                b'U' => match hexadecimal(part(text, after + 1, after + 9), 8) {
                    Some(code) => Escape::new(length + 9, code),
                    None => Escape::byte(length + 1, b'U'),
                },
                b'x' => match hexadecimal(part(text, after + 1, after + 3), 2) {
                    Some(code) => Escape::byte(length + 3, u8::try_from(code).unwrap_or_default()),
                    None => Escape::byte(length + 1, b'x'),
                },
                other => Escape::byte(length + 1, other),
            })
        }
        b'%' => {
            // A nested one has `%25` in place of `%`.
            let nested = run_of(text, start + 1, "25", |place| {
                hexadecimal(part(text, place, place + 2), 2).is_some()
            });
            let code = hexadecimal(part(text, nested, nested + 2), 2)?;
            Some(Escape::byte(nested + 2 - start, u8::try_from(code).ok()?))
        }
        b'&' => {
            let nested = run_of(text, start + 1, "amp;", |place| reference(text, place).is_some());
            let (length, escape) = (nested - start - 1, reference(text, nested)?);
            Some(Escape {
                length: escape.length + length,
                ..escape
            })
        }
        quote if is_quote(quote) => Some(Escape::byte(1, quote)),
        _ => None,
    }
}

/// The end of the repetitions of `word` at `start` after which `follows` holds.
fn run_of(text: &[u8], start: usize, word: &str, follows: impl Fn(usize) -> bool) -> usize {
    let mut end = start;
    for _ in 0..NESTED {
        let next = end + word.len();
        if !has_word(text, end, word) || !follows(next) {
            break;
        }
        end = next;
    }
    end
}

/// An escape `\u`, with the hexadecimal digits from `digits` on. Characters beyond 16 bits are two of them in JSON, and `length`
/// is that of the backslashes.
fn unicode(text: &[u8], digits: usize, length: usize) -> Escape {
    let Some(code) = hexadecimal(part(text, digits, digits + 4), 4) else {
        return Escape::byte(length + 1, b'u');
    };
    let first = digits + 4;
    let second = run(text, first, BACKSLASHES, |byte| byte == b'\\');
    if (0xd800..0xdc00).contains(&code)
        && second > first
        && at(text, second) == b'u'
        && let Some(low) = hexadecimal(part(text, second + 1, second + 5), 4)
        && (0xdc00..0xe000).contains(&low)
    {
        let code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        return Escape::new(length + 5 + (second - first) + 5, code);
    }
    Escape::new(length + 5, code)
}

/// A character reference of XML, without its `&`.
fn reference(text: &[u8], start: usize) -> Option<Escape> {
    for (name, byte) in [
        ("amp;", b'&'),
        ("lt;", b'<'),
        ("gt;", b'>'),
        ("quot;", b'"'),
        ("apos;", b'\''),
    ] {
        if has_word(text, start, name) {
            return Some(Escape::byte(name.len() + 1, byte));
        }
    }
    if at(text, start) != b'#' {
        return None;
    }
    let is_hexadecimal = matches!(at(text, start + 1), b'x' | b'X');
    let first = start + 1 + usize::from(is_hexadecimal);
    let end = run(text, first, 7, |byte| byte.is_ascii_hexdigit());
    let digits = std::str::from_utf8(part(text, first, end)).ok()?;
    let code = u32::from_str_radix(digits, if is_hexadecimal { 16 } else { 10 }).ok()?;
    (at(text, end) == b';').then(|| Escape::new(end + 2 - start, code))
}

fn hexadecimal(digits: &[u8], count: usize) -> Option<u32> {
    if digits.len() != count || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_at_any_level() {
        for (text, length, bytes) in [
            (r#"\""#, 2, &b""[..]),
            (r#"\\\""#, 4, b""),
            (r"\n", 2, b""),
            (r"\\\\n", 5, b""),
            (r"\u003c", 6, b"<"),
            (r"\\u0026x", 7, b"&"),
            (r"\u00fc", 6, "ü".as_bytes()),
            (r"\x2b", 4, b"+"),
            (r"\xzz", 2, b"x"),
            ("\\\n", 2, b""),
            ("%2F", 3, b"/"),
            ("&quot;", 6, b""),
            ("&#39;", 5, b""),
            ("'", 1, b""),
            (r"\ud83d\ude00", 12, "😀".as_bytes()),
            (r"\\ud83d\\ude00", 14, "😀".as_bytes()),
            (r"\ud83dx", 6, b""),
            (r"\U0001F600", 10, "😀".as_bytes()),
            (r"\Uzz", 2, b"U"),
            ("%252F", 5, b"/"),
            ("%25252f", 7, b"/"),
            ("%25zz", 3, b"%"),
            ("&amp;lt;", 8, b"<"),
            ("&amp;amp;#38;", 13, b"&"),
            ("&amp;x", 5, b"&"),
            ("&#x26;", 6, b"&"),
        ] {
            let decoded = escape(text.as_bytes(), 0).unwrap();
            assert_eq!((decoded.length, decoded.bytes()), (length, bytes), "{text}");
        }
        for text in ["%zz", "%", "&amp", "&#;", "&#x;", "a"] {
            assert_eq!(escape(text.as_bytes(), 0), None, "{text}");
        }
    }
}
