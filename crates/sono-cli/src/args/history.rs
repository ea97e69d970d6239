//! `sono history`, and the flags of other commands that use the history.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  sono history list                        the runs, newest first
  sono history flakes                      flaky and broken tests
  sono history show 'DNS should resolve'   one test over all runs
  sono history add *.tar.gz                archives of earlier runs";

/// Where the history is.
#[derive(Debug, Clone, Args)]
pub struct HistoryPlace {
    /// Directory of the history [default: SONO_HISTORY, or sono/history in the user's state directory]
    #[arg(long = "history", value_name = "DIR", hide_short_help = true)]
    pub directory: Option<PathBuf>,
}

/// Whether and where a run is recorded.
#[derive(Debug, Clone, Args)]
pub struct Recording {
    #[command(flatten)]
    pub place: HistoryPlace,
    /// Do not record the run in the history; same as SONO_HISTORY=off
    #[arg(long, hide_short_help = true, conflicts_with = "directory")]
    pub no_history: bool,
}

/// Runs that are judged.
#[derive(Debug, Clone, Args)]
pub struct HistorySelection {
    #[command(flatten)]
    pub place: HistoryPlace,
    /// Runs on the cluster whose id starts with this text [default: the cluster of the newest run]
    #[arg(long, value_name = "ID", conflicts_with = "all_clusters")]
    pub cluster: Option<String>,
    /// Runs on all clusters, as if they were one
    #[arg(long)]
    pub all_clusters: bool,
    /// Only this plugin
    #[arg(short, long, value_name = "NAME")]
    pub plugin: Option<String>,
}

/// `sono history`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct History {
    /// Action.
    #[command(subcommand)]
    pub action: HistoryAction,
}

/// Action on the history.
#[derive(Debug, Subcommand)]
pub enum HistoryAction {
    /// List the runs, newest first
    List(HistoryList),
    /// Show the outcomes of a test over the runs
    Show(HistoryShow),
    /// Show which tests are flaky, and which are broken since when
    Flakes(HistoryFlakes),
    /// Record the runs in archives, sorted by their start
    Add(HistoryAdd),
    /// Remove runs
    Prune(HistoryPrune),
    /// Print the outcome of each test in each run
    Export(HistoryExport),
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HistoryOutput {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Output format of flaky tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FlakesOutput {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For a comment or an issue.
    Markdown,
}

/// Format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One object in each line.
    Json,
    /// A header and one row for each outcome.
    Csv,
}

/// `sono history list`
#[derive(Debug, Args)]
pub struct HistoryList {
    #[command(flatten)]
    pub place: HistoryPlace,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = HistoryOutput::Table)]
    pub output: HistoryOutput,
}

/// `sono history show`
#[derive(Debug, Args)]
pub struct HistoryShow {
    /// Name, id or part of the name of a test
    #[arg(value_name = "TEST")]
    pub test: String,
    #[command(flatten)]
    pub selection: HistorySelection,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = HistoryOutput::Table)]
    pub output: HistoryOutput,
}

/// `sono history flakes`
#[derive(Debug, Args)]
pub struct HistoryFlakes {
    #[command(flatten)]
    pub selection: HistorySelection,
    /// Output format: table or markdown for people, json for programs
    #[arg(short, long, value_enum, default_value_t = FlakesOutput::Table)]
    pub output: FlakesOutput,
}

/// `sono history add`
#[derive(Debug, Args)]
pub struct HistoryAdd {
    /// Archives of sono or Sonobuoy, or directories with extracted archives
    #[arg(value_name = "ARCHIVE", required = true)]
    pub archives: Vec<PathBuf>,
    #[command(flatten)]
    pub place: HistoryPlace,
    /// Read archives of any size, without a memory limit
    #[arg(long)]
    pub no_limits: bool,
}

/// `sono history prune`
#[derive(Debug, Args)]
pub struct HistoryPrune {
    #[command(flatten)]
    pub place: HistoryPlace,
    /// Number of newest runs of each cluster to retain
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    pub keep: usize,
    /// Maximum age of runs in days; the newest 20 runs of each cluster are retained at any age
    #[arg(long, value_name = "DAYS", default_value_t = 180)]
    pub days: u32,
}

/// `sono history export`
#[derive(Debug, Args)]
pub struct HistoryExport {
    #[command(flatten)]
    pub selection: HistorySelection,
    /// Format
    #[arg(short, long, value_enum, default_value_t = ExportFormat::Json)]
    pub output: ExportFormat,
}
