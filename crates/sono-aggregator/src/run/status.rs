//! The status as clients see it.

use sono_types::{PluginStatus, RunStatus, status::plugin_status};

use super::{ledger::State, machine::Run};

impl Run {
    /// The whole status: one row for each expected result.
    pub fn status(&self) -> RunStatus {
        let rows = self.expected().map(|key| {
            let (result_status, result_counts) = match self.processed.get(key) {
                Some((status, counts)) => (status.clone(), Some(counts.clone())),
                None => (String::new(), None),
            };
            let status = match self.ledger.state(key) {
                Some(State::Stored) => plugin_status::COMPLETE,
                Some(State::Failed) => plugin_status::FAILED,
                Some(State::Waiting) | None => plugin_status::RUNNING,
            };
            let error = self.reasons.get(key).filter(|_| status == plugin_status::FAILED);
            PluginStatus {
                plugin: key.plugin.to_string(),
                node: key.target.to_string(),
                status: status.to_owned(),
                result_status,
                result_counts,
                progress: self.progress.get(key).cloned(),
                error: error.cloned().unwrap_or_default(),
            }
        });
        RunStatus {
            plugins: Some(rows.collect()),
            status: self.overall.clone(),
            tarball: self.archive.clone(),
        }
    }
}
