//! `sono history`: runs, and the outcomes of their tests.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::Serialize;
use sono_analysis::{Ledger, Outcome, RecordedTest, TestHistory, TestId, Verdict};
use sono_bundle::{Bundle, ReadLimits};
use sono_history::{Added, Entry, History, Recorded, Retention};
use sono_types::exit;

use super::{archive_input::ArchiveInput, cards, recording};
use crate::{
    args::{self, ExportFormat, FlakesOutput, HistoryAction, HistoryOutput, HistorySelection},
    clock::now,
    error::CliError,
    output::{Format, Printer},
    view::{
        history::{self as view, Flakes},
        words::counted,
    },
};

pub(super) fn history(arguments: &args::History, printer: &Printer) -> Result<u8, CliError> {
    match &arguments.action {
        HistoryAction::List(arguments) => list(arguments, printer),
        HistoryAction::Show(arguments) => show(arguments, printer),
        HistoryAction::Flakes(arguments) => flakes(arguments, printer),
        HistoryAction::Add(arguments) => add(arguments, printer),
        HistoryAction::Prune(arguments) => prune(arguments, printer),
        HistoryAction::Export(arguments) => export(arguments, printer),
    }
}

fn list(arguments: &args::HistoryList, printer: &Printer) -> Result<u8, CliError> {
    let history = recording::required(&arguments.place)?;
    let mut entries = recording::list(&history, printer)?;
    entries.reverse();
    match arguments.output {
        HistoryOutput::Json => document(&entries, printer)?,
        HistoryOutput::Table if entries.is_empty() => {
            printer.note(&format!("no runs in the history `{}`", history.directory().display()));
        }
        HistoryOutput::Table => printer.line(&view::runs(&entries))?,
    }
    Ok(exit::SUCCESS)
}

/// Runs that are judged together, the oldest first.
struct Selected {
    entries: Vec<Entry>,
    ledger: Ledger,
}

fn select(selection: &HistorySelection, printer: &Printer) -> Result<Selected, CliError> {
    let history = recording::required(&selection.place)?;
    let mut entries = recording::list(&history, printer)?;
    let Some(newest) = entries.last() else {
        return Err(
            CliError::new(format!("no runs in the history `{}`", history.directory().display()))
                .hint("add archives: sono history add ARCHIVE"),
        );
    };
    if !selection.all_clusters {
        let cluster = match &selection.cluster {
            Some(start) => {
                let mut clusters = BTreeSet::new();
                clusters.extend(
                    entries
                        .iter()
                        .map(|entry| &entry.cluster)
                        .filter(|id| id.starts_with(start)),
                );
                let mut clusters = clusters.into_iter();
                match (clusters.next(), clusters.next()) {
                    (Some(cluster), None) => cluster.clone(),
                    (None, _) => return Err(unknown_cluster("no cluster", start)),
                    (Some(_), Some(_)) => return Err(unknown_cluster("several clusters", start)),
                }
            }
            None => newest.cluster.clone(),
        };
        entries.retain(|entry| entry.cluster == cluster);
    }
    let ledger = ledger(&history, &entries, selection.plugin.as_deref());
    if ledger.left_out > 0 {
        printer.note("warning: the history has too many different tests; the newest are left out");
    }
    Ok(Selected { entries, ledger })
}

fn unknown_cluster(what: &str, start: &str) -> CliError {
    CliError::new(format!("{what} in the history: the id starts with `{start}`"))
        .hint("list the runs: sono history list")
}

/// Outcomes of tests in some runs, the oldest first.
fn ledger(history: &History, entries: &[Entry], plugin: Option<&str>) -> Ledger {
    let mut ledger = Ledger::default();
    for mut card in history.cards(entries) {
        if let Some(plugin) = plugin {
            card.plugins.retain(|one| one.name == plugin);
        }
        ledger.add(&card);
    }
    ledger
}

/// Outcomes of tests in the runs on a cluster, except for one run.
pub(super) fn of_cluster(history: &History, entries: &[Entry], cluster: &str, except: &str) -> Ledger {
    let same = entries
        .iter()
        .filter(|entry| entry.cluster == cluster && entry.run != except);
    ledger(history, &same.cloned().collect::<Vec<_>>(), None)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TestDocument<'a> {
    plugin: &'a str,
    id: &'a TestId,
    name: &'a str,
    #[serde(flatten)]
    history: &'a TestHistory,
    /// Failed more often in the last ten runs than before.
    fails_more_often: bool,
    /// Run and outcome, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outcomes: Vec<OutcomeDocument<'a>>,
}

#[derive(Serialize)]
struct OutcomeDocument<'a> {
    run: &'a str,
    outcome: &'static str,
}

impl<'a> TestDocument<'a> {
    /// Without the outcomes.
    fn of(test: &'a RecordedTest<'a>, fail_more_often: &BTreeSet<TestId>) -> Self {
        Self {
            plugin: test.plugin,
            id: test.id,
            name: test.name,
            history: &test.history,
            fails_more_often: fail_more_often.contains(test.id),
            outcomes: Vec::new(),
        }
    }
}

fn outcomes<'a>(test: &'a RecordedTest<'a>) -> Vec<OutcomeDocument<'a>> {
    let outcomes = test.observations.iter().map(|one| OutcomeDocument {
        run: one.run,
        outcome: word(one.outcome),
    });
    outcomes.collect()
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Infrastructure => "infrastructure",
    }
}

fn show(arguments: &args::HistoryShow, printer: &Printer) -> Result<u8, CliError> {
    let Selected { entries, ledger } = select(&arguments.selection, printer)?;
    let found = ledger.find(&arguments.test);
    if found.is_empty() {
        return Err(
            CliError::new(format!("no test in these runs matches `{}`", arguments.test))
                .hint("runs on other clusters: --all-clusters"),
        );
    }
    match arguments.output {
        HistoryOutput::Table => printer.line(&view::tests(&found, &entries))?,
        HistoryOutput::Json => {
            let more = ledger.fail_more_often();
            let documents: Vec<TestDocument<'_>> = found
                .iter()
                .map(|test| TestDocument {
                    outcomes: outcomes(test),
                    ..TestDocument::of(test, &more)
                })
                .collect();
            document(&documents, printer)?;
        }
    }
    Ok(exit::SUCCESS)
}

fn flakes(arguments: &args::HistoryFlakes, printer: &Printer) -> Result<u8, CliError> {
    let Selected { entries, ledger } = select(&arguments.selection, printer)?;
    let more = ledger.fail_more_often();
    let tests = ledger.tests();
    let number = tests.len();
    let shown: Vec<RecordedTest<'_>> = tests
        .into_iter()
        .filter(|test| {
            let is_unsteady = matches!(
                test.history.verdict,
                Verdict::Flaky | Verdict::Broken | Verdict::Failing
            );
            is_unsteady || more.contains(test.id)
        })
        .collect();
    let flakes = Flakes {
        runs: ledger.runs(),
        tests: number,
        shown: &shown,
        fail_more_often: &more,
        entries: &entries,
    };
    match arguments.output {
        FlakesOutput::Table => printer.line(&view::flakes(&flakes))?,
        FlakesOutput::Markdown => printer.markdown(&view::flakes_markdown(&flakes))?,
        FlakesOutput::Json => {
            let documents: Vec<TestDocument<'_>> = shown.iter().map(|test| TestDocument::of(test, &more)).collect();
            document(&documents, printer)?;
        }
    }
    Ok(exit::SUCCESS)
}

fn add(arguments: &args::HistoryAdd, printer: &Printer) -> Result<u8, CliError> {
    let history = recording::required(&arguments.place)?;
    let (mut added, mut failed) = (0, 0);
    for archive in &arguments.archives {
        let input = ArchiveInput::of(Some(archive), arguments.no_limits, printer)?;
        let recorded = input.read(|path, _| {
            let bundle = Bundle::open(path).map_err(|error| CliError::of_archive(error.to_string(), &error))?;
            let bundle = bundle.with_limits(if arguments.no_limits {
                ReadLimits::NONE
            } else {
                ReadLimits::DEFAULT
            });
            let card = cards::of_archive(&bundle)?;
            history
                .record(&card, Added::FromArchive, now())
                .map_err(|error| CliError::new("cannot add to the history").caused_by(&error))
        });
        match recorded {
            Ok(Recorded::New(_)) => added += 1,
            Ok(Recorded::Known(run)) => {
                printer.note(&format!("{}: run {run} is in the history already", archive.display()));
            }
            Err(error) => {
                failed += 1;
                printer.error(&error);
            }
        }
    }
    printer.note(&format!(
        "added {} to `{}`",
        counted(added, "run"),
        history.directory().display()
    ));
    Ok(if failed > 0 { exit::FAILURE } else { exit::SUCCESS })
}

fn prune(arguments: &args::HistoryPrune, printer: &Printer) -> Result<u8, CliError> {
    let history = recording::required(&arguments.place)?;
    let retention = Retention {
        of_cluster: arguments.keep,
        days: arguments.days,
        ..Retention::DEFAULT
    };
    let removed = history
        .prune(&retention, now())
        .map_err(|error| CliError::new("cannot remove runs").caused_by(&error))?;
    printer.note(&format!("removed {}", counted(removed.len() as u64, "run")));
    Ok(exit::SUCCESS)
}

/// Outcome of a test in a run.
#[derive(Serialize)]
struct Row<'a> {
    run: &'a str,
    time: Timestamp,
    cluster: &'a str,
    kubernetes: &'a str,
    plugin: &'a str,
    id: &'a TestId,
    test: &'a str,
    outcome: &'static str,
}

fn export(arguments: &args::HistoryExport, printer: &Printer) -> Result<u8, CliError> {
    let Selected { entries, ledger } = select(&arguments.selection, printer)?;
    let unwritable = |error: &serde_json::Error| CliError::new("cannot write the history").caused_by(error);
    let by_run: HashMap<&str, &Entry> = entries.iter().map(|entry| (entry.run.as_str(), entry)).collect();
    let mut text = String::new();
    if arguments.output == ExportFormat::Csv {
        text.push_str("run,time,cluster,kubernetes,plugin,id,test,outcome\n");
    }
    for test in ledger.tests() {
        for one in &test.observations {
            let Some(entry) = by_run.get(one.run) else { continue };
            let row = Row {
                run: one.run,
                time: entry.time,
                cluster: &entry.cluster,
                kubernetes: &entry.kubernetes,
                plugin: test.plugin,
                id: test.id,
                test: test.name,
                outcome: word(one.outcome),
            };
            match arguments.output {
                ExportFormat::Json => text.push_str(&serde_json::to_string(&row).map_err(|error| unwritable(&error))?),
                ExportFormat::Csv => text.push_str(&csv(&row)),
            }
            text.push('\n');
        }
        let rows = std::mem::take(&mut text);
        match arguments.output {
            ExportFormat::Json => printer.document(Format::Json, &rows)?,
            ExportFormat::Csv => printer.verbatim(rows.as_bytes())?,
        }
    }
    Ok(exit::SUCCESS)
}

fn csv(row: &Row<'_>) -> String {
    let cells = [
        row.run.to_owned(),
        row.time.to_string(),
        row.cluster.to_owned(),
        row.kubernetes.to_owned(),
        row.plugin.to_owned(),
        row.id.to_string(),
        row.test.to_owned(),
        row.outcome.to_owned(),
    ];
    cells.map(|cell| csv_cell(&cell)).join(",")
}

/// A quoted cell. Spreadsheets take a cell that begins with `=`, `+`, `-` or `@` for a formula, unless an apostrophe precedes.
fn csv_cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        "'"
    } else {
        ""
    };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

fn document<T: Serialize + ?Sized>(value: &T, printer: &Printer) -> Result<(), CliError> {
    let text =
        serde_json::to_string(value).map_err(|error| CliError::new("cannot write the history").caused_by(&error))?;
    printer.document(Format::Json, &format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_is_quoted_and_no_formula() {
        let cells = ["a,b", "say \"x\"", "=1+1", "@x", "-1", "a=b", ""].map(csv_cell);
        assert_eq!(
            cells,
            [
                "\"a,b\"",
                "\"say \"\"x\"\"\"",
                "\"'=1+1\"",
                "\"'@x\"",
                "\"'-1\"",
                "\"a=b\"",
                "\"\""
            ]
        );
    }
}
