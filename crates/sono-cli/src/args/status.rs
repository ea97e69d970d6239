//! `sono status`.

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};

use super::RunLocation;

const EXAMPLES: &str = "\
Examples:
  sono status                            the newest run in the namespace
  sono status -w                         print it again whenever it changes
  sono status -A                         the runs in all namespaces
  sono status -o json                    for programs, with the reason for each problem";

/// `sono status`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    #[command(flatten)]
    pub location: RunLocation,
    /// ID of the run [default: the newest in the namespace]
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// Print JSON as Sonobuoy does, without the states of pods; until a status exists, print a message
    #[arg(long, conflicts_with = "output")]
    pub json: bool,
    /// Print the status again whenever it changes, until the run is complete
    #[arg(short, long)]
    pub watch: bool,
    /// List the runs in all namespaces that you may read
    #[arg(short = 'A', long, conflicts_with_all = ["run", "json", "show_all", "exit_code", "watch"])]
    pub all_namespaces: bool,
    /// Print one row for each plugin and node
    #[arg(long)]
    pub show_all: bool,
    /// Output format [default: a table; on a terminal it also shows problems]
    #[arg(short, long, value_enum)]
    pub output: Option<StatusOutput>,
    /// Exit with a code for the outcome.
    ///
    /// 3: a result failed, 4: a result is unknown, 5: the run failed, 7: the run is not complete.
    #[arg(long)]
    pub exit_code: bool,
}

/// Output format of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusOutput {
    /// Progress and problems.
    Table,
    /// Every row of the aggregator's status.
    Json,
    /// The same as YAML.
    Yaml,
    /// For the summary of a CI job.
    Markdown,
}
