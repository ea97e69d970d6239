use serde_json::{Value, json};

use super::*;

fn check(xml: &str, expected_status: &str, expected_items: &Value) {
    let outcome = read(xml.as_bytes());
    assert_eq!(
        (outcome.error, outcome.status.as_str(), json!(outcome.items)),
        (None, expected_status, expected_items.clone()),
        "{xml}"
    );
}

fn check_error(xml: &[u8], expected: &str) {
    assert_eq!(
        read(xml),
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

#[test]
fn roots_and_suites_without_content() {
    check("<testsuites/>", "passed", &json!([]));
    check("<testsuite/>", "passed", &json!([case("testsuite-001", "passed")]));
    check(
        "<?xml version='1.1'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><!-- c --><t:testsuites xmlns:t='u'><t:testsuite name=''/><t:testsuite time='1,2' tests='x'/></t:testsuites>",
        "passed",
        &json!([case("testsuite-001", "passed"), case("testsuite-002", "passed")]),
    );
    check("<testsuites/><testsuite name='not read'/>", "passed", &json!([]));
}

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
    assert_eq!(read(xml).items[0].name, "ä");
    assert_eq!(read(b"<testsuite name='\xe4'/>").items[0].name, "\u{fffd}");
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
        let outcome = read(broken);
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

proptest::proptest! {
    #[test]
    fn any_text_gives_an_outcome(parts in proptest::collection::vec(
        proptest::sample::select(vec![
            "<testsuites>", "</testsuites>", "<testsuite name='a'>", "</testsuite>", "<testcase name='b'>", "</testcase>",
            "<failure>", "</failure>", "<skipped/>", "text", "&amp;", "&#0;", "&", "<", ">", "<!--", "-->", "<![CDATA[", "]]>", "'",
        ]), 0..30)) {
        let outcome = read(parts.concat().as_bytes());
        proptest::prop_assert_eq!(outcome.error.is_some(), outcome.status == "unknown");
    }
}
