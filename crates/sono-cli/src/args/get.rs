//! `sono get`.

use clap::{Args, Subcommand};

use super::Place;

/// `sono get`
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Get {
    /// What to list.
    #[command(subcommand)]
    pub what: GetWhat,
}

/// What to list.
#[derive(Debug, Subcommand)]
pub enum GetWhat {
    /// Print the names of plugins' pods
    #[command(visible_alias = "pods")]
    Pod(GetPod),
}

/// `sono get pod`
#[derive(Debug, Args)]
pub struct GetPod {
    #[command(flatten)]
    pub place: Place,
    /// Only those of this plugin
    #[arg(short, long, value_name = "NAME")]
    pub plugin: Option<String>,
}
