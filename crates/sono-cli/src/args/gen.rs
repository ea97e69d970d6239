//! `sono gen`.

use clap::{Args, ValueEnum};

use super::{Cluster, Plan};

/// `sono gen`
#[derive(Debug, Args)]
pub struct Gen {
    /// Something else than the objects
    #[arg(value_enum)]
    pub what: Option<GenWhat>,
    #[command(flatten)]
    pub plan: Plan,
    #[command(flatten)]
    pub cluster: Cluster,
}

/// What `gen` can print besides the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GenWhat {
    /// The run's configuration after file and flags, as JSON.
    Config,
}
