//! Summary of a run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sono_analysis::Card;

/// A run in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Id of the run.
    pub run: String,
    /// Time that decides about the order: the start, unless a clock stepped back.
    pub time: Timestamp,
    /// Start, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// Duration in seconds, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// UID of the namespace `kube-system`; empty for a run without a cluster.
    pub cluster: String,
    /// Version of the API server; empty if not known.
    pub kubernetes: String,
    /// Plugins.
    pub plugins: Vec<EntryPlugin>,
    /// Name of the file.
    pub file: String,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// Results of a plugin in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPlugin {
    /// Name.
    pub name: String,
    /// Status of the plugin.
    pub status: String,
    /// Number of tests that ran.
    pub tests: u64,
    /// Number of tests that failed or timed out.
    pub failed: u64,
}

impl Entry {
    pub(crate) fn of(card: &Card, time: Timestamp, id: String, file: String, bytes: u64) -> Self {
        let plugins = card.plugins.iter().map(|plugin| EntryPlugin {
            name: plugin.name.clone(),
            status: plugin.status.clone(),
            tests: plugin.tests.len() as u64 + plugin.left_out,
            failed: plugin.verdicts().filter(|verdict| verdict.is_failed()).count() as u64,
        });
        Self {
            run: id,
            time,
            start: card.run.start,
            seconds: card.run.seconds,
            cluster: card.cluster.id.clone(),
            kubernetes: card.cluster.server.clone(),
            plugins: plugins.collect(),
            file,
            bytes,
        }
    }
}
