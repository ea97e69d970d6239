//! `sono results`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `sono results`
#[derive(Debug, Args)]
pub struct Results {
    /// The archive, or the directory that it was extracted to
    pub archive: PathBuf,
    /// Only this plugin; `sonobuoy` is the cluster's health
    #[arg(short, long, value_name = "NAME")]
    pub plugin: Option<String>,
    /// How much; without it and --output: a report, which for a person has the failures with it
    #[arg(short, long, value_enum, conflicts_with = "output")]
    pub mode: Option<ResultsMode>,
    /// Only this node, or whatever else in the tree has that name
    #[arg(short, long, value_name = "NAME")]
    pub node: Option<String>,
    /// No prefix in front of files in the detailed mode
    #[arg(short, long)]
    pub skip_prefix: bool,
    /// As one document, for people (table, markdown) or programs
    #[arg(short, long, value_enum)]
    pub output: Option<ResultsOutput>,
    /// Only items with this in their names
    #[arg(long, value_name = "REGEX")]
    pub name: Option<String>,
    /// Only items with one of these statuses
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub status: Vec<String>,
    /// Leave out what passed and what was skipped
    #[arg(long)]
    pub skip_passed: bool,
    /// End with a code that tells the outcome: 3 something failed, 4 not known to have passed
    #[arg(long)]
    pub exit_code: bool,
    /// Read archives of any size, even where that takes all memory
    #[arg(long)]
    pub no_limits: bool,
}

/// How much `results` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResultsMode {
    /// Counts, and what failed.
    Report,
    /// A line of JSON for each item, or its file.
    Detailed,
    /// As dump, with line breaks and tabs as such.
    Readable,
    /// The stored YAML.
    Dump,
}

/// Forms of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResultsOutput {
    /// The verdict, and what failed and why.
    Table,
    /// Plugins and their items.
    Json,
    /// The same as YAML.
    Yaml,
    /// A test suite for each plugin.
    Junit,
    /// For a CI job's summary.
    Markdown,
}
