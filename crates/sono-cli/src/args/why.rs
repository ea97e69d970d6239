//! `sono why`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RunLocation;

const EXAMPLES: &str = "\
Examples:
  sono why                                   the newest archive in the current directory
  sono why ARCHIVE                           all causes, the most frequent first
  sono why ARCHIVE image-unavailable         the failures with this cause
  sono why ARCHIVE 'DNS should provide'      one failure with its evidence
  sono why ARCHIVE unexplained -o markdown   the failures without a known cause
  sono why --run                             the run in the cluster";

/// `sono why`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Why {
    /// Archive, or directory with an extracted archive [default: the newest archive in the current directory]
    pub archive: Option<PathBuf>,
    /// Cause, part of the name of a test, or the word `unexplained` [default: all causes]
    #[arg(value_name = "TEST|CAUSE")]
    pub subject: Option<String>,
    /// Explain the complete run in the cluster: its archive is retrieved into a temporary directory
    #[arg(long)]
    pub run: bool,
    #[command(flatten)]
    pub location: RunLocation,
    /// Read only this plugin
    #[arg(short, long, value_name = "NAME")]
    pub plugin: Option<String>,
    /// Output format: table or markdown for people, json for programs
    #[arg(short, long, value_enum, default_value_t = WhyOutput::Table)]
    pub output: WhyOutput,
    /// Rules to try first; a rule replaces the one with the same id
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Read archives of any size, without a memory limit
    #[arg(long)]
    pub no_limits: bool,
}

/// Output format of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhyOutput {
    /// Causes, or one failure with its evidence.
    Table,
    /// The same for programs.
    Json,
    /// For a comment or an issue.
    Markdown,
}
