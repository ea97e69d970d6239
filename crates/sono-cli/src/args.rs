//! Arguments as clap parses them: one file for each command, and for each group of shared flags. No actions.

mod addresses;
mod aggregator;
pub(crate) mod booleans;
mod changes;
mod cluster;
pub(crate) mod common;
mod completion;
mod conformance;
mod delete;
mod diff;
mod document;
mod e2e;
pub(crate) mod environment;
pub(crate) mod flags_first;
mod r#gen;
mod gen_plugin;
mod get;
mod given;
mod history;
mod host_check;
mod images;
mod kubernetes_name;
mod list;
mod logs;
mod modes;
mod plugin;
mod preflight;
mod query;
mod redact;
mod report;
mod results;
mod retrieve;
mod rules;
mod run;
mod run_flags;
pub(crate) mod run_flags_of_wait;
mod status;
mod version;
mod wait;
mod wait_time;
mod waivers;
mod why;

pub use addresses::Addresses;
pub(crate) use aggregator::TAINT_EFFECTS;
pub use aggregator::{Aggregator, Toleration};
pub use changes::{Changes, Pair, Variable};
use clap::{Parser, Subcommand};
pub use cluster::{Cluster, RunLocation};
pub use common::{Colour, Common};
pub use completion::{Completion, Shell};
pub use conformance::{
    Conformance, ConformanceAction, ConformanceCheck, ConformanceList, ConformanceMode, ConformanceOutput,
    ConformanceProduct, ConformanceProductAction, ConformanceProductInit, ConformanceSubmit, ConformanceVersion,
};
pub use delete::{Delete, DeleteRoles};
pub use diff::{Diff, DiffOutput};
pub use document::{Document, DocumentKind};
pub use e2e::{E2e, E2eMode};
pub use r#gen::{Gen, GenDefaultImageConfig, GenFlags, GenWhat};
pub use gen_plugin::{GenBuiltIn, GenBuiltInFlags, GenPlugin};
pub use get::{Get, GetPod, GetWhat};
pub(crate) use given::GivenFlags;
pub use history::{
    ExportFormat, FlakesOutput, History, HistoryAction, HistoryAdd, HistoryExport, HistoryFlakes, HistoryList,
    HistoryOutput, HistoryPlace, HistoryPrune, HistorySelection, HistoryShow, Recording,
};
pub use host_check::HostCheck;
pub use images::{
    Images, ImagesAccess, ImagesAction, ImagesDelete, ImagesDownload, ImagesInspect, ImagesList, ImagesOutput,
    ImagesPlatforms, ImagesPull, ImagesPush, ImagesRenaming, ImagesSelection, ImagesStore,
};
pub use list::{List, ListOutput};
pub use logs::Logs;
pub use modes::Modes;
pub use plugin::{
    Plugin, PluginAction, PluginInstall, PluginLint, PluginList, PluginOutput, PluginShow, PluginTest, PluginUninstall,
};
pub use preflight::Preflight;
pub use query::Query;
pub use redact::{Identifying, KnownSource, Redact, RedactAction, RedactVerify};
pub use report::Report;
pub use results::{Results, ResultsMode, ResultsOutput};
pub use retrieve::Retrieve;
pub use rules::{Rules, RulesAction, RulesLint, RulesList, RulesOutput, RulesTest};
pub use run::{Canaries, Run, RunArchive};
pub use run_flags::RunFlags;
pub use status::{Status, StatusOutput};
pub use version::{Version, VersionOutput};
pub use wait::{Wait, WaitOutput};
pub use wait_time::{Seconds, WaitTime};
pub use waivers::{Waivers, WaiversAction, WaiversLint, WaiversOutput, WaiversUnused};
pub use why::{Why, WhyOutput};

/// Version of this program.
pub(crate) const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// Run diagnostic and conformance plugins on a Kubernetes cluster or on this machine, and retrieve one archive of results.
#[derive(Debug, Parser)]
#[command(
    name = "sono",
    version = VERSION,
    disable_version_flag = true,
    args_override_self = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    /// Print the version
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    pub version: Option<bool>,
    /// Command to run.
    #[command(subcommand)]
    pub command: Command,
    /// Global flags.
    #[command(flatten)]
    pub common: Common,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a run
    Run(Box<Run>),
    /// Print the objects that `run` would create, as YAML
    Gen(Box<Gen>),
    /// Show the progress of a run
    Status(Status),
    /// List the runs in all namespaces
    List(List),
    /// Wait until a run is complete
    Wait(Wait),
    /// Print the logs of the aggregator and the plugins
    Logs(Logs),
    /// Retrieve the archive of a complete run
    Retrieve(Retrieve),
    /// Show the results in an archive
    Results(Results),
    /// Show the causes of the failures in an archive
    Why(Why),
    /// Write a report about the run in an archive, one HTML file
    Report(Report),
    /// Show what changed between two runs
    Diff(Diff),
    /// Show runs of the past, and which tests are flaky or broken
    History(History),
    /// Check accepted failures
    Waivers(Waivers),
    /// List and check the rules that `why` applies
    Rules(Rules),
    /// Save the objects and logs of a cluster to a directory or an archive, without a run
    Query(Query),
    /// Write an archive again without its secrets, or search it for secrets
    Redact(Redact),
    /// Print the names of pods
    Get(Get),
    /// Delete everything that a run created
    Delete(Delete),
    /// List, copy and inspect the images that a run needs, without a container engine
    Images(Box<Images>),
    /// List the Kubernetes tests in an archive or a file
    E2e(E2e),
    /// List required tests, and judge and write conformance submissions
    Conformance(Conformance),
    /// List the modes of Kubernetes tests for --mode
    Modes(Modes),
    /// Install, show and check plugin definitions
    #[command(visible_alias = "plugins")]
    Plugin(Plugin),
    /// Print the version
    Version(Version),
    /// Print a shell completion script for commands, flags and values
    Completion(Completion),
    /// Write generated documents.
    #[command(name = "__document", hide = true)]
    Document(Document),
    /// Run the built-in plugin host-check.
    #[command(hide = true, disable_help_flag = true)]
    HostCheck(HostCheck),
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction, Command, CommandFactory as _};

    use super::*;

    /// All commands below `command`, each with its path.
    fn all<'a>(path: &[&'a str], command: &'a Command, found: &mut Vec<(Vec<&'a str>, &'a Command)>) {
        for within in command.get_subcommands() {
            let path = [path, &[within.get_name()]].concat();
            all(&path, within, found);
            found.push((path, within));
        }
    }

    fn typed(flag: &Arg) -> Option<String> {
        let long = flag.get_long()?;
        let value = flag.get_possible_values();
        let value = value.first().map_or("1", |value| value.get_name());
        match flag.get_action() {
            ArgAction::Set => Some(format!("--{long}={value}")),
            ArgAction::SetTrue => Some(format!("--{long}")),
            _ => None,
        }
    }

    /// As with Sonobuoy, the last one applies: a repeated flag causes no error of its own.
    #[test]
    fn every_flag_may_be_repeated() {
        let mut program = run_flags_of_wait::accept_run_flags(Arguments::command());
        program.build();
        let mut commands = Vec::new();
        all(&[], &program, &mut commands);
        let mut tried = 0;
        for (path, command) in commands {
            for flag in command.get_arguments().filter_map(typed) {
                let outcome = |times: usize| {
                    let words = std::iter::once("sono").chain(path.iter().copied());
                    let words = words.chain(std::iter::repeat_n(flag.as_str(), times));
                    program
                        .clone()
                        .try_get_matches_from(words)
                        .map_err(|error| error.kind())
                        .err()
                };
                assert_eq!(outcome(1), outcome(2), "{path:?} {flag}");
                tried += 1;
            }
        }
        assert!(tried > 500, "{tried}");
    }
}
