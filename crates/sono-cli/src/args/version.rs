//! `sono version`.

use clap::Args;

use super::Cluster;

/// `sono version`
#[derive(Debug, Args)]
pub struct Version {
    /// Only the version
    #[arg(long)]
    pub short: bool,
    #[command(flatten)]
    pub cluster: Cluster,
}
