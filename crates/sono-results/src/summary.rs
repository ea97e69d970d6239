//! What a run's end screen says about one plugin.

use std::collections::BTreeMap;

use serde_json::Value;
use sono_types::{Item, item::status};

use crate::{
    report::{GINKGO_PREFIX, is_failed},
    select::{Leaf, visit_leaves},
    tree::meta,
};

/// Lines of a failure's message that are shown.
const MESSAGE_LINES: usize = 3;
/// Characters of each of these lines.
const LINE_CHARACTERS: usize = 200;

/// A plugin's results in short.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The plugin, or the node where only a part of its tree is summarised.
    pub name: String,
    /// The rolled-up status.
    pub status: String,
    /// Leaves that passed.
    pub passed: u64,
    /// Leaves that failed or timed out.
    pub failed: u64,
    /// Leaves that were skipped.
    pub skipped: u64,
    /// All other leaves by status.
    pub other: BTreeMap<String, u64>,
    /// What failed, in the tree's order.
    pub failures: Vec<Failure>,
}

/// A leaf that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub name: String,
    /// The names above it, the summarised item's left out.
    pub path: Vec<String>,
    /// The first lines of what is said about it, shortened; empty when nothing is.
    pub message_first_lines: Vec<String>,
    /// The file that it comes from, relative to `plugins/<name>`.
    pub file: Option<String>,
}

/// Counts the leaves of `item` and collects what failed.
pub fn summarize(item: &Item) -> Summary {
    let mut summary = Summary::of(item);
    visit_leaves(item, &mut |leaf| summary.add(leaf));
    summary
}

impl Summary {
    /// Name and status of `item`, of which no leaf is counted yet.
    pub fn of(item: &Item) -> Self {
        Self {
            name: item.name.clone(),
            status: item.status.clone(),
            ..Self::default()
        }
    }

    /// Counts a leaf, and says why it failed if it did.
    pub fn add(&mut self, leaf: Leaf<'_>) {
        let Leaf { item, path, file } = leaf;
        match item.status.as_str() {
            status::PASSED => self.passed += 1,
            status::SKIPPED => self.skipped += 1,
            status::FAILED | status::TIMEOUT => self.failed += 1,
            other => *self.other.entry(other.to_owned()).or_insert(0) += 1,
        }
        if is_failed(item) {
            self.failures.push(Failure {
                name: item.name.trim_start_matches(GINKGO_PREFIX).trim().to_owned(),
                path: path.iter().skip(1).map(|name| (*name).to_owned()).collect(),
                message_first_lines: first_lines(item),
                file: file.map(str::to_owned),
            });
        }
    }
}

/// What is known about a leaf that failed, wherever the formats put it: failures and errors, else its output, else why it
/// could not be read.
pub(crate) fn said(item: &Item) -> String {
    complaints(item).join("\n")
}

fn complaints(item: &Item) -> Vec<&str> {
    let detail = |key: &str| item.details.get(key).and_then(Value::as_str);
    let mut said: Vec<&str> = ["failure", "error"].into_iter().filter_map(detail).collect();
    if said.is_empty() {
        let other = detail("output").or_else(|| item.meta.get(meta::ERROR).map(String::as_str));
        said.extend(other);
    }
    said
}

/// The first lines of each complaint.
fn first_lines(item: &Item) -> Vec<String> {
    complaints(item)
        .into_iter()
        .filter(|message| *message != item.name)
        .flat_map(|message| {
            let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.take(MESSAGE_LINES)
        })
        .map(|line| match line.char_indices().nth(LINE_CHARACTERS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failures_say_where_and_why() {
        let leaf = |name: &str, status: &str| Item {
            name: name.to_owned(),
            status: status.to_owned(),
            ..Item::default()
        };
        let long = "x".repeat(300);
        let root = Item {
            items: vec![
                Item {
                    meta: [("file".to_owned(), "results/global/j.xml".to_owned())].into(),
                    items: vec![
                        leaf("ok", "passed"),
                        leaf("later", "skipped"),
                        leaf("odd", "complete"),
                        leaf("", ""),
                        Item {
                            details: [("failure".to_owned(), json!(format!("\n one \n\n{long}\nthree\nfour")))].into(),
                            ..leaf("[It] breaks", "failed")
                        },
                    ],
                    ..leaf("j.xml", "failed")
                },
                Item {
                    meta: [("file".to_owned(), "errors/global/error.json".to_owned())].into(),
                    details: [("error".to_owned(), json!("too slow"))].into(),
                    ..leaf("too slow", "timeout")
                },
            ],
            ..leaf("p", "failed")
        };
        assert_eq!(
            summarize(&root),
            Summary {
                name: "p".to_owned(),
                status: "failed".to_owned(),
                passed: 1,
                failed: 2,
                skipped: 1,
                other: [(String::new(), 1), ("complete".to_owned(), 1)].into(),
                failures: vec![
                    Failure {
                        name: "breaks".to_owned(),
                        path: vec!["j.xml".to_owned()],
                        message_first_lines: vec![
                            "one".to_owned(),
                            format!("{}…", "x".repeat(200)),
                            "three".to_owned()
                        ],
                        file: Some("results/global/j.xml".to_owned()),
                    },
                    Failure {
                        name: "too slow".to_owned(),
                        file: Some("errors/global/error.json".to_owned()),
                        ..Failure::default()
                    },
                ],
            }
        );
    }
}
