//! `sono gen`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Cluster, GenPlugin, Preflight, RunFlags, WaitOutput, WaitTime};

/// `sono gen`
#[derive(Debug, Args)]
pub struct Gen {
    /// Other output than the objects of the run
    #[command(subcommand)]
    pub what: Option<GenWhat>,
    #[command(flatten)]
    pub flags: GenFlags,
}

/// Output of `gen` other than objects.
#[derive(Debug, Subcommand)]
pub enum GenWhat {
    /// Print the run's configuration as JSON, with the file, variables and flags applied
    Config(Box<GenFlags>),
    /// Print the registry of each group of test images, as a template for --e2e-repo-config
    DefaultImageConfig(GenDefaultImageConfig),
    /// Print a plugin definition
    Plugin(Box<GenPlugin>),
}

/// Flags of `run` that affect the created objects. The others are accepted with a warning.
#[derive(Debug, Args)]
pub struct GenFlags {
    #[command(flatten)]
    pub flags: RunFlags,
    #[command(flatten)]
    pub cluster: Cluster,
    /// Print this manifest instead; - reads standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub preflight: Preflight,
    /// Has no effect on gen
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "24h", hide_short_help = true)]
    pub wait: Option<WaitTime>,
    /// Has no effect on gen
    #[arg(long, value_enum, ignore_case = true, default_value_t = WaitOutput::from_environment(), hide_short_help = true)]
    pub wait_output: WaitOutput,
}

/// `sono gen default-image-config`. The output does not depend on the cluster.
#[derive(Debug, Args)]
pub struct GenDefaultImageConfig {
    #[command(flatten)]
    pub cluster: Cluster,
}
