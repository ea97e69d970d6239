//! A command's flags may come before its name: `sono --kubeconfig X -n N status --json` (cli spec §1.1).

use std::{collections::BTreeSet, ffi::OsString};

use clap::{Arg, ArgAction, Command};

/// Moves what stands in front of the command's name behind it. Arguments without a command stay as they are.
pub(crate) fn reorder(arguments: Vec<OsString>, program: &Command) -> Vec<OsString> {
    let names: BTreeSet<&str> = program.get_subcommands().map(Command::get_name).collect();
    let is_name = |argument: &OsString| argument.to_str().is_some_and(|text| names.contains(text));
    let mut at = 1;
    while let Some(argument) = arguments.get(at) {
        let text = argument.to_string_lossy();
        if !text.starts_with('-') || text == "--" {
            break;
        }
        let next_is_name = arguments.get(at + 1).is_some_and(is_name);
        at += match takes_value(&text, program) {
            Value::Always => 2,
            Value::Sometimes if !next_is_name => 2,
            _ => 1,
        };
    }
    if at < 2 || !arguments.get(at).is_some_and(is_name) {
        return arguments;
    }
    let mut reordered = arguments;
    let name = reordered.remove(at);
    reordered.insert(1, name);
    reordered
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Never,
    /// Of some commands, or where one is given.
    Sometimes,
    Always,
}

/// Whether the next argument belongs to this one.
fn takes_value(flag: &str, program: &Command) -> Value {
    let flags = program
        .get_arguments()
        .chain(program.get_subcommands().flat_map(Command::get_arguments));
    let mut kinds = BTreeSet::new();
    for known in flags.filter(|known| is_meant(known, flag)) {
        let optional = known.get_num_args().is_some_and(|range| range.min_values() == 0);
        let equals_only = known.is_require_equals_set();
        let kind = match known.get_action() {
            ArgAction::Set | ArgAction::Append if equals_only => 0,
            ArgAction::Set | ArgAction::Append if optional => 1,
            ArgAction::Set | ArgAction::Append => 2,
            _ => 0,
        };
        kinds.insert(kind);
    }
    match (kinds.first(), kinds.last()) {
        (Some(2), Some(2)) => Value::Always,
        (_, Some(1 | 2)) => Value::Sometimes,
        _ => Value::Never,
    }
}

/// `--long`, or `-s` alone; with a value attached none follows.
fn is_meant(known: &Arg, flag: &str) -> bool {
    if let Some(long) = flag.strip_prefix("--") {
        return known.get_long() == Some(long);
    }
    let mut letters = flag.chars().skip(1);
    letters.next() == known.get_short() && known.get_short().is_some() && letters.next().is_none()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Arguments;

    fn check(given: &str, expected: &str) {
        let arguments = given.split(' ').map(OsString::from).collect();
        let reordered: Vec<String> = reorder(arguments, &Arguments::command())
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        assert_eq!(reordered.join(" "), expected);
    }

    #[test]
    fn flags_move_behind_the_command() {
        check("sono status --json", "sono status --json");
        check(
            "sono --kubeconfig X --namespace run status --json",
            "sono status --kubeconfig X --namespace run --json",
        );
        check("sono -n=N --level=debug run -p x", "sono run -n=N --level=debug -p x");
        check("sono --json status", "sono status --json");
        check("sono --wait run", "sono run --wait");
        check("sono --wait 10 run", "sono run --wait 10");
        check("sono -f logs", "sono logs -f");
        check("sono -f out.tar.gz retrieve", "sono retrieve -f out.tar.gz");
        check("sono --logtostderr version", "sono version --logtostderr");
    }

    #[test]
    fn without_a_command_nothing_moves() {
        check("sono --help", "sono --help");
        check("sono --kubeconfig status", "sono --kubeconfig status");
        check("sono --bogus", "sono --bogus");
    }
}
