//! The `gojson` format: the stream of `go test -json`.
//!
//! Deviations from Sonobuoy: lines of plain text are passed over instead of ending the file; what cannot be read stays
//! visible as an item of its own, so that the roll-up does not make it `passed` (weakness W-16); a package that failed
//! although none of its tests did is an item too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use sono_types::{Item, item::status};

use super::{Outcome, text::decode};
use crate::tree::meta;

/// Reads the events, one item for each test that ended, in their order.
pub(crate) fn read(content: &[u8]) -> Outcome {
    let text = decode(content);
    let mut stream = Stream::default();
    for (index, line) in text.lines().enumerate() {
        if !line.trim_start().starts_with('{') {
            continue;
        }
        for event in serde_json::Deserializer::from_str(line).into_iter::<Map<String, Value>>() {
            match event
                .map_err(|error| error.to_string())
                .and_then(|fields| Event::from_fields(&fields))
            {
                Ok(event) => stream.event(&event),
                Err(message) => {
                    stream.unreadable(index + 1, &message);
                    break;
                }
            }
        }
    }
    stream.finish()
}

struct Event {
    action: String,
    package: String,
    test: String,
}

impl Event {
    /// Keys in any case, as Go reads them.
    fn from_fields(fields: &Map<String, Value>) -> Result<Self, String> {
        let field = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            match found {
                None | Some((_, Value::Null)) => Ok(String::new()),
                Some((_, Value::String(text))) => Ok(text.clone()),
                Some((name, other)) => Err(format!("field {name:?} is no text: {other}")),
            }
        };
        Ok(Self {
            action: field("action")?,
            package: field("package")?,
            test: field("test")?,
        })
    }
}

#[derive(Default)]
struct Stream {
    items: Vec<Item>,
    failed_packages: BTreeSet<String>,
    packages_with_failed_tests: BTreeSet<String>,
    error: Option<String>,
}

impl Stream {
    fn event(&mut self, event: &Event) {
        let status = match event.action.as_str() {
            "start" | "run" | "pause" | "cont" | "bench" | "output" | "attr" | "artifacts" => return,
            "pass" => status::PASSED,
            "fail" => status::FAILED,
            "skip" => status::SKIPPED,
            _ => status::UNKNOWN,
        };
        if event.test.is_empty() {
            if status == status::FAILED {
                self.failed_packages.insert(event.package.clone());
            }
            return;
        }
        if status == status::FAILED {
            self.packages_with_failed_tests.insert(event.package.clone());
        }
        self.push(&event.test, status, BTreeMap::new());
    }

    fn unreadable(&mut self, line: usize, message: &str) {
        let error = format!("line {line}: {message}");
        self.push(
            &format!("line {line}"),
            status::UNKNOWN,
            [(meta::ERROR.to_owned(), error.clone())].into(),
        );
        self.error.get_or_insert(error);
    }

    fn push(&mut self, name: &str, status: &str, meta: BTreeMap<String, String>) {
        self.items.push(Item {
            name: name.to_owned(),
            status: status.to_owned(),
            meta,
            ..Item::default()
        });
    }

    fn finish(mut self) -> Outcome {
        let silent: Vec<String> = self
            .failed_packages
            .difference(&self.packages_with_failed_tests)
            .cloned()
            .collect();
        for package in silent {
            self.push(&package, status::FAILED, BTreeMap::new());
        }
        Outcome {
            status: status::PASSED.to_owned(),
            items: self.items,
            error: self.error,
            ..Outcome::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &str, expected: &[(&str, &str)], error: Option<&str>) {
        let outcome = read(content.as_bytes());
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
    fn tests_that_ended_are_items() {
        check(
            r#"{"Time":"2026-01-01T00:00:00Z","Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"=== RUN\n"}
{"Action":"pass","Package":"p","Test":"A/sub","Elapsed":0.1}
{"Action":"pass","Package":"p","Test":"A","Elapsed":0.1}
{"action":"skip","PACKAGE":"p","test":"B"}
{"Action":"fail","Package":"p","Test":"C"}
{"Action":"explode","Package":"p","Test":"D"}
{"Action":"fail","Package":"p","Elapsed":1}
"#,
            &[
                ("A/sub", "passed"),
                ("A", "passed"),
                ("B", "skipped"),
                ("C", "failed"),
                ("D", "unknown"),
            ],
            None,
        );
        check("", &[], None);
    }

    #[test]
    fn plain_text_between_events_is_passed_over() {
        check(
            "go: downloading x v1\n{\"Action\":\"pass\",\"Test\":\"A\"}{\"Action\":\"fail\",\"Test\":\"B\"}\npanic: no\n{\"Action\":\"pass\",\"Test\":\"C\"}",
            &[("A", "passed"), ("B", "failed"), ("C", "passed")],
            None,
        );
    }

    #[test]
    fn broken_events_stay_visible() {
        check(
            "{\"Action\":\"pass\",\"Test\":\"A\"}\n{\"Action\":\"pa",
            &[("A", "passed"), ("line 2", "unknown")],
            Some("line 2: EOF while parsing a string at line 1 column 13"),
        );
        check(
            "{\"Action\":1,\"Test\":\"A\"}",
            &[("line 1", "unknown")],
            Some("line 1: field \"Action\" is no text: 1"),
        );
    }

    #[test]
    fn a_package_that_fails_by_itself_is_an_item() {
        check(
            r#"{"Action":"build-fail","ImportPath":"p"}
{"Action":"fail","Package":"p"}
{"Action":"pass","Package":"q"}"#,
            &[("p", "failed")],
            None,
        );
    }
}
