use serde_json::json;

use super::*;

fn check(content: &str, expected: &[(&str, &str)], error: Option<&str>) {
    let outcome = read(content.as_bytes(), "f.json", Compatibility::default());
    let items: Vec<(&str, &str)> = outcome
        .items
        .iter()
        .map(|item| (item.name.as_str(), item.status.as_str()))
        .collect();
    assert_eq!(
        (items.as_slice(), outcome.error.as_deref()),
        (expected, error),
        "{content}"
    );
}

#[test]
fn finished_tests_are_items() {
    check(
        r#"{"Time":"2026-01-01T00:00:00Z","Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"=== RUN\n"}
{"Action":"pass","Package":"p","Test":"A/sub","Elapsed":0.1}
{"Action":"pass","Package":"p","Test":"A","Elapsed":0.1}
{"action":"skip","PACKAGE":"p","test":"B"}
{"Action":"fail","Package":"p","Test":"C"}
{"Action":"explode","Package":"p","Test":"D"}
{"level":"info","Package":"r","Test":7}
{"no":"json}
{"Action":null}
{"Action":"fail","Package":"p","Elapsed":1}
"#,
        &[("A/sub", "passed"), ("A", "passed"), ("B", "skipped"), ("C", "failed")],
        None,
    );
}

#[test]
fn plain_text_between_events_is_skipped() {
    check(
        "go: downloading x v1\n{\"Action\":\"pass\",\"Test\":\"A\"}{\"Action\":\"fail\",\"Test\":\"B\"}\npanic: no\n{\"Action\":\n\"pass\",\n\"Test\":\"C\"\n}  trailing\n{\"Action\":\"fail\"}",
        &[("A", "passed"), ("B", "failed"), ("C", "passed")],
        None,
    );
}

/// `2>&1` adds standard error to the stream, and logs add timestamps.
#[test]
fn event_after_other_text_in_its_line_counts() {
    check(
        "12:00:01 {\"Action\":\"fail\",\"Package\":\"p\",\"Test\":\"A\"}\nstill waiting{\"Action\":\"pass\",\"Package\":\"p\",\"Test\":\"B\"}{\"Action\":\"skip\",\"Package\":\"p\",\"Test\":\"C\"}\n[pod/x] {\"Action\":\"fail\",\"Package\":\"p\"}\n",
        &[("A", "failed"), ("B", "passed"), ("C", "skipped")],
        None,
    );
    // Text with braces, and objects that are not events.
    check(
        "deploying {\"Action\":\"deploy\"}\nwhat {\"Action\":\"fa\n{\"Action\":\"pass\",\"Test\":\"A\"}\n{\"Action\":\"pass\"}\n",
        &[("A", "passed")],
        None,
    );
}

/// Go 1.23 and older have no event for a package that cannot be built or set up.
#[test]
fn package_failed_in_plain_text_is_an_item() {
    let passing = "{\"Action\":\"pass\",\"Package\":\"q\",\"Test\":\"A\"}\n{\"Action\":\"pass\",\"Package\":\"q\"}\n";
    check(
        &format!("FAIL\texample.org/p [setup failed]\n{passing}FAIL\n"),
        &[("A", "passed"), ("example.org/p", "failed")],
        None,
    );
    check(
        &format!("{passing}FAIL\n"),
        &[("A", "passed"), ("f.json", "failed")],
        None,
    );
    check(
        &format!("{{\"Action\":\"start\",\"Package\":\"p\"}}\n{passing}FAIL\tp [build failed]\n"),
        &[("A", "passed"), ("p", "failed")],
        None,
    );
    check(
        &format!("FAILED to connect, trying again\nFAIL: x\n{passing}"),
        &[("A", "passed")],
        None,
    );
}

/// W-16: valid events do not mask invalid ones.
#[test]
fn invalid_events_are_unknown_items() {
    check(
        "{\"Action\":\"pass\",\"Test\":\"A\"}\n{\"Action\":\"pa",
        &[("A", "passed"), ("line 2", "unknown"), ("f.json", "unknown")],
        Some("line 2: EOF while parsing a string"),
    );
    check(
        "{\"Action\":1,\"Test\":\"A\"}",
        &[("line 1", "unknown")],
        Some("line 1: field \"Action\" is not text: 1"),
    );
}

#[test]
fn a_package_that_fails_without_a_failed_test_is_an_item() {
    check(
        r#"{"Action":"build-fail","ImportPath":"p"}
{"Action":"fail","Package":"p"}
{"Action":"pass","Package":"q"}
{"Action":"build-fail","ImportPath":"r [r.test]"}
{"Action":"fail"}"#,
        &[("f.json", "failed"), ("p", "failed"), ("r [r.test]", "failed")],
        None,
    );
}

fn compatible(content: &str) -> (String, Vec<(String, String)>, Option<String>) {
    let outcome = read(content.as_bytes(), "f.json", Compatibility::SONOBUOY);
    let items = outcome.items.into_iter().map(|item| (item.name, item.status)).collect();
    (outcome.status, items, outcome.error)
}

#[test]
fn compatibility_ignores_invalid_events() {
    let owned = |name: &str, status: &str| (name.to_owned(), status.to_owned());
    let broken = Some("line 3: EOF while parsing a string".to_owned());
    assert_eq!(
        compatible("{\"Action\":\"run\",\"Test\":\"B\"}\n{\"Action\":\"pass\",\"Test\":\"A\"}\n{\"Action\":\"pa"),
        ("passed".to_owned(), vec![owned("A", "passed")], broken)
    );
    assert_eq!(
        compatible("{\"Action\""),
        (
            "unknown".to_owned(),
            vec![],
            Some("line 1: EOF while parsing an object".to_owned())
        )
    );
    assert_eq!(compatible(""), ("passed".to_owned(), vec![], None));
}

/// W-42: a stream without tests does not pass.
#[test]
fn a_stream_without_tests_is_unknown() {
    for content in ["", "PASS\n", "{\"Action\":\"pass\",\"Package\":\"p\"}\n"] {
        assert_eq!(
            read(content.as_bytes(), "f.json", Compatibility::default()),
            ParsedFile::unreadable("the file has no finished tests"),
            "{content:?}"
        );
    }
}

/// W-16: tests that did not finish, for example because the process was killed.
#[test]
fn unfinished_tests_are_unknown_items() {
    let outcome = read(
        br#"{"Action":"run","Package":"p","Test":"Z"}
{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"waiting\n"}
{"Action":"run","Package":"p","Test":"BenchmarkB"}
{"Action":"bench","Package":"p","Test":"BenchmarkB"}
{"Action":"run","Package":"q","Test":"BenchmarkOld"}
{"Action":"pass","Package":"q"}
"#,
        "f.json",
        Compatibility::default(),
    );
    assert_eq!(
        json!(outcome.items),
        json!([
            {"name": "Z", "status": "unknown", "meta": {"error": "the test did not finish"}},
            {"name": "A", "status": "unknown", "meta": {"error": "the test did not finish"}, "details": {"output": "waiting\n"}},
            {"name": "p", "status": "unknown", "meta": {"error": "the package did not finish"}},
        ])
    );
}

/// Case 05: both kinds of output, with and without a start event.
#[test]
fn package_without_an_end_is_unknown() {
    let test = "{\"Action\":\"run\",\"Test\":\"A\"}\n{\"Action\":\"pass\",\"Test\":\"A\"}\n";
    check(test, &[("A", "passed"), ("f.json", "unknown")], None);
    check(
        &format!("{{\"Action\":\"start\"}}\n{test}"),
        &[("A", "passed"), ("f.json", "unknown")],
        None,
    );
    check(
        &format!("{test}{{\"Action\":\"pass\"}}\n{{\"Action\":\"output\",\"Output\":\"x\"}}"),
        &[("A", "passed")],
        None,
    );
    check(
        &format!("{test}{{\"Action\":\"pass\"}}\n{{\"Action\":\"start\"}}"),
        &[("A", "passed"), ("f.json", "unknown")],
        None,
    );
    check(
        &format!("{test}{{\"Action\":\"pass\"}}\n{{\"Action\":\"start\",\"Package\":\"q\"}}"),
        &[("A", "passed"), ("q", "unknown")],
        None,
    );
    assert_eq!(compatible(test).1.len(), 1);
}

/// Case 21: a benchmark has no event for its end.
#[test]
fn benchmark_with_a_result_has_ended() {
    check(
        r#"{"Action":"run","Package":"p","Test":"BenchmarkA"}
{"Action":"output","Package":"p","Test":"BenchmarkA","Output":"BenchmarkA\n"}
{"Action":"run","Package":"p","Test":"BenchmarkA/x"}
{"Action":"output","Package":"p","Test":"BenchmarkA/x","Output":"BenchmarkA/x-8 \t"}
{"Action":"output","Package":"p","Test":"BenchmarkA/x","Output":" 100\t 12.5 MB/s\n"}
{"Action":"run","Package":"p","Test":"BenchmarkStuck"}
{"Action":"output","Package":"p","Test":"BenchmarkStuck","Output":"100 of 200\n"}
{"Action":"fail","Package":"p"}"#,
        &[
            ("p", "failed"),
            ("BenchmarkA/x", "passed"),
            ("BenchmarkStuck", "unknown"),
        ],
        None,
    );
}

#[test]
fn failed_items_have_their_output() {
    let outcome = read(
        br#"{"Action":"output","Package":"p","Test":"A","Output":"a is "}
{"Action":"output","Package":"p","Test":"B","Output":"fine\n"}
{"action":"OUTPUT","Package":"p","Test":"A","Output":"no action"}
{"action":"output","package":"p","test":"A","output":"wrong\n"}
{"Action":"pass","Package":"p","Test":"B"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}
{"ImportPath":"q [q.test]","Action":"build-output","Output":"undefined: x\n"}
{"ImportPath":"q [q.test]","Action":"build-fail"}
{"Action":"output","Package":"q","Output":"FAIL q [build failed]\n"}
{"Action":"fail","Package":"q","FailedBuild":"q [q.test]"}
"#,
        "f.json",
        Compatibility::default(),
    );
    // Actions are case-sensitive.
    let expected = json!([
        {"name": "B", "status": "passed"},
        {"name": "A", "status": "failed", "details": {"output": "a is wrong\n"}},
        {"name": "q", "status": "failed", "details": {"output": "undefined: x\nFAIL q [build failed]\n"}},
    ]);
    assert_eq!(json!(outcome.items), expected);
}

#[test]
fn long_output_is_cut_to_its_end() {
    let mut stream = Stream::default();
    let key = || ("p".to_owned(), "A".to_owned());
    for number in 0..40_000 {
        stream.output(key(), &format!("line {number}\n"));
    }
    assert!(stream.outputs[&key()].len() <= 2 * MAX_OUTPUT);
    let end = tail(&stream.outputs[&key()]);
    assert!(end.len() > MAX_OUTPUT - 20 && end.len() <= MAX_OUTPUT, "{}", end.len());
    assert!(end.starts_with("line ") && end.ends_with("line 39999\n"));
    assert_eq!(tail("short"), "short");
}
