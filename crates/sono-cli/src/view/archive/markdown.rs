//! The same as Markdown: what a CI job puts into its summary.

use sono_results::{Failure, Summary};

use super::{Overview, cluster_line};
use crate::view::words::cell;

/// Failures that are shown with their reasons: summaries have a limit in size.
pub(crate) const SHOWN: usize = 100;

/// Verdict, table, and at most so many failures with the first lines of their reasons.
pub(crate) fn markdown(overview: &Overview<'_>, shown: usize) -> String {
    let mut lines = vec![format!("## Run {}", overview.status), String::new()];
    let run = overview.run.map(|run| format!("run {}", code(run)));
    let about: Vec<String> = run
        .into_iter()
        .chain(Some(overview.cluster()).filter(|text| !text.is_empty()))
        .chain(overview.archive.map(|name| format!("archive {}", code(name))))
        .collect();
    if !about.is_empty() {
        lines.extend([about.join(", "), String::new()]);
    }
    lines.push("| plugin | result | passed | failed | skipped | other |".to_owned());
    lines.push("| --- | --- | ---: | ---: | ---: | --- |".to_owned());
    for plugin in &overview.plugins {
        let Summary {
            status,
            passed,
            failed,
            skipped,
            other,
            ..
        } = plugin.summary;
        let other: Vec<String> = other.iter().map(|(word, count)| format!("{word}: {count}")).collect();
        lines.push(format!(
            "| {} | {} | {passed} | {failed} | {skipped} | {} |",
            cell(plugin.name),
            cell(status),
            cell(&other.join(", "))
        ));
    }
    if let Some((word, text)) = overview.health.and_then(cluster_line) {
        lines.extend([String::new(), format!("Cluster {word}: {text}")]);
    }
    let failures: Vec<(&str, &Failure)> = overview
        .plugins
        .iter()
        .flat_map(|plugin| plugin.summary.failures.iter().map(|failure| (plugin.name, failure)))
        .collect();
    if !failures.is_empty() {
        lines.extend([String::new(), "### Failures".to_owned(), String::new()]);
        for (plugin, failure) in failures.iter().take(shown) {
            lines.push(format!("- {plugin}: {}", code(&failure.name)));
            lines.extend(quoted(&failure.message_first_lines, "  "));
        }
        if let Some(more) = failures.len().checked_sub(shown).filter(|more| *more > 0) {
            lines.push(format!("- and {more} more"));
        }
    }
    lines.join("\n") + "\n"
}

/// Text that stays as it is, whatever it has in it.
fn code(text: &str) -> String {
    let ticks = "`".repeat(longest_ticks(text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{ticks}{space}{text}{space}{ticks}")
}

/// Lines that stay as they are; nothing where there are none.
pub(crate) fn quoted(lines: &[String], indent: &str) -> Vec<String> {
    if lines.is_empty() {
        return Vec::new();
    }
    let longest = lines.iter().map(|line| longest_ticks(line)).max().unwrap_or_default();
    let fence = "`".repeat((longest + 1).max(3));
    let mut block = vec![format!("{indent}{fence}text")];
    block.extend(lines.iter().map(|line| format!("{indent}{line}")));
    block.push(format!("{indent}{fence}"));
    block
}

fn longest_ticks(text: &str) -> usize {
    text.split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or_default()
}
