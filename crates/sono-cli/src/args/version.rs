//! `sono version`.

use clap::{Args, ValueEnum};

use super::Cluster;

/// `sono version`
#[derive(Debug, Args)]
pub struct Version {
    /// Only the version
    #[arg(long, conflicts_with = "output")]
    pub short: bool,
    /// In this form
    #[arg(short, long, value_enum)]
    pub output: Option<VersionOutput>,
    #[command(flatten)]
    pub cluster: Cluster,
}

/// Forms of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VersionOutput {
    /// One object.
    Json,
}
