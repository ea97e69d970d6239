//! Texts without blanks and escapes, so that a value is found wherever it was folded or escaped.

use crate::bytes::{at, has_word, part, run};

/// Most backslashes before one escaped character: nested JSON doubles them at each level.
const BACKSLASHES: usize = 64;

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
    matches!(byte, b'\\' | b'%' | b'&')
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
            (Ok(byte), _) if is_dropped(byte) => 0,
            (_, Some(character)) => character.encode_utf8(&mut bytes).len(),
            _ => 0,
        };
        Self { length, bytes, count }
    }

    fn byte(length: usize, byte: u8) -> Self {
        Self {
            length,
            bytes: [byte, 0, 0, 0],
            count: usize::from(!is_dropped(byte)),
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
                b'u' => match hexadecimal(part(text, after + 1, after + 5), 4) {
                    Some(code) => Escape::new(length + 5, code),
                    None => Escape::byte(length + 1, b'u'),
                },
                b'x' => match hexadecimal(part(text, after + 1, after + 3), 2) {
                    Some(code) => Escape::byte(length + 3, u8::try_from(code).unwrap_or_default()),
                    None => Escape::byte(length + 1, b'x'),
                },
                other => Escape::byte(length + 1, other),
            })
        }
        b'%' => {
            let code = hexadecimal(part(text, start + 1, start + 3), 2)?;
            Some(Escape::byte(3, u8::try_from(code).ok()?))
        }
        b'&' => reference(text, start),
        _ => None,
    }
}

/// A character reference of XML.
fn reference(text: &[u8], start: usize) -> Option<Escape> {
    for (name, byte) in [
        ("&amp;", b'&'),
        ("&lt;", b'<'),
        ("&gt;", b'>'),
        ("&quot;", b'"'),
        ("&apos;", b'\''),
    ] {
        if has_word(text, start, name) {
            return Some(Escape::byte(name.len(), byte));
        }
    }
    if at(text, start + 1) != b'#' {
        return None;
    }
    let is_hexadecimal = matches!(at(text, start + 2), b'x' | b'X');
    let first = start + 2 + usize::from(is_hexadecimal);
    let end = run(text, first, 7, |byte| byte.is_ascii_hexdigit());
    let digits = std::str::from_utf8(part(text, first, end)).ok()?;
    let code = u32::from_str_radix(digits, if is_hexadecimal { 16 } else { 10 }).ok()?;
    (at(text, end) == b';').then(|| Escape::new(end + 1 - start, code))
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
            (r#"\""#, 2, &b"\""[..]),
            (r#"\\\""#, 4, b"\""),
            (r"\n", 2, b""),
            (r"\\\\n", 5, b""),
            (r"\u003c", 6, b"<"),
            (r"\\u0026x", 7, b"&"),
            (r"\u00fc", 6, "ü".as_bytes()),
            (r"\x2b", 4, b"+"),
            (r"\xzz", 2, b"x"),
            ("\\\n", 2, b""),
            ("%2F", 3, b"/"),
            ("&quot;", 6, b"\""),
            ("&#39;", 5, b"'"),
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
