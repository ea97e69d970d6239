//! `sono why`: the causes of the failures in an archive.

use std::{io::Read as _, ops::ControlFlow, path::Path};

use sono_analysis::{MAX_CAUSES_BYTES, Rules, Why, explain};
use sono_bundle::{Bundle, ReadLimits};
use sono_types::{exit, layout};

use super::{
    archive_input::ArchiveInput,
    failures::{self, Failures},
    in_runtime, retrieve, rules,
};
use crate::{
    args::{self, WhyOutput},
    error::CliError,
    output::{Format, Printer, markdown},
    view::why as view,
};

/// Word for the failures without a cause.
const UNEXPLAINED: &str = "unexplained";

pub(super) fn why(arguments: &args::Why, printer: &Printer) -> Result<u8, CliError> {
    let (archive, subject) = match (&arguments.archive, &arguments.subject) {
        // The only argument may be a test or a cause in the newest archive, or in that of the run.
        (Some(first), None) if arguments.run || !is_archive(first) => (None, first.to_str()),
        (archive, subject) => (archive.as_deref(), subject.as_deref()),
    };
    let rules = rules::load(arguments.rules.as_deref())?;
    if !arguments.run {
        let input = ArchiveInput::of(archive, arguments.no_limits, printer)?;
        return input.read(|archive, shown| of_archive(archive, (shown, subject), &rules, arguments, printer));
    }
    if let Some(archive) = archive {
        return Err(CliError::new(format!("`{}` is not read with --run", archive.display()))
            .hint("the archive is that of the run in the cluster: omit the archive or --run"));
    }
    let directory =
        tempfile::tempdir().map_err(|error| CliError::new("cannot make a temporary directory").caused_by(&error))?;
    let mut retrieval = args::Retrieve::into_this_directory(arguments.location.clone(), None);
    retrieval.path = directory.path().to_path_buf();
    let archives = in_runtime(retrieve::fetch_unseen(retrieval, printer))?;
    let archive = archives
        .first()
        .ok_or_else(|| CliError::new("cannot find the archive of the run"))?;
    of_archive(archive, ("--run", subject), &rules, arguments, printer)
}

/// Prints the causes in an archive. `shown` is the archive in suggested commands.
fn of_archive(
    archive: &Path,
    (shown, subject): (&str, Option<&str>),
    rules: &Rules,
    arguments: &args::Why,
    printer: &Printer,
) -> Result<u8, CliError> {
    let bundle = Bundle::open(archive).map_err(|error| CliError::of_archive(error.to_string(), &error))?;
    let bundle = bundle.with_limits(if arguments.no_limits {
        ReadLimits::NONE
    } else {
        ReadLimits::DEFAULT
    });
    let failures = failures::read(&bundle, arguments.plugin.as_deref())?;
    let why = explain(rules, &failures.texts.outputs, &failures.texts.logs);
    print(why, &failures, shown, subject, arguments.output, printer)?;
    for problem in &failures.problems {
        printer.error(problem);
    }
    Ok(if failures.problems.is_empty() {
        exit::SUCCESS
    } else {
        exit::FAILURE
    })
}

/// Prints the causes that the aggregator stored, below the results of an archive.
pub(super) fn print_stored(why: &Why, output: WhyOutput, shown: &str, printer: &Printer) -> Result<(), CliError> {
    if why.explained == 0 {
        return Ok(());
    }
    match output {
        WhyOutput::Json => Ok(()),
        WhyOutput::Markdown => printer.markdown(&markdown!["\n", view::markdown(why, None)]),
        WhyOutput::Table => {
            printer.line("")?;
            printer.line(&view::table(why, None))?;
            printer.note(&format!("hint: for one failure: sono why {shown} 'part of its name'"));
            Ok(())
        }
    }
}

/// Notes the causes in the archive of a failed run, if the aggregator stored them.
pub(super) fn note_stored(archive: &Path, printer: &Printer) {
    let mut all = Why::default();
    let read = Bundle::open(archive).and_then(|bundle| {
        bundle.visit(&mut |name, content| {
            let plugin = name.strip_prefix("plugins/").and_then(|rest| rest.split_once('/'));
            if plugin.is_some_and(|(plugin, _)| name == layout::causes_file_named(plugin)) {
                let mut text = Vec::new();
                content.take(MAX_CAUSES_BYTES).read_to_end(&mut text)?;
                if let Ok(why) = Why::parse(&text) {
                    all.merge(why);
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    });
    if let Err(error) = read {
        tracing::debug!(%error, "cannot read the stored causes");
    }
    if all.explained == 0 {
        return;
    }
    for line in view::notes(&all) {
        printer.note(&line);
    }
    printer.note(&format!(
        "hint: for the causes with their evidence: sono why {}",
        archive.display()
    ));
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
    let failures = failures::read(bundle, plugin)?;
    let why = explain(&rules, &failures.texts.outputs, &failures.texts.logs);
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
        why.add_evidence(*only, &failures.texts.outputs, &failures.texts.logs);
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
            let text = why.to_json();
            let text = text.map_err(|error| CliError::new("cannot write the causes").caused_by(&error))?;
            printer.document(Format::Json, &text)
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
