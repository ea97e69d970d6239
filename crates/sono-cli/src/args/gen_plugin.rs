//! `sono gen plugin`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sono_manifest::DriverKind;

use super::{GenFlags, Variable};

/// `sono gen plugin`
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true)]
pub struct GenPlugin {
    /// Print the definition of a built-in plugin, modified by flags
    #[command(subcommand)]
    pub built_in: Option<GenBuiltIn>,
    /// Name of the plugin
    #[arg(short, long, required = true)]
    pub name: Option<String>,
    /// Image of the container
    #[arg(short, long, required = true)]
    pub image: Option<String>,
    /// Driver: Job (one pod) or DaemonSet (one pod on each node)
    #[arg(short = 't', long = "type", value_name = "DRIVER", default_value = "Job", value_parser = driver)]
    pub driver: DriverKind,
    /// Format of the results: raw, junit, gojson, manual
    #[arg(short, long, default_value = "raw")]
    pub format: String,
    /// Command of the container; repeatable [default: ./run.sh]
    #[arg(short, long, value_name = "WORD", allow_hyphen_values = true)]
    pub cmd: Vec<String>,
    /// Argument of the command; repeatable
    #[arg(short, long, value_name = "WORD", allow_hyphen_values = true)]
    pub arg: Vec<String>,
    /// Environment variable of the container; without =VALUE an earlier value is removed; repeatable
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<Variable>,
    /// Label of the nodes to run on; repeatable
    #[arg(long, value_name = "LABEL=VALUE", value_delimiter = ',')]
    pub node_selector: Vec<Variable>,
    /// File to mount into `$SONOBUOY_CONFIG_DIR` of the plugin; repeatable
    #[arg(long, value_name = "FILE")]
    pub configmap: Vec<PathBuf>,
    /// Purpose of the plugin
    #[arg(short = 'D', long, value_name = "TEXT")]
    pub description: Option<String>,
    /// URL of the plugin's source
    #[arg(short, long)]
    pub url: Option<String>,
    /// Include the default podSpec of a plugin that has none
    #[arg(long)]
    pub show_default_podspec: bool,
}

/// Built-in plugin to print.
#[derive(Debug, Subcommand)]
pub enum GenBuiltIn {
    /// Print the definition of e2e, modified by flags
    E2e(Box<GenBuiltInFlags>),
    /// Print the definition of systemd-logs, modified by flags
    SystemdLogs(Box<GenBuiltInFlags>),
}

/// Flags of `run`, and files for the plugin.
#[derive(Debug, Args)]
pub struct GenBuiltInFlags {
    #[command(flatten)]
    pub flags: GenFlags,
    /// File to mount into `$SONOBUOY_CONFIG_DIR` of the plugin; repeatable
    #[arg(long, value_name = "FILE")]
    pub configmap: Vec<PathBuf>,
}

fn driver(text: &str) -> Result<DriverKind, String> {
    DriverKind::from_name(text).ok_or_else(|| "expected Job or DaemonSet".to_owned())
}
