//! `sono redact`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Cluster;

const EXAMPLES: &str = "\
Examples:
  sono redact old.tar.gz -o shared.tar.gz --known-from-cluster    remove the values of the cluster's Secrets
  kubectl get secrets -A -o json | sono redact old.tar.gz -o shared.tar.gz --known -
  sono redact verify shared.tar.gz --known values.txt             search for values, one a line";

/// `sono redact`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Redact {
    /// Archive of a run, also one of Sonobuoy
    #[arg(value_name = "ARCHIVE", required = true)]
    pub archive: Option<PathBuf>,
    /// New archive without secrets; must not exist
    #[arg(short, long, value_name = "FILE", required = true)]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub known: KnownSource,
    /// What else to replace: names replaces names and addresses of nodes by tokens
    #[arg(long, value_name = "WHAT", value_enum)]
    pub redact: Option<Identifying>,
    /// Key of the tokens, at least 16 bytes: the same key gives the same tokens in all archives [default: random]
    #[arg(long, value_name = "FILE", requires = "redact")]
    pub names_key: Option<PathBuf>,
    /// Read archives of any size
    #[arg(long)]
    pub no_limits: bool,
    /// What to do instead.
    #[command(subcommand)]
    pub action: Option<RedactAction>,
}

/// What identifies a cluster without being a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Identifying {
    /// Names and addresses of nodes.
    Names,
}

/// Actions on archives.
#[derive(Debug, Subcommand)]
pub enum RedactAction {
    /// Search an archive for secrets, and print the place of each.
    ///
    /// Exits with 3 if a secret is found, and with 0 if none is.
    Verify(RedactVerify),
}

/// `sono redact verify`
#[derive(Debug, Args)]
pub struct RedactVerify {
    /// Archive of a run, or the directory to which it was extracted
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
    #[command(flatten)]
    pub known: KnownSource,
    /// Read archives of any size
    #[arg(long)]
    pub no_limits: bool,
}

/// Source of the values to search for.
#[derive(Debug, Args)]
pub struct KnownSource {
    /// Values to search for: Secrets as JSON or YAML, or one value a line; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "known_from_cluster")]
    pub known: Option<PathBuf>,
    /// Search for the values of all Secrets in the cluster
    #[arg(long)]
    pub known_from_cluster: bool,
    #[command(flatten)]
    pub cluster: Cluster,
}
