//! `sono plugin`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{Addresses, ImagesAccess, Seconds};

/// `sono plugin`
#[derive(Debug, Args)]
pub struct Plugin {
    /// Action.
    #[command(subcommand)]
    pub action: PluginAction,
}

/// Action on plugin definitions.
#[derive(Debug, Subcommand)]
pub enum PluginAction {
    /// List the installed plugins
    List(PluginList),
    /// Print the definition of an installed or built-in plugin
    Show(PluginShow),
    /// Save a plugin definition under a name for --plugin
    Install(PluginInstall),
    /// Remove an installed plugin
    Uninstall(PluginUninstall),
    /// Report all problems in plugin definitions
    Lint(PluginLint),
    /// Run a plugin on this machine and check that it follows the plugin contract
    Test(PluginTest),
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PluginOutput {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// `sono plugin list`
#[derive(Debug, Args)]
pub struct PluginList {
    /// Output format
    #[arg(short, long, value_enum, default_value_t = PluginOutput::Text)]
    pub output: PluginOutput,
}

/// `sono plugin show`
#[derive(Debug, Args)]
pub struct PluginShow {
    /// Name for --plugin
    #[arg(value_name = "PLUGIN")]
    pub name: String,
}

/// `sono plugin install`
#[derive(Debug, Args)]
pub struct PluginInstall {
    /// Name for --plugin
    #[arg(value_name = "SAVE-AS")]
    pub name: String,
    /// File, URL (https, http), OCI artifact (oci://REGISTRY/NAME:TAG), or - for standard input; a trailing @NAME
    /// renames the plugin
    #[arg(value_name = "SOURCE", allow_hyphen_values = true)]
    pub source: String,
    /// Replace an installed plugin of that name
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub addresses: Addresses,
    #[command(flatten)]
    pub access: ImagesAccess,
}

/// `sono plugin uninstall`
#[derive(Debug, Args)]
pub struct PluginUninstall {
    /// Name for --plugin
    #[arg(value_name = "PLUGIN")]
    pub name: String,
}

/// `sono plugin lint`
#[derive(Debug, Args)]
pub struct PluginLint {
    /// Files, directories of files, URLs, OCI artifacts, or - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<String>,
    #[command(flatten)]
    pub addresses: Addresses,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = PluginOutput::Text)]
    pub output: PluginOutput,
}

/// `sono plugin test`
#[derive(Debug, Args)]
pub struct PluginTest {
    /// File, URL, OCI artifact, installed plugin, or - for standard input
    #[arg(value_name = "FILE")]
    pub file: String,
    #[command(flatten)]
    pub addresses: Addresses,
    /// Time limit of the plugin: a duration such as 90s, or a number of seconds
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = PluginOutput::Text)]
    pub output: PluginOutput,
}

fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<Seconds>() {
        Ok(Seconds(0)) => Err("expected at least one second".to_owned()),
        Ok(Seconds(seconds)) => Ok(Duration::from_secs(seconds)),
        Err(error) => Err(error.to_string()),
    }
}
