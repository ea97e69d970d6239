//! Flags before the command name: `sono --kubeconfig X -n N status --json` (cli §1.1).

use std::{collections::BTreeSet, ffi::OsString};

use clap::{Arg, ArgAction, Command};

/// Moves flags in front of a command's name behind it, also for subcommands (`gen config`). Arguments without a command
/// stay unchanged.
pub(crate) fn reorder(arguments: Vec<OsString>, program: &Command) -> Vec<OsString> {
    let mut arguments = arguments;
    let mut command = program;
    let mut start = 1;
    while let Some(next) = move_name(&mut arguments, start, command, program) {
        command = next;
        start += 1;
    }
    arguments
}

/// Moves the name of a subcommand to `start`, if one follows after flags.
fn move_name<'program>(
    arguments: &mut Vec<OsString>,
    start: usize,
    command: &'program Command,
    program: &Command,
) -> Option<&'program Command> {
    let named = |argument: &OsString| {
        let text = argument.to_str()?;
        command
            .get_subcommands()
            .find(|known| known.get_name() == text || known.get_all_aliases().any(|alias| alias == text))
    };
    let mut at = start;
    while let Some(argument) = arguments.get(at) {
        let text = argument.to_string_lossy();
        if !text.starts_with('-') || text == "--" {
            break;
        }
        let next_is_name = arguments.get(at + 1).is_some_and(|next| named(next).is_some());
        at += match takes_value(&text, command, program) {
            Value::Always => 2,
            Value::Sometimes if !next_is_name => 2,
            _ => 1,
        };
    }
    let found = named(arguments.get(at)?)?;
    let name = arguments.remove(at);
    arguments.insert(start, name);
    Some(found)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Never,
    /// In some commands only, or optionally.
    Sometimes,
    Always,
}

/// Whether the next argument is the value of `flag`.
fn takes_value(flag: &str, command: &Command, program: &Command) -> Value {
    let flags = program.get_arguments().chain(all_arguments(command));
    let mut kinds = BTreeSet::new();
    for known in flags.filter(|known| matches_flag(known, flag)) {
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

/// Arguments of the command and all its subcommands.
fn all_arguments(command: &Command) -> Vec<&Arg> {
    let within = command.get_subcommands().flat_map(all_arguments);
    command.get_arguments().chain(within).collect()
}

/// Whether `flag` is `known` as `--long` or `-s`, without an attached value.
fn matches_flag(known: &Arg, flag: &str) -> bool {
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
    fn flags_before_the_command_are_moved_behind_it() {
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
        check("sono gen --namespace N config", "sono gen config --namespace N");
        check(
            "sono -n N gen --level debug plugin -p x e2e",
            "sono gen plugin e2e -n N --level debug -p x",
        );
        check("sono gen -p config", "sono gen -p config");
    }

    #[test]
    fn arguments_without_a_command_are_unchanged() {
        check("sono --help", "sono --help");
        check("sono --kubeconfig status", "sono --kubeconfig status");
        check("sono --bogus", "sono --bogus");
    }
}
