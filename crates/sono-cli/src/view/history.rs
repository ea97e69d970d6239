//! Runs in the history, and the outcomes of their tests. Pure.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use sono_analysis::{Outcome, RecordedTest, TestHistory, TestId, Verdict};
use sono_history::Entry;

use super::words::counted;
use crate::output::{Grid, Markdown, Text, Tone, markdown, text};

/// Length of a run's or cluster's id in tables.
const SHORT: usize = 8;
/// Maximum number of tests in a table.
const MAX_TESTS: usize = 100;
/// Number of newest outcomes of a test.
const OUTCOMES: usize = 50;
/// Number of newest runs of a test that are listed.
const RUNS: usize = 10;

/// Flaky and broken tests.
pub(crate) struct Flakes<'a> {
    /// Number of runs.
    pub(crate) runs: usize,
    /// Number of tests.
    pub(crate) tests: usize,
    /// Tests that are not steadily passing.
    pub(crate) shown: &'a [RecordedTest<'a>],
    /// Tests that failed more often in the last ten runs than before.
    pub(crate) fail_more_often: &'a BTreeSet<TestId>,
    /// The runs.
    pub(crate) entries: &'a [Entry],
}

/// The start of an id.
pub(crate) fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

fn time(entry: &Entry) -> String {
    let time = TimeZone::UTC.to_datetime(entry.time);
    time.strftime("%Y-%m-%d %H:%MZ").to_string()
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Runs in the given order.
pub(crate) fn runs(entries: &[Entry]) -> Text {
    let mut table = Grid::new(&["RUN", "STARTED", "KUBERNETES", "CLUSTER", "RESULTS"]);
    for entry in entries {
        let plugins = entry.plugins.iter().map(|plugin| {
            let failed = if plugin.failed > 0 {
                format!("{} of ", plugin.failed)
            } else {
                String::new()
            };
            format!("{} {} ({failed}{})", plugin.name, or_none(&plugin.status), plugin.tests)
        });
        let cells = [
            short(&entry.run).to_owned(),
            time(entry),
            or_none(&entry.kubernetes).to_owned(),
            or_none(short(&entry.cluster)).to_owned(),
            plugins.collect::<Vec<_>>().join(", "),
        ];
        table.row(cells.map(|cell| (cell, Tone::Plain)));
    }
    table.disable_wrapping(4);
    Text::lines(table.lines())
}

/// Outcomes of tests over the runs.
pub(crate) fn tests(tests: &[RecordedTest<'_>], entries: &[Entry]) -> Text {
    let mut lines: Vec<Text> = Vec::new();
    for test in tests.iter().take(MAX_TESTS) {
        if !lines.is_empty() {
            lines.push(Text::default());
        }
        lines.push(text![test.plugin, "  ", test.name]);
        lines.push(text!["  ", sentence(&test.history)]);
        let skipped = test.observations.len().saturating_sub(OUTCOMES);
        let newest = test.observations.get(skipped..).unwrap_or_default();
        let marks = newest.iter().map(|one| mark(one.outcome));
        lines.push(text!["  ", Text::joined(marks, ""), "  (the newest at the end)"]);
        for one in test.observations.iter().rev().take(RUNS) {
            let about = entries.iter().find(|entry| entry.run == one.run);
            let about = about.map(|entry| format!("{}  {}", time(entry), entry.kubernetes));
            let about = about.unwrap_or_default();
            lines.push(text![
                "  ",
                mark(one.outcome),
                " ",
                short(one.run),
                "  ",
                about.trim_end()
            ]);
        }
    }
    if tests.len() > MAX_TESTS {
        lines.push(format!("and {} more tests", tests.len() - MAX_TESTS).into());
    }
    Text::lines(lines)
}

fn mark(outcome: Outcome) -> Text {
    match outcome {
        Outcome::Passed => Tone::Good.paint("✓"),
        Outcome::Failed => Tone::Bad.paint("✗"),
        Outcome::Infrastructure => Tone::Unsure.paint("?"),
    }
}

/// The sentence of a test's history, with short ids.
pub(crate) fn sentence(history: &TestHistory) -> String {
    match &history.since {
        Some(since) => history.to_string().replace(since.as_str(), short(since)),
        None => history.to_string(),
    }
}

impl Flakes<'_> {
    fn headline(&self) -> String {
        let count = |verdict: Verdict| self.shown.iter().filter(|test| test.history.verdict == verdict).count();
        let counts = [
            (count(Verdict::Flaky), "flaky"),
            (count(Verdict::Broken), "broken"),
            (count(Verdict::Failing), "failing"),
        ];
        let words: Vec<String> = counts
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, word)| format!("{number} {word}"))
            .collect();
        let found = if words.is_empty() {
            "no flaky or broken tests".to_owned()
        } else {
            words.join(", ")
        };
        let tests = counted(self.tests as u64, "test");
        format!("{}, {tests}: {found}", counted(self.runs as u64, "run"))
    }

    /// Tests by verdict, those that fail most often first.
    fn groups(&self) -> Vec<(&'static str, Tone, Vec<&RecordedTest<'_>>)> {
        let groups = [
            ("flaky", Tone::Unsure, Some(Verdict::Flaky)),
            ("broken", Tone::Bad, Some(Verdict::Broken)),
            ("failing", Tone::Bad, Some(Verdict::Failing)),
            ("fail more often than before", Tone::Unsure, None),
        ];
        let groups = groups.into_iter().map(|(title, tone, verdict)| {
            let mut tests: Vec<&RecordedTest<'_>> = self
                .shown
                .iter()
                .filter(|test| match verdict {
                    Some(verdict) => test.history.verdict == verdict,
                    None => self.fail_more_often.contains(test.id),
                })
                .collect();
            tests.sort_by_key(|test| std::cmp::Reverse(test.history.failures));
            (title, tone, tests)
        });
        groups.filter(|(_, _, tests)| !tests.is_empty()).collect()
    }

    /// Which run failed last, for a test that does not fail now.
    fn last_failed(&self, test: &RecordedTest<'_>) -> Option<String> {
        let last = test
            .history
            .last_failed
            .as_deref()
            .filter(|_| test.history.streak == 0)?;
        let time = self.entries.iter().find(|entry| entry.run == last).map(time);
        Some(format!("; last failed in {} {}", short(last), time.unwrap_or_default()))
    }
}

/// Flaky and broken tests.
pub(crate) fn flakes(flakes: &Flakes<'_>) -> Text {
    let mut lines = vec![Text::from(flakes.headline())];
    for (title, tone, tests) in flakes.groups() {
        lines.extend([Text::default(), text![tone.paint(title), ":"]]);
        for test in tests.iter().take(MAX_TESTS) {
            lines.push(text!["  ", test.plugin, "  ", test.name]);
            let last = flakes.last_failed(test).unwrap_or_default();
            lines.push(text!["    ", sentence(&test.history), last.trim_end()]);
        }
        if tests.len() > MAX_TESTS {
            lines.push(format!("  and {} more", tests.len() - MAX_TESTS).into());
        }
    }
    Text::lines(lines)
}

/// The same for a comment or an issue.
pub(crate) fn flakes_markdown(flakes: &Flakes<'_>) -> Markdown {
    let mut lines = vec![
        "### History".into(),
        Markdown::default(),
        Markdown::text(&flakes.headline()),
    ];
    for (title, _, tests) in flakes.groups() {
        lines.push(Markdown::default());
        for test in tests.iter().take(MAX_TESTS) {
            lines.push(markdown![
                "- ",
                title,
                ": ",
                Markdown::code(test.name),
                ": ",
                Markdown::text(&sentence(&test.history))
            ]);
        }
        if tests.len() > MAX_TESTS {
            lines.push(markdown!["- and ", (tests.len() - MAX_TESTS) as u64, " more"]);
        }
    }
    markdown![Markdown::lines(lines), "\n"]
}
