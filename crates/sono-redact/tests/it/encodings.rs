//! Values of Secrets in the encodings that programs write.

use std::fmt::Write as _;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use sono_redact::{Known, KnownValues, Layers, REDACTED, Redactions, Redactor};

/// Values with quotes, blanks, escapes, characters beyond ASCII, and without any of them.
const VALUES: [&str; 8] = [
    "Zq8wL2mPx7Rt",
    "it's-Zq8\"wL2mPx7Rt",
    "Zq8''wL2mPx7\"\"Rt",
    "Zq8 wL2 mPx7 Rt",
    r"C:\apps\Zq8\new\table",
    "Zq8%41wL2&amp;mPx7&lt;Rt%2F",
    "Zq8-😀-wL2-münchen-七",
    "Zq8+wL2/mPx7==&Rt?a=b<c>",
];

/// Each character by a function.
fn each(value: &str, write: impl Fn(char) -> String) -> String {
    value.chars().map(write).collect()
}

fn units(value: &str, prefix: &str) -> String {
    let mut out = String::new();
    for unit in value.encode_utf16() {
        write!(out, "{prefix}u{unit:04x}").unwrap();
    }
    out
}

fn bytes(value: &str, write: impl Fn(u8) -> String) -> String {
    value.bytes().map(write).collect()
}

fn percent(value: &str) -> String {
    bytes(value, |byte| {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    })
}

fn xml(value: &str) -> String {
    each(value, |letter| match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    })
}

fn json(value: &str) -> String {
    serde_json::to_string(value).unwrap()
}

fn folded(text: &str, width: usize, separator: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let lines: Vec<String> = letters.chunks(width).map(|line| line.iter().collect()).collect();
    lines.join(separator)
}

/// The value in each encoding, by its name.
fn encoded(value: &str) -> Vec<(&'static str, String)> {
    let shifted = |shift: usize| STANDARD.encode(format!("{}{value}~", "?".repeat(shift)));
    let long = value.len() >= 16;
    let mut all = vec![
        ("raw", value.to_owned()),
        ("base64", STANDARD.encode(value)),
        ("base64 without padding", STANDARD_NO_PAD.encode(value)),
        ("base64 of URLs", URL_SAFE.encode(value)),
        ("base64 of URLs without padding", URL_SAFE_NO_PAD.encode(value)),
        ("base64, shifted by 1", shifted(1)),
        ("base64, shifted by 2", shifted(2)),
        ("base64, shifted by 3", shifted(3)),
        ("base64 of JSON", STANDARD.encode(format!("{{\"a\":{}}}", json(value)))),
        ("base64, twice", STANDARD.encode(STANDARD.encode(value))),
        (
            "base64, in lines",
            folded(&STANDARD.encode(format!("user:{value}")), 16, "\n  "),
        ),
        ("base64, in lines in JSON", folded(&STANDARD.encode(value), 8, "\\n")),
        ("base64 in percent encoding", percent(&STANDARD.encode(value))),
        ("hexadecimal", bytes(value, |byte| format!("{byte:02x}"))),
        ("hexadecimal, capitals", bytes(value, |byte| format!("{byte:02X}"))),
        ("hexadecimal escapes", bytes(value, |byte| format!("\\x{byte:02x}"))),
        ("hexadecimal with blanks", bytes(value, |byte| format!("{byte:02x} "))),
        ("percent", percent(value)),
        ("percent of everything", bytes(value, |byte| format!("%{byte:02x}"))),
        ("percent, twice", percent(&percent(value))),
        ("a form", percent(value).replace("%20", "+")),
        ("JSON", json(value)),
        ("JSON in JSON", json(&json(value))),
        ("JSON in JSON in JSON", json(&json(&json(value)))),
        (
            "JSON of Go",
            json(value)
                .replace('&', "\\u0026")
                .replace('<', "\\u003c")
                .replace('>', "\\u003e"),
        ),
        ("JSON in ASCII", units(value, "\\")),
        ("JSON in ASCII in JSON", units(value, "\\\\")),
        ("YAML, single quotes", format!("'{}'", value.replace('\'', "''"))),
        (
            "YAML, 32 bits",
            each(value, |letter| format!("\\U{:08X}", u32::from(letter))),
        ),
        ("CSV", format!("\"{}\"", value.replace('"', "\"\""))),
        ("shell", format!("'{}'", value.replace('\'', r"'\''"))),
        ("shell of Python", format!("'{}'", value.replace('\'', "'\"'\"'"))),
        ("XML", xml(value)),
        ("XML in XML", xml(&xml(value))),
        ("XML in JSON", json(&xml(value))),
        (
            "XML in hexadecimal references",
            each(value, |letter| format!("&#x{:x};", u32::from(letter))),
        ),
    ];
    if long {
        all.push(("in lines", folded(value, 9, "\n    ")));
        all.push((
            "in lines of YAML",
            folded(&value.replace('\\', "\\\\").replace('"', "\\\""), 9, "\\\n  "),
        ));
    }
    all
}

fn redactor(value: &str) -> Redactor {
    let mut known = KnownValues::default();
    known.add("key", value.as_bytes());
    Redactor::new(Known::Values(known))
}

#[test]
fn known_value_in_any_encoding_is_replaced() {
    let mut failures = Vec::new();
    let mut count = 0;
    for value in VALUES {
        let redactor = redactor(value);
        for (name, text) in encoded(value) {
            count += 1;
            let line = format!("I1130 connected with {text} to the cache\n");
            let mut found = Redactions::default();
            let out = redactor.text(&line, Layers::Known, &mut found).into_owned();
            // Quotes around a value and characters of base64 that contain neighbours may remain.
            let rest = out.replace("I1130 connected with ", "").replace(" to the cache\n", "");
            let others = rest.replace(REDACTED, "");
            if found.total() == 0 || others.len() > 16 {
                failures.push(format!("{value} as {name}: {out}"));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {count}:\n{}",
        failures.len(),
        failures.join("")
    );
}

/// Texts of UTF-16 are opaque for other layers.
#[test]
fn known_value_in_utf16_is_replaced() {
    let redactor = redactor(VALUES[0]);
    for big in [false, true] {
        let text = format!("\u{feff}connected with {} now", VALUES[0]);
        let file: Vec<u8> = text
            .encode_utf16()
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect();
        let mut out = Vec::new();
        let found = redactor
            .file(
                "PluginResult",
                &mut std::io::Cursor::new(&file),
                Layers::Known,
                &mut out,
            )
            .unwrap();
        let visible: String = out
            .iter()
            .filter(|byte| **byte != 0)
            .map(|byte| char::from(*byte))
            .collect();
        assert!(!visible.contains(VALUES[0]), "{visible}");
        assert_eq!(found.total(), 1, "{visible}");
        assert_eq!(found.opaque().keys().collect::<Vec<_>>(), ["utf-16"]);
    }
}
