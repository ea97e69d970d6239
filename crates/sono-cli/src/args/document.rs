//! `sono __document`, which makes files of this repository and of releases.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `sono __document`
#[derive(Debug, Args)]
pub struct Document {
    /// What to write
    #[arg(value_enum)]
    pub what: DocumentKind,
    /// Directory for the manual pages, a file each; all else goes to standard output
    #[arg(long, value_name = "DIRECTORY", required_if_eq("what", "man"))]
    pub out: Option<PathBuf>,
}

/// What can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DocumentKind {
    /// All commands and flags, as Markdown.
    Reference,
    /// Manual pages.
    Man,
    /// The JSON Schema of plugin definitions.
    PluginSchema,
    /// The role of whoever runs sono in a namespace that is there, as YAML.
    PersonRole,
    /// The network policies of a run's pods, as YAML.
    NetworkPolicies,
}
