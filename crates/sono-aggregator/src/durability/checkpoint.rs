//! The checkpoint of a run outside of its volume, and fencing: the store refuses writes of a process that is not the latest
//! owner, so that two processes never both act. A Lease is not sufficient, because it does not stop its former holder.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sono_run::{Change, Checkpoint, Record};
use sono_types::{PluginName, SharedError, error_chain};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    backend::{BackendError, CheckpointStore, CheckpointStoreError, StoredCheckpoint, Version},
    clock::backoff,
    durability::checkpoint_codec,
};

/// Interval of the checks that this process still owns the run, and of writes that can wait.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Pause between attempts of a write; it doubles.
const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// How long writes may be refused before ownership counts as lost.
const MAX_REFUSED: Duration = Duration::from_mins(3);
/// Maximum size of the checkpoint, below the limit of a Secret.
const MAX_BYTES: usize = 1_000_000;

/// Why this process lost the ownership of the run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OwnershipLost {
    #[error("another aggregator, {holder} (epoch {epoch}), has taken over the run")]
    Superseded { holder: String, epoch: u64 },
    #[error("the checkpoint was deleted, probably together with its run")]
    Removed,
    #[error("the checkpoint can no longer be read")]
    Unreadable(#[source] SharedError),
    #[error("the checkpoint can no longer be written")]
    Refused(#[source] BackendError),
    /// The task that writes the checkpoint ended, so the ownership can no longer be checked.
    #[error("the task that writes the run's checkpoint ended unexpectedly")]
    Ended,
}

/// Writes the checkpoint over `version`, retrying while the API server is unavailable, and notes the new version. Fails if another
/// process owns the run.
async fn write(
    store: &dyn CheckpointStore,
    checkpoint: &Checkpoint,
    version: &mut Version,
) -> Result<(), OwnershipLost> {
    let content = checkpoint_codec::encode(checkpoint);
    let mut pauses = backoff(MIN_PAUSE, MAX_PAUSE);
    let until = Instant::now() + MAX_REFUSED;
    loop {
        match store.write(&content, Some(version)).await {
            Ok(written) => {
                *version = written;
                return Ok(());
            }
            // Also caused by an earlier write of this process whose response was lost.
            Err(CheckpointStoreError::Changed) => {}
            // Permissions may be granted late, but a run must not wait for them without a limit.
            Err(CheckpointStoreError::Refused(reason)) if Instant::now() >= until => {
                return Err(OwnershipLost::Refused(reason));
            }
            Err(error) => tracing::warn!(error = error_chain(&error), "cannot write the checkpoint, retrying"),
        }
        sleep(pauses.next().unwrap_or(MAX_PAUSE)).await;
        is_ours(store, checkpoint, version).await?;
    }
}

/// Checks that no other process owns the run, if the store can be read, and updates the version.
async fn is_ours(
    store: &dyn CheckpointStore,
    checkpoint: &Checkpoint,
    version: &mut Version,
) -> Result<(), OwnershipLost> {
    let found = match store.read().await {
        Err(error) => {
            tracing::debug!(error = error_chain(&error), "cannot check the ownership of the run");
            return Ok(());
        }
        Ok(None) => return Err(OwnershipLost::Removed),
        Ok(Some(found)) => found,
    };
    let Some(content) = found.content else {
        return Err(OwnershipLost::Unreadable(SharedError::new("it belongs to another run")));
    };
    match checkpoint_codec::decode(&content) {
        Err(error) => Err(OwnershipLost::Unreadable(SharedError::new(error))),
        Ok(there) if there.holder == checkpoint.holder => {
            *version = found.version;
            Ok(())
        }
        Ok(there) => Err(OwnershipLost::Superseded {
            holder: there.holder,
            epoch: there.epoch,
        }),
    }
}

/// Why the first checkpoint of this process cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AcquireError {
    #[error(
        "the checkpoint is {0} bytes long, more than a Secret can hold; use a results volume or --aggregator-workload pod"
    )]
    TooLarge(usize),
    #[error("refused")]
    Refused(#[source] BackendError),
}

/// Acquires the run by replacing exactly the checkpoint on which the decision was based: `over`, or none. Returns the new version;
/// `None` if another process has written meanwhile, so that the decision has to be made again.
pub(crate) async fn write_first(
    store: &dyn CheckpointStore,
    checkpoint: &Checkpoint,
    over: Option<&Version>,
) -> Result<Option<Version>, AcquireError> {
    let content = checkpoint_codec::encode(checkpoint);
    if content.len() > MAX_BYTES {
        return Err(AcquireError::TooLarge(content.len()));
    }
    let mut pauses = backoff(MIN_PAUSE, MAX_PAUSE);
    loop {
        let error = match store.write(&content, over).await {
            Ok(version) => return Ok(Some(version)),
            Err(error) => error,
        };
        tracing::info!(error = error_chain(&error), "the run has not been acquired yet");
        if let CheckpointStoreError::Refused(reason) = error {
            return Err(AcquireError::Refused(reason));
        }
        match store.read().await {
            // The response to a write was lost. No other process has the name in it.
            Ok(Some(StoredCheckpoint {
                version,
                content: Some(there),
            })) if there == content => return Ok(Some(version)),
            Ok(there) => {
                let unchanged = there.as_ref().map(|there| &there.version) == over;
                if !unchanged || error == CheckpointStoreError::Changed {
                    return Ok(None);
                }
            }
            Err(error) => tracing::warn!(error = error_chain(&error), "cannot acquire the run, retrying"),
        }
        sleep(pauses.next().unwrap_or(MAX_PAUSE)).await;
    }
}

struct State {
    checkpoint: Checkpoint,
    /// Counts changes.
    revision: u64,
}

#[derive(Debug, Clone, Default)]
struct WriteProgress {
    revision: u64,
    lost: Option<OwnershipLost>,
}

/// Writes the checkpoint of a run in a task of its own.
pub(crate) struct CheckpointWriter {
    state: Arc<Mutex<State>>,
    wake: Arc<Notify>,
    written: watch::Receiver<WriteProgress>,
    task: JoinHandle<()>,
}

/// Resolves once everything that was recorded before is in the store.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointBarrier {
    revision: u64,
    written: watch::Receiver<WriteProgress>,
}

impl CheckpointBarrier {
    /// Pending until this process owns the run; never resolves after ownership is lost, which [`CheckpointWriter::ownership_lost`] says.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any point: the writer continues.
    pub(crate) async fn wait(mut self) {
        let revision = self.revision;
        let stored = |written: &WriteProgress| written.revision >= revision && written.lost.is_none();
        if self.written.wait_for(stored).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl CheckpointWriter {
    /// Starts with the checkpoint that [`write_first`] wrote, and its version.
    pub(crate) fn start(store: Arc<dyn CheckpointStore>, checkpoint: Checkpoint, version: Version) -> Self {
        let state = Arc::new(Mutex::new(State {
            checkpoint,
            revision: 0,
        }));
        let wake = Arc::<Notify>::default();
        let (sender, written) = watch::channel(WriteProgress::default());
        let task = tokio::spawn(run_writer(
            store,
            Arc::clone(&state),
            Arc::clone(&wake),
            sender,
            version,
        ));
        Self {
            state,
            wake,
            written,
            task,
        }
    }

    pub(crate) fn record(&self, record: &Record) {
        self.change(|checkpoint| checkpoint.apply(record));
    }

    /// No more results of this plugin are expected.
    pub(crate) fn plugin_ended(&self, plugin: &PluginName) {
        self.change(|checkpoint| checkpoint.end(plugin));
    }

    fn change(&self, what: impl FnOnce(&mut Checkpoint) -> Change) {
        let mut state = lock(&self.state);
        let change = what(&mut state.checkpoint);
        if change != Change::None {
            state.revision += 1;
        }
        if change == Change::Soon {
            self.wake.notify_one();
        }
    }

    /// A barrier for actions that need everything recorded up to now to be in the store.
    pub(crate) fn barrier(&self) -> CheckpointBarrier {
        CheckpointBarrier {
            revision: lock(&self.state).revision,
            written: self.written.clone(),
        }
    }

    /// Resolves when ownership is lost, also by the end of the task that watches over it.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any point: the loss is a state that can be waited for again.
    pub(crate) async fn ownership_lost(&self) -> OwnershipLost {
        let mut written = self.written.clone();
        let lost = written.wait_for(|written| written.lost.is_some()).await;
        lost.ok()
            .and_then(|written| written.lost.clone())
            .unwrap_or(OwnershipLost::Ended)
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run_writer(
    store: Arc<dyn CheckpointStore>,
    state: Arc<Mutex<State>>,
    wake: Arc<Notify>,
    written: watch::Sender<WriteProgress>,
    mut version: Version,
) {
    let mut done = 0;
    loop {
        // Checked after each interval, with or without a change.
        timeout(CHECK_INTERVAL, wake.notified()).await.ok();
        let (checkpoint, revision) = {
            let state = lock(&state);
            (state.checkpoint.clone(), state.revision)
        };
        let outcome = if revision == done {
            is_ours(store.as_ref(), &checkpoint, &mut version).await
        } else {
            write(store.as_ref(), &checkpoint, &mut version).await
        };
        let lost = outcome.err();
        let is_lost = lost.is_some();
        done = revision;
        written.send_replace(WriteProgress { revision, lost });
        if is_lost {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
