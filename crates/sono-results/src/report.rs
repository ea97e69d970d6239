//! Report of one plugin (cli §12).

use std::collections::BTreeMap;

use sono_types::{Item, item::status};

use crate::select::visit_leaves;

/// The report's text, each line terminated: plugin, counts by status, and the names of failed leaves.
pub fn report(item: &Item) -> String {
    let mut tally = Tally::default();
    visit_leaves(item, &mut |leaf| tally.add(leaf.item));
    tally.report(item)
}

/// Counts leaves by status and collects the names of failed ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<String, i64>,
    failed: Vec<String>,
}

impl Tally {
    /// Number of counted leaves.
    pub fn total(&self) -> usize {
        let counts = self.counts.values().copied();
        usize::try_from(counts.sum::<i64>()).unwrap_or_default()
    }

    /// Counts a leaf.
    pub fn add(&mut self, leaf: &Item) {
        match self.counts.get_mut(&leaf.status) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(leaf.status.clone(), 1)),
        }
        if is_failed(leaf) {
            let name = leaf.name.strip_prefix(GINKGO_PREFIX).unwrap_or(&leaf.name);
            self.failed.push(name.to_owned());
        }
    }

    /// The text of [`report`], with the name and status of `item`.
    pub fn report(&self, item: &Item) -> String {
        self.lines(item).join("\n") + "\n"
    }

    /// The lines of [`report`], without terminators. Names may contain line breaks.
    pub fn lines(&self, item: &Item) -> Vec<String> {
        let count = |status: &str| self.counts.get(status).copied().unwrap_or(0);
        let mut lines = vec![
            format!("Plugin: {}", item.name),
            format!("Status: {}", item.status),
            format!("Total: {}", self.counts.values().sum::<i64>()),
            format!("Passed: {}", count(status::PASSED)),
            format!("Failed: {}", count(status::FAILED) + count(status::TIMEOUT)),
            format!("Skipped: {}", count(status::SKIPPED)),
        ];
        for (name, number) in &self.counts {
            if ![status::PASSED, status::FAILED, status::TIMEOUT, status::SKIPPED].contains(&name.as_str()) {
                lines.push(format!("{name}: {number}"));
            }
        }
        if !self.failed.is_empty() {
            lines.extend([String::new(), "Failed tests:".to_owned()]);
            lines.extend(self.failed.iter().cloned());
        }
        lines
    }
}

/// Prefix of test names in Ginkgo 2.
pub(crate) const GINKGO_PREFIX: &str = "[It]";

pub(crate) fn is_failed(item: &Item) -> bool {
    item.status == status::FAILED || item.status == status::TIMEOUT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(name: &str, status: &str) -> Item {
        Item {
            name: name.to_owned(),
            status: status.to_owned(),
            ..Item::default()
        }
    }

    #[test]
    fn leaves_are_counted_and_failures_named() {
        let item = Item {
            name: "custom".to_owned(),
            status: "overall".to_owned(),
            items: vec![
                leaf("a", "passed"),
                Item {
                    items: vec![
                        leaf("[It] b", "failed"),
                        leaf("c", "complete"),
                        leaf("d", "skipped"),
                        leaf("e", "timeout"),
                    ],
                    ..leaf("suite", "failed")
                },
                leaf("f", "complete"),
                leaf("g", ""),
            ],
            ..Item::default()
        };
        assert_eq!(
            report(&item),
            "Plugin: custom\nStatus: overall\nTotal: 7\nPassed: 1\nFailed: 2\nSkipped: 1\n: 1\ncomplete: 2\n\nFailed tests:\n b\ne\n"
        );
    }

    #[test]
    fn without_failures_there_is_no_list() {
        assert_eq!(
            report(&leaf("p", "passed")),
            "Plugin: p\nStatus: passed\nTotal: 1\nPassed: 1\nFailed: 0\nSkipped: 0\n"
        );
    }
}
