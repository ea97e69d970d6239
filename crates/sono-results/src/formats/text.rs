//! Bytes to text, whatever their encoding.

use std::borrow::Cow;

/// UTF-8 (with or without a byte order mark), UTF-16 with one, and Latin-1 where the XML declaration says so; what fits
/// none of them is read as UTF-8 with replacement characters.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ if std::str::from_utf8(bytes).is_err() && declares_latin1(bytes) => {
            bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into()
        }
        _ => String::from_utf8_lossy(bytes),
    }
}

fn utf16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16) -> Cow<'_, str> {
    let units: Vec<u16> = bytes
        .chunks(2)
        .map(|pair| unit([pair[0], pair.get(1).copied().unwrap_or(0)]))
        .collect();
    String::from_utf16_lossy(&units).into()
}

fn declares_latin1(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)).to_ascii_lowercase();
    start
        .split_once("?>")
        .filter(|(declaration, _)| declaration.starts_with("<?xml"))
        .is_some_and(|(declaration, _)| {
            ["iso-8859-1", "latin1", "latin-1", "windows-1252"]
                .iter()
                .any(|name| declaration.contains(name))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_recognised() {
        for (bytes, expected) in [
            ("<a>ä</a>".as_bytes(), "<a>ä</a>"),
            (b"\xef\xbb\xbf<a/>", "<a/>"),
            (b"\xff\xfe<\0\xe4\0", "<ä"),
            (b"\xfe\xff\0<\0\xe4", "<ä"),
            (
                b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe4</a>",
                "<?xml version='1.0' encoding='ISO-8859-1'?><a>ä</a>",
            ),
            (b"<a>\xe4</a>", "<a>\u{fffd}</a>"),
            (b"", ""),
        ] {
            assert_eq!(decode(bytes), expected);
        }
    }
}
