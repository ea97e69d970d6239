use std::fmt::Write as _;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use sono_types::canary::{all, at};

use super::*;
use crate::canary::{log_writes, result_files, tar_of};

const SEED: u128 = 0x1234_5678_9abc_def0_0fed_cba9_8765_4321;

fn search(files: &[(&str, &[u8])]) -> CanaryReport {
    let seed = Seed::new(SEED);
    let mut search = CanarySearch::new(seed, all(seed));
    for (path, content) in files {
        search.file(path, &mut &**content).unwrap();
    }
    search.report()
}

/// Each found canary with its encodings.
fn found(report: &CanaryReport) -> Vec<(Place, bool, Vec<Encoding>)> {
    let found = report.rows.iter().filter(|row| !row.counts.is_empty());
    found
        .map(|row| (row.place, row.in_secret, row.counts.keys().copied().collect()))
        .collect()
}

fn folded(text: &str, column: usize) -> String {
    let lines: Vec<String> = text
        .as_bytes()
        .chunks(column)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    lines.join("\n  ")
}

#[test]
fn canary_is_found_in_each_encoding() {
    let known = at(Seed::new(SEED), Place::Event).0;
    let (mut hex, mut percent) = (String::new(), String::new());
    for byte in known.bytes() {
        write!(hex, "{byte:02x}").unwrap();
        write!(percent, "%{byte:02X}").unwrap();
    }
    for (encoding, text) in [
        (Encoding::Raw, known.clone()),
        (Encoding::Base64, STANDARD.encode(&known)),
        (Encoding::Base64, STANDARD.encode(format!("a{known}b"))),
        (Encoding::Base64, STANDARD.encode(format!("ab{known}bcd"))),
        (
            Encoding::Percent,
            known.replace('<', "%3C").replace('\\', "%5C").replace('?', "%3F"),
        ),
        (Encoding::Percent, percent),
        (Encoding::Json, serde_json::to_string(&known).unwrap()),
        (Encoding::Json, known.replace('\\', "\\\\").replace('<', "\\u003c")),
        (Encoding::Yaml, known.replace('\\', "\\x5c").replace('<', "\\x3c")),
        (Encoding::Xml, known.replace('<', "&lt;")),
        (Encoding::Hex, hex.to_uppercase()),
        (Encoding::Hex, hex.clone()),
        (Encoding::Folded, folded(&known, 7)),
        (Encoding::Folded, folded(&hex, 9)),
    ] {
        let text = format!("before {text} after");
        let report = search(&[("a.txt", text.as_bytes())]);
        assert_eq!(found(&report), [(Place::Event, true, vec![encoding])], "{text}");
    }
}

/// At least one seed has a value whose base64 depends on the alphabet.
#[test]
fn base64_of_both_alphabets_is_found() {
    let (mut standard, mut url) = (0, 0);
    for random in 0..40 {
        let seed = Seed::new(random);
        let known = at(seed, Place::Log).0;
        for text in [STANDARD.encode(&known), URL_SAFE.encode(&known)] {
            let mut search = CanarySearch::new(seed, all(seed));
            search.file("a", &mut text.as_bytes()).unwrap();
            let report = search.report();
            let encodings: Vec<Encoding> = report.rows.iter().flat_map(|row| row.counts.keys().copied()).collect();
            assert_eq!(encodings.len(), 1, "{text}");
            standard += usize::from(encodings.contains(&Encoding::Base64));
            url += usize::from(encodings.contains(&Encoding::Base64Url));
        }
    }
    assert!(standard + url == 80 && url > 0, "{standard} {url}");
}

#[test]
fn all_texts_of_the_pod_are_found() {
    let seed = Seed::new(SEED);
    let log = log_writes(seed).concat();
    let results = result_files(seed).unwrap();
    let packed = tar_of(
        &results
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_slice()))
            .collect::<Vec<_>>(),
    );
    let report = search(&[("podlogs/log.txt", log.as_bytes()), ("plugins/result.tar", &packed)]);
    let both = |place, known, unknown| [(place, true, vec![known]), (place, false, vec![unknown])];
    let expected = [
        both(Place::Log, Encoding::Raw, Encoding::Raw),
        both(Place::JsonLog, Encoding::Json, Encoding::Raw),
        both(Place::Base64Log, Encoding::Base64, Encoding::Base64),
        both(Place::SplitLog, Encoding::Raw, Encoding::Raw),
        both(Place::LongLine, Encoding::Raw, Encoding::Raw),
        both(Place::Result, Encoding::Raw, Encoding::Raw),
        both(Place::GzipResult, Encoding::Raw, Encoding::Raw),
        both(Place::XmlResult, Encoding::Xml, Encoding::Raw),
        both(Place::NestedResult, Encoding::Raw, Encoding::Raw),
    ];
    assert_eq!(found(&report), expected.concat());
    assert_eq!(report.opaque, BTreeSet::new());
    let paths: BTreeSet<&str> = report.found.keys().map(|found| found.path.as_str()).collect();
    let names = [
        "canary.log.gz",
        "canary.tar.gz!canary.txt.gz",
        "canary.txt",
        "canary.xml",
    ];
    let expected: BTreeSet<String> = names
        .iter()
        .map(|name| format!("plugins/result.tar!{name}"))
        .chain(["podlogs/log.txt".to_owned()])
        .collect();
    assert_eq!(paths, expected.iter().map(String::as_str).collect());
    assert_eq!((report.counts(true), report.counts(false)), ((16, 9), (15, 9)));
    let collected = report.rows.iter().filter(|row| row.collected).count();
    assert_eq!(collected, 18);
}

/// A canary at every offset around the border of a piece.
#[test]
fn canary_across_pieces_is_found_once() {
    let known = at(Seed::new(SEED), Place::Log).0;
    for before in (64 << 10) - 40..(64 << 10) + 8 {
        let text = format!("{}{known}{}", "x".repeat(before), "y".repeat(9));
        let report = search(&[("a", text.as_bytes())]);
        let counts: u64 = report.found.values().sum();
        assert_eq!(
            (found(&report), counts),
            (vec![(Place::Log, true, vec![Encoding::Raw])], 1),
            "{before}"
        );
    }
}

#[test]
fn files_that_cannot_be_opened_are_listed() {
    let report = search(&[("a.gz", &[0x1f, 0x8b, 8, 0, 0]), ("b.txt", b"plain")]);
    assert_eq!(report.opaque, BTreeSet::from([("a.gz".to_owned(), "torn")]));
    assert!(found(&report).is_empty());
}
