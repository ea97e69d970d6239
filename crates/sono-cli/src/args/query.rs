//! `sono query`.

use std::path::PathBuf;

use clap::Args;

use super::Cluster;

/// `sono query`
#[derive(Debug, Args)]
pub struct Query {
    #[command(flatten)]
    pub cluster: Cluster,
    /// New or empty directory, or an archive if the path ends in .tar.gz [default: a new directory]
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Configuration of a run; `Resources`, `Filters` and `Limits` select the objects
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Also fetch the logs of the run in this namespace
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
    /// Read the values of all Secrets, and replace them wherever they occur in the saved data.
    ///
    /// The values stay in memory. Requires the permission to list Secrets in all namespaces.
    #[arg(long, value_name = "WHETHER", value_parser = ["on", "off"], ignore_case = true, num_args = 0..=1, require_equals = true, default_missing_value = "on", default_value = "off")]
    pub redact_known: String,
}
