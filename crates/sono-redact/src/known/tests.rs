use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::*;

fn parts_of(key: &str, value: &str) -> Vec<String> {
    let mut found = Vec::new();
    parts::each(key, value.as_bytes(), &mut |part| match part {
        parts::Found::Value(value) => found.push(String::from_utf8_lossy(value).into_owned()),
        parts::Found::Trivial => found.push("(trivial)".to_owned()),
        parts::Found::Public => found.push("(public)".to_owned()),
    });
    found.sort();
    found.dedup();
    found
}

#[test]
fn parts_of_structured_values_are_found() {
    let auth = STANDARD.encode("robot:Zq8-wL2mPx");
    let docker = json!({"auths": {"r.example.com": {"auth": auth}}}).to_string();
    assert_eq!(
        parts_of(".dockerconfigjson", &docker),
        ["Zq8-wL2mPx".to_owned(), auth, docker]
    );
    assert_eq!(
        parts_of(
            "app.env",
            "export DB_PASSWORD='Zq8-wL2mPx'\nMODE=production\nHOST=db.example.com"
        ),
        [
            "Zq8-wL2mPx",
            "export DB_PASSWORD='Zq8-wL2mPx'\nMODE=production\nHOST=db.example.com"
        ]
    );
    let yaml = "users:\n- name: u\n  user:\n    token: swordfish-and-chips\nreceiver: ordinary words only\n";
    assert_eq!(parts_of("config", yaml), ["swordfish-and-chips", yaml.trim()]);
    let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrandomrandom01\n-----END EC PRIVATE KEY-----\n";
    assert_eq!(parts_of("tls.key", key), ["MHcCAQEEIIrandomrandom01"]);
    assert_eq!(
        parts_of(
            "tls.crt",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
        ),
        ["(public)"]
    );
    assert_eq!(parts_of("flag", "true"), ["(trivial)"]);
    let url = "postgres://shop:Zq8-wL2mPx@db:5432/shop";
    assert_eq!(parts_of("url", url), ["Zq8-wL2mPx", url]);
}

#[test]
fn values_are_never_in_debug_output() {
    let mut known = KnownValues::default();
    known.add_secret(
        &json!({"data": {"a": STANDARD.encode("Zq8-wL2mPx-first")}, "stringData": {"b": "Zq8-wL2mPx-other"}}),
    );
    let literal = Literal::new(b"Zq8-wL2mPx");
    let collected = format!("{known:?}");
    let (index, summary) = known.index();
    let shown = format!("{collected} {literal:?} {index:?} {summary:?}");
    assert!(!shown.contains("Zq8"), "{shown}");
    assert_eq!(summary.values, 2);
}

#[test]
fn two_listings_are_one_set_of_values() {
    let mut first = KnownValues::default();
    first.add("password", b"Zq8-wL2mPx-before");
    first.add("same", b"Zq8-wL2mPx-shared");
    first.add("flag", b"true");
    let mut second = KnownValues::default();
    second.add("password", b"Zq8-wL2mPx-after");
    second.add("same", b"Zq8-wL2mPx-shared");
    second.add("flag", b"true");
    second.add_all(first);
    let redactor = crate::Redactor::new(crate::Known::Values(second));
    let text = "Zq8-wL2mPx-before Zq8-wL2mPx-after Zq8-wL2mPx-shared";
    let mut found = crate::Redactions::default();
    assert_eq!(
        redactor.text(text, crate::Layers::Known, &mut found),
        "[redacted] [redacted] [redacted]"
    );
    let summary = redactor.known().clone().unwrap();
    assert_eq!((summary.values, summary.trivial), (3, 1));
}

#[test]
fn pieces_of_long_values_that_are_not_searched_are_counted() {
    let mut known = KnownValues::default();
    let letter = |index: usize| b'A' + u8::try_from(index * index / 7 % 26).unwrap();
    let random: Vec<u8> = (0..60 * PIECE).map(letter).collect();
    known.add_literal(&random);
    // Every third piece.
    assert_eq!(known.summary.pieces_not_searched, 40);
}

#[test]
fn fifty_thousand_secrets_stay_within_the_limits() {
    let mut known = KnownValues::default();
    for number in 0..50_000 {
        known.add("password", format!("Zq8-{number:05}-wL2m").as_bytes());
        // The same pull secret in each namespace is one value.
        known.add("shared", b"Zq8-shared-wL2m");
    }
    let (_, summary) = known.index();
    assert_eq!(
        summary,
        KnownSummary {
            values: MAX_VALUES,
            trivial: 0,
            public: 0,
            not_searched: 50_001 - MAX_VALUES,
            pieces_not_searched: 0,
        }
    );
}
