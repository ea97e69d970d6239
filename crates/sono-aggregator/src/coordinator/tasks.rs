//! The coordinator's tasks: monitors of plugins, writers of error files, and the task that writes the archive.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value};
use sono_run::Failure;
use sono_types::{PluginName, ResultKey, constants, error_chain};
use tokio::task::{JoinHandle, JoinSet};

use super::finalize;
use crate::{
    clock::backoff,
    durability::{checkpoint::CheckpointBarrier, disk_full::DiskFull},
};

/// The coordinator's tasks. Monitors and the archive's task are aborted on drop.
pub(super) struct Tasks {
    pub(super) monitors: BTreeMap<PluginName, JoinHandle<()>>,
    /// Tasks that write error files.
    pub(super) writes: JoinSet<()>,
    disk_full: DiskFull,
    pub(super) finish: Option<JoinHandle<finalize::Finalized>>,
}

impl Tasks {
    pub(super) fn new(disk_full: &DiskFull) -> Self {
        Self {
            monitors: BTreeMap::new(),
            writes: JoinSet::new(),
            disk_full: disk_full.clone(),
            finish: None,
        }
    }

    pub(super) fn stop(&mut self, plugin: &PluginName) {
        if let Some(monitor) = self.monitors.remove(plugin) {
            monitor.abort();
        }
    }

    pub(super) fn record(&mut self, directory: &Path, key: &ResultKey, failure: Failure) {
        let path = directory.join(constants::ERROR_FILE);
        if failure.is_cut() && path.exists() {
            // The file of an earlier process is complete; the record is not.
            return;
        }
        tracing::warn!(plugin_name = %key.plugin, node = %key.target, error = failure.message, "recording an error in place of a result");
        let mut fields: Map<String, Value> = failure.details.into_iter().collect();
        fields.insert("error".to_owned(), failure.message.into());
        let disk_full = self.disk_full.clone();
        self.writes
            .spawn(write_patiently(path, Value::Object(fields).to_string(), disk_full));
    }
}

/// Pauses between attempts to write an error, from half a second to 16 s.
fn write_pauses() -> impl Iterator<Item = Duration> {
    backoff(Duration::from_millis(500), Duration::from_secs(16)).take(6)
}

/// Writes a file, retrying while the disk is full, and after any other error for half a minute.
async fn write_patiently(path: PathBuf, text: String, disk_full: DiskFull) {
    let mut pauses = write_pauses();
    loop {
        let (to, bytes) = (path.clone(), text.clone());
        let write = move || sono_bundle::write_durably(&to, bytes.as_bytes());
        match disk_full.retry("storing an error result", write).await {
            Ok(()) => return,
            Err(error) => {
                let error = error_chain(&error);
                let Some(pause) = pauses.next() else {
                    return tracing::error!(error, "cannot record an error");
                };
                tracing::warn!(error, ?pause, "cannot record an error, retrying");
                tokio::time::sleep(pause).await;
            }
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for monitor in self.monitors.values() {
            monitor.abort();
        }
        if let Some(finish) = &self.finish {
            finish.abort();
        }
    }
}

/// Resolves once this process owns the run; never after ownership is lost.
pub(super) async fn wait_for_ownership(barrier: Option<CheckpointBarrier>) {
    if let Some(barrier) = barrier {
        barrier.wait().await;
    }
}

#[cfg(test)]
mod tests;
