//! `sono e2e`.

use clap::{Args, ValueEnum};

use super::Cluster;

/// `sono e2e`
#[derive(Debug, Args)]
pub struct E2e {
    #[command(flatten)]
    pub cluster: Cluster,
    /// Source of the test names: an archive, a JUnit file, a list, - for standard input, or the word `online`.
    ///
    /// The archive must belong to a run that included the tests; a list has one name per line; `online` requires --url.
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<String>,
    /// Output: names of tests, tags, or tags with counts
    #[arg(short, long, value_enum, default_value_t = E2eMode::Tests)]
    pub mode: E2eMode,
    /// List only tests with names that match
    #[arg(short, long, value_name = "REGEX")]
    pub focus: Option<String>,
    /// Omit tests with names that match
    #[arg(short, long, value_name = "REGEX")]
    pub skip: Option<String>,
    /// Plugin in the archive that ran the tests
    #[arg(short, long, value_name = "NAME", default_value = "e2e")]
    pub plugin: String,
    /// Kubernetes version of the list to fetch [default: the cluster's version]
    #[arg(long, value_name = "VERSION", requires = "url")]
    pub version: Option<String>,
    /// Base URL of lists; the list VERSION.gz is fetched from it
    #[arg(long, value_name = "ADDRESS")]
    pub url: Option<String>,
    /// Read archives of any size, without a memory limit
    #[arg(long)]
    pub no_limits: bool,
}

/// Output of `e2e`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum E2eMode {
    /// Names of tests.
    Tests,
    /// Texts in brackets in the names of tests.
    Tags,
    /// Tags, each with its number of tests.
    #[value(name = "tagCounts", alias = "tag-counts")]
    TagCounts,
}
