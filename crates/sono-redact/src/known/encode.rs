//! The encodings in which a value is searched.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use zeroize::Zeroizing;

use super::normal::{escape, is_dropped, is_quote};

/// A text that holds a value.
pub(super) type Encoded = Zeroizing<Vec<u8>>;

/// One encoding of a value, after blanks are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// With its own escapes decoded.
    Decoded,
    /// Without quotes: all other characters are escaped one by one.
    Unquoted,
    /// With its own percent encodings decoded.
    Percent,
    /// The same with `+` for blanks, as in forms on the web.
    Plus,
    /// In base64, after so many bytes of another text (0 to 2).
    Base64 { content: Content, shift: u8, url: bool },
    /// In hexadecimal.
    Hex { upper: bool },
}

/// The text inside of base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Raw,
    /// As in a JSON string.
    Json,
    /// As in a JSON string that is safe in HTML, like those of Go.
    JsonOfGo,
    /// Base64 again.
    Base64,
}

/// All forms of a value that differ from each other, with their texts.
pub(super) fn forms(value: &[u8]) -> Vec<(Form, Encoded)> {
    let mut forms: Vec<(Form, Encoded)> = Vec::new();
    let mut add = |form| {
        let encoded = encode(value, form);
        if forms.iter().all(|(_, other)| **other != *encoded) {
            forms.push((form, encoded));
        }
    };
    add(Form::Plain);
    add(Form::Decoded);
    add(Form::Unquoted);
    add(Form::Percent);
    add(Form::Plus);
    for content in [Content::Raw, Content::Json, Content::JsonOfGo, Content::Base64] {
        for shift in 0..3 {
            for url in [false, true] {
                add(Form::Base64 { content, shift, url });
            }
        }
    }
    add(Form::Hex { upper: false });
    add(Form::Hex { upper: true });
    forms
}

/// The value in one form. For base64 only the characters that do not depend on the bytes around the value.
pub(super) fn encode(value: &[u8], form: Form) -> Encoded {
    match form {
        Form::Plain => {
            let mut out = Zeroizing::new(Vec::with_capacity(value.len()));
            out.extend(value.iter().copied().filter(|byte| !is_dropped(*byte)));
            out
        }
        Form::Plus => {
            let mut joined = Zeroizing::new(Vec::with_capacity(value.len()));
            joined.extend(value.iter().map(|byte| if *byte == b' ' { b'+' } else { *byte }));
            decode_escapes(&joined, |byte| byte == b'%')
        }
        Form::Decoded => decode_escapes(value, |_| true),
        Form::Unquoted => decode_escapes(value, |_| false),
        Form::Percent => decode_escapes(value, |byte| byte == b'%'),
        Form::Base64 { content, shift, url } => match content {
            Content::Raw => base64(value, shift, url),
            Content::Json => base64(&json(value, false), shift, url),
            Content::JsonOfGo => base64(&json(value, true), shift, url),
            Content::Base64 => {
                let mut inner = Zeroizing::new(vec![0; value.len().div_ceil(3) * 4]);
                let length = STANDARD.encode_slice(value, &mut inner).unwrap_or_default();
                inner.truncate(length);
                base64(&inner, shift, url)
            }
        },
        Form::Hex { upper } => {
            let digits: &[u8; 16] = if upper {
                b"0123456789ABCDEF"
            } else {
                b"0123456789abcdef"
            };
            let digit = |index: u8| digits.get(usize::from(index)).copied().unwrap_or_default();
            let mut out = Zeroizing::new(Vec::with_capacity(value.len() * 2));
            out.extend(value.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
            out
        }
    }
}

/// The value without quotes, and with the escapes decoded that start with a byte for which `is_decoded` holds.
fn decode_escapes(value: &[u8], is_decoded: impl Fn(u8) -> bool) -> Encoded {
    let mut out = Zeroizing::new(Vec::with_capacity(value.len()));
    let mut index = 0;
    while let Some(byte) = value.get(index) {
        if (is_quote(*byte) || is_decoded(*byte))
            && let Some(escape) = escape(value, index)
        {
            out.extend_from_slice(escape.bytes());
            index += escape.length;
        } else {
            if !is_dropped(*byte) {
                out.push(*byte);
            }
            index += 1;
        }
    }
    out
}

fn base64(value: &[u8], shift: u8, url: bool) -> Encoded {
    let mut shifted = Zeroizing::new(Vec::with_capacity(value.len() + usize::from(shift)));
    shifted.resize(usize::from(shift), 0);
    shifted.extend_from_slice(value);
    let engine = if url { &URL_SAFE_NO_PAD } else { &STANDARD_NO_PAD };
    let mut out = Zeroizing::new(vec![0; shifted.len().div_ceil(3) * 4]);
    let length = engine.encode_slice(&shifted[..], &mut out[..]).unwrap_or_default();
    // The last character depends on the next byte unless three bytes are complete.
    out.truncate(length - usize::from(shifted.len() % 3 != 0 && length > 0));
    let first = match shift {
        0 => 0,
        1 => 2,
        _ => 3,
    };
    let first = out.len().min(first);
    out.drain(..first);
    out
}

fn json(value: &[u8], of_go: bool) -> Encoded {
    let mut out = Zeroizing::new(Vec::with_capacity(value.len() * 2));
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(*b"\\n"),
            b'\r' => out.extend(*b"\\r"),
            b'\t' => out.extend(*b"\\t"),
            b'<' if of_go => out.extend(*b"\\u003c"),
            b'>' if of_go => out.extend(*b"\\u003e"),
            b'&' if of_go => out.extend(*b"\\u0026"),
            other => out.push(*other),
        }
    }
    out
}

/// The bytes of a base64 text, which may be folded.
pub(super) fn decoded(text: &[u8]) -> Option<Encoded> {
    let mut joined = Zeroizing::new(Vec::with_capacity(text.len()));
    joined.extend(text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()));
    let mut out = Zeroizing::new(vec![0; joined.len().div_ceil(4) * 3]);
    let length = STANDARD.decode_slice(&joined[..], &mut out[..]).ok()?;
    out.truncate(length);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Base64 of a text that contains the value contains the form of one shift.
    #[test]
    fn base64_of_any_containing_text_contains_one_form() {
        for length in 8..20 {
            let value: Vec<u8> = (0..length).map(|index| b'a' + index).collect();
            for before in 0..6 {
                for after in 0..4 {
                    let mut text = vec![b'?'; before];
                    text.extend(&value);
                    text.extend(vec![b'~'; after]);
                    let encoded = STANDARD.encode(&text);
                    let form = base64(&value, u8::try_from(before % 3).unwrap(), false);
                    let found = encoded.as_bytes().windows(form.len()).any(|bytes| bytes == &form[..]);
                    assert!(found, "{before} {after} {length}");
                    assert!(form.len() * 6 + 12 > value.len() * 8, "{} characters", form.len());
                }
            }
        }
    }
}
