//! `sono version`.

use clap::{Args, ValueEnum};

use super::Cluster;

/// `sono version`
#[derive(Debug, Args)]
pub struct Version {
    /// Print only the version
    #[arg(long, conflicts_with = "output")]
    pub short: bool,
    /// Output format
    #[arg(short, long, value_enum)]
    pub output: Option<VersionOutput>,
    #[command(flatten)]
    pub cluster: Cluster,
}

/// Output format of `version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VersionOutput {
    /// JSON object.
    Json,
}
