//! Global flags.

use clap::{Arg, Args, Command, ValueEnum};
use sono_log::KlogFlags;

/// Global flags.
#[derive(Debug, Args)]
pub struct Common {
    /// Log level, from panic to trace.
    ///
    /// -v means debug. `run` and `gen` also set the level of the aggregator.
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL", hide_possible_values = true,
        value_parser = sono_log::LEVELS, help_heading = "Global")]
    pub level: String,
    /// Print only data and errors
    #[arg(short, long, global = true, help_heading = "Global")]
    pub quiet: bool,
    /// Whether to print colours
    #[arg(long, value_enum, value_name = "WHEN", global = true, ignore_case = true, default_value_t = Colour::Auto, help_heading = "Global", hide_short_help = true)]
    pub color: Colour,
    /// Deprecated: prints a warning and has no other effect.
    #[arg(short, long, hide = true, global = true)]
    pub debug: bool,
    /// Verbosity of klog. Only the flag without a number has an effect.
    #[arg(long = "v", short = 'v', hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = DEBUG)]
    verbosity: Option<String>,
    #[command(flatten)]
    klog: KlogFlags,
}

impl Common {
    /// Log level: `-v` without a number stands for debug.
    pub fn level(&self) -> &str {
        match self.verbosity.as_deref() {
            Some(DEBUG) => DEBUG,
            _ => &self.level,
        }
    }
}

/// Whether to print colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Also into files and pipes.
    Always,
    /// Not at all.
    Never,
}

const DEBUG: &str = "debug";

/// Commands that start an aggregator, whose log has the level too.
const WITH_AGGREGATOR: [&[&str]; 2] = [&["run"], &["gen"]];

/// Commands that write no log records. Scripts may pass `--level` to them, as to all commands of Sonobuoy.
const WITHOUT_LOG: [&[&str]; 14] = [
    &["gen", "plugin"],
    &["gen", "default-image-config"],
    &["results"],
    &["e2e"],
    &["modes"],
    &["completion"],
    &["plugin", "uninstall"],
    &["plugin", "list"],
    &["plugin", "show"],
    &["plugin", "lint"],
    &["conformance", "list"],
    &["conformance", "check"],
    &["conformance", "submit"],
    &["conformance", "product", "init"],
];

/// Describes `--level` for each command, and hides it where it has no effect.
pub(crate) fn describe_level(program: Command) -> Command {
    let Some(level) = program.get_arguments().find(|arg| arg.get_id() == "level").cloned() else {
        return program;
    };
    let of_aggregator = level
        .clone()
        .help("Log level of sono and of the aggregator, from panic to trace")
        .hide_short_help(true);
    let with = WITH_AGGREGATOR
        .iter()
        .fold(program, |program, path| set(program, path, &of_aggregator));
    let hidden = level.hide(true);
    WITHOUT_LOG
        .iter()
        .fold(with, |program, path| set(program, path, &hidden))
}

/// Adds an argument to the command with this path.
fn set(command: Command, path: &[&str], arg: &Arg) -> Command {
    match path {
        [] => command.arg(arg.clone()),
        [first, rest @ ..] if command.find_subcommand(first).is_some() => {
            command.mut_subcommand(*first, |below| set(below, rest, arg))
        }
        _ => command,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Arguments;

    fn has<'a>(command: &'a Command, path: &[&str]) -> Option<&'a Command> {
        path.iter()
            .try_fold(command, |command, name| command.find_subcommand(name))
    }

    #[test]
    fn level_is_shown_where_it_has_an_effect() {
        let mut program = describe_level(Arguments::command());
        program.build();
        let help = |path: &[&str]| {
            let level = has(&program, path)?
                .get_arguments()
                .find(|arg| arg.get_id() == "level")?;
            (!level.is_hide_set()).then(|| level.get_help().unwrap().to_string())
        };
        for path in WITHOUT_LOG {
            assert!(has(&program, path).is_some(), "{path:?}");
            assert_eq!(help(path), None, "{path:?}");
        }
        let own = "Log level, from panic to trace";
        for path in [
            &["status"][..],
            &["retrieve"],
            &["delete"],
            &["images", "pull"],
            &["plugin", "test"],
            &["get", "pod"],
        ] {
            assert_eq!(help(path).as_deref(), Some(own), "{path:?}");
        }
        for path in WITH_AGGREGATOR {
            assert_eq!(
                help(path).as_deref(),
                Some("Log level of sono and of the aggregator, from panic to trace")
            );
        }
        // It is accepted everywhere.
        for words in [
            &["sono", "modes", "--level", "debug"][..],
            &["sono", "--level", "debug", "modes"],
        ] {
            let matches = program.clone().try_get_matches_from(words).unwrap();
            assert_eq!(
                matches.get_one::<String>("level").map(String::as_str),
                Some("debug"),
                "{words:?}"
            );
        }
    }
}
