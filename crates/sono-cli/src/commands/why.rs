//! `sono why`: the causes of the failures in an archive.

mod read;

use std::path::Path;

use sono_analysis::{Rules, Why, explain};
use sono_bundle::{Bundle, ReadLimits};
use sono_types::exit;

use self::read::Failures;
use super::{archive_input::ArchiveInput, rules};
use crate::{
    args::{self, WhyOutput},
    error::CliError,
    output::{Format, Printer},
    view::why as view,
};

/// Word for the failures without a cause.
const UNEXPLAINED: &str = "unexplained";

pub(super) fn why(arguments: &args::Why, printer: &Printer) -> Result<u8, CliError> {
    let args::Why {
        archive,
        subject,
        plugin,
        output,
        rules,
        no_limits,
    } = arguments;
    let (archive, subject) = match (archive, subject) {
        // The only argument may be a test or a cause in the newest archive.
        (Some(first), None) if !is_archive(first) => (None, first.to_str()),
        (archive, subject) => (archive.as_deref(), subject.as_deref()),
    };
    let rules = rules::load(rules.as_deref())?;
    let input = ArchiveInput::of(archive, *no_limits, printer)?;
    input.read(|archive, shown| {
        let bundle = Bundle::open(archive).map_err(|error| CliError::of_archive(error.to_string(), &error))?;
        let bundle = bundle.with_limits(if *no_limits {
            ReadLimits::NONE
        } else {
            ReadLimits::DEFAULT
        });
        let failures = read::failures(&bundle, plugin.as_deref())?;
        let why = explain(&rules, &failures.outputs, &failures.logs);
        print(why, &failures, shown, subject, *output, printer)?;
        for problem in &failures.problems {
            printer.error(problem);
        }
        Ok(if failures.problems.is_empty() {
            exit::SUCCESS
        } else {
            exit::FAILURE
        })
    })
}

/// Prints the causes below the results of an archive.
pub(super) fn print_causes(
    bundle: &Bundle,
    shown: &str,
    plugin: Option<&str>,
    output: WhyOutput,
    printer: &Printer,
) -> Result<(), CliError> {
    let rules = Rules::built_in().map_err(|error| CliError::new("cannot read the rules").caused_by(&error))?;
    let failures = read::failures(bundle, plugin)?;
    let why = explain(&rules, &failures.outputs, &failures.logs);
    if why.failed == 0 {
        return Ok(());
    }
    print(why, &failures, shown, None, output, printer)
}

/// Whether an argument is an archive rather than a test or a cause.
fn is_archive(argument: &Path) -> bool {
    let text = argument.as_os_str().to_string_lossy();
    argument.as_os_str() == "-" || argument.exists() || text.ends_with(".gz") || text.ends_with(".tgz")
}

fn print(
    mut why: Why,
    failures: &Failures,
    shown: &str,
    subject: Option<&str>,
    output: WhyOutput,
    printer: &Printer,
) -> Result<(), CliError> {
    let selected = subject.map(|subject| select(&why, subject, shown)).transpose()?;
    if let Some([only]) = selected.as_deref() {
        why.add_evidence(*only, &failures.outputs, &failures.logs);
    }
    match output {
        WhyOutput::Json => {
            if let Some(selected) = &selected {
                let mut number = 0;
                why.failures.retain(|_| {
                    number += 1;
                    selected.contains(&(number - 1))
                });
            }
            let text = serde_json::to_string(&why);
            let text = text.map_err(|error| CliError::new("cannot write the causes").caused_by(&error))?;
            printer.document(Format::Json, &format!("{text}\n"))
        }
        WhyOutput::Markdown => printer.markdown(&view::markdown(&why, selected.as_deref())),
        WhyOutput::Table => {
            printer.line(&view::table(&why, selected.as_deref()))?;
            if let (None, Some(cause)) = (&selected, why.causes.first()) {
                printer.note(&format!(
                    "hint: the failures with a cause: sono why {shown} {}; one failure: sono why {shown} 'part of its name'",
                    cause.id
                ));
            }
            Ok(())
        }
    }
}

/// Positions of the failures with a cause, or with a name that contains the text.
fn select(why: &Why, subject: &str, shown: &str) -> Result<Vec<usize>, CliError> {
    if let Some(cause) = why.causes.iter().find(|cause| cause.id == subject) {
        return Ok(cause.failures.clone());
    }
    let all = || why.failures.iter().enumerate();
    let numbers = |is_selected: &dyn Fn(&sono_analysis::FailureView) -> bool| -> Vec<usize> {
        all()
            .filter(|(_, failure)| is_selected(failure))
            .map(|(number, _)| number)
            .collect()
    };
    if subject == UNEXPLAINED {
        let found = numbers(&|failure| failure.cause.is_none());
        return if found.is_empty() {
            Err(CliError::new("every failure has a cause").hint(format!("list the causes: sono why {shown}")))
        } else {
            Ok(found)
        };
    }
    let exact = numbers(&|failure| failure.name == subject || failure.id.to_string() == subject);
    if !exact.is_empty() {
        return Ok(exact);
    }
    let part = subject.to_lowercase();
    let found = numbers(&|failure| failure.name.to_lowercase().contains(&part));
    if found.is_empty() {
        return Err(CliError::new(format!("no failure or cause matches `{subject}`"))
            .hint(format!("list the causes: sono why {shown}")));
    }
    Ok(found)
}
