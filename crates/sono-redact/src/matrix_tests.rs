//! Known values in each place and each encoding. The search for canaries, which has its own encoders, is the judge.

use std::{io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sono_types::canary::{Place, Seed, all, at};

use crate::{
    CanarySearch, Encoding, Known, KnownValues, Layers, Redactions, Redactor,
    canary::{encodings, tar_of},
};

/// How a text enters an archive.
enum Document {
    Object(Value),
    Log(Vec<u8>),
    Result(Vec<u8>),
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn object(kind: &str, rest: Value) -> Document {
    let mut object = rest;
    let version = if kind == "SonoCanary" { "x.sono.local/v1" } else { "v1" };
    object["apiVersion"] = json!(version);
    object["kind"] = json!(kind);
    Document::Object(object)
}

/// The place with this text.
fn document(place: Place, text: &str) -> Document {
    let line = format!("I1130 10:00:00 connected with {text} to the cache\n");
    match place {
        Place::Secret => object("Secret", json!({"data": {"key": text}})),
        Place::ConfigMap => object("ConfigMap", json!({"data": {"note": line}})),
        Place::Variable => object(
            "Pod",
            json!({"spec": {"containers": [{"name": "c", "env": [{"name": "NOTE", "value": text}]}]}}),
        ),
        Place::Argument => object(
            "Pod",
            json!({"spec": {"containers": [{"name": "c", "args": ["--note", text]}]}}),
        ),
        Place::Annotation => object("Service", json!({"metadata": {"annotations": {"note": text}}})),
        Place::Event => object("Event", json!({"message": line})),
        Place::CustomResource => object("SonoCanary", json!({"spec": {"note": [{"text": line}]}})),
        Place::Log | Place::SplitLog => Document::Log(line.into_bytes()),
        Place::JsonLog => Document::Log((json!({"msg": line}).to_string() + "\n").into_bytes()),
        Place::Base64Log => {
            use base64::Engine as _;
            let encoded = base64::engine::general_purpose::STANDARD.encode(&line);
            Document::Log(format!("payload {encoded}\n").into_bytes())
        }
        Place::LongLine => {
            let filler = "0123456789 ".repeat(7_000);
            Document::Log(format!("{filler}{text} {filler}\n").into_bytes())
        }
        Place::Result => Document::Result(line.into_bytes()),
        Place::GzipResult => Document::Result(gzip(line.as_bytes())),
        Place::XmlResult => {
            let escaped = line.replace('&', "&amp;").replace('<', "&lt;");
            Document::Result(format!("<testcase><system-out>{escaped}</system-out></testcase>").into_bytes())
        }
        Place::NestedResult => Document::Result(gzip(&tar_of(&[("a.gz", &gzip(line.as_bytes()))]))),
    }
}

/// The texts that are stored of a document: of an object its JSON, and each of its strings.
fn stored(redactor: Option<&Redactor>, document: Document) -> Vec<Vec<u8>> {
    let mut found = Redactions::default();
    match document {
        Document::Object(mut object) => {
            if let Some(redactor) = redactor {
                redactor.object(&mut object, &|| Duration::ZERO, &mut found);
            }
            vec![object.to_string().into_bytes(), strings(&object).into_bytes()]
        }
        Document::Log(text) => {
            let Some(redactor) = redactor else { return vec![text] };
            let mut out = Vec::new();
            let mut stream = redactor.stream(Layers::All);
            let middle = text.len() / 2;
            stream.push(&text[..middle], &mut out);
            stream.push(&text[middle..], &mut out);
            stream.finish(&mut out);
            vec![out]
        }
        Document::Result(file) => {
            let Some(redactor) = redactor else { return vec![file] };
            let mut out = Vec::new();
            let mut content = std::io::Cursor::new(file);
            redactor.file("Result", &mut content, Layers::Known, &mut out).unwrap();
            vec![out]
        }
    }
}

fn strings(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(elements) => elements.iter().map(strings).collect(),
        Value::Object(fields) => fields.values().map(strings).collect(),
        _ => String::new(),
    }
}

#[test]
fn known_value_in_each_place_and_encoding_vanishes() {
    let mut cells = 0;
    for random in 0..3 {
        let seed = Seed::new(random);
        let found = |texts: &[Vec<u8>]| {
            let mut search = CanarySearch::new(seed, all(seed));
            for text in texts {
                search.file("a", &mut text.as_slice()).unwrap();
            }
            search.report().found
        };
        for place in Place::ALL {
            let value = at(seed, place).0;
            let mut known = KnownValues::default();
            known.add("key", value.as_bytes());
            let redactor = Redactor::new(Known::Values(known));
            let mut forms = encodings(&value);
            let folded: Vec<String> = value
                .chars()
                .collect::<Vec<_>>()
                .chunks(12)
                .map(|part| part.iter().collect())
                .collect();
            forms.push((Encoding::Folded, folded.join("\n   ")));
            for (encoding, form) in forms {
                // Base64 of a text in another encoding is a third level, and is not searched.
                let planted = found(&stored(None, document(place, &form)));
                let survives = found(&stored(Some(&redactor), document(place, &form)));
                assert!(survives.is_empty(), "{place:?} {encoding:?} {form}: {survives:?}");
                cells += usize::from(!planted.is_empty());
            }
        }
    }
    println!("{cells} planted values were visible without redaction");
    assert!(cells > 3 * 12 * 9, "{cells}");
}
