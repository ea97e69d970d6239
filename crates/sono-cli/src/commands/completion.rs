//! `sono completion`.

use sono_types::exit;

use crate::{args, completion, error::CliError, output::Printer};

pub(super) fn completion(arguments: &args::Completion, printer: &Printer) -> Result<u8, CliError> {
    let args::Completion { shell, no_descriptions } = arguments;
    printer.verbatim(&completion::script(*shell, *no_descriptions)?)?;
    Ok(exit::SUCCESS)
}
