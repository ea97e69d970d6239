//! Any file of a plugin results in an item: arbitrary bytes, and modified valid files.

use proptest::{prelude::*, sample::select};
use sono_results::{Compatibility, aggregate, from_yaml, read_error_file, read_result_file, to_yaml};
use sono_types::{Item, ResultFormat};

const JUNIT: &str = "<?xml version='1.0' encoding='UTF-8'?><testsuites><testsuite name='a' tests='2'><properties/><testcase name='b' time='1'><failure message='m &lt; n'>text &amp; more</failure></testcase><testsuite><testcase name='c'><skipped/><system-out><![CDATA[out]]></system-out></testcase></testsuite></testsuite></testsuites>";
const GO: &str = "ok\n{\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"A\"}\n{\"Action\":\"output\",\"Package\":\"p\",\"Test\":\"A\",\"Output\":\"x\\u00e9\\n\"}\n{\"Action\":\"fail\",\"Package\":\"p\",\"Test\":\"A\",\"Elapsed\":0.1}\n{\"Action\":\"fail\",\"Package\":\"p\"}\n";
const MANUAL: &str = "name: n\nstatus: custom\nmeta: {a: b}\ndetails:\n  k: [1, {x: y}]\nitems:\n- name: 'a''b'\n  status: passed\n- name: |\n    text\n  details:\n    output: \"x\\ty\"\n";
const ERROR: &str = "{\"error\":\"it broke\",\"pod\":{\"a\":[1,null,true]}}";

const FORMATS: [ResultFormat; 4] = [
    ResultFormat::Raw,
    ResultFormat::Junit,
    ResultFormat::GoJson,
    ResultFormat::Manual,
];

/// Checks the properties of every file.
fn check(content: &[u8]) -> Result<(), TestCaseError> {
    for compatibility in [Compatibility::default(), Compatibility::SONOBUOY] {
        for format in FORMATS {
            let (item, error) = read_result_file(format, "results/global/f", content, compatibility);
            prop_assert_eq!(&item.name, "f");
            prop_assert_eq!(item.meta.get("file").map(String::as_str), Some("results/global/f"));
            if format == ResultFormat::Manual && compatibility == Compatibility::SONOBUOY {
                prop_assert_eq!(item.meta.get("error"), None);
            } else {
                prop_assert_eq!(item.meta.get("error"), error.as_ref());
            }
            let mut rolled_up = item.clone();
            aggregate(&mut rolled_up, compatibility);
            prop_assert!(rolled_up.leaves().iter().all(|leaf| !leaf.status.is_empty()));
            // Invalid bytes in a test's output are reported, but have no other effect.
            let is_unreadable = error.as_ref().is_some_and(|error| !error.starts_with("byte "));
            if is_unreadable && compatibility == Compatibility::default() {
                prop_assert_ne!(rolled_up.status, "passed");
            }
            prop_assert_eq!(from_yaml(&to_yaml(&item)), Ok(item));
        }
        let (item, error) = read_error_file("errors/global/error.json", content, compatibility);
        prop_assert_eq!(item.items, Vec::<Item>::new());
        prop_assert!(["failed", "timeout"].contains(&item.status.as_str()));
        prop_assert_eq!(error.is_some() && item.details.is_empty(), error.is_some());
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes(content: Vec<u8>) {
        check(&content)?;
    }

    #[test]
    fn any_text(content: String) {
        check(content.as_bytes())?;
    }

    #[test]
    fn good_files_with_changes(
        file in select(vec![JUNIT, GO, MANUAL, ERROR]),
        changes in proptest::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..12, prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..4),
                select(vec!["<", ">", "</testsuite>", "<testcase>", "{", "}", "\"", "'", "\n", "- ", ": ", "&x;", "]]>", "[", "\0", "\u{feff}"])
                    .prop_map(|text| text.as_bytes().to_vec()),
            ]),
            0..5,
        ),
    ) {
        let mut content = file.as_bytes().to_vec();
        for (at, length, put) in changes {
            let start = at.index(content.len() + 1);
            let end = (start + length).min(content.len());
            content.splice(start..end, put);
        }
        check(&content)?;
    }

    #[test]
    fn pieces_of_junit(parts in proptest::collection::vec(
        select(vec![
            "<testsuites>", "</testsuites>", "<testsuite name='a'>", "<testsuite tests='1'/>", "</testsuite>", "<testcase name='b'>",
            "</testcase>", "<failure>", "</failure>", "<skipped/>", "text", "&amp;", "&#0;", "&", "<", ">", "<!--", "-->",
            "<![CDATA[", "]]>", "'",
        ]), 0..30)) {
        check(parts.concat().as_bytes())?;
    }
}

#[test]
fn unmodified_files_are_readable() {
    for (format, content, status) in [
        (ResultFormat::Junit, JUNIT, "failed"),
        (ResultFormat::GoJson, GO, "failed"),
        (ResultFormat::Manual, MANUAL, "unknown"),
    ] {
        let (mut item, error) = read_result_file(format, "f", content.as_bytes(), Compatibility::default());
        aggregate(&mut item, Compatibility::default());
        assert_eq!((error, item.status.as_str()), (None, status), "{content}");
    }
    let (item, error) = read_error_file("f", ERROR.as_bytes(), Compatibility::default());
    assert_eq!((item.name.as_str(), error), ("it broke", None));
}
