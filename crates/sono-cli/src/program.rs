//! The program `sono`, from arguments to an exit code.

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, error::ErrorKind};

use crate::{
    args::{Arguments, GivenFlags, booleans, common, environment, flags_first, run_flags_of_wait},
    commands, completion, log,
    output::{Printer, shown},
    usage,
};

/// Programs of the images, which parse their own arguments. They can also be run manually, as `/sonobuoy aggregator`.
const IMAGE_PROGRAMS: [&str; 3] = ["aggregator", "splat", "worker"];

/// Runs `sono` with these arguments, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut printer = Printer::for_this_process();
    let arguments = booleans::join_verbosity(arguments.into_iter().collect());
    if let Some(answered) = completion::answer(&arguments, &printer) {
        return match answered {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                printer.error(&error);
                ExitCode::from(error.code())
            }
        };
    }
    let mut command = Arguments::command();
    // Name of the program as a kubectl plugin.
    let called = arguments.first().and_then(|program| Path::new(program).file_stem());
    if called.is_some_and(|name| name == "kubectl-sono") {
        command = command.bin_name("kubectl sono");
    }
    command = common::describe_level(run_flags_of_wait::accept_run_flags(command));
    command = command.subcommands(IMAGE_PROGRAMS.map(|name| clap::Command::new(name).hide(true)));
    let arguments = flags_first::reorder(arguments, &command);
    match arguments.get(1).and_then(|name| name.to_str()) {
        Some("worker") => return sono_local::worker_program(arguments),
        Some(name) if IMAGE_PROGRAMS.contains(&name) => return sono_local::aggregator_program(arguments),
        _ => {}
    }
    command = environment::with_variables(command);
    let arguments = booleans::normalize(arguments, &command);
    let parsed = command.try_get_matches_from_mut(&arguments).and_then(|matches| {
        let given = GivenFlags::new(arguments.first().map(OsString::as_os_str), &command, &matches);
        Ok((Arguments::from_arg_matches(&matches)?, given))
    });
    let (
        Arguments {
            version: _,
            command,
            common,
        },
        given,
    ) = match parsed {
        Ok(parsed) => parsed,
        // Without arguments, print the help.
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return shown(&printer.help(&error));
        }
        Err(error) if !error.use_stderr() => return shown(&printer.help(&error)),
        Err(error) => {
            let refused = usage::error(&error, &command, &arguments);
            printer.error(&refused);
            if let Some((flag, variable)) = environment::variable_of_invalid_flag(&error) {
                printer.note(&format!(
                    "note: the value of --{flag} may be set by the environment variable {variable}"
                ));
            }
            return ExitCode::from(refused.code());
        }
    };
    printer.configure(common.quiet, common.color);
    if common.debug {
        printer.note("warning: --debug has no effect; use --level debug");
    }
    let log = log::start(common.level(), &printer);
    commands::run_command(command, &given, common.level(), log, &printer).unwrap_or_else(|error| {
        printer.error(&error);
        ExitCode::from(error.code())
    })
}
