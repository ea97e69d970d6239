//! Results of a plugin as a table of checks. Pure.

use sono_results::summarize;
use sono_types::{Item, item, status::reason};

use crate::output::{Grid, Text, Tone};

/// Maximum number of rows with passed checks. Larger tables show only failures.
const MAX_ROWS: usize = 60;

/// Plugin, verdict, and one row per check.
pub(crate) fn report(root: &Item) -> Text {
    let summary = summarize(root);
    let leaves = rows(root);
    let verdict = format!(
        "{}: {} ({} passed, {} failed, {} skipped)",
        root.name, root.status, summary.passed, summary.failed, summary.skipped
    );
    let few = leaves.len() <= MAX_ROWS;
    let shown: Vec<&Row> = leaves.iter().filter(|row| few || row.is_failure()).collect();
    if shown.is_empty() {
        return verdict.into();
    }
    let mut table = Grid::new(&["", "check", "status", "detail"]);
    let mut group = "";
    for row in shown {
        let first = if row.group == group { "" } else { row.group.as_str() };
        group = &row.group;
        let tone = match row.status.as_str() {
            item::status::PASSED => Tone::Good,
            item::status::FAILED | item::status::TIMEOUT => Tone::Bad,
            _ => Tone::Unsure,
        };
        table.row([
            (first, Tone::Plain),
            (&row.name, Tone::Plain),
            (&row.status, tone),
            (&row.detail, Tone::Plain),
        ]);
    }
    Text::lines([verdict.into(), table.text()])
}

struct Row {
    group: String,
    name: String,
    status: String,
    detail: String,
}

impl Row {
    fn is_failure(&self) -> bool {
        self.status == item::status::FAILED || self.status == item::status::TIMEOUT
    }
}

fn rows(root: &Item) -> Vec<Row> {
    let mut rows = Vec::new();
    for child in &root.items {
        collect(child, "", &mut rows);
    }
    rows
}

fn collect(item: &Item, group: &str, rows: &mut Vec<Row>) {
    if item.items.is_empty() {
        // The name of an error without a result is its text.
        let detail = Some(detail(item)).filter(|detail| *detail != item.name);
        rows.push(Row {
            group: group.to_owned(),
            name: reason(&item.name).into_owned(),
            status: item.status.clone(),
            detail: detail.unwrap_or_default(),
        });
        return;
    }
    for child in &item.items {
        collect(child, &item.name, rows);
    }
}

/// Observation or failure reason, in one line.
fn detail(item: &Item) -> String {
    let keys = if item.status == item::status::PASSED {
        ["observed", "output"]
    } else {
        ["why", "failure"]
    };
    let all = keys.iter().chain(&["why", "observed", "error"]);
    let text = all
        .filter_map(|key| item.details.get(*key))
        .find_map(|value| value.as_str());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree(value: serde_json::Value) -> Item {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_check_has_its_row() {
        let root = tree(json!({"name": "p", "status": "failed", "items": [
            {"name": "group", "status": "failed", "items": [
                {"name": "one", "status": "passed", "details": {"observed": "6.1"}},
                {"name": "two", "status": "failed", "details": {"observed": "1 %", "why": "too little\nmore"}}]},
            {"name": "alone", "status": "skipped"},
            {"name": "it broke", "status": "failed", "details": {"error": "it broke"}}]}));
        let text = report(&root);
        let lines: Vec<String> = text
            .plain()
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let words: Vec<&str> = lines
            .iter()
            .map(String::as_str)
            .filter(|line| line.chars().any(char::is_alphanumeric))
            .collect();
        assert_eq!(
            words,
            [
                "p: failed (1 passed, 2 failed, 1 skipped)",
                "check status detail",
                "group one passed 6.1",
                "two failed too little",
                "alone skipped",
                "it broke failed"
            ]
        );
    }

    #[test]
    fn large_table_shows_only_failures() {
        let many: Vec<_> = (0..100)
            .map(|number| json!({"name": format!("t{number}"), "status": "passed"}))
            .collect();
        let root = tree(json!({"name": "p", "status": "passed", "items": many}));
        assert_eq!(report(&root).plain(), "p: passed (100 passed, 0 failed, 0 skipped)");
    }
}
