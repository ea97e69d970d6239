//! Texts and values that are broken, hostile or large.

use std::{io::Write as _, time::Duration};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use sono_redact::{Known, KnownValues, Layers, Redactions, Redactor};

const SECRET: &str = "Zq8wL2mPx7Rt \"and\\more\" <Yv3nKc5s>";

fn redactor(values: &[&str]) -> Redactor {
    let mut known = KnownValues::default();
    for value in values {
        known.add("value", value.as_bytes());
    }
    Redactor::new(Known::Values(known))
}

fn stream(redactor: &Redactor, text: &[u8], layers: Layers) -> (Vec<u8>, Redactions) {
    let mut stream = redactor.stream(layers);
    let mut out = Vec::new();
    stream.push(text, &mut out);
    let redactions = stream.finish(&mut out);
    (out, redactions)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn folded(text: &str, columns: usize, indentation: &str) -> String {
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(columns)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    lines.join(&format!("\n{indentation}"))
}

/// All encodings of a value with blanks, quotes and characters that JSON, YAML, URLs and XML escape.
#[test]
fn known_value_in_every_encoding_vanishes() {
    let redactor = redactor(&[SECRET]);
    let json_text = serde_json::to_string(SECRET).unwrap();
    let each = |encode: &dyn Fn(u8) -> String| SECRET.bytes().map(encode).collect::<Vec<_>>().concat();
    let percent = each(&|byte| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    let base64 = |before: &str| STANDARD.encode(format!("{before}{SECRET}\n"));
    let utf16: Vec<u8> = SECRET.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let long = STANDARD.encode(format!("{}{SECRET}{}", "x".repeat(40), "y".repeat(40)));
    let texts: Vec<(&str, Vec<u8>)> = vec![
        ("raw", SECRET.into()),
        ("JSON", json_text.clone().into()),
        ("JSON in JSON", serde_json::to_string(&json_text).unwrap().into()),
        (
            "JSON of Go",
            json_text.replace('<', "\\u003c").replace('>', "\\u003e").into(),
        ),
        ("percent", percent.clone().into()),
        ("form", percent.replace("%20", "+").into()),
        (
            "XML",
            SECRET
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;")
                .into(),
        ),
        (
            "XML by numbers",
            SECRET
                .replace('<', "&#60;")
                .replace('>', "&#x3E;")
                .replace('"', "&#34;")
                .into(),
        ),
        ("YAML folded", SECRET.replace(' ', "\n    ").into()),
        ("base64", base64("").into()),
        ("base64 after one byte", base64("a").into()),
        ("base64 after two bytes", base64("ab").into()),
        ("base64 for URLs", URL_SAFE_NO_PAD.encode(SECRET).into()),
        (
            "base64 of JSON",
            STANDARD.encode(format!("{{\"a\":{json_text}}}")).into(),
        ),
        ("base64 twice", STANDARD.encode(STANDARD.encode(SECRET)).into()),
        ("base64 folded at 64", folded(&long, 64, "").into()),
        ("base64 folded at 76 and indented", folded(&long, 76, "    ").into()),
        (
            "base64 folded in JSON",
            folded(&long, 64, "").replace('\n', "\\n").into(),
        ),
        ("hexadecimal", each(&|byte| format!("{byte:02x}")).into()),
        ("hexadecimal in capitals", each(&|byte| format!("{byte:02X}")).into()),
        ("UTF-16", utf16),
    ];
    for (name, text) in texts {
        for (before, after) in [("", ""), ("a line\nvalue=", " and more\n"), ("\"", "\""), ("é", "ü")] {
            let whole = [before.as_bytes(), &text, after.as_bytes()].concat();
            let (out, redactions) = stream(&redactor, &whole, Layers::Known);
            assert_eq!(
                redactions.by_rule().get("known"),
                Some(&1),
                "{name}: {}",
                String::from_utf8_lossy(&out)
            );
            // Around base64 of a longer text, that text stays.
            let rest = out.len() - "[redacted]".len() - before.len() - after.len();
            assert!(
                rest <= 20 || name.contains("folded at") || name.contains("folded in"),
                "{name}: {}",
                String::from_utf8_lossy(&out)
            );
        }
    }
}

#[test]
fn values_of_common_words_change_nothing() {
    let redactor = redactor(&[
        "true",
        "admin",
        "10.0.0.1",
        "administrator",
        "default",
        "kube-system",
        "postgres",
        "1",
        "",
    ]);
    let text = "the administrator of kube-system at 10.0.0.1 set default: true for postgres, admin\n";
    assert_eq!(stream(&redactor, text.as_bytes(), Layers::Known).0, text.as_bytes());
}

/// A value without blanks is not found in two words, nor in two lines.
#[test]
fn value_of_two_words_does_not_match_prose() {
    let redactor = redactor(&["swordfishsoup"]);
    for text in ["swordfish soup", "swordfish\nsoup"] {
        assert_eq!(stream(&redactor, text.as_bytes(), Layers::Known).0, text.as_bytes());
    }
    assert_eq!(
        stream(&redactor, b"swordfish\\\n  soup", Layers::Known).0,
        b"[redacted]"
    );
}

#[test]
fn broken_bytes_pass_through_unchanged() {
    let redactor = redactor(&[SECRET]);
    for text in [
        &b"\xff\xfe\x00a\x80\xc3"[..],
        b"\0\0\0",
        b"\xc3\x28 \xa0\xa1 \xe2\x28\xa1",
        b"\\",
        b"%",
        b"\\u",
        b"password=\xff\xff",
        b"\xed\xa0\x80",
    ] {
        let (out, _) = stream(&redactor, text, Layers::All);
        let expected = if text.starts_with(b"password=") {
            &b"password=[redacted]"[..]
        } else {
            text
        };
        assert_eq!(out, expected);
    }
}

#[test]
fn other_encodings_and_archives_are_reported_as_opaque() {
    let redactor = redactor(&[]);
    let opaque = |text: &[u8]| {
        stream(&redactor, text, Layers::All)
            .1
            .opaque()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(opaque(b"\xff\xfea\0b\0"), ["utf-16"]);
    assert_eq!(opaque(&gzip(b"x")), ["gzip"]);
    assert_eq!(opaque(b"PK\x03\x04"), ["zip"]);
    assert_eq!(opaque(b"text"), Vec::<String>::new());
}

#[test]
fn packed_texts_in_objects_are_bounded() {
    let bomb = gzip(&gzip(&vec![b'a'; 32 << 20]));
    let large = gzip(&vec![b'a'; 32 << 20]);
    let torn = &gzip(b"password=Zq8wL2mPx7Rt")[..20];
    for packed in [&bomb[..], &large, torn] {
        let text = STANDARD.encode(packed);
        let mut object = json!({"kind": "ConfigMap", "data": {"x": text}});
        let mut redactions = Redactions::default();
        redactor(&[]).object(&mut object, &|| Duration::ZERO, &mut redactions);
        assert_eq!(object["data"]["x"], text);
        assert_eq!(redactions.opaque().get("compressed"), Some(&1));
    }
}

#[test]
fn line_beyond_a_buffer_loses_its_secrets() {
    let redactor = redactor(&[SECRET]);
    let padding = "x".repeat(100_000);
    let text = format!("{padding} {SECRET} {padding} password=Yv3nKc5sBd9f {padding}");
    let (out, redactions) = stream(&redactor, text.as_bytes(), Layers::All);
    let expected = format!("{padding} [redacted] {padding} password=[redacted] {padding}");
    assert!(out == expected.as_bytes());
    assert_eq!(redactions.total(), 2);
}

#[test]
fn deep_objects_end() {
    let mut object = json!("x");
    for _ in 0..300 {
        object = serde_json::Value::Array(vec![object]);
    }
    let mut whole = json!({"kind": "Pod", "spec": object});
    let mut redactions = Redactions::default();
    redactor(&[]).object(&mut whole, &|| Duration::ZERO, &mut redactions);
    assert_eq!(redactions.by_rule().get("limit"), Some(&1));
}

#[test]
fn value_torn_by_a_limit_is_found_by_its_longer_part() {
    let token = "Zq8wL2mPx7RtYv3nKc5sBd9fGh1jQw4eRt6yUi8oPa0sDf";
    let redactor = redactor(&[token]);
    for part in [&token[..40], &token[10..]] {
        let (out, _) = stream(&redactor, format!("using {part}").as_bytes(), Layers::Known);
        assert_eq!(String::from_utf8(out).unwrap(), "using [redacted]");
    }
}
