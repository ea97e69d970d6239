use serde_json::{Value, json};

use super::*;

fn check(xml: &str, expected_status: &str, expected_items: &Value) {
    let outcome = read(xml.as_bytes(), Compatibility::default());
    assert_eq!(
        (outcome.error, outcome.status.as_str(), json!(outcome.items)),
        (None, expected_status, expected_items.clone()),
        "{xml}"
    );
}

fn check_error(xml: &[u8], expected: &str) {
    assert_eq!(
        read(xml, Compatibility::default()),
        Outcome::unreadable(expected),
        "{}",
        String::from_utf8_lossy(xml)
    );
}

fn case(name: &str, status: &str) -> Value {
    json!({"name": name, "status": status})
}

#[test]
fn the_part_of_a_case_decides() {
    check(
        r"<testsuite name='s'>
          <properties><property name='testcase'/></properties>
          <testcase name='passes' time='free text'/>
          <testcase name='skips'><skipped/></testcase>
          <testcase name='both'><failure message='m'/><skipped message='s'/></testcase>
          <testcase name='fails'><failure message=' a '> b
c </failure></testcase>
          <testcase name='errs'><error type='t'>text</error></testcase>
          <testcase name='silent'><failure/></testcase>
          <testcase name='twice'><failure>1</failure><failure>2</failure></testcase>
          <testcase name='talks'><system-out> out </system-out><system-err><![CDATA[<&>]]></system-err></testcase>
          <testcase><rerunFailure>no</rerunFailure></testcase>
          <system-out>of the suite</system-out>
        </testsuite>",
        "failed",
        &json!([{"name": "s", "status": "failed", "items": [
            case("passes", "passed"),
            case("skips", "skipped"),
            {"name": "both", "status": "skipped", "details": {"failure": "m"}},
            {"name": "fails", "status": "failed", "details": {"failure": "a   b\nc"}},
            {"name": "errs", "status": "failed", "details": {"error": "text"}},
            case("silent", "failed"),
            {"name": "twice", "status": "failed", "details": {"failure": "2"}},
            {"name": "talks", "status": "passed", "details": {"system-out": " out ", "system-err": "<&>"}},
            case("", "passed"),
        ]}]),
    );
}

/// W-42: what has no test does not pass. Each row of the spec's table of odd files that parse, in both ways.
#[test]
fn nothing_run_is_nothing_passed() {
    let unnamed = |status: &str| json!([case("testsuite-001", status)]);
    for (xml, truth, items, compatible_items) in [
        ("<testsuites/>", "unknown", json!([]), json!([])),
        ("<testsuite/>", "unknown", unnamed("unknown"), unnamed("passed")),
        (
            "<testsuite tests='' time='' name=''/>",
            "unknown",
            unnamed("unknown"),
            unnamed("passed"),
        ),
        (
            "<testsuites/><testsuite name='not read'/>",
            "unknown",
            json!([]),
            json!([]),
        ),
        (
            "<testsuite><testsuite/></testsuite>",
            "unknown",
            json!([{"name": "testsuite-001", "status": "unknown", "items": unnamed("unknown")}]),
            json!([{"name": "testsuite-001", "status": "passed", "items": unnamed("passed")}]),
        ),
        (
            "<testsuites><testsuite name='a'/><testsuite name='b'><testcase name='c'/></testsuite></testsuites>",
            "passed",
            json!([case("a", "skipped"), {"name": "b", "status": "passed", "items": [case("c", "passed")]}]),
            json!([case("a", "passed"), {"name": "b", "status": "passed", "items": [case("c", "passed")]}]),
        ),
        (
            "<testsuites><testsuite name='a' tests='3' skipped='1'/><testsuite name='d' tests='1' skipped='1'/><testcase name='c'/></testsuites>",
            "unknown",
            json!([
                {"name": "a", "status": "unknown", "meta": {"error": "the suite has no test cases and claims to have 2"}},
                case("d", "skipped"),
                case("c", "passed"),
            ]),
            json!([case("a", "passed"), case("d", "passed"), case("c", "passed")]),
        ),
    ] {
        let outcome = read(xml.as_bytes(), Compatibility::default());
        assert_eq!((outcome.status.as_str(), json!(outcome.items)), (truth, items), "{xml}");
        let outcome = read(xml.as_bytes(), Compatibility::SONOBUOY);
        assert_eq!(
            (outcome.error, outcome.status.as_str(), json!(outcome.items)),
            (None, "passed", compatible_items),
            "{xml}"
        );
    }
    let outcome = read(b"<testsuites/>", Compatibility::default());
    assert_eq!(outcome.error.as_deref(), Some("the file has no test cases"));
}

#[test]
fn oddities_that_change_nothing() {
    for xml in [
        "<testsuite name='s' time='1,2' tests='x' failures='many'><testcase name='c'/></testsuite>",
        "<?xml version='1.1'?><testsuite name='s'><testcase name='c'/></testsuite>",
        "<?xml version='1.0' encoding='ISO-8859-1'?><testsuite name='s'><testcase name='c'/></testsuite>",
        "<?xml version='1.0' encoding='UTF-16'?><testsuite name='s'><testcase name='c'/></testsuite>",
        "\u{feff}<testsuite name='s'><testcase name='c'/></testsuite>",
        "<testsuite name='s'><testcase name='c'/></testsuite><testsuite name='second root'><testcase name='d'><failure/></testcase></testsuite>",
        "<testsuite xmlns='urn:a' xmlns:b='urn:b' name='s'><testcase b:name='no' name='c'/></testsuite>",
        "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><!-- c --><t:testsuites xmlns:t='u'><t:testsuite name='s'><t:testcase name='c'/></t:testsuite></t:testsuites>",
        "<testsuite name='s'><testcase name='c'><system-out></system-out>\u{1}</testcase></testsuite>",
    ] {
        check(
            xml,
            "passed",
            &json!([{"name": "s", "status": "passed", "items": [case("c", "passed")]}]),
        );
    }
}

/// W-15: the failures of suites within suites count.
#[test]
fn suites_in_suites_are_read() {
    check(
        r"<testsuites>
          <testcase name='loose'/>
          <testsuite name='outer'>
            <testsuite><testcase name='a'><failure/></testcase></testsuite>
            <testcase name='b'/>
            <testsuite name='inner'><testcase name='c'/></testsuite>
          </testsuite>
        </testsuites>",
        "failed",
        &json!([
            case("loose", "passed"),
            {"name": "outer", "status": "failed", "items": [
                {"name": "testsuite-001", "status": "failed", "items": [case("a", "failed")]},
                case("b", "passed"),
                {"name": "inner", "status": "passed", "items": [case("c", "passed")]},
            ]},
        ]),
    );
}

#[test]
fn references_are_resolved_and_unknown_ones_stay() {
    check(
        "<testsuite name='&lt;&#65;&nbsp;&y;'><testcase name='a&quot;b'><failure>&lt;&#x42;&nbsp;&amp;</failure></testcase></testsuite>",
        "failed",
        &json!([{"name": "&lt;&#65;&nbsp;&y;", "status": "failed", "items": [
            {"name": "a\"b", "status": "failed", "details": {"failure": "<B&nbsp;&"}},
        ]}]),
    );
}

#[test]
fn other_encodings_are_read() {
    let xml = b"<?xml version='1.0' encoding='ISO-8859-1'?><testsuite name='\xe4'/>";
    let name = |xml| read(xml, Compatibility::default()).items[0].name.clone();
    assert_eq!(name(&xml[..]), "ä");
    assert_eq!(name(b"<testsuite name='\xe4'/>"), "\u{fffd}");
}

#[test]
fn what_cannot_be_read_is_unknown() {
    check_error(b"", "EOF");
    check_error(b"plain text", "EOF");
    check_error(b"<foo/>", "expected element type <testsuite> but have <foo>");
    check_error(
        b"<testsuite>\n<testcase>",
        "line 2: the file ends before its root element does",
    );
    for broken in [
        &b"<testsuite>\n<testcase name='a & b'></x></testsuite>"[..],
        b"<testsuite><testcase name='a",
        b"<testsuite><testcase name=a/></testsuite>",
        b"<testsuite><testcase><failure>a & b</failure></testcase></testsuite>",
        b"<testsuite></testsuites>",
    ] {
        let outcome = read(broken, Compatibility::default());
        assert_eq!((outcome.status.as_str(), outcome.items), ("unknown", vec![]));
        assert!(
            outcome.error.as_deref().is_some_and(|error| error.starts_with("line ")),
            "{:?}: {}",
            outcome.error,
            String::from_utf8_lossy(broken)
        );
    }
    let deep = "<testsuite>".repeat(100_000);
    check_error(deep.as_bytes(), "line 1: elements are nested more than 100 deep");
}
