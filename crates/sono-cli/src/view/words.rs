//! Numbers for people, and text in tables.

use std::borrow::Cow;

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use sono_types::{OverallStatus, RunStatus};

/// `2,799`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (start, rest) = digits.split_at(first);
    let threes = rest
        .as_bytes()
        .chunks(3)
        .map(|three| String::from_utf8_lossy(three).into_owned());
    let parts: Vec<String> = Some(start.to_owned())
        .filter(|start| !start.is_empty())
        .into_iter()
        .chain(threes)
        .collect();
    parts.join(",")
}

/// Columns of a terminal below which nobody reads, because it does not know its size.
const NARROWEST: u16 = 20;
/// Columns of one that does not know.
const USUAL: u16 = 80;

/// An empty table that fits the terminal.
pub(crate) fn fitting_table() -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_some_and(|width| width < NARROWEST) {
        table.set_width(USUAL);
    }
    table
}

/// Text of others for a line on a terminal: control characters, which could change what stands there, as their numbers.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let shown = |character: char| match character {
        '\n' | '\r' | '\t' => " ".to_owned(),
        control if control.is_control() => control.escape_unicode().to_string(),
        other => other.to_string(),
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// A status for a terminal: every text in it made [`visible`].
pub(crate) fn visible_status(status: &RunStatus) -> RunStatus {
    let mut status = status.clone();
    let clean = |text: &mut String| {
        if let Cow::Owned(shown) = visible(text) {
            *text = shown;
        }
    };
    if let OverallStatus::Other(word) = &mut status.status {
        clean(word);
    }
    for row in status.plugins.iter_mut().flatten() {
        for text in [
            &mut row.plugin,
            &mut row.node,
            &mut row.status,
            &mut row.result_status,
            &mut row.error,
        ] {
            clean(text);
        }
        if let Some(counts) = &mut row.result_counts {
            *counts = std::mem::take(counts)
                .into_iter()
                .map(|(status, count)| (visible(&status).into_owned(), count))
                .collect();
        }
        if let Some(progress) = &mut row.progress {
            clean(&mut progress.msg);
            progress.failures.iter_mut().chain(&mut progress.errors).for_each(clean);
        }
    }
    status
}

/// Text in a cell of a Markdown table.
pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sono_types::PluginStatus;

    #[test]
    fn control_characters_are_seen_and_not_obeyed() {
        assert_eq!(visible("\u{1b}[31mred\nline\u{9b}"), "\\u{1b}[31mred line\\u{9b}");
        assert_eq!(visible("Größe µ"), "Größe µ");
        let mut row = PluginStatus {
            plugin: "p".to_owned(),
            result_status: "\u{7}bell".to_owned(),
            ..PluginStatus::default()
        };
        let status = |row: &PluginStatus| RunStatus {
            plugins: Some(vec![row.clone()]),
            ..RunStatus::default()
        };
        let shown = visible_status(&status(&row));
        row.result_status = "\\u{7}bell".to_owned();
        assert_eq!(shown, status(&row));
    }

    #[test]
    fn thousands_stand_apart() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (12_345, "12,345"),
            (1_234_567, "1,234,567"),
        ];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }
}
