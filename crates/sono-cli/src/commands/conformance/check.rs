//! `sono conformance check`.

use sono_conformance::{Finding, Judgement, Minor, Mode, State, Submission, Verdict, judge, title};
use sono_types::exit;

use super::{folder, given_version, is_folder, latest, minor, required_tests, results::Results};
use crate::{
    args::{self, ConformanceMode, ConformanceOutput},
    error::CliError,
    output::{Format, Grid, Markdown, Printer, Text, Tone, markdown, text},
    view::words::counted,
};

/// Maximum number of missing tests in a table.
const MAX_TESTS: usize = 20;

pub(super) fn check(arguments: args::ConformanceCheck, printer: &Printer) -> Result<u8, CliError> {
    let args::ConformanceCheck {
        path,
        mode,
        title,
        latest: newest,
        version,
        plugin,
        output,
    } = arguments;
    let given = given_version(&version)?;
    let submission = if is_folder(&path) {
        let files = folder::read(&path)?;
        with_title(
            Submission {
                files,
                ..Submission::default()
            },
            title,
        )
    } else {
        let results = Results::read(&path, &plugin)?;
        let minor = results.minor(given, &path)?;
        Submission {
            files: results.files(),
            results_of: Some(minor),
            title,
            ..Submission::default()
        }
    };
    let of_files = submission
        .results_of
        .or_else(|| submission.version_and_product()?.0.parse().ok());
    let judged = given.or(of_files).unwrap_or_else(latest);
    let required = required_tests(&version, judged)?;
    let newest = newest.as_deref().map(minor).transpose()?.unwrap_or_else(latest);
    let mode = match mode {
        ConformanceMode::Bot => Mode::Bot,
        ConformanceMode::Strict => Mode::Strict,
    };
    let judgement = judge(&submission, &required, newest, mode);
    match output {
        ConformanceOutput::Table => print_table(&judgement, printer)?,
        ConformanceOutput::Json => {
            let value = serde_json::to_value(&judgement)
                .map_err(|error| CliError::new("cannot print the judgement").caused_by(&error))?;
            printer.document(Format::Json, &format!("{value:#}\n"))?;
        }
        ConformanceOutput::Markdown => printer.markdown(&report(&judgement))?,
    }
    Ok(match judgement.state {
        State::Success => exit::SUCCESS,
        State::Failure | State::Pending => exit::RESULTS_FAILED,
    })
}

/// Adds the title: the given one, else the one that the instructions ask for.
fn with_title(submission: Submission, given: Option<String>) -> Submission {
    let usual = || {
        let (version, product) = submission.version_and_product()?;
        Some(title(version.parse::<Minor>().ok()?, &product))
    };
    let title = given.or_else(usual);
    Submission { title, ..submission }
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Passed => Tone::Good,
        Verdict::Failed => Tone::Bad,
        Verdict::Notice | Verdict::NotChecked => Tone::Unsure,
    }
}

pub(super) fn print_table(judgement: &Judgement, printer: &Printer) -> Result<(), CliError> {
    let mut grid = Grid::new(&["RULE", "VERDICT", "PLACE", "REASON"]);
    grid.disable_wrapping(2);
    for finding in &judgement.findings {
        grid.row([
            (Text::from(finding.rule), Tone::Plain),
            (Text::from(finding.verdict.to_string()), tone(finding.verdict)),
            (Text::from(&finding.place), Tone::Plain),
            (Text::from(&finding.message), Tone::Plain),
        ]);
    }
    printer.line(&Text::lines(grid.lines()))?;
    if !judgement.missing.is_empty() {
        let count = counted(judgement.missing.len() as u64, "test");
        let mut lines = vec![Text::default(), text![count, " missing or failed:"]];
        lines.extend(
            judgement
                .missing
                .iter()
                .take(MAX_TESTS)
                .map(|name| text!["  ", name.as_str()]),
        );
        if let Some(more) = judgement.missing.len().checked_sub(MAX_TESTS).filter(|more| *more > 0) {
            lines.push(text![
                "  … and ",
                more.to_string(),
                " more: sono conformance list --missing-from ARCHIVE"
            ]);
        }
        printer.line(&Text::lines(lines))?;
    }
    for hint in hints(&judgement.findings) {
        printer.note(&format!("hint: {hint}"));
    }
    let tone = match judgement.state {
        State::Success => Tone::Good,
        State::Failure | State::Pending => Tone::Bad,
    };
    printer.note(&tone.paint(summary(judgement)));
    Ok(())
}

/// The hints of failed rules, each once.
fn hints(findings: &[Finding]) -> Vec<&'static str> {
    let mut hints = Vec::new();
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Failed);
    for hint in failed.filter_map(|finding| finding.hint) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints
}

fn summary(judgement: &Judgement) -> String {
    let judge = match judgement.mode {
        Mode::Bot => "the bot",
        Mode::Strict => "a careful reviewer",
    };
    let failed = judgement
        .findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Failed)
        .count();
    match judgement.state {
        State::Success => format!("{judge} reports success"),
        State::Failure => format!("{judge} reports failure: {}", counted(failed as u64, "finding")),
        State::Pending => format!("{judge} does not process the submission"),
    }
}

fn report(judgement: &Judgement) -> Markdown {
    let mut lines = vec![
        markdown!["**", Markdown::text(&summary(judgement)), "**\n"],
        markdown!["| rule | verdict | place | reason |\n|---|---|---|---|"],
    ];
    for finding in &judgement.findings {
        lines.push(markdown![
            "| ",
            finding.rule,
            " | ",
            Markdown::text(&finding.verdict.to_string()),
            " | ",
            Markdown::text(&finding.place),
            " | ",
            Markdown::text(&finding.message),
            " |"
        ]);
    }
    if !judgement.missing.is_empty() {
        lines.push(markdown!["\nRequired tests that are missing or failed:\n"]);
        lines.extend(
            judgement
                .missing
                .iter()
                .map(|name| markdown!["- ", Markdown::text(name)]),
        );
    }
    lines.push(Markdown::default());
    Markdown::lines(lines)
}
