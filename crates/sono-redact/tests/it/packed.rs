//! Files of plugin results that are compressed or archives.

use std::io::{Cursor, Write as _};

use flate2::{Compression, write::GzEncoder};
use sono_redact::{Known, KnownValues, Layers, REDACTED, Redactor, Report, Verdict};

const VALUE: &str = "Zq8-wL2mPx7Rt/Yv3n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

type Redacted = (Vec<u8>, Vec<(String, u64)>, Vec<String>, Verdict);

/// The redacted file, the number of redactions by rule, the opaque contents, and the verdict of a report with this file.
fn redacted(content: &[u8]) -> Redacted {
    let mut known = KnownValues::default();
    known.add("password", VALUE.as_bytes());
    let redactor = Redactor::new(Known::Values(known));
    let mut out = Vec::new();
    let found = redactor
        .file("PluginResult", &mut Cursor::new(content), Layers::Known, &mut out)
        .unwrap();
    let mut report = Report::default();
    report.describe(&redactor);
    report.add("plugins/p/results/global/f", content.len() as u64, &found);
    let opaque = found.opaque().keys().cloned().collect();
    (
        out,
        found.by_rule().into_iter().collect(),
        opaque,
        report.verdict.unwrap(),
    )
}

#[test]
fn packed_file_with_a_known_value_is_replaced() {
    let text = format!("connected with {VALUE}\n");
    let once = gzip(text.as_bytes());
    for file in [once.clone(), gzip(&once), gzip(&gzip(&gzip(&once)))] {
        let expected = (
            REDACTED.as_bytes().to_vec(),
            vec![("known".to_owned(), 1), ("structure".to_owned(), 1)],
            Vec::new(),
            Verdict::Proved,
        );
        assert_eq!(redacted(&file), expected);
    }
}

#[test]
fn packed_file_without_known_values_stays_as_it_is() {
    let file = gzip(b"password=another-Value-42, which no Secret has");
    assert_eq!(redacted(&file), (file, vec![], vec![], Verdict::Proved));
}

#[test]
fn file_that_cannot_be_opened_stays_and_is_not_proved() {
    let whole = gzip("no secret in a text that is long enough".repeat(9).as_bytes());
    let torn = whole.get(..whole.len() - 9).unwrap().to_vec();
    let deep = (0..5).fold(VALUE.as_bytes().to_vec(), |file, _| gzip(&file));
    for (file, opaque) in [(torn, "torn"), (deep, "gzip")] {
        let (out, rules, reasons, verdict) = redacted(&file);
        assert_eq!((out, rules, verdict), (file, vec![], Verdict::Partial));
        assert_eq!(reasons, [opaque]);
    }
}

#[test]
fn plain_file_is_redacted_in_place() {
    let (out, rules, opaque, verdict) = redacted(format!("a {VALUE} b").as_bytes());
    assert_eq!(String::from_utf8(out).unwrap(), format!("a {REDACTED} b"));
    assert_eq!(
        (rules, opaque, verdict),
        (vec![("known".to_owned(), 1)], vec![], Verdict::Proved)
    );
}
