//! Adds candidates for values to the command line. The arguments themselves do not depend on completion.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use clap::{Arg, ArgAction, Command, CommandFactory as _, ValueHint};
use clap_complete::{
    CompletionCandidate, PathCompleter,
    engine::{ArgValueCompleter, ValueCompleter as _},
};

use super::candidates;
use crate::{
    args::{self, Arguments, environment::VARIABLES},
    output::{is_hidden, visible},
};

/// The command for these words; without descriptions if `is_plain`.
pub(super) fn command(words: &[OsString], is_plain: bool) -> Command {
    let cluster = args::Cluster {
        kubeconfig: given(words, "kubeconfig").map(PathBuf::from),
        context: given(words, "context").and_then(|context| context.into_string().ok()),
    };
    with_values(Arguments::command(), &cluster, is_plain)
}

/// Value of a flag on the command line, or of its environment variable.
fn given(words: &[OsString], name: &str) -> Option<OsString> {
    let variable = VARIABLES.iter().find(|(flag, _)| *flag == name);
    flag(words, &format!("--{name}"))
        .or_else(|| std::env::var_os(variable?.1))
        .filter(|value| !value.is_empty())
}

/// Value of a flag among the words.
fn flag(words: &[OsString], name: &str) -> Option<OsString> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == name {
            return words.next().filter(|value| !value.is_empty()).cloned();
        }
        let attached = word
            .to_str()
            .and_then(|word| word.strip_prefix(name)?.strip_prefix('='));
        if let Some(value) = attached.filter(|value| !value.is_empty()) {
            return Some(value.into());
        }
    }
    None
}

fn with_values(command: Command, cluster: &args::Cluster, is_plain: bool) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let mut command = command;
    for name in names {
        command = command.mut_subcommand(name, |command| {
            let command = if is_plain { command.about(None::<&str>) } else { command };
            with_values(command, cluster, is_plain)
        });
    }
    command.mut_args(|argument| {
        let argument = if is_plain {
            argument.help(None::<&str>)
        } else {
            argument
        };
        with_value(argument, cluster)
    })
}

fn with_value(argument: Arg, cluster: &args::Cluster) -> Arg {
    if !matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) {
        return argument;
    }
    let value_name = argument
        .get_value_names()
        .and_then(|names| names.first().map(ToString::to_string));
    match (argument.get_long(), value_name.as_deref()) {
        (Some("namespace"), _) => {
            let cluster = cluster.clone();
            argument.add(ArgValueCompleter::new(move |start: &OsStr| {
                fitting(start, candidates::namespaces(&cluster))
            }))
        }
        (Some("context"), _) => {
            let kubeconfig = cluster.kubeconfig.clone();
            argument.add(ArgValueCompleter::new(move |start: &OsStr| {
                fitting(start, candidates::contexts(kubeconfig.as_deref()))
            }))
        }
        (Some("plugin"), _) => argument.add(ArgValueCompleter::new(|start: &OsStr| {
            let mut found = fitting(start, candidates::plugins());
            found.extend(PathCompleter::any().complete(start));
            found
        })),
        (Some("mode"), _) if argument.get_possible_values().is_empty() => {
            argument.add(ArgValueCompleter::new(|start: &OsStr| {
                fitting(start, candidates::modes())
            }))
        }
        (None, Some("PLUGIN")) => argument.add(ArgValueCompleter::new(|start: &OsStr| {
            fitting(start, candidates::installed())
        })),
        (_, Some("FILE" | "SOURCE" | "ARCHIVE" | "PATH")) => argument.value_hint(ValueHint::AnyPath),
        (_, Some("DIRECTORY" | "DIR")) => argument.value_hint(ValueHint::DirPath),
        _ => argument,
    }
}

fn fitting(start: &OsStr, values: Vec<(String, String)>) -> Vec<CompletionCandidate> {
    let Some(start) = start.to_str() else { return Vec::new() };
    // A line end in a candidate would begin another candidate.
    let fitting = values
        .into_iter()
        .filter(|(value, _)| value.starts_with(start) && !value.chars().any(is_hidden));
    fitting
        .map(|(value, help)| {
            let help = (!help.is_empty()).then(|| visible(&help).into_owned().into());
            CompletionCandidate::new(value).help(help)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_among_the_words_are_read() {
        let words: Vec<OsString> = ["sono", "run", "--context=c", "--kubeconfig", "k", "-n", ""]
            .map(Into::into)
            .to_vec();
        assert_eq!(flag(&words, "--context"), Some("c".into()));
        assert_eq!(flag(&words, "--kubeconfig"), Some("k".into()));
        assert_eq!(flag(&words, "--namespace"), None);
    }
}
