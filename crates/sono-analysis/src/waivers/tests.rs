use jiff::civil::date;

use super::*;
use crate::identity::TestId;

const FILE: &str = r#"waivers:
- id: dns
  plugin: e2e
  test: "[sig-network] DNS should resolve [Conformance]"
  because: The resolver is replaced in March.
  owner: team-network
  ticket: NET-7
  until: 2027-03-01
  signature: "timed out after 300.001s"
- id: storage
  plugin: e2e
  test: "[sig-storage]*"
  because: No storage.
  owner: team-storage
  until: "2027-01-31"
  when:
    kubernetes: ">=1.36, <1.38"
    cluster: prod-*
"#;

struct Test {
    name: String,
    id: TestId,
    /// Signature of the failure.
    failure: Option<String>,
}

fn test(name: &str, message: Option<&str>) -> Test {
    Test {
        name: name.to_owned(),
        id: TestId::of("e2e", name),
        failure: message.map(crate::signature_hash),
    }
}

fn judged(tests: &[Test]) -> Vec<Judged<'_>> {
    tests
        .iter()
        .map(|test| Judged {
            plugin: "e2e",
            name: &test.name,
            id: &test.id,
            is_failed: test.failure.is_some(),
            signature: test.failure.as_deref().unwrap_or_default(),
        })
        .collect()
}

fn facts(kubernetes: &str, cluster: &str) -> RunFacts {
    RunFacts {
        kubernetes: Some(kubernetes.to_owned()),
        cluster: Some(cluster.to_owned()),
    }
}

/// Ids of the waivers of each test.
fn waived(tests: &[Test], facts: &RunFacts, today: Date) -> Vec<Option<String>> {
    let waivers = Waivers::parse(FILE).unwrap();
    let found = waivers.judge(&judged(tests), facts, today);
    found.into_iter().map(|waiver| Some(waiver?.id.clone())).collect()
}

#[test]
fn waiver_applies_to_its_test_and_failure() {
    let tests = [
        // The order of tags does not matter.
        test(
            "[It] [sig-network] DNS should resolve [Slow] [Conformance]",
            Some("[FAILED] timed out after 12s"),
        ),
        // Another failure of the same test.
        test("[sig-network] DNS should resolve", Some("connection refused")),
        test("[sig-network] DNS should resolve", None),
        test("[sig-network] DNS should not resolve", Some("timed out after 12s")),
        test("[sig-storage] mounts", Some("x")),
        test("a [sig-storage] mounts", Some("x")),
    ];
    let dns = Some("dns".to_owned());
    let storage = Some("storage".to_owned());
    let all = waived(&tests, &facts("v1.37.2-gke.1", "prod-1"), date(2027, 1, 31));
    assert_eq!(all, [dns.clone(), None, None, None, storage, None]);
    // The last day counts, in UTC; conditions about unknown facts do not hold.
    for (day, facts) in [
        (date(2027, 2, 1), facts("v1.37.2", "prod-1")),
        (date(2027, 1, 1), facts("v1.38.0", "prod-1")),
        (date(2027, 1, 1), facts("v1.35.9", "prod-1")),
        (date(2027, 1, 1), facts("v1.37.2", "test")),
        (date(2027, 1, 1), facts("unknown", "prod-1")),
        (date(2027, 1, 1), RunFacts::default()),
    ] {
        let found = waived(&tests, &facts, day);
        assert_eq!(found, [dns.clone(), None, None, None, None, None], "{day} {facts:?}");
    }
    assert_eq!(waived(&tests, &RunFacts::default(), date(2027, 3, 1))[0], dns);
    assert_eq!(waived(&tests, &RunFacts::default(), date(2027, 3, 2))[0], None);
}

#[test]
fn waiver_of_another_plugin_does_not_apply() {
    let text = FILE.replace("plugin: e2e", "plugin: other");
    let tests = [test("[sig-storage] mounts", Some("x"))];
    let waivers = Waivers::parse(&text).unwrap();
    let found = waivers.judge(&judged(&tests), &facts("v1.37.0", "prod-1"), date(2027, 1, 1));
    assert!(found[0].is_none());
}

#[test]
fn waiver_by_identity_applies() {
    let failed = test("b", Some("x"));
    let text = format!(
        "waivers: [{{id: a, plugin: e2e, test: 'id:{}', because: b, owner: c, until: 2027-01-01}}]",
        failed.id
    );
    let waivers = Waivers::parse(&text).unwrap();
    let tests = [failed, test("c", Some("x"))];
    let found = waivers.judge(&judged(&tests), &RunFacts::default(), date(2026, 1, 1));
    assert_eq!((found[0].is_some(), found[1].is_some()), (true, false));
}

#[test]
fn unneeded_waivers_are_findings() {
    let usage = |tests: &[Test]| -> Vec<String> {
        let waivers = Waivers::parse(FILE).unwrap();
        let found = waivers.usage(&[(facts("v1.37.0", "prod-1"), judged(tests))]);
        found
            .iter()
            .map(|found| format!("{}:{} {} {}", found.line, found.column, found.id, found.message))
            .collect()
    };
    let dns = "[sig-network] DNS should resolve";
    let wide: Vec<Test> = (0..6)
        .map(|number| test(&format!("[sig-storage] {number}"), Some("x")))
        .collect();
    assert_eq!(
        usage(&[]),
        [
            "2:7 dns unused: no test of these runs matches it",
            "10:7 storage unused: no test of these runs matches it"
        ]
    );
    assert_eq!(
        usage(&[test(dns, None), test("[sig-storage] a", Some("x"))]),
        ["2:7 dns now passing: all its tests passed"]
    );
    assert_eq!(
        usage(&[test(dns, Some("refused")), test("[sig-storage] a", Some("x"))]),
        ["2:7 dns unused: 1 failures of its tests have another message"]
    );
    let mut tests = wide;
    tests.push(test(dns, Some("timed out after 1s")));
    assert_eq!(usage(&tests), ["10:7 storage too wide: it waives 6 tests"]);
}

#[test]
fn expired_waivers_are_findings() {
    let waivers = Waivers::parse(FILE).unwrap();
    let ids = |today: Date| -> Vec<String> { waivers.expired(today).into_iter().map(|found| found.message).collect() };
    assert_eq!(ids(date(2027, 1, 31)), [] as [&str; 0]);
    assert_eq!(ids(date(2027, 2, 1)), ["expired on 2027-01-31; owner: team-storage"]);
    assert_eq!(ids(date(2028, 1, 1)).len(), 2);
}

/// Each problem with its line and column.
#[test]
fn wrong_file_is_refused_with_the_position() {
    let parse = |text: &str| -> Vec<String> {
        let errors = Waivers::parse(text).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        parse(
            &FILE
                .replace("2027-03-01", "March")
                .replace("id: storage", "id: dns")
                .replace("<1.38", "<a")
        ),
        [
            "line 8, column 10: invalid date `March`: use for example 2027-03-01",
            "line 17, column 5: invalid version range `>=1.36, <a`: use for example \">=1.36, <1.38\"",
        ]
    );
    assert_eq!(
        parse(&FILE.replace("id: storage", "id: dns")),
        ["line 10, column 7: duplicate id `dns`"]
    );
    for (wrong, expected) in [
        ("\"*\"", "`*` matches every test: name the tests"),
        ("id:12", "invalid identity `12`: it has twelve digits from 0 to f"),
        ("\"\"", "`test` is empty"),
    ] {
        assert_eq!(
            parse(&FILE.replace("\"[sig-storage]*\"", wrong)),
            [format!("line 12, column 9: {expected}")]
        );
    }
    assert!(parse(&FILE.replace("  owner: team-network\n", ""))[0].contains("missing field `owner`"));
    assert!(parse(&FILE.replace("owner: team-network", "ownr: a"))[0].contains("unknown field `ownr`"));
    for text in ["", "a: [", "waivers: 1", "[]", "waivers:\n- 1\n"] {
        assert_eq!(parse(text).len(), 1, "{text}");
    }
    let large = "#".repeat(2 << 20);
    assert_eq!(parse(&large), ["line 1, column 1: the file exceeds 1048576 bytes"]);
}

#[test]
fn glob_matches_the_whole_name() {
    for (pattern, text, expected) in [
        ("a*", "abc", true),
        ("*c", "abc", true),
        ("a*c", "abc", true),
        ("a*b*c", "a b b c", true),
        ("a**c", "ac", true),
        ("a*a", "a", false),
        ("ab*bc", "abc", false),
        ("b*", "abc", false),
        ("*[x]*", "a [x] b", true),
        ("abc", "abcd", false),
    ] {
        assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
    }
}

#[test]
fn version_range_compares_the_given_numbers() {
    for (range, version, expected) in [
        ("<1.38", "v1.37.9", true),
        ("<1.38", "v1.38.0-alpha.1", false),
        ("<=1.37", "v1.37.9", true),
        (">1.37", "v1.37.9", false),
        ("1.37", "1.37.2+k3s1", true),
        ("=v1.37.2", "v1.37.1", false),
        (">=1.37.2, <1.38", "v1.37.2", true),
        ("<1.38", "", false),
    ] {
        assert_eq!(
            Versions::parse(range).unwrap().contains(version),
            expected,
            "{range} {version}"
        );
    }
    for range in ["", "<", "a", "1.2.3.4", "1..2", "<1.38,"] {
        assert!(Versions::parse(range).is_err(), "{range}");
    }
}
