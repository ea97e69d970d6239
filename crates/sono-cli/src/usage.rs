//! Usage errors in the form of all other errors: problem, usage line and suggestion.
//!
//! Clap's own suggestions include hidden commands and flags.

use std::{borrow::Cow, ffi::OsString, slice};

use clap::{
    Arg, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};
use sono_manifest::closest;

use crate::{error::CliError, output::visible};

/// Converts clap's error. `arguments` are the rejected arguments, the program's name first.
pub(crate) fn error(error: &clap::Error, program: &Command, arguments: &[OsString]) -> CliError {
    let (path, command) = named_command(program, arguments);
    let rendered = rendered(error);
    let first = rendered.split("\n\n").next().unwrap_or_default();
    let mut lines = first.lines().map(str::trim);
    let what = lines.next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(what).to_owned();
    // Only boolean flags reject every value.
    let boolean = match (
        error.kind(),
        text(error, ContextKind::InvalidValue),
        text(error, ContextKind::InvalidArg),
    ) {
        (ErrorKind::TooManyValues, Some(value), Some(flag)) => Some(format!(
            "invalid value '{value}' for '{flag}': expected true, false or no value"
        )),
        _ => None,
    };
    let what = boolean.unwrap_or(what);
    // Clap's own usage line includes the given flags, even hidden ones.
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").lines().map(str::trim);
    let usage = usage.map(|usage| format!("usage: {usage}"));
    let is_value = matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation);
    let details: Vec<String> = lines.map(str::to_owned).chain(usage.filter(|_| !is_value)).collect();
    CliError::new(what)
        .details(details)
        .hint(hint(error, program, command, &path))
}

/// Clap's message, with line breaks of the user's text escaped.
fn rendered(error: &clap::Error) -> String {
    let mut text = error.render().ansi().to_string();
    for (_, value) in error.context() {
        let given = match value {
            ContextValue::String(given) => slice::from_ref(given),
            ContextValue::Strings(given) => given,
            _ => &[],
        };
        for given in given {
            if let Cow::Owned(shown) = visible(given) {
                text = text.replace(given, &shown);
            }
        }
    }
    anstream::adapter::strip_str(&text).to_string()
}

/// The command named by the arguments, with its path.
fn named_command<'a>(program: &'a Command, arguments: &[OsString]) -> (String, &'a Command) {
    let mut command = program;
    let mut path = program.get_bin_name().unwrap_or_else(|| program.get_name()).to_owned();
    for argument in arguments.iter().skip(1) {
        let Some(next) = argument.to_str().and_then(|name| command.find_subcommand(name)) else {
            break;
        };
        command = next;
        path = format!("{path} {}", next.get_name());
    }
    (path, command)
}

fn hint(error: &clap::Error, program: &Command, command: &Command, path: &str) -> String {
    let help = format!("{path} --help");
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let names: Vec<&str> = command
                .get_subcommands()
                .filter(|known| !known.is_hide_set())
                .flat_map(|known| std::iter::once(known.get_name()).chain(known.get_visible_aliases()))
                .collect();
            let given = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            match closest(given, &names) {
                Some(nearest) => format!("did you mean {nearest}? for a list of commands: {help}"),
                None => format!("for a list of commands: {help}"),
            }
        }
        ErrorKind::UnknownArgument => {
            let given = text(error, ContextKind::InvalidArg).unwrap_or_default();
            let Some(flag) = given.strip_prefix("--") else {
                return format!("for a list of arguments: {help}");
            };
            let known = command.get_arguments().chain(program.get_arguments());
            let flags: Vec<&str> = known
                .filter(|known| !known.is_hide_set())
                .filter_map(Arg::get_long)
                .collect();
            match closest(flag, &flags) {
                Some(nearest) => format!("did you mean --{nearest}? for a list of flags: {help}"),
                None => format!("for a list of flags: {help}"),
            }
        }
        _ => match text(error, ContextKind::SuggestedValue) {
            Some(value) => format!("did you mean {value}? for details: {help}"),
            None => format!("for details: {help}"),
        },
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}
