//! `sono list`.

use clap::{Args, ValueEnum};

use super::Cluster;

/// `sono list`
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub cluster: Cluster,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = ListOutput::Table)]
    pub output: ListOutput,
}

/// Output format of a list of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListOutput {
    /// One row for each run.
    Table,
    /// Array of objects.
    Json,
    /// The same as YAML.
    Yaml,
}
