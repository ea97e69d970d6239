//! Summary of one plugin for the end screen of a run.

use std::collections::BTreeMap;

use serde_json::Value;
use sono_types::{Item, constants::ERROR_LOG, item::status, shortened};

use crate::{
    report::{GINKGO_PREFIX, is_failed},
    select::{Leaf, visit_leaves},
    tree::meta,
};

/// Maximum number of lines of a failure's message.
const MESSAGE_LINES: usize = 3;
/// Maximum number of lines of a failed container's log.
const LOG_LINES: usize = 10;
/// Maximum number of characters per line.
const LINE_CHARACTERS: usize = 200;

/// Summary of a plugin's results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Name of the plugin, or of the node if only a part of the tree is summarised.
    pub name: String,
    /// The rolled-up status.
    pub status: String,
    /// Number of passed leaves.
    pub passed: u64,
    /// Number of leaves that failed or timed out.
    pub failed: u64,
    /// Number of skipped leaves.
    pub skipped: u64,
    /// Number of other leaves by status.
    pub other: BTreeMap<String, u64>,
    /// Failed leaves in the order of the tree.
    pub failures: Vec<Failure>,
}

/// A leaf that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// Name of the leaf.
    pub name: String,
    /// Names of its ancestors below the summarised item.
    pub path: Vec<String>,
    /// First lines of the failure message, shortened; may be empty.
    pub message_first_lines: Vec<String>,
    /// Its file, relative to `plugins/<name>`.
    pub file: Option<String>,
    /// Whether the lines contain the end of a container's log.
    pub has_log: bool,
}

impl Failure {
    /// The failure of a leaf.
    pub fn of(leaf: Leaf<'_>) -> Self {
        let Leaf { item, path, file } = leaf;
        Self {
            name: item.name.trim_start_matches(GINKGO_PREFIX).trim().to_owned(),
            path: path.iter().skip(1).map(|name| (*name).to_owned()).collect(),
            message_first_lines: first_lines(item),
            file: file.map(str::to_owned),
            has_log: has_log(item),
        }
    }

    /// Node from which the file is, or `global`.
    pub fn target(&self) -> Option<&str> {
        let (folder, rest) = self.file.as_deref()?.split_once('/')?;
        rest.split('/')
            .next()
            .filter(|_| ["results", "errors"].contains(&folder))
    }

    /// Whether it replaces a missing result.
    pub fn is_error_result(&self) -> bool {
        self.file.as_deref().is_some_and(|file| file.starts_with("errors/"))
    }
}

/// Whether a failed leaf has the end of a container's log.
pub fn has_log(item: &Item) -> bool {
    is_failed(item) && item.details.get(ERROR_LOG).is_some_and(Value::is_string)
}

/// Counts the leaves of `item` and collects failures.
pub fn summarize(item: &Item) -> Summary {
    let mut summary = Summary::of(item);
    visit_leaves(item, &mut |leaf| summary.add(leaf));
    summary
}

impl Summary {
    /// Summary with the name and status of `item`, without any counted leaves.
    pub fn of(item: &Item) -> Self {
        Self {
            name: item.name.clone(),
            status: item.status.clone(),
            ..Self::default()
        }
    }

    /// Counts a leaf, and records it if it failed.
    pub fn add(&mut self, leaf: Leaf<'_>) {
        let item = leaf.item;
        match item.status.as_str() {
            status::PASSED => self.passed += 1,
            status::SKIPPED => self.skipped += 1,
            status::FAILED | status::TIMEOUT => self.failed += 1,
            other => *self.other.entry(other.to_owned()).or_insert(0) += 1,
        }
        if is_failed(item) {
            self.failures.push(Failure::of(leaf));
        }
    }
}

/// Failure message of a leaf in any format: failures and errors, else its output, else the reading error.
pub(crate) fn failure_message(item: &Item) -> String {
    failure_messages(item).join("\n")
}

fn failure_messages(item: &Item) -> Vec<&str> {
    let detail = |key: &str| item.details.get(key).and_then(Value::as_str);
    let mut messages: Vec<&str> = ["failure", "error", ERROR_LOG].into_iter().filter_map(detail).collect();
    if messages.is_empty() {
        let other = detail("output").or_else(|| item.meta.get(meta::ERROR).map(String::as_str));
        messages.extend(other);
    }
    messages
}

/// The first lines of each failure message.
fn first_lines(item: &Item) -> Vec<String> {
    failure_messages(item)
        .into_iter()
        .filter(|message| *message != item.name)
        .flat_map(|message| {
            let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
            let is_log = item.details.get(ERROR_LOG).and_then(Value::as_str) == Some(message);
            lines.take(if is_log { LOG_LINES } else { MESSAGE_LINES })
        })
        .map(|line| shortened(line, LINE_CHARACTERS))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failures_have_path_and_message() {
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
                    details: [
                        ("error".to_owned(), json!("too slow")),
                        ("log".to_owned(), json!("1\n2\n3\n4\n\n5")),
                    ]
                    .into(),
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
                        has_log: false,
                    },
                    Failure {
                        name: "too slow".to_owned(),
                        message_first_lines: ["1", "2", "3", "4", "5"].map(str::to_owned).to_vec(),
                        file: Some("errors/global/error.json".to_owned()),
                        has_log: true,
                        ..Failure::default()
                    },
                ],
            }
        );
    }
}
