//! `sono waivers`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::HistoryPlace;

const EXAMPLES: &str = "\
Examples:
  sono waivers lint waivers.yaml               problems and expired waivers
  sono waivers unused waivers.yaml ARCHIVE     waivers that this run does not need
  sono results ARCHIVE --waivers waivers.yaml --exit-code";

/// `sono waivers`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Waivers {
    /// Action.
    #[command(subcommand)]
    pub action: WaiversAction,
}

/// Action on waivers.
#[derive(Debug, Subcommand)]
pub enum WaiversAction {
    /// Check a waiver file and list expired waivers; exit code 3 if one is found
    Lint(WaiversLint),
    /// Find waivers that are unused, too wide, or whose tests pass; exit code 3 if one is found
    Unused(WaiversUnused),
}

/// Output format of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WaiversOutput {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// `sono waivers lint`
#[derive(Debug, Args)]
pub struct WaiversLint {
    /// Waiver file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = WaiversOutput::Table)]
    pub output: WaiversOutput,
}

/// `sono waivers unused`
#[derive(Debug, Args)]
pub struct WaiversUnused {
    /// Waiver file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Archives of runs [default: all runs in the history]
    #[arg(value_name = "ARCHIVE")]
    pub archives: Vec<PathBuf>,
    #[command(flatten)]
    pub place: HistoryPlace,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = WaiversOutput::Table)]
    pub output: WaiversOutput,
}
