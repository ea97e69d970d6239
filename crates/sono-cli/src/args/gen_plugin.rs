//! `sono gen plugin`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sono_manifest::DriverKind;

use super::{GenFlags, Variable};

/// `sono gen plugin`
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true)]
pub struct GenPlugin {
    /// The definition of a built-in plugin, as flags change it
    #[command(subcommand)]
    pub built_in: Option<GenBuiltIn>,
    /// What the plugin is called
    #[arg(short, long, required = true)]
    pub name: Option<String>,
    /// Image of its container
    #[arg(short, long, required = true)]
    pub image: Option<String>,
    /// How it is run: Job (one pod) or DaemonSet (one on each node)
    #[arg(short = 't', long = "type", value_name = "DRIVER", default_value = "Job", value_parser = driver)]
    pub driver: DriverKind,
    /// Format of its results: raw, junit, gojson, manual
    #[arg(short, long, default_value = "raw")]
    pub format: String,
    /// Command of the container; may be given more than once [default: ./run.sh]
    #[arg(short, long, value_name = "WORD", allow_hyphen_values = true)]
    pub cmd: Vec<String>,
    /// An argument of the command; may be given more than once
    #[arg(short, long, value_name = "WORD", allow_hyphen_values = true)]
    pub arg: Vec<String>,
    /// A variable of the container; without a value one that was given before is taken back
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<Variable>,
    /// A label of the nodes that it runs on; may be given more than once
    #[arg(long, value_name = "LABEL=VALUE", value_delimiter = ',')]
    pub node_selector: Vec<Variable>,
    /// A file that the plugin finds in $SONOBUOY_CONFIG_DIR; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub configmap: Vec<PathBuf>,
    /// What it is for
    #[arg(short = 'D', long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Where the definition comes from
    #[arg(short, long)]
    pub url: Option<String>,
    /// Write out the podSpec that it gets when it has none
    #[arg(long)]
    pub show_default_podspec: bool,
}

/// Plugins that are built in.
#[derive(Debug, Subcommand)]
pub enum GenBuiltIn {
    /// Print the definition of e2e, as flags change it
    E2e(Box<GenBuiltInFlags>),
    /// Print the definition of systemd-logs, as flags change it
    SystemdLogs(Box<GenBuiltInFlags>),
}

/// The flags of `run`, and files.
#[derive(Debug, Args)]
pub struct GenBuiltInFlags {
    #[command(flatten)]
    pub flags: GenFlags,
    /// A file that the plugin finds in $SONOBUOY_CONFIG_DIR; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub configmap: Vec<PathBuf>,
}

fn driver(text: &str) -> Result<DriverKind, String> {
    DriverKind::from_name(text).ok_or_else(|| "one of Job, DaemonSet".to_owned())
}
