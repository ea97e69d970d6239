//! `sono status`.

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};

use super::Place;

/// `sono status`
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub place: Place,
    /// Identity of the run; without it the newest one in the namespace
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// As JSON, the same as --output json once there is a status
    #[arg(long, conflicts_with = "output")]
    pub json: bool,
    /// One row for each plugin and node
    #[arg(long)]
    pub show_all: bool,
    /// In this form; without it a table, which for a person says what is in the way
    #[arg(short, long, value_enum)]
    pub output: Option<StatusOutput>,
    /// End with a code that tells the outcome: 3 something failed, 4 not known to have passed, 5 the run failed, 7 not complete yet
    #[arg(long)]
    pub exit_code: bool,
}

/// Forms of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusOutput {
    /// What is going on, and what is in the way.
    Table,
    /// Every row, as the aggregator knows it.
    Json,
    /// The same as YAML.
    Yaml,
    /// For a CI job's summary.
    Markdown,
}
