//! Accepted failures: `sono waivers`, and the judgement of a run with waivers.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use jiff::{civil::Date, tz::TimeZone};
use serde::Serialize;
use sono_analysis::{
    Card, Judged, MAX_WAIVER_FILE_BYTES, Problem, RunFacts, TestId, TestStatus, Waivers, Why, signature_hash, test_name,
};
use sono_bundle::Bundle;
use sono_types::{exit, item::status};

use super::{archive_input::ArchiveInput, cards, failures, recording};
use crate::{
    args::{self, WaiversAction, WaiversOutput},
    clock::now,
    error::CliError,
    judgement,
    output::{Format, Grid, Printer, Text, Tone},
    text_file,
    view::{archive::Waived, words::counted},
};

pub(super) fn waivers(arguments: &args::Waivers, printer: &Printer) -> Result<u8, CliError> {
    match &arguments.action {
        WaiversAction::Lint(arguments) => {
            let waivers = load(&arguments.file)?;
            let problems = waivers.expired(today());
            let what = counted(waivers.list().len() as u64, "waiver");
            print(&problems, &arguments.file, &what, arguments.output, printer)
        }
        WaiversAction::Unused(arguments) => unused(arguments, printer),
    }
}

/// Reads a waiver file.
pub(super) fn load(file: &Path) -> Result<Waivers, CliError> {
    let failed = |error: &std::io::Error| CliError::new(format!("cannot read `{}`", file.display())).caused_by(error);
    let opened = fs_err::File::open(file).map_err(|error| failed(&error))?;
    // One byte more than permitted, which the parser refuses.
    let text = text_file::read_from(opened, MAX_WAIVER_FILE_BYTES + 1).map_err(|error| failed(&error))?;
    Waivers::parse(&text).map_err(|errors| {
        CliError::new(format!("invalid waivers in `{}`", file.display()))
            .details(errors.iter().map(ToString::to_string))
            .hint("fields of waivers: docs/waivers.md")
    })
}

/// Waivers apply until the end of their last day in UTC.
fn today() -> Date {
    TimeZone::UTC.to_datetime(now()).date()
}

fn facts(card: &Card) -> RunFacts {
    let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    RunFacts {
        kubernetes: known(&card.cluster.server),
        cluster: known(&card.cluster.id),
    }
}

/// A run judged with waivers.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// The waived failures.
    pub(super) waived: Waived,
    /// Plugins by name.
    plugins: BTreeMap<String, PluginJudgement>,
}

#[derive(Debug, Default)]
struct PluginJudgement {
    status: String,
    failed: u64,
    waived: u64,
    /// Whether some results are neither passed nor failed, or not known.
    has_others: bool,
}

impl PluginJudgement {
    /// The status without the waived failures.
    fn status(&self) -> &str {
        let is_failed = [status::FAILED, status::TIMEOUT].contains(&self.status.as_str());
        if !is_failed || self.waived == 0 || self.waived < self.failed {
            &self.status
        } else if self.has_others {
            status::UNKNOWN
        } else {
            status::PASSED
        }
    }
}

impl Judgement {
    /// Judges the failures in an archive.
    pub(super) fn of(bundle: &Bundle, plugin: Option<&str>, waivers: &Waivers) -> Result<Self, CliError> {
        let read = failures::with_card(bundle, plugin)?;
        let card = read
            .texts
            .card
            .map(|parts| parts.card(&Why::default()))
            .unwrap_or_default();
        let facts = facts(&card);
        let mut judgement = Self::default();
        let mut ids: HashMap<(&str, &str), TestId> = HashMap::new();
        for plugin in &card.plugins {
            for (name, id) in plugin.tests.iter().zip(plugin.ids()) {
                ids.insert((&plugin.name, test_name(name)), id);
            }
            let has_others = plugin.left_out > 0
                || (plugin.verdicts()).any(|verdict| matches!(verdict, TestStatus::Unknown | TestStatus::Other));
            let of_plugin = judgement.plugins.entry(plugin.name.clone()).or_default();
            of_plugin.status.clone_from(&plugin.status);
            of_plugin.has_others = has_others;
        }
        let failed = read.texts.outputs.iter().filter(|output| output.is_failed());
        for output in failed {
            let (plugin, name) = (output.plugin.as_str(), output.name.as_str());
            let id = ids
                .get(&(plugin, name))
                .cloned()
                .unwrap_or_else(|| TestId::of(plugin, name));
            let judged = Judged {
                plugin,
                name,
                id: &id,
                is_failed: true,
                signature: &signature_hash(&output.message),
            };
            let waiver = waivers.judge(&[judged], &facts, today()).pop().flatten();
            let of_plugin = judgement.plugins.entry(plugin.to_owned()).or_default();
            of_plugin.failed += 1;
            if let Some(waiver) = waiver {
                of_plugin.waived += 1;
                let prefix = format!("plugins/{plugin}/");
                let file = output.file.as_deref().and_then(|file| file.strip_prefix(&prefix));
                judgement.waived.insert(plugin, file, name, &waiver.id);
            }
        }
        Ok(judgement)
    }

    /// Status of a plugin without its waived failures.
    pub(super) fn status<'a>(&'a self, plugin: &str, status: &'a str) -> &'a str {
        self.plugins.get(plugin).map_or(status, PluginJudgement::status)
    }

    /// `3 failures are waived, 1 is not`
    pub(super) fn sentence(&self) -> String {
        let sum = |count: fn(&PluginJudgement) -> u64| self.plugins.values().map(count).sum::<u64>();
        let (failed, waived) = (sum(|plugin| plugin.failed), sum(|plugin| plugin.waived));
        let verb = |count| if count == 1 { "is" } else { "are" };
        format!(
            "{} {} waived, {} {} not",
            counted(waived, "failure"),
            verb(waived),
            failed - waived,
            verb(failed - waived)
        )
    }

    /// Exit code of the plugins without the waived failures.
    pub(super) fn code(&self) -> u8 {
        judgement::of_results(self.plugins.values().map(PluginJudgement::status))
    }
}

/// The exit code of a complete run with waivers: that of its results without the waived failures.
pub(super) fn code_of_run(archive: &Path, waivers: &Waivers, code: u8, printer: &Printer) -> Result<u8, CliError> {
    let bundle = Bundle::open(archive).map_err(|error| CliError::of_archive(error.to_string(), &error))?;
    let judgement = Judgement::of(&bundle, None, waivers)?;
    printer.note(&format!("waivers: {}", judgement.sentence()));
    Ok(if code == exit::RESULTS_FAILED {
        judgement.code()
    } else {
        code
    })
}

fn unused(arguments: &args::WaiversUnused, printer: &Printer) -> Result<u8, CliError> {
    let waivers = load(&arguments.file)?;
    let mut run_cards = Vec::new();
    if arguments.archives.is_empty() {
        let history = recording::required(&arguments.place)?;
        let entries = recording::list(&history, printer)?;
        run_cards = history.cards(&entries);
        if run_cards.is_empty() {
            return Err(
                CliError::new("no runs in the history").hint("specify archives: sono waivers unused FILE ARCHIVE")
            );
        }
    }
    for archive in &arguments.archives {
        let input = ArchiveInput::of(Some(archive), false, printer)?;
        run_cards.push(input.read(|path, _| {
            let bundle = Bundle::open(path).map_err(|error| CliError::of_archive(error.to_string(), &error))?;
            cards::of_archive(&bundle)
        })?);
    }
    let ids: Vec<Vec<Vec<TestId>>> = run_cards
        .iter()
        .map(|card| card.plugins.iter().map(sono_analysis::CardPlugin::ids).collect())
        .collect();
    let runs: Vec<(RunFacts, Vec<Judged<'_>>)> = run_cards
        .iter()
        .zip(&ids)
        .map(|(card, ids)| (facts(card), judged(card, ids)))
        .collect();
    let mut problems = waivers.usage(&runs);
    problems.extend(waivers.expired(today()));
    problems.sort_by_key(|problem| (problem.line, problem.column));
    let what = format!(
        "{} in {}",
        counted(waivers.list().len() as u64, "waiver"),
        counted(runs.len() as u64, "run")
    );
    print(&problems, &arguments.file, &what, arguments.output, printer)
}

/// The tests of a card.
fn judged<'a>(card: &'a Card, ids: &'a [Vec<TestId>]) -> Vec<Judged<'a>> {
    let mut tests = Vec::new();
    for (plugin, ids) in card.plugins.iter().zip(ids) {
        let signatures: HashMap<usize, &str> = plugin
            .failures
            .iter()
            .map(|failure| (failure.test, failure.signature.as_str()))
            .collect();
        let verdicts = plugin.tests.iter().zip(ids).zip(plugin.verdicts()).enumerate();
        tests.extend(verdicts.map(|(number, ((name, id), verdict))| Judged {
            plugin: &plugin.name,
            name: test_name(name),
            id,
            is_failed: verdict.is_failed(),
            signature: signatures.get(&number).copied().unwrap_or_default(),
        }));
    }
    tests
}

#[derive(Serialize)]
struct Document<'a> {
    file: String,
    problems: &'a [Problem],
}

/// Prints findings. The exit code is 3 if there are any.
fn print(
    problems: &[Problem],
    file: &Path,
    what: &str,
    output: WaiversOutput,
    printer: &Printer,
) -> Result<u8, CliError> {
    match output {
        WaiversOutput::Json => {
            let document = Document {
                file: file.display().to_string(),
                problems,
            };
            let text = serde_json::to_string(&document)
                .map_err(|error| CliError::new("cannot write the findings").caused_by(&error))?;
            printer.document(Format::Json, &format!("{text}\n"))?;
        }
        WaiversOutput::Table => {
            if !problems.is_empty() {
                let mut table = Grid::new(&["LINE", "WAIVER", "FINDING"]);
                for problem in problems {
                    let cells = [problem.line.to_string(), problem.id.clone(), problem.message.clone()];
                    table.row(cells.map(|cell| (cell, Tone::Plain)));
                }
                table.disable_wrapping(2);
                printer.line(&Text::lines(table.lines()))?;
            }
            let findings = counted(problems.len() as u64, "finding");
            printer.note(&format!("{}: {what}, {findings}", file.display()));
        }
    }
    Ok(if problems.is_empty() {
        exit::SUCCESS
    } else {
        exit::RESULTS_FAILED
    })
}
