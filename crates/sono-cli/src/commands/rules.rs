//! `sono rules`: the rules that `sono why` applies.

use std::path::Path;

use serde::Serialize;
use sono_analysis::{MAX_RULE_FILE_BYTES, Rules, check_examples};
use sono_types::exit;

use crate::{
    args::{self, RulesAction, RulesOutput},
    error::CliError,
    output::{Format, Grid, Printer, Tone},
    text_file,
    view::words::counted,
};

pub(super) fn rules(arguments: &args::Rules, printer: &Printer) -> Result<u8, CliError> {
    match &arguments.action {
        RulesAction::List(arguments) => list(arguments, printer),
        RulesAction::Lint(args::RulesLint { file }) => {
            let rules = only(file)?;
            printer.line(&format!("{}: {}", file.display(), counted(count(&rules), "rule")))?;
            Ok(exit::SUCCESS)
        }
        RulesAction::Test(args::RulesTest { file }) => test(file.as_deref(), printer),
    }
}

/// Rules in a file before those of this program, or only the latter.
pub(super) fn load(file: Option<&Path>) -> Result<Rules, CliError> {
    let rules = match file {
        Some(file) => Rules::with(&read(file)?),
        None => Rules::built_in(),
    };
    rules.map_err(|error| invalid(file, &error))
}

fn only(file: &Path) -> Result<Rules, CliError> {
    Rules::only(&read(file)?).map_err(|error| invalid(Some(file), &error))
}

fn read(file: &Path) -> Result<String, CliError> {
    let failed = |error: &std::io::Error| CliError::new(format!("cannot read `{}`", file.display())).caused_by(error);
    let opened = fs_err::File::open(file).map_err(|error| failed(&error))?;
    // One byte more than permitted, which the rules refuse.
    text_file::read_from(opened, MAX_RULE_FILE_BYTES + 1).map_err(|error| failed(&error))
}

fn invalid(file: Option<&Path>, error: &sono_analysis::RuleError) -> CliError {
    let file = file.map_or_else(|| "this program".to_owned(), |file| format!("`{}`", file.display()));
    CliError::new(format!("invalid rules in {file}"))
        .details([error.to_string()])
        .hint("fields and examples of rules: docs/writing-a-rule.md")
}

fn count(rules: &Rules) -> u64 {
    rules.all().len() as u64
}

#[derive(Serialize)]
struct RuleDocument<'a> {
    id: &'a str,
    class: &'a str,
    certainty: &'a str,
    summary: &'a str,
    produced: &'a str,
}

fn list(arguments: &args::RulesList, printer: &Printer) -> Result<u8, CliError> {
    let rules = load(arguments.rules.as_deref())?;
    let documents = rules.all().iter().map(|rule| RuleDocument {
        id: &rule.id,
        class: rule.class.as_str(),
        certainty: rule.certainty.as_str(),
        summary: &rule.summary,
        produced: &rule.produced,
    });
    match arguments.output {
        RulesOutput::Json => {
            let documents: Vec<RuleDocument<'_>> = documents.collect();
            let text = serde_json::to_string(&documents);
            let text = text.map_err(|error| CliError::new("cannot write the rules").caused_by(&error))?;
            printer.document(Format::Json, &format!("{text}\n"))?;
        }
        RulesOutput::Table => {
            let mut table = Grid::new(&["RULE", "CLASS", "CERTAINTY", "CAUSE"]);
            for rule in documents {
                let cells = [rule.id, rule.class, rule.certainty, rule.summary];
                table.row(cells.map(|cell| (cell, Tone::Plain)));
            }
            table.disable_wrapping(3);
            printer.line(&table.text())?;
        }
    }
    Ok(exit::SUCCESS)
}

fn test(file: Option<&Path>, printer: &Printer) -> Result<u8, CliError> {
    let rules = load(file)?;
    let problems = check_examples(&rules);
    if !problems.is_empty() {
        let shown = problems.iter().map(ToString::to_string);
        return Err(CliError::new(format!("{} failed", counted(problems.len() as u64, "example"))).details(shown));
    }
    let examples: usize = rules
        .all()
        .iter()
        .map(|rule| rule.examples.len() + rule.others.len())
        .sum();
    printer.line(&format!(
        "{}, {} passed",
        counted(count(&rules), "rule"),
        counted(examples as u64, "example")
    ))?;
    Ok(exit::SUCCESS)
}
