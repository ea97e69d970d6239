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
        ParsedFile::unreadable(expected),
        "{}",
        String::from_utf8_lossy(xml)
    );
}

fn case(name: &str, status: &str) -> Value {
    json!({"name": name, "status": status})
}

#[test]
fn parts_of_a_case_determine_its_status() {
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
            {"name": "both", "status": "failed", "details": {"failure": "m"}},
            {"name": "fails", "status": "failed", "details": {"failure": "a   b\nc"}},
            {"name": "errs", "status": "failed", "details": {"error": "text"}},
            case("silent", "failed"),
            {"name": "twice", "status": "failed", "details": {"failure": "1\n2"}},
            {"name": "talks", "status": "passed", "details": {"system-out": " out ", "system-err": "<&>"}},
            case("", "passed"),
        ]}]),
    );
}

/// W-42: files without tests do not pass. Examples of core §6.3, with and without compatibility.
#[test]
fn files_without_tests_are_unknown() {
    let unnamed = |status: &str| json!([case("testsuite-001", status)]);
    for (xml, expected, items, compatible_items) in [
        ("<testsuites/>", "unknown", json!([]), json!([])),
        ("<testsuite/>", "unknown", unnamed("unknown"), unnamed("passed")),
        (
            "<testsuite tests='' time='' name=''/>",
            "unknown",
            unnamed("unknown"),
            unnamed("passed"),
        ),
        (
            "<testsuites/><testsuite name='second'/>",
            "unknown",
            json!([case("second", "unknown")]),
            json!([case("second", "passed")]),
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
                {"name": "a", "status": "unknown", "meta": {"error": "the suite has no test cases, but its attributes report 2"}},
                case("d", "skipped"),
                case("c", "passed"),
            ]),
            json!([case("a", "passed"), case("d", "passed"), case("c", "passed")]),
        ),
    ] {
        let outcome = read(xml.as_bytes(), Compatibility::default());
        assert_eq!(
            (outcome.status.as_str(), json!(outcome.items)),
            (expected, items),
            "{xml}"
        );
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
fn irrelevant_differences_are_ignored() {
    for xml in [
        "<testsuite name='s' time='1,2' tests='x' failures='many'><testcase name='c'/></testsuite>",
        "<?xml version='1.1'?><testsuite name='s'><testcase name='c'/></testsuite>",
        "<?xml version='1.0' encoding='ISO-8859-1'?><testsuite name='s'><testcase name='c'/></testsuite>",
        "<?xml version='1.0' encoding='UTF-16'?><testsuite name='s'><testcase name='c'/></testsuite>",
        "\u{feff}<testsuite name='s'><testcase name='c'/></testsuite>",
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

/// W-15: failures of nested suites are evaluated.
#[test]
fn nested_suites_are_read() {
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

/// References in attributes and in text.
#[test]
fn references_are_resolved_and_unknown_ones_are_unchanged() {
    check(
        "<testsuite name='&lt;&#65;&nbsp;&y;&'><testcase name='a&quot;b &#55357;&#56832;&#xD83D;&#xDE00;&#55357; &#0; a & b; &amp;'><failure>&lt;&#x42;&nbsp;&amp;&#55357;&#56832; &#55357;x &amp a & b</failure></testcase></testsuite>",
        "failed",
        &json!([{"name": "<A&nbsp;&y;&", "status": "failed", "items": [
            {"name": "a\"b 😀😀&#55357; &#0; a & b; &", "status": "failed", "details": {"failure": "<B&nbsp;&😀 &#55357;x &amp a & b"}},
        ]}]),
    );
    // Plain ampersands before references.
    check(
        "<testsuite name='R&D &lt;'><testcase name='a & b &lt; c && &#66;&&amp;&'><failure>a & b &lt; c && &#66;</failure></testcase></testsuite>",
        "failed",
        &json!([{"name": "R&D <", "status": "failed", "items": [
            {"name": "a & b < c && B&&&", "status": "failed", "details": {"failure": "a & b < c && B"}},
        ]}]),
    );
}

#[test]
fn other_encodings_are_read() {
    let name = |xml: &[u8]| {
        let outcome = read(xml, Compatibility::default());
        (outcome.items[0].items[0].name.clone(), outcome.error)
    };
    let declared = |label: &str, text: &[u8]| {
        let start = format!("<?xml version='1.0' encoding='{label}'?><testsuite><testcase name='");
        name(&[start.as_bytes(), text, b"'/></testsuite>"].concat())
    };
    assert_eq!(declared("ISO-8859-1", b"\xe4"), ("ä".to_owned(), None));
    assert_eq!(declared("windows-1252", b"\x80"), ("€".to_owned(), None));
    let error = Some("byte 27 (line 1) is not UTF-8: 0xe4".to_owned());
    assert_eq!(
        name(b"<testsuite><testcase name='\xe4'/></testsuite>"),
        ("\u{fffd}".to_owned(), error)
    );
}

/// A damaged name may be equal to another name; a damaged output does not matter.
#[test]
fn undecodable_bytes_are_unknown_in_names_and_reported_in_output() {
    let outcome = |xml: &[u8]| {
        let outcome = read(xml, Compatibility::default());
        (outcome.status, outcome.error)
    };
    let error = |position: usize| Some(format!("byte {position} (line 1) is not UTF-8: 0xff"));
    assert_eq!(
        outcome(b"<testsuite><testcase name='a\xff'/></testsuite>"),
        ("unknown".to_owned(), error(28))
    );
    assert_eq!(
        outcome(b"<testsuite><testcase name='a'><system-out>\xff</system-out></testcase></testsuite>"),
        ("passed".to_owned(), error(42))
    );
}

/// Cases 01 and 02: every root and every element that may contain a case.
#[test]
fn every_root_and_wrapper_is_read() {
    let two = json!([
        {"name": "a", "status": "passed", "items": [case("c", "passed")]},
        {"name": "b", "status": "failed", "items": [case("d", "failed")]},
    ]);
    let (a, b) = (
        "<testsuite name='a'><testcase name='c'/></testsuite>",
        "<testsuite name='b'><testcase name='d'><failure/></testcase></testsuite>",
    );
    for xml in [
        format!("{a}{b}"),
        format!("<?xml version='1.0'?>{a}\n<?xml version='1.0'?>\u{feff}{b}\0\u{1a}\n"),
        format!("<testsuites>{a}</testsuites><!-- next --><testsuites>{b}</testsuites>"),
        format!("<testsuites><testsuites>{a}<group>{b}</group></testsuites></testsuites>"),
        format!("<report><r:results xmlns:r='u'>{a}</r:results><r:results xmlns:r='u'>{b}</r:results></report>"),
        format!("<TestSuites>{a}{}</TestSuites>", b.replace("testcase", "testCase")),
    ] {
        check(&xml, "failed", &two);
    }
    check(
        "<testcase name='c'/><testcase name='d'><failure/></testcase>",
        "failed",
        &json!([case("c", "passed"), case("d", "failed")]),
    );
    // Nested cases, and a failure in an unknown element.
    check(
        "<testsuite name='s'><testcase name='c'><steps><step><failure>x</failure></step></steps></testcase><testcase name='d'><testcase name='e'><failure/></testcase></testcase></testsuite>",
        "failed",
        &json!([{"name": "s", "status": "failed", "items": [
            {"name": "c", "status": "failed", "details": {"failure": "x"}},
            {"name": "d", "status": "failed", "items": [case("e", "failed"), case("d", "passed")]},
        ]}]),
    );
}

/// A damaged file has an unknown item in addition to the readable items.
#[test]
fn damaged_file_has_an_unknown_item() {
    let suite = "<testsuite name='s'>\n<testcase name='c'/>";
    for (rest, message) in [
        ("", "line 2: unexpected end of file within the root element"),
        (
            "<testcase name='d'>",
            "line 2: unexpected end of file within the root element",
        ),
        (
            "</testsuite>\nerror: exit 1",
            "line 3: unexpected content after the root element",
        ),
        ("&report;</testsuite>", "line 2: unsupported entity `report`"),
        (
            "</testsuite><testsuite",
            "line 2: syntax error: tag not closed: `>` not found before end of input",
        ),
    ] {
        let outcome = read(format!("{suite}{rest}").as_bytes(), Compatibility::default());
        assert_eq!(
            (outcome.status.as_str(), outcome.error.as_deref()),
            ("unknown", Some(message)),
            "{rest}"
        );
        assert_eq!(
            json!(outcome.items),
            json!([
                {"name": "s", "status": "passed", "items": [case("c", "passed")]},
                {"name": message.split_once(':').unwrap().0, "status": "unknown", "meta": {"error": message}},
            ]),
            "{rest}"
        );
    }
    let cut = format!("{suite}<testcase name='d'><failure>what");
    let outcome = read(cut.as_bytes(), Compatibility::default());
    assert_eq!(outcome.status, "failed");
    assert_eq!(
        json!(outcome.items[0].items[1]),
        json!({"name": "d", "status": "failed", "details": {"failure": "what"}})
    );
}

/// Case 03: failures of suites, and failures reported by attributes but by no case.
#[test]
fn failures_of_suites_and_their_attributes_are_evaluated() {
    let claim = |name: &str, error: &str| json!({"name": name, "status": "unknown", "meta": {"error": error}});
    let one = "the attributes of the suite report 1 errors and failures, but no test case failed";
    check(
        "<testsuites><testsuite name='a' errors='1'/><testsuite name='b' failures=' 1 '><testcase name='c'/></testsuite><testsuite name='r' result='FAILED'><testcase name='c'/></testsuite></testsuites>",
        "unknown",
        &json!([
            claim("a", one),
            {"name": "b", "status": "unknown", "items": [case("c", "passed"), claim("b", one)]},
            {"name": "r", "status": "unknown", "items": [case("c", "passed"),
                claim("r", "the attributes of the suite report a failure, but no test case failed")]},
        ]),
    );
    check(
        "<testsuites name='all' failures='1'><testsuite name='b'><testcase name='c'/></testsuite></testsuites>",
        "unknown",
        &json!([{"name": "b", "status": "passed", "items": [case("c", "passed")]}, claim("all", one)]),
    );
    check(
        "<testsuites failures='9' errors='x'><testsuite name='a'><testcase name='c'/><error message='m'>t</error></testsuite><testsuite name='b'><failure/></testsuite><failure>of all</failure></testsuites>",
        "failed",
        &json!([
            {"name": "a", "status": "failed", "items": [case("c", "passed"), {"name": "a", "status": "failed", "details": {"error": "m t"}}]},
            case("b", "failed"),
            {"name": "testsuites", "status": "failed", "details": {"failure": "of all"}},
        ]),
    );
}

/// Case 03: other attributes and number formats.
#[test]
fn claims_of_suites_count_in_every_form() {
    for (attributes, status) in [
        ("errors='1.0'", "unknown"),
        ("failures=' 2 of 3 '", "unknown"),
        ("failures='99999999999999999999999'", "unknown"),
        ("failed='1'", "unknown"),
        ("failure='no answer'", "unknown"),
        ("error='true'", "unknown"),
        ("success='False'", "unknown"),
        ("state='failed'", "unknown"),
        ("verdict='FAIL'", "unknown"),
        (
            "errors='0.0' failures='-1' failed='0' failure='' error='none'",
            "passed",
        ),
        ("errors='x' success='0' passed='0'", "passed"),
        ("success='true' state='completed'", "passed"),
    ] {
        for element in ["testsuite", "results"] {
            let xml = format!("<{element} {attributes}><testcase name='c'/></{element}>");
            let outcome = read(xml.as_bytes(), Compatibility::default());
            assert_eq!(outcome.status, status, "{xml}");
        }
    }
}

/// Unknown elements of a case, and failures inside `skipped`.
#[test]
fn failure_in_any_element_of_a_case_counts() {
    for (within, status) in [
        ("<step result='failed'/>", "unknown"),
        ("<steps><step><check success='false'/></step></steps>", "unknown"),
        ("<step status='passed'/><note failed='0'/>", "passed"),
        (
            "<properties><property name='result' result='failed'/></properties>",
            "passed",
        ),
        ("<system-out><step result='failed'/></system-out>", "passed"),
        ("<step result='failed'/><failure/>", "failed"),
        ("<skipped><failure>x</failure></skipped>", "failed"),
        ("<skipped>because <error>x</error></skipped>", "failed"),
        ("<skipped><b>because</b></skipped>", "skipped"),
    ] {
        let xml = format!("<testsuite><testcase name='c'>{within}</testcase></testsuite>");
        let outcome = read(xml.as_bytes(), Compatibility::default());
        assert_eq!(outcome.items[0].items[0].status, status, "{xml}");
    }
    let xml = "<testsuite><testcase name='c'><step result='failed'/></testcase></testsuite>";
    let outcome = read(xml.as_bytes(), Compatibility::default());
    assert_eq!(
        json!(outcome.items[0].items[0].meta),
        json!({"error": "an element of the case reports a failure: result: failed"})
    );
}

/// Case 04: the worst outcome in attributes applies unless an element has one.
#[test]
fn outcomes_in_attributes_are_evaluated() {
    for (attributes, status) in [
        ("status='run' result='completed'", "passed"),
        ("status='PASSED'", "passed"),
        ("result='Success' executed='True' success='True'", "passed"),
        ("failure='0' error='false' skipped='false' disabled='no'", "passed"),
        ("status='200' result=''", "passed"),
        ("status='notrun' result='suppressed'", "skipped"),
        ("status='Not Run'", "skipped"),
        ("status='DISABLED'", "skipped"),
        ("result='Ignored'", "skipped"),
        ("outcome='NotExecuted'", "skipped"),
        ("status='not_run'", "skipped"),
        ("executed='False'", "skipped"),
        ("skipped='true'", "skipped"),
        ("status='pending'", "skipped"),
        ("status='FAILED'", "failed"),
        ("Result='Fail'", "failed"),
        ("result='Failure' success='False'", "failed"),
        ("status='timed-out'", "failed"),
        ("status='run' result='error'", "failed"),
        ("status='passed' failure='no answer'", "failed"),
        ("status='panicked'", "failed"),
        ("success='false'", "failed"),
        ("status='inconclusive'", "unknown"),
        ("result='Blocked'", "unknown"),
        ("failure=''", "unknown"),
    ] {
        let xml = format!("<testsuite><testcase name='c' {attributes}/></testsuite>");
        let outcome = read(xml.as_bytes(), Compatibility::default());
        assert_eq!(outcome.items[0].items[0].status, status, "{attributes}");
    }
    check(
        "<testsuite name='s'><testcase name='c' failure='no answer'/><testcase name='d' status='odd'/><testcase name='e' status='passed'><failure>m</failure></testcase><testcase name='f' status='run'><skipped/></testcase><testcase name='g'><disabled/></testcase></testsuite>",
        "failed",
        &json!([{"name": "s", "status": "failed", "items": [
            {"name": "c", "status": "failed", "details": {"failure": "failure: no answer"}},
            {"name": "d", "status": "unknown", "meta": {"error": "unknown outcome: status: odd"}},
            {"name": "e", "status": "failed", "details": {"failure": "m"}},
            case("f", "skipped"),
            case("g", "skipped"),
        ]}]),
    );
}

/// Case 19: messages of all failures are joined.
#[test]
fn all_failures_of_a_case_are_in_its_details() {
    check(
        "<testsuite name='s'><testcase name='c'><failure message='1'/><error>2</error><failure><message>3</message><stack-trace>4</stack-trace></failure></testcase></testsuite>",
        "failed",
        &json!([{"name": "s", "status": "failed", "items": [
            {"name": "c", "status": "failed", "details": {"failure": "1\n34", "error": "2"}},
        ]}]),
    );
}

#[test]
fn unreadable_files_are_unknown() {
    check_error(b"", "EOF");
    check_error(b"plain text", "EOF");
    check_error(b"<foo/>", "expected element type <testsuite> but have <foo>");
    check_error(
        b"<testsuite>\n<testcase>",
        "line 2: unexpected end of file within the root element",
    );
    for broken in [
        &b"<testsuite>\n<testcase name='a & b'></x></testsuite>"[..],
        b"<testsuite><testcase name='a",
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
    // The unreadable attributes may have contained an outcome.
    let outcome = read(b"<testsuite><testcase name=a/></testsuite>", Compatibility::default());
    assert_eq!(outcome.status, "unknown");
    let deep = "<testsuite>".repeat(100_000);
    check_error(deep.as_bytes(), "line 1: elements are nested more than 100 levels deep");
}
