//! `sono run`.

use std::path::PathBuf;

use clap::Args;

use super::{Cluster, Plan, Preflight, WaitOutput, WaitTime};

/// `sono run`
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub plan: Plan,
    #[command(flatten)]
    pub cluster: Cluster,
    /// Create the objects of this manifest, which `gen` or an older Sonobuoy wrote; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub preflight: Preflight,
    /// Wait until the run is complete; minutes, or a duration such as 30m; 0 does not wait [bare: 1440]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1440", help_heading = "Waiting")]
    pub wait: Option<WaitTime>,
    /// What is shown while waiting
    #[arg(long, value_enum, ignore_case = true, default_value_t = WaitOutput::usual(), help_heading = "Waiting")]
    pub wait_output: WaitOutput,
    /// End with a code that tells the outcome: 3 something failed, 4 not known to have passed, 5 the run failed, 6 still running when the time
    /// is over. Needs --wait, --rm or --local
    #[arg(long, help_heading = "Waiting")]
    pub exit_code: bool,
    /// Wait, and when the run is complete, fetch its archive into the current directory, delete the run and wait for its deletion
    #[arg(long, conflicts_with = "local")]
    pub rm: bool,
    /// With --rm: of the archives in the current directory keep only this many, the newest
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..), requires = "rm")]
    pub keep: Option<u32>,
    /// Run on this machine, without a cluster: plugins become processes
    #[arg(long)]
    pub local: bool,
}
