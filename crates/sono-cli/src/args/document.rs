//! `sono __document`, which writes generated files of this repository and of releases.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `sono __document`
#[derive(Debug, Args)]
pub struct Document {
    /// Document to write
    #[arg(value_enum)]
    pub what: DocumentKind,
    /// Directory for manual pages, one file each; other documents are written to standard output
    #[arg(long, value_name = "DIRECTORY", required_if_eq("what", "man"))]
    pub out: Option<PathBuf>,
}

/// Generated document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DocumentKind {
    /// All commands and flags, as Markdown.
    Reference,
    /// Manual pages.
    Man,
    /// The JSON Schema of plugin definitions.
    PluginSchema,
    /// Role of a person who runs sono in an existing namespace, as YAML.
    RunnerRole,
    /// The network policies of a run's pods, as YAML.
    NetworkPolicies,
}
