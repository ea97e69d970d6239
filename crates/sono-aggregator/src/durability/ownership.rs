//! Ownership of a run that has a checkpoint: the checkpoint store with the version that this process has read or written.

use std::sync::Arc;

use sono_run::Checkpoint;
use sono_types::{SharedError, constants};

use crate::{
    backend::{Backend, CheckpointStore, CheckpointStoreError, Version},
    durability::{checkpoint, checkpoint::CheckpointWriter, checkpoint_codec},
    error::{RecordError, RunError},
};

/// The checkpoint store of a run.
pub(crate) struct Ownership {
    store: Arc<dyn CheckpointStore>,
    /// The version on which the decision is based; later the version that this process wrote.
    version: Option<Version>,
}

impl Ownership {
    /// `None` if the run has no checkpoint store.
    pub(crate) fn of(backend: &dyn Backend) -> Option<Self> {
        let store = backend.checkpoint_store()?;
        Some(Self { store, version: None })
    }

    /// Reads the checkpoint, whichever run it belongs to.
    pub(crate) async fn read(&mut self) -> Result<Option<Box<Checkpoint>>, RunError> {
        let found = match self.store.read().await {
            Ok(found) => found,
            // A run that starts without it would start again in the next pod, next to its own plugins.
            Err(CheckpointStoreError::Refused(error)) => return Err(RecordError::CheckpointRefused(error).into()),
            Err(error) => return Err(RecordError::ReadCheckpoint(SharedError::new(error)).into()),
        };
        self.version = found.as_ref().map(|found| found.version.clone());
        let Some(found) = found else { return Ok(None) };
        let Some(content) = found.content else {
            tracing::warn!(
                secret = constants::RUN_SECRET,
                "the Secret of the checkpoint is not owned by the run's ConfigMap, replacing it"
            );
            return Ok(None);
        };
        let checkpoint = checkpoint_codec::decode(&content);
        let checkpoint = checkpoint.map_err(|error| RecordError::ReadCheckpoint(SharedError::new(error)))?;
        Ok(Some(Box::new(checkpoint)))
    }

    /// Replaces exactly the checkpoint that was read. False if another process has written one since.
    pub(crate) async fn write(&mut self, checkpoint: &Checkpoint) -> Result<bool, RunError> {
        let written = checkpoint::write_first(self.store.as_ref(), checkpoint, self.version.as_ref()).await;
        let written = written.map_err(|error| RecordError::WriteCheckpoint(SharedError::new(error)))?;
        let is_written = written.is_some();
        self.version = written.or_else(|| self.version.take());
        Ok(is_written)
    }

    /// The writer of the checkpoint from now on.
    pub(crate) fn into_writer(self, checkpoint: Checkpoint) -> Option<CheckpointWriter> {
        Some(CheckpointWriter::start(self.store, checkpoint, self.version?))
    }
}
