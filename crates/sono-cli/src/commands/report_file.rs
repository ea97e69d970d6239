//! The file with the report of a run.

use std::{io::Read as _, path::Path};

use sono_analysis::{Rules, explain};
use sono_bundle::{Bundle, ReadLimits, write_durably};
use sono_redact::Report;
use sono_report::{Input, report};
use sono_types::layout;

use super::failures;
use crate::{error::CliError, output::Printer};

/// Text at the start of every report.
const MARK: &str = "<meta name=\"generator\" content=\"sono\">";
/// Bytes at the start of a file in which the text is searched.
const MARK_BYTES: u64 = 4 << 10;
/// Maximum number of failures with evidence.
const MAX_EVIDENCE: usize = 1_000;
/// Maximum size of the report of redactions in bytes.
const MAX_REDACTIONS_BYTES: u64 = 64 << 20;

/// Writes the report of an archive that was retrieved.
pub(super) fn write(archive: &Path, file: &Path, printer: &Printer) -> Result<(), CliError> {
    let rules = Rules::built_in().map_err(|error| CliError::new("cannot read the rules").caused_by(&error))?;
    let name = archive.file_name().map(|name| name.to_string_lossy().into_owned());
    let page = page(archive, &name.unwrap_or_default(), ReadLimits::DEFAULT, &rules)?;
    store(file, &page, false, printer)
}

/// Checks before a run or a download that a report may be written to a file.
pub(super) fn check(file: &Path) -> Result<(), CliError> {
    check_replaceable(file, false)
}

/// The page about an archive. `name` is that of the archive on the page.
pub(super) fn page(archive: &Path, name: &str, limits: ReadLimits, rules: &Rules) -> Result<String, CliError> {
    let bundle = Bundle::open(archive).map_err(|error| CliError::of_archive(error.to_string(), &error))?;
    let bundle = bundle.with_limits(limits);
    let mut redaction = None;
    let read = failures::with_details(&bundle, &mut |name, content| {
        if name == layout::REDACTIONS {
            let mut text = Vec::new();
            content.take(MAX_REDACTIONS_BYTES).read_to_end(&mut text)?;
            redaction = serde_json::from_slice::<Report>(&text)
                .ok()
                .and_then(|report| report.sentence());
        }
        Ok(())
    })?;
    let (outputs, logs) = (&read.texts.outputs, &read.texts.logs);
    let mut causes = explain(rules, outputs, logs);
    for number in 0..causes.failed.min(MAX_EVIDENCE) {
        causes.add_evidence(number, outputs, logs);
    }
    let run = read.texts.card.map(|parts| parts.details(&causes)).unwrap_or_default();
    let problems: Vec<String> = read
        .problems
        .into_iter()
        .map(|problem| problem.lines().join(": "))
        .collect();
    report(&Input {
        archive: name,
        run: &run,
        why: &causes,
        redaction: redaction.as_deref(),
        problems: &problems,
    })
    .map_err(|error| CliError::new("cannot write the report").caused_by(&error))
}

/// Writes the page and prints the path.
pub(super) fn store(path: &Path, page: &str, force: bool, printer: &Printer) -> Result<(), CliError> {
    check_replaceable(path, force)?;
    write_durably(path, page.as_bytes())
        .map_err(|error| CliError::new(format!("cannot write the report `{}`", path.display())).caused_by(&error))?;
    printer.path(path)
}

/// An existing file is replaced if it is empty or a report.
fn check_replaceable(path: &Path, force: bool) -> Result<(), CliError> {
    let refused = |what: &str| {
        CliError::new(format!("`{}` exists and is {what}", path.display()))
            .hint("choose another file with -o; `sono report --force` replaces any file")
    };
    let Ok(metadata) = fs_err::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.is_file() {
        return Err(refused("not a regular file"));
    }
    if force || metadata.len() == 0 {
        return Ok(());
    }
    let mut start = Vec::new();
    let read = fs_err::File::open(path).and_then(|file| file.take(MARK_BYTES).read_to_end(&mut start));
    let is_report = read.is_ok() && String::from_utf8_lossy(&start).contains(MARK);
    if is_report {
        Ok(())
    } else {
        Err(refused("not a report"))
    }
}
