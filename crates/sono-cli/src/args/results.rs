//! `sono results`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::HistoryPlace;

const EXAMPLES: &str = "\
Examples:
  sono results                           the newest archive in the current directory
  sono results ARCHIVE --skip-passed     only what did not pass
  sono results ARCHIVE --since latest~1  mark failures that are new or known
  sono results ARCHIVE -o junit          a file for CI systems
  sono why ARCHIVE                       the causes of the failures
  sono logs --archive ARCHIVE --failed   the logs of failed containers";

/// `sono results`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Results {
    /// Archive, or directory with an extracted archive [default: the newest archive in the current directory]
    pub archive: Option<PathBuf>,
    /// Show only this plugin; `sonobuoy` means the cluster's health
    #[arg(short, long, value_name = "NAME")]
    pub plugin: Option<String>,
    /// Amount of detail [default: a report; on a terminal it includes failures]
    #[arg(short, long, value_enum, conflicts_with = "output")]
    pub mode: Option<ResultsMode>,
    /// Show only this node, or another item with this name in the tree
    #[arg(short, long, value_name = "NAME")]
    pub node: Option<String>,
    /// Omit the line before each file in detailed mode
    #[arg(short, long)]
    pub skip_prefix: bool,
    /// Output format: table or markdown for people, the others for programs
    #[arg(short, long, value_enum)]
    pub output: Option<ResultsOutput>,
    /// Show only items with names that match
    #[arg(long, value_name = "REGEX")]
    pub name: Option<String>,
    /// Show only items with one of these statuses, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub status: Vec<String>,
    /// Omit passed and skipped items
    #[arg(long)]
    pub skip_passed: bool,
    /// Exit with a code for the outcome.
    ///
    /// 3: a result failed, 4: a result is unknown.
    #[arg(long)]
    pub exit_code: bool,
    /// Read archives of any size, without a memory limit
    #[arg(long)]
    pub no_limits: bool,
    /// Add the causes of the failures, as `sono why` does
    #[arg(long)]
    pub why: bool,
    /// Mark each failure with what it did in an earlier run: latest~1, or the id of a run in the history
    #[arg(long, value_name = "RUN")]
    pub since: Option<String>,
    /// Accepted failures: they are struck through, and --exit-code follows the others
    #[arg(long, value_name = "FILE")]
    pub waivers: Option<PathBuf>,
    #[command(flatten)]
    pub place: HistoryPlace,
}

/// Amount of detail of `results`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResultsMode {
    /// Counts and failed items.
    Report,
    /// One line of JSON for each item, or its file.
    Detailed,
    /// Same as dump, with line breaks and tabs unescaped.
    Readable,
    /// Stored YAML.
    Dump,
}

/// Output format of all results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResultsOutput {
    /// Verdict, and each failure with its cause.
    Table,
    /// Plugins and their items.
    Json,
    /// The same as YAML.
    Yaml,
    /// One test suite for each plugin.
    Junit,
    /// For the summary of a CI job.
    Markdown,
}
