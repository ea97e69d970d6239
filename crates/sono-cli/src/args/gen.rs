//! `sono gen`.

use clap::Args;

use super::{Cluster, Plan};

/// `sono gen`
#[derive(Debug, Args)]
pub struct Gen {
    #[command(flatten)]
    pub plan: Plan,
    #[command(flatten)]
    pub cluster: Cluster,
}
