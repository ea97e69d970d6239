//! The report of one plugin (cli spec §12).

use std::fmt::Write;

use sono_types::{Item, item::status};

/// The report's text, each line ended: what was run, how many of each status, and the names of what failed.
pub fn report(item: &Item) -> String {
    let counts = item.status_counts();
    let count = |status: &str| counts.get(status).copied().unwrap_or(0);
    let mut text = format!(
        "Plugin: {}\nStatus: {}\nTotal: {}\nPassed: {}\nFailed: {}\nSkipped: {}\n",
        item.name,
        item.status,
        counts.values().sum::<i64>(),
        count(status::PASSED),
        count(status::FAILED) + count(status::TIMEOUT),
        count(status::SKIPPED),
    );
    for (name, number) in &counts {
        if ![status::PASSED, status::FAILED, status::TIMEOUT, status::SKIPPED].contains(&name.as_str()) {
            writeln!(text, "{name}: {number}").expect("writing to a string cannot fail");
        }
    }
    let failed: Vec<&Item> = item.leaves().into_iter().filter(|leaf| is_failed(leaf)).collect();
    if !failed.is_empty() {
        text.push_str("\nFailed tests:\n");
        for leaf in failed {
            text.push_str(leaf.name.strip_prefix(GINKGO_PREFIX).unwrap_or(&leaf.name));
            text.push('\n');
        }
    }
    text
}

/// Put before the name of each test by newer versions of Ginkgo.
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
