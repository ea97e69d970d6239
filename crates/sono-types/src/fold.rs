//! Shortens the status to a size limit: similar rows are merged, exceptions are preserved as long as they fit.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use crate::{
    PluginStatus, ProgressUpdate, RunStatus, item,
    status::{folded_node, plugin_status},
};

/// Maximum number of failed tests named in a row of a folded status; the others are only counted.
const MAX_NAMES: usize = 10;
/// Maximum length in bytes of the reason for a failure in a folded status.
const MAX_REASON_BYTES: usize = 200;

/// Maximum size of the status annotation in bytes (weakness W-10). Kubernetes limits all annotations of an object to 256 KiB, and every
/// write and watch event contains them.
pub const ANNOTATION_BYTES: usize = 64 << 10;

/// The same status in at most `limit` bytes of JSON.
///
/// The overall status and the archive never change. Details are removed in this order until the status fits: names of
/// failed tests beyond the first few and the ends of long reasons; the complete, passed rows of a plugin, which become one
/// row (see [`folded_node`]); other rows of a plugin with the same status, as few as possible and failed ones last; counts;
/// all rows.
pub fn fold(status: &RunStatus, limit: usize) -> RunStatus {
    if size(status) <= limit {
        return status.clone();
    }
    let rows: Vec<PluginStatus> = status.rows().iter().map(shorten).collect();
    let sizes: Vec<usize> = rows.iter().map(|row| size(row) + 1).collect();
    let with = |rows| RunStatus {
        plugins: Some(rows),
        ..status.clone()
    };
    let empty = size(&with(Vec::new()));
    if sizes.iter().sum::<usize>() + empty <= limit {
        return with(rows);
    }
    let groups = Group::all(&rows);
    let base = empty + groups.iter().map(|group| size(&group.sum(&rows, 0)) + 1).sum::<usize>();
    if base > limit {
        let few = |group: &Group| PluginStatus {
            result_counts: None,
            progress: None,
            ..group.sum(&rows, 0)
        };
        let fewest = with(groups.iter().map(few).collect());
        return if size(&fewest) <= limit {
            fewest
        } else {
            with(Vec::new())
        };
    }
    // A sum of fewer rows may have a time with more digits.
    let space = (limit - base).saturating_sub(16 * groups.len());
    with(unfold(&rows, &sizes, groups, space))
}

/// Single rows as far as `space` bytes allow, the most important first, and one sum per group for the rest. `space` does
/// not include the sums.
fn unfold(rows: &[PluginStatus], sizes: &[usize], mut groups: Vec<Group>, mut space: usize) -> Vec<PluginStatus> {
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|number| groups[*number].rank);
    for number in order {
        let group = &mut groups[number];
        if group.rank == Rank::Passed && group.rows.len() > 1 {
            continue;
        }
        for row in &group.rows {
            if sizes[*row] > space {
                break;
            }
            space -= sizes[*row];
            group.shown += 1;
        }
    }
    let mut shown: Vec<(usize, PluginStatus)> = Vec::new();
    for group in groups {
        let (single, folded) = group.rows.split_at(group.shown);
        shown.extend(single.iter().map(|row| (*row, rows[*row].clone())));
        shown.extend(folded.first().map(|first| (*first, group.sum(rows, group.shown))));
    }
    shown.sort_by_key(|(row, _)| *row);
    shown.into_iter().map(|(_, row)| row).collect()
}

/// Priority of a group if not all rows fit; the first is shown first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Failed without a result.
    Failed,
    /// A result with a verdict other than passed.
    NotPassed,
    /// No result yet.
    Running,
    /// A result that passed or has no verdict yet.
    Passed,
}

/// Rows of one plugin with the same two status words.
struct Group {
    rank: Rank,
    rows: Vec<usize>,
    /// Number of rows shown individually.
    shown: usize,
}

impl Group {
    fn all(rows: &[PluginStatus]) -> Vec<Self> {
        let mut known: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
        let mut groups: Vec<Self> = Vec::new();
        for (number, row) in rows.iter().enumerate() {
            let key = (row.plugin.as_str(), row.status.as_str(), row.result_status.as_str());
            let group = *known.entry(key).or_insert_with(|| {
                let rank = match (row.status.as_str(), row.result_status.as_str()) {
                    (plugin_status::FAILED, _) => Rank::Failed,
                    (plugin_status::COMPLETE, "" | item::status::PASSED) => Rank::Passed,
                    (plugin_status::COMPLETE, _) => Rank::NotPassed,
                    _ => Rank::Running,
                };
                groups.push(Self {
                    rank,
                    rows: Vec::new(),
                    shown: 0,
                });
                groups.len() - 1
            });
            groups[group].rows.push(number);
        }
        groups
    }

    /// One row for all but the first `shown`. A single remaining row is returned itself, without its long texts.
    fn sum(&self, rows: &[PluginStatus], shown: usize) -> PluginStatus {
        let folded = &self.rows[shown..];
        let Some(first) = folded.first().map(|first| &rows[*first]) else {
            return PluginStatus::default();
        };
        if folded.len() == 1 {
            return without_texts(first);
        }
        let node = folded_node(folded.len());
        let mut counts: Option<BTreeMap<String, i64>> = None;
        let mut progress: Option<ProgressUpdate> = None;
        for row in folded.iter().map(|row| &rows[*row]) {
            for (verdict, count) in row.result_counts.iter().flatten() {
                *counts.get_or_insert_default().entry(verdict.clone()).or_default() += count;
            }
            if let Some(next) = &row.progress {
                let sum = progress.get_or_insert_with(|| ProgressUpdate {
                    name: next.name.clone(),
                    node: node.clone(),
                    ..ProgressUpdate::default()
                });
                sum.timestamp = sum.timestamp.max(next.timestamp);
                // The sum does not name failed tests, so they are subtracted from the total; else they would count as remaining.
                sum.total = sum.total.saturating_add(next.total.saturating_sub(next.failed()));
                sum.completed = sum.completed.saturating_add(next.completed);
            }
        }
        PluginStatus {
            plugin: first.plugin.clone(),
            node,
            status: first.status.clone(),
            result_status: first.result_status.clone(),
            result_counts: counts,
            progress: progress.map(Arc::new),
            error: String::new(),
        }
    }
}

/// The row without its reason, errors and message. Names of failed tests are emptied, so that their count stays the same.
fn without_texts(row: &PluginStatus) -> PluginStatus {
    let mut row = row.clone();
    row.error.clear();
    row.progress = row.progress.map(|progress| {
        Arc::new(ProgressUpdate {
            msg: String::new(),
            ..progress.abridged(0)
        })
    });
    row
}

/// The row with few names of failed tests and a short reason. The other names are emptied, so that their count stays the
/// same.
fn shorten(row: &PluginStatus) -> PluginStatus {
    let mut row = row.clone();
    // Does not copy all names, which may use megabytes.
    let is_long = |progress: &ProgressUpdate| progress.failures.len().max(progress.errors.len()) > MAX_NAMES;
    row.progress = row.progress.map(|progress| {
        if is_long(&progress) {
            Arc::new(progress.abridged(MAX_NAMES))
        } else {
            progress
        }
    });
    row.error = row.reason().into_owned();
    if row.error.len() > MAX_REASON_BYTES {
        row.error.truncate(row.error.floor_char_boundary(MAX_REASON_BYTES));
        row.error.push('…');
    }
    row
}

/// Length of the value's JSON in bytes.
fn size(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("a status holds only text keys and counting cannot fail");
    count.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::OverallStatus;

    fn row(plugin: &str, node: usize, status: &str, result: &str) -> PluginStatus {
        PluginStatus {
            plugin: plugin.to_owned(),
            node: format!("ip-10-0-{}-{}.eu-central-1.compute.internal", node / 256, node % 256),
            status: status.to_owned(),
            result_status: result.to_owned(),
            result_counts: (!result.is_empty()).then(|| BTreeMap::from([(result.to_owned(), 3)])),
            progress: None,
            error: String::new(),
        }
    }

    fn status(rows: Vec<PluginStatus>) -> RunStatus {
        RunStatus {
            plugins: Some(rows),
            status: OverallStatus::Complete,
            ..RunStatus::default()
        }
    }

    const LIMIT: usize = 64 << 10;

    /// W-10: 10,000 nodes in 64 KiB, with every exception named.
    #[test]
    fn ten_thousand_nodes_fit_and_exceptions_are_named() {
        let mut rows: Vec<PluginStatus> = (0..10_000).map(|node| row("p", node, "complete", "passed")).collect();
        rows[17] = row("p", 17, "failed", "");
        rows[5_000] = row("p", 5_000, "complete", "failed");
        rows.push(row("e2e", 0, "complete", "passed"));
        let folded = fold(&status(rows.clone()), LIMIT);
        let sum = PluginStatus {
            node: "(9998 nodes)".to_owned(),
            result_counts: Some(BTreeMap::from([("passed".to_owned(), 29_994)])),
            ..row("p", 0, "complete", "passed")
        };
        let expected = vec![sum, rows[17].clone(), rows[5_000].clone(), rows[10_000].clone()];
        assert_eq!(folded, status(expected));
    }

    #[test]
    fn exceptions_that_do_not_fit_are_counted() {
        let rows: Vec<PluginStatus> = (0..10_000).map(|node| row("p", node, "failed", "")).collect();
        let folded = fold(&status(rows.clone()), LIMIT);
        let shown = folded.rows().len() - 1;
        assert!(shown > 300, "{shown}");
        assert_eq!(folded.rows()[..shown], rows[..shown]);
        assert_eq!(folded.rows()[shown].node, folded_node(10_000 - shown));
    }

    #[test]
    fn names_of_failed_tests_are_removed_first_and_still_counted() {
        let mut one = row("e2e", 0, "running", "");
        one.progress = Some(Arc::new(ProgressUpdate {
            total: 7_000,
            completed: 100,
            failures: vec!["[sig-apps] a long name of a test".repeat(3); 2_000],
            ..ProgressUpdate::default()
        }));
        let before = status(vec![one]);
        let folded = fold(&before, LIMIT);
        let progress = |status: &RunStatus| status.rows()[0].progress.clone().unwrap();
        assert_eq!(
            progress(&folded).failures[..MAX_NAMES],
            progress(&before).failures[..MAX_NAMES]
        );
        assert_eq!(progress(&folded).remaining(), progress(&before).remaining());
    }

    #[test]
    fn rows_are_all_removed_if_even_the_sums_do_not_fit() {
        let rows = (0..2_000).map(|number| row(&format!("plugin-{number}"), number, "complete", "failed"));
        let many = status(rows.collect());
        assert_eq!(fold(&many, LIMIT), status(Vec::new()));
    }

    proptest! {
        /// For any rows: the result fits, contains the overall status, and counts every row once per plugin and status.
        #[test]
        fn every_row_is_counted_once(
            picks in prop::collection::vec((0_usize..3, 0_usize..5, 0_usize..300), 0..400), limit in 1_500_usize..40_000,
        ) {
            let words = [("running", ""), ("complete", ""), ("complete", "passed"), ("complete", "failed"), ("failed", "")];
            let rows: Vec<PluginStatus> = picks.iter().enumerate()
                .map(|(node, (plugin, word, reason))| PluginStatus {
                    error: if words[*word].0 == "failed" { "€".repeat(*reason) } else { String::new() },
                    ..row(["a", "b", "c"][*plugin], node, words[*word].0, words[*word].1)
                })
                .collect();
            let whole = status(rows);
            let folded = fold(&whole, limit);
            prop_assert!(size(&folded) <= limit);
            prop_assert_eq!(&folded.status, &whole.status);
            prop_assert_eq!(&folded.tarball, &whole.tarball);
            let count = |status: &RunStatus| {
                let mut counts: BTreeMap<(String, String, String), usize> = BTreeMap::new();
                for row in status.rows() {
                    let key = (row.plugin.clone(), row.status.clone(), row.result_status.clone());
                    *counts.entry(key).or_default() += crate::status::folded_count(&row.node).unwrap_or(1);
                }
                counts
            };
            if !folded.rows().is_empty() {
                prop_assert_eq!(count(&folded), count(&whole));
            }
        }
    }
}
