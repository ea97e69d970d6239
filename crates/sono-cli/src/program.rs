//! From arguments to an exit code.

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::{
    args::{Arguments, flags_first},
    commands, log,
    output::Printer,
};

/// Runs `sono` with these arguments, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let printer = Printer::for_this_process();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = Arguments::command();
    // kubectl finds its plugins by that name, and people call them so.
    let called = arguments.first().and_then(|program| Path::new(program).file_stem());
    if called.is_some_and(|name| name == "kubectl-sono") {
        command = command.bin_name("kubectl sono");
    }
    let arguments = flags_first::reorder(arguments, &command);
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
