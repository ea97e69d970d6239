//! Detailed observation of plugins, for `sono plugin test`.

use std::{path::PathBuf, process::ExitStatus, time::Duration};

use sono_types::PluginName;
use sono_worker::ProgressPost;
use tokio::sync::mpsc;

/// Receives events of plugins beyond their results.
#[derive(Debug, Clone)]
pub struct Observer {
    /// Directory with one directory per plugin, which contains `results`, `config` and `logs` and remains after the
    /// run.
    pub directory: PathBuf,
    /// Receives each progress update with its response.
    pub posts: mpsc::UnboundedSender<ProgressPost>,
    /// Receives the exit of each program.
    pub exits: mpsc::UnboundedSender<ProgramExit>,
    /// Default for how long the done file must be unchanged, so that the programs can end by themselves.
    pub done_delay: Duration,
}

/// The exit of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramExit {
    /// The plugin.
    pub plugin: PluginName,
    /// The container that the program stands for.
    pub program: String,
    /// Its exit status.
    pub status: ExitStatus,
}
