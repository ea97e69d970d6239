//! `sono report`: one HTML file about the run in an archive.

use std::path::{Path, PathBuf};

use sono_bundle::ReadLimits;
use sono_types::exit;

use super::{archive_input::ArchiveInput, report_file, rules};
use crate::{args, error::CliError, output::Printer};

pub(super) fn report(arguments: &args::Report, printer: &Printer) -> Result<u8, CliError> {
    let args::Report {
        archive,
        output,
        force,
        rules,
        no_limits,
    } = arguments;
    let rules = rules::load(rules.as_deref())?;
    let input = ArchiveInput::of(archive.as_deref(), *no_limits, printer)?;
    input.read(|archive, shown| {
        let limits = if *no_limits {
            ReadLimits::NONE
        } else {
            ReadLimits::DEFAULT
        };
        let name = name_of(archive, shown);
        let page = report_file::page(archive, &name, limits, &rules)?;
        match output.as_deref() {
            Some(path) if path.as_os_str() == "-" => printer.verbatim(page.as_bytes())?,
            Some(path) => report_file::store(path, &page, *force, printer)?,
            None => report_file::store(&PathBuf::from(format!("{}.html", stem(&name))), &page, *force, printer)?,
        }
        Ok(exit::SUCCESS)
    })
}

/// Name of an archive in its report: that of the file, or of a directory. A pipe has none.
fn name_of(archive: &Path, shown: &str) -> String {
    let of_file = || archive.file_name().map(|name| name.to_string_lossy().into_owned());
    let is_file = Path::new(shown) == archive;
    Some(())
        .filter(|()| is_file)
        .and_then(|()| of_file())
        .unwrap_or_else(|| "archive".to_owned())
}

fn stem(name: &str) -> &str {
    let endings = [".tar.gz", ".tgz", ".tar"];
    endings
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .filter(|stem| !stem.is_empty())
        .unwrap_or(name)
}
