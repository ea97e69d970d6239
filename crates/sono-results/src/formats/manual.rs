//! The `manual` format: an item tree written by the plugin.

use sono_types::{Item, item::status, text::decode};

use super::ParsedFile;
use crate::{Compatibility, documents::items_from_yaml, tree::meta};

/// Parses a file: status, items and details of its document; name and meta are ignored.
///
/// If the file has several documents, each one is an item. If the rest cannot be read, the error is an item, too.
pub(crate) fn read(content: &[u8], compatibility: Compatibility) -> ParsedFile {
    let text = match decode(content) {
        Ok(text) => text,
        Err(error) => return ParsedFile::unreadable(error.to_string()),
    };
    let (mut documents, error) = items_from_yaml(&text);
    let error = error.map(|error| error.to_string());
    if !compatibility.leaves_decide {
        documents.iter_mut().for_each(add_stated_failure);
    }
    match (documents.pop(), error) {
        (None, error) => {
            ParsedFile::unreadable(error.unwrap_or_else(|| "the file contains no YAML document".to_owned()))
        }
        (Some(only), None) if documents.is_empty() => ParsedFile {
            status: only.status,
            items: only.items,
            details: only.details,
            error: None,
        },
        (Some(last), error) => {
            documents.push(last);
            documents.extend(error.as_ref().map(|error| Item {
                name: "the rest of the file".to_owned(),
                status: status::UNKNOWN.to_owned(),
                meta: [(meta::ERROR.to_owned(), error.clone())].into(),
                ..Item::default()
            }));
            ParsedFile {
                items: documents,
                error,
                ..ParsedFile::default()
            }
        }
    }
}

/// Converts verdicts to lower case, and adds a failure stated by an item with children as a leaf.
///
/// Only leaves are counted, so a failure that no leaf has would be lost.
fn add_stated_failure(item: &mut Item) {
    item.items.iter_mut().for_each(add_stated_failure);
    let verdicts = [
        status::PASSED,
        status::FAILED,
        status::SKIPPED,
        status::TIMEOUT,
        status::UNKNOWN,
    ];
    if let Some(verdict) = verdicts
        .into_iter()
        .find(|verdict| verdict.eq_ignore_ascii_case(&item.status))
    {
        verdict.clone_into(&mut item.status);
    }
    let is_failure = |status: &str| matches!(status, status::FAILED | status::TIMEOUT);
    let has_failed_leaf = item.leaves().iter().any(|leaf| is_failure(&leaf.status));
    if !item.items.is_empty() && is_failure(&item.status) && !has_failed_leaf {
        item.items.push(Item {
            name: item.name.clone(),
            status: item.status.clone(),
            meta: item.meta.clone(),
            details: item.details.clone(),
            items: Vec::new(),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, status: &str, items: &serde_json::Value) {
        let outcome = read(text.as_bytes(), Compatibility::default());
        let error = outcome.error.clone();
        assert_eq!(
            (outcome.status.as_str(), &json!(outcome.items), error),
            (status, items, None),
            "{text}"
        );
    }

    #[test]
    fn every_document_of_a_file_is_read() {
        check(
            "---\nname: a\nstatus: passed\n---\n# nothing\n---\nname: b\nstatus: failed\n...\n",
            "",
            &json!([{"name": "a", "status": "passed"}, {"name": "b", "status": "failed"}]),
        );
        check("---\n---\nname: a\nstatus: passed\n---\n", "passed", &json!([]));
        for (text, items) in [
            ("name: a\nstatus: failed\n---\n{", "a"),
            ("name: a\nstatus: failed\n---\n- list\n", "a"),
            ("name: a\nstatus: failed\n---\nitems: text\n---\nname: b\n", "a"),
        ] {
            let outcome = read(text.as_bytes(), Compatibility::default());
            assert_eq!(outcome.items[0].name, items, "{text}");
            let last = outcome.items.last().unwrap();
            assert_eq!(
                (last.status.as_str(), last.meta.get("error")),
                ("unknown", outcome.error.as_ref())
            );
        }
    }

    #[test]
    fn failure_of_only_a_parent_becomes_an_item() {
        let text = "name: p\nstatus: Failed\nitems:\n- name: a\n  status: PASSED\n";
        check(
            text,
            "failed",
            &json!([{"name": "a", "status": "passed"}, {"name": "p", "status": "failed"}]),
        );
        let as_sonobuoy = read(text.as_bytes(), Compatibility::SONOBUOY);
        assert_eq!(json!(as_sonobuoy.items), json!([{"name": "a", "status": "PASSED"}]));
    }

    /// The last value would hide the failure in the first one.
    #[test]
    fn duplicate_key_makes_the_document_unknown() {
        for (text, place) in [
            ("status: failed\nstatus: passed\n", "2:1"),
            ("items:\n- {name: b, status: failed}\nitems: []\n", "3:1"),
            ("items:\n- {name: b, status: failed, status: passed}\n", "2:29"),
            ("{\"status\": \"failed\", \"status\": \"passed\"}", "1:22"),
        ] {
            let outcome = read(text.as_bytes(), Compatibility::default());
            let key = if text.contains("items: []") { "items" } else { "status" };
            assert_eq!(
                (outcome.status.as_str(), outcome.error.as_deref()),
                ("unknown", Some(format!("{place}: duplicate key `{key}`").as_str())),
                "{text}"
            );
            assert_eq!(outcome.items, []);
        }
        let merged = "base: &base {status: failed, name: b}\nstatus: passed\nitems: [{<<: *base, name: c}]\n";
        check(merged, "passed", &json!([{"name": "c", "status": "failed"}]));
    }

    #[test]
    fn numbers_not_supported_by_json_are_text() {
        let text = "status: failed\ndetails:\n  a: .nan\n  b: -.Inf\n  c: 1e999\n  d: !ruby/symbol x\n  e: 0b10\n  f: 1_000\n  g: 123456789012345678901234567890\n";
        let outcome = read(text.as_bytes(), Compatibility::default());
        assert_eq!((outcome.status.as_str(), outcome.error), ("failed", None));
        assert_eq!(outcome.details["a"], json!(".nan"));
        assert_eq!(outcome.details["b"], json!("-.inf"));
        assert_eq!(outcome.details.len(), 7);
    }

    #[test]
    fn invalid_bytes_are_reported_with_their_position() {
        let outcome = read(b"name: a\nstatus: \xfcber", Compatibility::default());
        assert_eq!(outcome, ParsedFile::unreadable("byte 16 (line 2) is not UTF-8: 0xfc"));
    }
}
