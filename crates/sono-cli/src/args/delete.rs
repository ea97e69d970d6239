//! `sono delete`.

use clap::Args;

use super::{Place, WaitTime};

/// `sono delete`
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    pub place: Place,
    /// Wait until all is gone; minutes, or a duration such as 30m [bare: 60]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "60")]
    pub wait: Option<WaitTime>,
    /// Also the roles of all other runs, and namespaces that e2e tests left behind
    #[arg(long)]
    pub all: bool,
}
