//! `sono results`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `sono results`
#[derive(Debug, Args)]
pub struct Results {
    /// The archive, or the directory that it was extracted to
    pub archive: PathBuf,
    /// Only this plugin; `sonobuoy` is the cluster's health
    #[arg(short, long, value_name = "NAME")]
    pub plugin: Option<String>,
    /// How much
    #[arg(short, long, value_enum, default_value_t = ResultsMode::Report)]
    pub mode: ResultsMode,
    /// Only this node, or whatever else in the tree has that name
    #[arg(short, long, value_name = "NAME")]
    pub node: Option<String>,
    /// No prefix in front of files in the detailed mode
    #[arg(short, long)]
    pub skip_prefix: bool,
    /// End with a code that tells the outcome: 3 something failed, 4 not known to have passed
    #[arg(long)]
    pub exit_code: bool,
}

/// How much `results` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResultsMode {
    /// Counts, and what failed.
    Report,
    /// A line of JSON for each item, or its file.
    Detailed,
    /// As dump, with line breaks and tabs as such.
    Readable,
    /// The stored YAML.
    Dump,
}
