//! A closer look at plugins than their results give, for `sono plugin test`.

use std::{path::PathBuf, process::ExitStatus, time::Duration};

use sono_types::PluginName;
use sono_worker::ProgressPost;
use tokio::sync::mpsc;

/// What an observer wants.
#[derive(Debug, Clone)]
pub struct Observer {
    /// Holds a directory for each plugin, with `results`, `config` and `logs` in it, and is there after the run.
    pub directory: PathBuf,
    /// Gets each progress update with its answer.
    pub posts: mpsc::UnboundedSender<ProgressPost>,
    /// Gets the end of each program.
    pub exits: mpsc::UnboundedSender<ProgramExit>,
    /// How long the done file must stand where the plugin does not say it: time for its programs to end by themselves.
    pub done_delay: Duration,
}

/// A program has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramExit {
    /// Of this plugin.
    pub plugin: PluginName,
    /// The container that it stands for.
    pub program: String,
    /// How it ended.
    pub status: ExitStatus,
}
