//! `sono query`.

use std::path::PathBuf;

use clap::Args;

use super::Cluster;

/// `sono query`
#[derive(Debug, Args)]
pub struct Query {
    #[command(flatten)]
    pub cluster: Cluster,
    /// Where to write to: a new directory, or an archive if it ends in .tar.gz; otherwise a directory with a new name here
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// The run's configuration, whose `Resources`, `Filters` and `Limits` say what is asked for
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Namespace of the run, whose logs are wanted too
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Only these, such as pods,nodes,podlogs,deployments.apps; Secrets only if they are named
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub resources: Option<Vec<String>>,
    /// Only namespaces with this in their names
    #[arg(long, value_name = "REGEX")]
    pub namespaces: Option<String>,
    /// Only objects with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
}
