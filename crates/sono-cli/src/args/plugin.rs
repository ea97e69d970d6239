//! `sono plugin`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{Addresses, ImagesAccess};

/// `sono plugin`
#[derive(Debug, Args)]
pub struct Plugin {
    /// What to do.
    #[command(subcommand)]
    pub action: PluginAction,
}

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginAction {
    /// Show the installed plugins
    List(PluginList),
    /// Print the definition of an installed or built-in plugin
    Show(PluginShow),
    /// Keep a definition under a name that --plugin takes
    Install(PluginInstall),
    /// Remove an installed plugin
    Uninstall(PluginUninstall),
    /// Say everything that is wrong with definitions
    Lint(PluginLint),
    /// Run a plugin on this machine and check what it does against the contract of plugins
    Test(PluginTest),
}

/// As what something is printed.
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
    /// As what
    #[arg(short, long, value_enum, default_value_t = PluginOutput::Text)]
    pub output: PluginOutput,
}

/// `sono plugin show`
#[derive(Debug, Args)]
pub struct PluginShow {
    /// What --plugin calls it
    #[arg(value_name = "PLUGIN")]
    pub name: String,
}

/// `sono plugin install`
#[derive(Debug, Args)]
pub struct PluginInstall {
    /// What --plugin is to call it
    #[arg(value_name = "SAVE-AS")]
    pub name: String,
    /// A file, an address (https, http), an OCI artifact (oci://REGISTRY/NAME:TAG), or - for standard input; @NAME behind it
    /// renames the plugin
    #[arg(value_name = "SOURCE", allow_hyphen_values = true)]
    pub source: String,
    /// Replace what is installed under that name
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
    /// What --plugin calls it
    #[arg(value_name = "PLUGIN")]
    pub name: String,
}

/// `sono plugin lint`
#[derive(Debug, Args)]
pub struct PluginLint {
    /// Files, directories of files, addresses, OCI artifacts, or - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<String>,
    #[command(flatten)]
    pub addresses: Addresses,
    /// As what
    #[arg(short, long, value_enum, default_value_t = PluginOutput::Text)]
    pub output: PluginOutput,
}

/// `sono plugin test`
#[derive(Debug, Args)]
pub struct PluginTest {
    /// A file, an address, an OCI artifact, an installed plugin, or - for standard input
    #[arg(value_name = "FILE")]
    pub file: String,
    #[command(flatten)]
    pub addresses: Addresses,
    /// How long the plugin may take, as 90s or 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
    /// As what
    #[arg(short, long, value_enum, default_value_t = PluginOutput::Text)]
    pub output: PluginOutput,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => sono_types::go_duration::parse(text).map_err(|error| error.to_string())?,
    };
    if duration < Duration::from_secs(1) {
        return Err("at least a second".to_owned());
    }
    Ok(duration)
}
