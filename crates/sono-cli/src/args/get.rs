//! `sono get`.

use clap::{Args, Subcommand};

use super::RunLocation;

/// `sono get`
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Get {
    /// Kind of objects to list.
    #[command(subcommand)]
    pub what: GetWhat,
}

/// Kind of objects to list.
#[derive(Debug, Subcommand)]
pub enum GetWhat {
    /// Print the names of the plugins' pods
    #[command(visible_alias = "pods")]
    Pod(GetPod),
}

/// `sono get pod`
#[derive(Debug, Args)]
pub struct GetPod {
    #[command(flatten)]
    pub location: RunLocation,
    /// Print only pods of this plugin
    #[arg(short, long, value_name = "NAME")]
    pub plugin: Option<String>,
}
