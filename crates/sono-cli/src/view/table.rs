//! Tables of `status` in the exact format of Sonobuoy, which scripts parse (cli §8.2).

use std::collections::BTreeMap;

use sono_types::{OverallStatus, PluginStatus, ProgressUpdate, RunStatus, status::folded_count};

use crate::output::Text;

/// One row for each plugin, status and result, then the `last` line, which is a sentence about the run.
pub(crate) fn summary(status: &RunStatus, last: &str) -> Text {
    let mut groups: BTreeMap<(&str, &str, &str), Vec<&PluginStatus>> = BTreeMap::new();
    let mut entries: BTreeMap<&str, usize> = BTreeMap::new();
    for row in status.rows() {
        groups
            .entry((&row.plugin, &row.status, &row.result_status))
            .or_default()
            .push(row);
        *entries.entry(&row.plugin).or_default() += 1;
    }
    let rows = groups.into_iter().map(|((plugin, state, result), rows)| {
        let single = entries.get(plugin) == Some(&1);
        let shown = rows.first().and_then(|row| row.progress.as_deref()).filter(|_| single);
        [
            plugin.to_owned(),
            state.to_owned(),
            result.to_owned(),
            rows.iter()
                .map(|row| folded_count(&row.node).unwrap_or(1))
                .sum::<usize>()
                .to_string(),
            progress(shown),
        ]
    });
    let table = table(["PLUGIN", "STATUS", "RESULT", "COUNT", "PROGRESS"], rows);
    Text::lines(table.into_iter().chain([Text::default(), last.into()]))
}

/// One row for each expected result, then the `last` line.
pub(crate) fn all(status: &RunStatus, last: &str) -> Text {
    let rows = status.rows().iter().map(|row| {
        [
            row.plugin.clone(),
            row.node.clone(),
            row.status.clone(),
            row.result_status.clone(),
            progress(row.progress.as_deref()),
        ]
    });
    let table = table(["PLUGIN", "NODE", "STATUS", "RESULT", "PROGRESS"], rows);
    Text::lines(table.into_iter().chain([Text::default(), last.into()]))
}

fn progress(progress: Option<&ProgressUpdate>) -> String {
    let Some(progress) = progress else { return String::new() };
    let failed = progress.failed();
    let text = format!("Passed:{:3}, Failed:{failed:3}", progress.completed);
    match progress.remaining() {
        Some(remaining) => format!("{text}, Remaining:{remaining:3}"),
        None => text,
    }
}

/// Right-aligned cells, three spaces between columns, trailing spaces included.
fn table<const COLUMNS: usize>(header: [&str; COLUMNS], rows: impl Iterator<Item = [String; COLUMNS]>) -> Vec<Text> {
    let mut lines = vec![header.map(Text::from)];
    lines.extend(rows.map(|row| row.map(Text::from)));
    let mut widths = [0; COLUMNS];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.width() + 3);
        }
    }
    let line = |cells: &[Text; COLUMNS]| {
        let cells = cells.iter().zip(widths);
        Text::joined(cells.map(|(cell, width)| format!("{:>width$}", cell.plain())), "")
    };
    lines.iter().map(line).collect()
}

/// Sonobuoy's sentence about a run.
pub(crate) fn sentence(status: &OverallStatus) -> String {
    match status {
        OverallStatus::Running => {
            "Sonobuoy is still running. Runs can take 60 minutes or more depending on cluster and plugin configuration."
                .to_owned()
        }
        OverallStatus::PostProcessing => "Sonobuoy plugins have completed. Preparing results for download.".to_owned(),
        OverallStatus::Complete => "Sonobuoy has completed. Use `sonobuoy retrieve` to get results.".to_owned(),
        OverallStatus::Failed => "Sonobuoy has failed. You can see what happened with `sonobuoy logs`.".to_owned(),
        OverallStatus::Other(word) => {
            format!("Sonobuoy is in unknown state \"{word}\". Please report a bug at github.com/vmware-tanzu/sonobuoy")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn row(plugin: &str, node: &str, status: &str, result: &str, progress: Option<(i64, i64)>) -> PluginStatus {
        PluginStatus {
            plugin: plugin.to_owned(),
            node: node.to_owned(),
            status: status.to_owned(),
            result_status: result.to_owned(),
            progress: progress.map(|(total, completed)| {
                Arc::new(ProgressUpdate {
                    total,
                    completed,
                    failures: vec!["x".to_owned()],
                    ..ProgressUpdate::default()
                })
            }),
            ..PluginStatus::default()
        }
    }

    fn status() -> RunStatus {
        RunStatus {
            plugins: Some(vec![
                row("e2e", "global", "complete", "failed", Some((2, 1))),
                row("systemd_logs", "node01", "running", "", None),
                row("systemd_logs", "node02", "complete", "failed", Some((3, 1))),
                row("systemd_logs", "node03", "running", "", None),
            ]),
            ..RunStatus::default()
        }
    }

    #[test]
    fn summary_is_that_of_sonobuoy() {
        assert_eq!(
            summary(&status(), &sentence(&OverallStatus::Running)).plain(),
            "         PLUGIN     STATUS   RESULT   COUNT                                PROGRESS
            e2e   complete   failed       1   Passed:  1, Failed:  1, Remaining:  0
   systemd_logs   complete   failed       1                                        \n   systemd_logs    running                2                                        \n\nSonobuoy is still running. Runs can take 60 minutes or more depending on cluster and plugin configuration."
        );
    }

    /// BUG 26: custom results are not truncated, and rows are sorted. A folded row counts all its nodes.
    #[test]
    fn results_are_not_truncated_and_rows_are_sorted() {
        let rows = vec![
            row("p", "n3", "complete", "passed", None),
            row("p", "n1", "complete", "my-own: 2, passed: 1", None),
            row("p", "(9900 nodes)", "complete", "passed", None),
        ];
        let text = |rows: Vec<PluginStatus>| {
            let status = RunStatus {
                plugins: Some(rows),
                ..RunStatus::default()
            };
            let summary = summary(&status, "Sonobuoy");
            summary.plain().into_owned()
        };
        let expected = "   PLUGIN     STATUS                 RESULT   COUNT   PROGRESS
        p   complete   my-own: 2, passed: 1       1           \n        p   complete                 passed    9901           \n";
        let reversed = rows.iter().rev().cloned().collect();
        for rows in [rows, reversed] {
            assert_eq!(text(rows).split("\nSonobuoy").next(), Some(expected));
        }
    }

    #[test]
    fn full_table_is_that_of_sonobuoy() {
        assert_eq!(
            all(&status(), &sentence(&OverallStatus::Complete)).plain(),
            "         PLUGIN     NODE     STATUS   RESULT                                PROGRESS
            e2e   global   complete   failed   Passed:  1, Failed:  1, Remaining:  0
   systemd_logs   node01    running                                                 \n   systemd_logs   node02   complete   failed   Passed:  1, Failed:  1, Remaining:  1
   systemd_logs   node03    running                                                 \n\nSonobuoy has completed. Use `sonobuoy retrieve` to get results."
        );
    }

    #[test]
    fn progress_above_the_total_omits_the_remainder() {
        assert_eq!(
            progress(row("p", "n", "running", "", Some((0, 5))).progress.as_deref()),
            "Passed:  5, Failed:  1"
        );
    }
}
