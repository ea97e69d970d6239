//! From arguments to an exit code.

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::{
    args::{Arguments, flags_first},
    commands, log,
    output::Printer,
};

/// Runs `sono` with these arguments, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let printer = Printer::for_this_process();
    let command = Arguments::command();
    let arguments = flags_first::reorder(arguments.into_iter().collect(), &command);
    let parsed = command
        .try_get_matches_from(arguments)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let Arguments { command, common } = match parsed {
        Ok(arguments) => arguments,
        Err(error) => return printer.usage(&error),
    };
    let log = log::start(&common.level, printer.is_terminal());
    commands::run_command(command, &common.level, log, &printer).unwrap_or_else(|error| {
        printer.error(&error);
        ExitCode::from(error.code())
    })
}
