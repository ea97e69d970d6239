//! The `manual` format: the plugin writes the item tree itself.

use sono_types::{Item, item::status, text::decode};

use super::Outcome;
use crate::{Compatibility, documents::items_from_yaml, tree::meta};

/// Takes status, items and details of the file's document; its name and meta are dropped. Each of several documents is an
/// item, and so is the reason why the rest could not be read.
pub(crate) fn read(content: &[u8], compatibility: Compatibility) -> Outcome {
    let text = match decode(content) {
        Ok(text) => text,
        Err(error) => return Outcome::unreadable(error.to_string()),
    };
    let (mut documents, error) = items_from_yaml(&text);
    let error = error.map(|error| error.to_string());
    if !compatibility.leaves_decide {
        documents.iter_mut().for_each(stated);
    }
    match (documents.pop(), error) {
        (None, error) => Outcome::unreadable(error.unwrap_or_else(|| "the file holds no YAML document".to_owned())),
        (Some(only), None) if documents.is_empty() => Outcome {
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
            Outcome {
                items: documents,
                error,
                ..Outcome::default()
            }
        }
    }
}

/// Verdicts in any case are verdicts; one that an item with others below it states itself, and none below it, becomes
/// an item below it, since only those are counted.
fn stated(item: &mut Item) {
    item.items.iter_mut().for_each(stated);
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
    let below = item.leaves().iter().any(|leaf| is_failure(&leaf.status));
    if !item.items.is_empty() && is_failure(&item.status) && !below {
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
    fn failure_that_only_a_parent_states_becomes_an_item() {
        let text = "name: p\nstatus: Failed\nitems:\n- name: a\n  status: PASSED\n";
        check(
            text,
            "failed",
            &json!([{"name": "a", "status": "passed"}, {"name": "p", "status": "failed"}]),
        );
        let as_sonobuoy = read(text.as_bytes(), Compatibility::SONOBUOY);
        assert_eq!(json!(as_sonobuoy.items), json!([{"name": "a", "status": "PASSED"}]));
    }

    #[test]
    fn numbers_that_json_lacks_are_texts() {
        let text = "status: failed\ndetails:\n  a: .nan\n  b: -.Inf\n  c: 1e999\n  d: !ruby/symbol x\n  e: 0b10\n  f: 1_000\n  g: 123456789012345678901234567890\n";
        let outcome = read(text.as_bytes(), Compatibility::default());
        assert_eq!((outcome.status.as_str(), outcome.error), ("failed", None));
        assert_eq!(outcome.details["a"], json!(".nan"));
        assert_eq!(outcome.details["b"], json!("-.inf"));
        assert_eq!(outcome.details.len(), 7);
    }

    #[test]
    fn bytes_that_are_not_text_are_reported_with_their_position() {
        let outcome = read(b"name: a\nstatus: \xfcber", Compatibility::default());
        assert_eq!(outcome, Outcome::unreadable("byte 16 (line 2) is not UTF-8: 0xfc"));
    }
}
