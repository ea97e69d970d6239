//! Decodes text files in any common encoding.
//!
//! Used for definitions, configuration, lists, done files, kubeconfig, JUnit and manual results. The encoding is determined
//! by the byte order mark, else by the zero bytes of UTF-16, else by the `encoding` of an XML declaration, else it is UTF-8
//! (XML 1.0, appendix F).

use std::{borrow::Cow, fmt};

use encoding_rs::{DecoderResult, Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};

/// Error of a file that is not valid text in its encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TextError {
    /// Name of the encoding.
    pub encoding: String,
    /// Offset of the first invalid byte from zero, including the byte order mark.
    pub position: usize,
    /// Line of that byte, counted from one.
    pub line: usize,
    /// The invalid bytes, at most four; empty if the encoding itself is unknown.
    pub bytes: Vec<u8>,
}

impl fmt::Display for TextError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            encoding,
            position,
            line,
            bytes,
        } = self;
        if bytes.is_empty() {
            return write!(formatter, "unknown encoding `{encoding}`");
        }
        write!(formatter, "byte {position} (line {line}) is not {encoding}:")?;
        bytes.iter().try_for_each(|byte| write!(formatter, " {byte:#04x}"))
    }
}

/// Decoded text, with U+FFFD in place of invalid bytes, and the first error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text without its byte order mark.
    pub text: Cow<'a, str>,
    /// The first invalid byte, if any.
    pub error: Option<TextError>,
}

/// Decodes a text file. Fails at the first invalid byte.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, TextError> {
    let Decoded { text, error } = decode_with_replacement(bytes);
    error.map_or(Ok(text), Err)
}

/// Decodes a text file with U+FFFD in place of invalid bytes. Callers must report the error.
pub fn decode_with_replacement(bytes: &[u8]) -> Decoded<'_> {
    let (encoding, mark) = match encoding_of(bytes) {
        Ok(found) => found,
        // An unknown label is ignored if the file is UTF-8.
        Err(label) => {
            let text = String::from_utf8_lossy(bytes);
            let position = match std::str::from_utf8(bytes) {
                Ok(_) => shift_position(&label, bytes),
                Err(error) => Some(error.valid_up_to()),
            };
            let error = position.map(|position| TextError {
                encoding: label,
                position,
                line: 1,
                bytes: Vec::new(),
            });
            return Decoded { text, error };
        }
    };
    let content = &bytes[mark..];
    if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(content) {
        return Decoded { text, error: None };
    }
    Decoded {
        text: encoding.decode_without_bom_handling(content).0,
        error: Some(first_error(encoding, bytes, mark)),
    }
}

/// Position of the first byte sequence that is not ASCII text in a 7-bit encoding that is not supported.
fn shift_position(label: &str, bytes: &[u8]) -> Option<usize> {
    let label = label.to_ascii_lowercase();
    let marks: &[&[u8]] = if label.contains("utf-7") || label == "utf7" {
        &[b"+"]
    } else if label.starts_with("hz") {
        &[b"~{"]
    } else if label.starts_with("iso-2022") || label.starts_with("iso2022") {
        &[b"\x1b", b"\x0e"]
    } else {
        &[]
    };
    let found = marks
        .iter()
        .filter_map(|mark| bytes.windows(mark.len()).position(|window| window == *mark));
    found.min()
}

/// The encoding and the length of the byte order mark. Fails with the declared label if it is unknown.
fn encoding_of(bytes: &[u8]) -> Result<(&'static Encoding, usize), String> {
    let zero = |at: usize| bytes.get(at).map(|byte| *byte == 0);
    match [zero(0), zero(1), zero(2), zero(3)] {
        [Some(false), Some(true), Some(true), Some(true)] | [Some(true), Some(true), Some(true), Some(false)] => {
            return Err("UTF-32".to_owned());
        }
        _ if bytes.starts_with(b"\xff\xfe\0\0") || bytes.starts_with(b"\0\0\xfe\xff") => {
            return Err("UTF-32".to_owned());
        }
        [Some(false), Some(true), ..] => return Ok((UTF_16LE, 0)),
        [Some(true), Some(false), ..] => return Ok((UTF_16BE, 0)),
        _ => {}
    }
    match (Encoding::for_bom(bytes), declared(bytes)) {
        (Some(found), _) => Ok(found),
        (None, None) => Ok((UTF_8, 0)),
        (None, Some(label)) => by_label(&label).map(|encoding| (encoding, 0)).ok_or(label),
    }
}

/// The `encoding` of an XML declaration in an ASCII-compatible encoding.
fn declared(bytes: &[u8]) -> Option<String> {
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let declaration = bytes[start..].strip_prefix(b"<?xml")?;
    let declaration = &declaration[..declaration.len().min(MAX_DECLARATION_BYTES)];
    let end = declaration.windows(2).position(|pair| pair == b"?>")?;
    let declaration = String::from_utf8_lossy(&declaration[..end]);
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let (label, _) = value[1..].split_once(quote)?;
    Some(label.trim().to_owned())
}

/// Maximum length of an XML declaration.
const MAX_DECLARATION_BYTES: usize = 512;

/// The encoding with this label, including labels of Java, Python, Windows and .NET.
fn by_label(label: &str) -> Option<&'static Encoding> {
    let lower = label.to_ascii_lowercase().replace('_', "-");
    let plain = lower.trim_start_matches("x-");
    // An ASCII-compatible file that declares UTF-16 was converted after it was written (.NET's string writers). ASCII is
    // strict here, while the Encoding Standard treats it as windows-1252.
    if plain.starts_with("utf-16") || plain.starts_with("utf16") || plain.starts_with("ucs-2") || is_ascii(plain) {
        return Some(UTF_8);
    }
    let digits = |prefix: &str| {
        let rest = plain.strip_prefix(prefix)?.trim_start_matches('-');
        rest.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest)
    };
    let page = ["cp", "ms", "windows", "ibm", "code-page"].into_iter().find_map(digits);
    let other = match page {
        Some("65001") => "utf-8".to_owned(),
        Some("932" | "943") => "shift_jis".to_owned(),
        Some("936" | "1386") => "gbk".to_owned(),
        Some("54936") => "gb18030".to_owned(),
        Some("949") => "euc-kr".to_owned(),
        Some("950") => "big5".to_owned(),
        Some("874") => "windows-874".to_owned(),
        Some("28591" | "819") => "iso-8859-1".to_owned(),
        Some("20866" | "878") => "koi8-r".to_owned(),
        Some("20932" | "51932") => "euc-jp".to_owned(),
        Some(page) if page.starts_with("125") => format!("windows-{page}"),
        _ => match plain {
            "utf-8-sig" | "utf-8-bom" | "utf8-bom" => "utf-8".to_owned(),
            "latin-1" => "iso-8859-1".to_owned(),
            "latin-9" | "latin9" => "iso-8859-15".to_owned(),
            "eucjp" | "eucjis" => "euc-jp".to_owned(),
            "euckr" => "euc-kr".to_owned(),
            "gb-18030" => "gb18030".to_owned(),
            "koi8r" => "koi8-r".to_owned(),
            "koi8u" => "koi8-u".to_owned(),
            plain => {
                let rest = plain.strip_prefix("iso8859").or_else(|| plain.strip_prefix("iso-8859"));
                rest.map_or_else(
                    || plain.to_owned(),
                    |part| format!("iso-8859-{}", part.trim_start_matches('-')),
                )
            }
        },
    };
    [label, &lower, &other]
        .into_iter()
        .find_map(|label| Encoding::for_label(label.as_bytes()))
        .filter(|encoding| *encoding != REPLACEMENT)
}

fn is_ascii(label: &str) -> bool {
    matches!(
        label,
        "ascii" | "us-ascii" | "ansi-x3.4-1968" | "ansi-x3.4-1986" | "iso646-us" | "iso-646.irv:1991" | "646" | "us"
    )
}

/// The first byte that cannot be decoded.
fn first_error(encoding: &'static Encoding, bytes: &[u8], mark: usize) -> TextError {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut read = mark;
    let mut text = String::with_capacity(4096);
    let mut line = 1;
    let (length, after) = loop {
        text.clear();
        let (result, more) = decoder.decode_to_string_without_replacement(&bytes[read..], &mut text, true);
        read += more;
        line += text.bytes().filter(|byte| *byte == b'\n').count();
        match result {
            DecoderResult::Malformed(length, after) => break (usize::from(length), usize::from(after)),
            DecoderResult::OutputFull => {}
            // Unreachable: the caller found an error.
            DecoderResult::InputEmpty => break (0, 0),
        }
    };
    let end = read.saturating_sub(after);
    let position = end.saturating_sub(length);
    TextError {
        encoding: encoding.name().to_owned(),
        position,
        line,
        bytes: bytes[position..end.max(position + 1).min(bytes.len())].to_vec(),
    }
}

#[cfg(test)]
mod tests;
