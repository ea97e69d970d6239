//! `sono e2e`.

use clap::{Args, ValueEnum};

use super::Cluster;

/// `sono e2e`
#[derive(Debug, Args)]
pub struct E2e {
    #[command(flatten)]
    pub cluster: Cluster,
    /// Where the names come from: an archive of a run with the tests, a JUnit file, a list with a name in each line, `-`
    /// for such a list on standard input, or `online` with --url
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<String>,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = E2eMode::Tests)]
    pub mode: E2eMode,
    /// Only tests with this in their names
    #[arg(short, long, value_name = "REGEX")]
    pub focus: Option<String>,
    /// No tests with this in their names
    #[arg(short, long, value_name = "REGEX")]
    pub skip: Option<String>,
    /// The plugin of the archive whose tests are meant
    #[arg(short, long, value_name = "NAME", default_value = "e2e")]
    pub plugin: String,
    /// Version of Kubernetes whose list is fetched; otherwise the cluster's
    #[arg(long, value_name = "VERSION", requires = "url")]
    pub version: Option<String>,
    /// Fetch the list from this place, where it is called VERSION.gz
    #[arg(long, value_name = "ADDRESS")]
    pub url: Option<String>,
    /// Read archives of any size, even where that takes all memory
    #[arg(long)]
    pub no_limits: bool,
}

/// What `e2e` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum E2eMode {
    /// Names of tests.
    Tests,
    /// What stands in brackets in them.
    Tags,
    /// The same, and in how many tests.
    #[value(name = "tagCounts", alias = "tag-counts")]
    TagCounts,
}
