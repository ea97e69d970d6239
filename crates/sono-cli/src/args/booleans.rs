//! Flags without a value may be given one, as Go programs take it: `--show-all=true`, `--json=f` (cli spec §1.1).

use std::ffi::OsString;

use clap::{ArgAction, Command};

/// Takes the value away where it is true, and the flag where it is false. Anything else stays and is refused later.
pub(crate) fn plain(arguments: Vec<OsString>, program: &Command) -> Vec<OsString> {
    let mut command = program;
    let mut is_flags = true;
    let mut names_end = false;
    let mut plain: Vec<OsString> = Vec::with_capacity(arguments.len());
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
            Some((flag, true)) => plain.push(flag.into()),
            // The last one counts.
            Some((flag, false)) => plain.retain(|before| *before != *flag),
            None => plain.push(argument),
        }
    }
    plain
}

/// The flag alone, and the truth it is given.
fn value(text: &str, command: &Command, program: &Command) -> Option<(String, bool)> {
    let (flag, value) = text.split_once('=')?;
    let long = flag.strip_prefix("--")?;
    let mut known = command.get_arguments().chain(program.get_arguments());
    let is_plain =
        known.any(|known| known.get_long() == Some(long) && matches!(known.get_action(), ArgAction::SetTrue));
    let truth = match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
        "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
        _ => return None,
    };
    is_plain.then(|| (flag.to_owned(), truth))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Arguments;

    fn check(given: &str, expected: &str) {
        let arguments = given.split(' ').map(OsString::from).collect();
        let plain: Vec<String> = plain(arguments, &Arguments::command())
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        assert_eq!(plain.join(" "), expected);
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
