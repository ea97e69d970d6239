//! `sono query`.

use std::path::PathBuf;

use clap::Args;

use super::Cluster;

/// `sono query`
#[derive(Debug, Args)]
pub struct Query {
    #[command(flatten)]
    pub cluster: Cluster,
    /// New directory, or archive if it ends in .tar.gz [default: a directory with a new name]
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Configuration of a run; `Resources`, `Filters` and `Limits` select the objects
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Namespace of a run: include its logs
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Query only these resources, such as pods,nodes,podlogs,deployments.apps.
    ///
    /// Secrets are queried only if they are named.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub resources: Option<Vec<String>>,
    /// Query only namespaces with names that match
    #[arg(long, value_name = "REGEX")]
    pub namespaces: Option<String>,
    /// Query only objects with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
}
