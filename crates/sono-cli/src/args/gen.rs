//! `sono gen`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Cluster, GenPlugin, Plan, Preflight, WaitOutput, WaitTime};

/// `sono gen`
#[derive(Debug, Args)]
pub struct Gen {
    /// Something else than the objects
    #[command(subcommand)]
    pub what: Option<GenWhat>,
    #[command(flatten)]
    pub flags: GenFlags,
}

/// What `gen` can print besides the objects.
#[derive(Debug, Subcommand)]
pub enum GenWhat {
    /// Print the run's configuration after file, variables and flags, as JSON
    Config(Box<GenFlags>),
    /// Print which registry each group of the tests' images comes from, to be changed and given to --e2e-repo-config
    DefaultImageConfig(GenDefaultImageConfig),
    /// Print a plugin definition
    Plugin(Box<GenPlugin>),
}

/// The flags of `run`, as far as they say what is created; the others are taken, and it is said that they mean nothing.
#[derive(Debug, Args)]
pub struct GenFlags {
    #[command(flatten)]
    pub plan: Plan,
    #[command(flatten)]
    pub cluster: Cluster,
    /// Print this manifest instead; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub preflight: Preflight,
    /// Has no effect on gen
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1440")]
    pub wait: Option<WaitTime>,
    /// Has no effect on gen
    #[arg(long, value_enum, ignore_case = true, default_value_t = WaitOutput::usual())]
    pub wait_output: WaitOutput,
}

/// `sono gen default-image-config`. The cluster has no say in it.
#[derive(Debug, Args)]
pub struct GenDefaultImageConfig {
    #[command(flatten)]
    pub cluster: Cluster,
}
