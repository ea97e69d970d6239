//! `sono conformance list`.

use sono_conformance::{Minor, Mode, RequiredTests, Submission, judge};
use sono_types::exit;

use super::{given_version, latest, required_tests, results::Results};
use crate::{
    args,
    error::CliError,
    output::{Printer, Text},
    view::words::counted,
};

pub(super) fn list(arguments: &args::ConformanceList, printer: &Printer) -> Result<u8, CliError> {
    let args::ConformanceList {
        version,
        missing_from,
        plugin,
    } = arguments;
    let given = given_version(version)?;
    let Some(archive) = missing_from else {
        let minor = given.unwrap_or_else(latest);
        let required = required_tests(version, minor)?;
        let names = required.of(minor).ok_or_else(|| unknown(minor, &required))?;
        printer.line(&Text::lines(names))?;
        printer.note(&format!("{} required by {minor}", counted(names.len() as u64, "test")));
        return Ok(exit::SUCCESS);
    };
    let results = Results::read(archive, plugin)?;
    let minor = results.minor(given, archive)?;
    let required = required_tests(version, minor)?;
    let total = required.of(minor).ok_or_else(|| unknown(minor, &required))?.len();
    if results.junit.is_none() {
        return Err(CliError::new(format!("cannot read `{}`", archive.display()))
            .details([format!("plugin `{plugin}` does not have the file junit_01.xml")])
            .hint("select the plugin that ran the suite: --plugin NAME"));
    }
    let submission = Submission {
        files: results.files(),
        results_of: Some(minor),
        ..Submission::default()
    };
    let judgement = judge(&submission, &required, latest().max(minor), Mode::Strict);
    if !judgement.missing.is_empty() {
        printer.line(&Text::lines(&judgement.missing))?;
    }
    printer.note(&format!(
        "{} of {} required by {minor} did not pass",
        judgement.missing.len(),
        counted(total as u64, "test")
    ));
    Ok(exit::SUCCESS)
}

/// Error of a version without a list.
fn unknown(minor: Minor, required: &RequiredTests) -> CliError {
    let known: Vec<String> = required.minors().map(|minor| minor.to_string()).collect();
    CliError::new(format!("sono does not know the required tests of {minor}"))
        .details([format!("known versions: {}", known.join(", "))])
        .hint("pass the list of the suite with --required FILE; its image prints it: e2e.test --list-conformance-tests")
}
