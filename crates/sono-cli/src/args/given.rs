//! Which flags were given, and where: on the command line, or by a variable.

use std::{ffi::OsStr, path::Path};

use clap::{ArgMatches, Command, parser::ValueSource};

/// The name of the program that ours takes the place of.
const SONOBUOY: &str = "sonobuoy";

/// The long names of flags on the command line, in the order of the help. Hidden ones have no effect, so they do not
/// count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    flags: Vec<String>,
    /// The hidden ones, with what their help says.
    hidden: Vec<(String, String)>,
    as_sonobuoy: bool,
}

impl Given {
    /// `command` has parsed the `matches`; the program was called as `program`.
    pub(crate) fn new(program: Option<&OsStr>, command: &Command, matches: &ArgMatches) -> Self {
        let name = program.and_then(|program| Path::new(program).file_stem());
        let (mut command, mut matches) = (command, matches);
        while let Some((name, within)) = matches.subcommand() {
            let Some(next) = command.find_subcommand(name) else {
                break;
            };
            (command, matches) = (next, within);
        }
        let on_line =
            |known: &&clap::Arg| matches.value_source(known.get_id().as_str()) == Some(ValueSource::CommandLine);
        let flags = command
            .get_arguments()
            .filter(|known| !known.is_hide_set())
            .filter(on_line)
            .filter_map(|known| known.get_long().map(ToOwned::to_owned))
            .collect();
        let hidden = command
            .get_arguments()
            .filter(|known| known.is_hide_set())
            .filter(on_line);
        let help = |known: &clap::Arg| known.get_help().map(ToString::to_string).unwrap_or_default();
        let hidden = hidden
            .filter_map(|known| Some((known.get_long()?.to_owned(), help(known))))
            .collect();
        Self {
            flags,
            hidden,
            as_sonobuoy: name.is_some_and(|name| name == SONOBUOY),
        }
    }

    /// Whether the program goes by the name of the one whose place it takes: whoever calls it so may know objects of a run by
    /// the names that they have there.
    pub(crate) fn as_sonobuoy(&self) -> bool {
        self.as_sonobuoy
    }

    /// What a person types to call the program.
    pub(crate) fn program(&self) -> &'static str {
        if self.as_sonobuoy { SONOBUOY } else { "sono" }
    }

    /// Those that are none of `known`.
    pub(crate) fn besides(&self, known: &[&str]) -> impl Iterator<Item = &str> {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        self.flags
            .iter()
            .filter(move |flag| !known.contains(flag))
            .map(String::as_str)
    }

    /// Hidden ones whose help says this.
    pub(crate) fn hidden(&self, help: &str) -> impl Iterator<Item = &str> {
        let wanted = self.hidden.iter().filter(move |(_, says)| says == help);
        wanted.map(|(flag, _)| flag.as_str())
    }

    /// The first that is one of `wanted`.
    pub(crate) fn first_of(&self, wanted: &[&str]) -> Option<&str> {
        self.flags.iter().map(String::as_str).find(|flag| wanted.contains(flag))
    }

    /// Whether this one was given.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }
}
