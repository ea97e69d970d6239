//! The flags given on the command line.

use std::{ffi::OsStr, path::Path};

use clap::{ArgMatches, Command, parser::ValueSource};

/// Program name that selects compatibility with Sonobuoy.
const SONOBUOY: &str = "sonobuoy";

/// Long names of flags on the command line, in the order of the help.
///
/// Hidden flags have no effect, so they are listed separately.
#[derive(Debug, Clone, Default)]
pub(crate) struct GivenFlags {
    flags: Vec<String>,
    /// Hidden flags, with their help texts.
    hidden: Vec<(String, String)>,
    as_sonobuoy: bool,
}

impl GivenFlags {
    /// Flags in `matches`, which `command` has parsed. `program` is the name by which the program was called.
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

    /// Whether the program was called as `sonobuoy`. Scripts that do so may expect Sonobuoy's object names.
    pub(crate) fn as_sonobuoy(&self) -> bool {
        self.as_sonobuoy
    }

    /// Program name for hints.
    pub(crate) fn program(&self) -> &'static str {
        if self.as_sonobuoy { SONOBUOY } else { "sono" }
    }

    /// All flags except `known`.
    pub(crate) fn except(&self, known: &[&str]) -> impl Iterator<Item = &str> {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        self.flags
            .iter()
            .filter(move |flag| !known.contains(flag))
            .map(String::as_str)
    }

    /// Hidden flags with this help text.
    pub(crate) fn hidden(&self, help: &str) -> impl Iterator<Item = &str> {
        let matching = self.hidden.iter().filter(move |(_, text)| text == help);
        matching.map(|(flag, _)| flag.as_str())
    }

    /// The first given flag among `candidates`.
    pub(crate) fn first_of(&self, candidates: &[&str]) -> Option<&str> {
        self.flags
            .iter()
            .map(String::as_str)
            .find(|flag| candidates.contains(flag))
    }

    /// Whether `flag` was given.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }
}
