//! The encodings in which canaries are searched. They are written apart from those of known values, to check them.

use std::fmt::Write as _;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// An encoding of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    /// As it is.
    Raw,
    /// Base64, at any position in the encoded text.
    Base64,
    /// Base64 with the alphabet for URLs, where it differs.
    Base64Url,
    /// Percent encoding.
    Percent,
    /// With the escapes of JSON.
    Json,
    /// With the escapes of YAML, where they differ.
    Yaml,
    /// With the entities of XML.
    Xml,
    /// Hexadecimal.
    Hex,
    /// Any of the others, with blanks or line ends in it.
    Folded,
}

impl Encoding {
    /// All encodings.
    pub const ALL: [Self; 9] = [
        Self::Raw,
        Self::Base64,
        Self::Base64Url,
        Self::Percent,
        Self::Json,
        Self::Yaml,
        Self::Xml,
        Self::Hex,
        Self::Folded,
    ];

    /// The name of the encoding in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Percent => "percent",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Xml => "xml",
            Self::Hex => "hex",
            Self::Folded => "folded",
        }
    }
}

/// A value in all encodings that differ from each other.
pub(crate) fn encodings(value: &str) -> Vec<(Encoding, String)> {
    let mut all: Vec<(Encoding, String)> = Vec::new();
    let mut add = |encoding, text: String| {
        if all.iter().all(|(_, other)| *other != text) {
            all.push((encoding, text));
        }
    };
    add(Encoding::Raw, value.to_owned());
    for shift in 0..3 {
        let shifted = [&[0; 3][..shift], value.as_bytes()].concat();
        // Characters that also depend on the bytes before or after the value are left out.
        let first = [0, 2, 3].get(shift).copied().unwrap_or_default();
        let whole = shifted.len() * 8 / 6;
        for (encoding, engine) in [
            (Encoding::Base64, STANDARD_NO_PAD),
            (Encoding::Base64Url, URL_SAFE_NO_PAD),
        ] {
            let text = engine.encode(&shifted);
            add(encoding, text.get(first..whole).unwrap_or_default().to_owned());
        }
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    for upper in [true, false] {
        let escape = |byte: u8| {
            if upper {
                format!("%{byte:02X}")
            } else {
                format!("%{byte:02x}")
            }
        };
        let some = value.bytes().map(|byte| {
            if is_plain(byte) {
                char::from(byte).to_string()
            } else {
                escape(byte)
            }
        });
        add(Encoding::Percent, some.collect());
        add(Encoding::Percent, value.bytes().map(escape).collect());
    }
    let json = value.replace('\\', "\\\\").replace('"', "\\\"");
    add(Encoding::Json, json.clone());
    // As in JSON of Go, which is safe in HTML.
    add(
        Encoding::Json,
        json.replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026"),
    );
    add(Encoding::Json, json.replace('/', "\\/"));
    add(Encoding::Json, json.replace('\\', "\\\\").replace('"', "\\\""));
    add(Encoding::Yaml, value.replace('\'', "''"));
    add(Encoding::Yaml, value.replace('\\', "\\x5c").replace('<', "\\x3c"));
    let xml = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    add(Encoding::Xml, xml);
    add(Encoding::Xml, value.replace('<', "&#60;").replace('\\', "&#92;"));
    for upper in [false, true] {
        let mut hex = String::new();
        for byte in value.bytes() {
            let written = if upper {
                write!(hex, "{byte:02X}")
            } else {
                write!(hex, "{byte:02x}")
            };
            written.ok();
        }
        add(Encoding::Hex, hex);
    }
    all
}
