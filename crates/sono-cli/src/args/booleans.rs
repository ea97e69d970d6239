//! Boolean flags with a value, as in Go programs: `--show-all=true`, `--json=f` (cli §1.1).

use std::ffi::OsString;

use clap::{ArgAction, Command};

/// Joins klog's `-v 4` to `-v=4`, since `-v` alone is valid, too.
pub(crate) fn join_verbosity(arguments: Vec<OsString>) -> Vec<OsString> {
    let is_number = |text: &OsString| text.to_str().is_some_and(|text| text.parse::<i32>().is_ok());
    let mut joined: Vec<OsString> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        match joined.last_mut() {
            Some(before) if (before == "-v" || before == "--v") && is_number(&argument) => {
                before.push("=");
                before.push(argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

/// Replaces `--flag=true` by `--flag` and removes `--flag=false`. Invalid values stay, for clap to reject.
pub(crate) fn normalize(arguments: Vec<OsString>, program: &Command) -> Vec<OsString> {
    let mut command = program;
    let mut is_flags = true;
    let mut names_end = false;
    let mut normalized: Vec<OsString> = Vec::with_capacity(arguments.len());
    for (index, argument) in arguments.into_iter().enumerate() {
        let text = argument.to_str().unwrap_or_default();
        if index > 0 && !names_end {
            match command.find_subcommand(text) {
                Some(next) => command = next,
                None => names_end = true,
            }
        }
        is_flags &= text != "--";
        match value(text, command, program).filter(|_| is_flags) {
            Some((flag, true)) => normalized.push(flag.into()),
            // The last occurrence applies.
            Some((flag, false)) => normalized.retain(|before| *before != *flag),
            None => normalized.push(argument),
        }
    }
    normalized
}

/// The flag without its value, and the value.
fn value(text: &str, command: &Command, program: &Command) -> Option<(String, bool)> {
    let (flag, value) = text.split_once('=')?;
    let long = flag.strip_prefix("--")?;
    let mut known = command.get_arguments().chain(program.get_arguments());
    let is_boolean =
        known.any(|known| known.get_long() == Some(long) && matches!(known.get_action(), ArgAction::SetTrue));
    let truth = match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
        "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
        _ => return None,
    };
    is_boolean.then(|| (flag.to_owned(), truth))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Arguments;

    fn check(given: &str, expected: &str) {
        let arguments = given.split(' ').map(OsString::from).collect();
        let normalized: Vec<String> = normalize(arguments, &Arguments::command())
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        assert_eq!(normalized.join(" "), expected);
    }

    #[test]
    fn verbosity_with_a_number_is_one_argument() {
        let arguments = ["sono", "-v", "4", "--v", "2", "-v", "status", "4"]
            .map(OsString::from)
            .to_vec();
        assert_eq!(
            join_verbosity(arguments),
            ["sono", "-v=4", "--v=2", "-v", "status", "4"]
        );
    }

    #[test]
    fn truth_may_be_written_out() {
        check("sono status --json=true -n x", "sono status --json -n x");
        check("sono status --json=F", "sono status");
        check("sono status --json --json=false", "sono status");
        check("sono status --json=false --json", "sono status --json");
        check("sono status --json=maybe", "sono status --json=maybe");
        check("sono run --wait=1 --rbac=true", "sono run --wait=1 --rbac=true");
        check("sono status -- --json=true", "sono status -- --json=true");
    }
}
