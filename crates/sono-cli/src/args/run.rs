//! `sono run`.

use clap::Args;

use super::{Cluster, Plan, WaitOutput, WaitTime};

/// `sono run`
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub plan: Plan,
    #[command(flatten)]
    pub cluster: Cluster,
    /// Wait until the run is complete; minutes, or a duration such as 30m [bare: 1440]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1440")]
    pub wait: Option<WaitTime>,
    /// What is shown while waiting
    #[arg(long, value_enum, ignore_case = true, default_value_t = WaitOutput::Progress)]
    pub wait_output: WaitOutput,
    /// Run on this machine, without a cluster: plugins become processes
    #[arg(long)]
    pub local: bool,
}
