//! Ownership of a run that has a checkpoint, and the state that its next owner resumes from.
//!
//! An existing journal takes precedence, because it contains more. Without one the checkpoint replaces it, and results are
//! collected again. The journal of a pod that another pod has replaced is ignored.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use sono_run::{Checkpoint, CheckpointPhase, PluginPlan, Record, Run, RunPolicy, RunStart};
use sono_types::{OverallStatus, PluginName, RunStatus, SessionId, TarInfo, constants, status::plugin_status};

use crate::{
    backend::{Backend, CheckpointStore, CheckpointStoreError, Version},
    durability::{checkpoint, checkpoint::CheckpointWriter, checkpoint_codec, journal::Journal},
    error::RunError,
};

/// The error of every result whose archive was lost with its pod.
pub(crate) const ARCHIVE_GONE: &str = "the archive was complete, but was lost with the aggregator's pod before it was retrieved; run again with --wait --rm, which retrieves it immediately, or with --results-volume";

/// The ownership of a run, and the state of its acquisition.
pub(crate) struct Ownership {
    store: Arc<dyn CheckpointStore>,
    /// The unique name of this process.
    holder: String,
    /// The last epoch in the checkpoint store.
    epoch: u64,
    /// The version on which the decision is based; later the version that this process wrote.
    version: Option<Version>,
    /// The stored checkpoint of this run; later the one that this process wrote.
    checkpoint: Option<Checkpoint>,
}

/// How the acquisition of a run ended.
pub(crate) enum Acquired {
    /// This process owns the run, and resumes it from the records.
    Owned,
    /// The run does not exist yet.
    NewRun,
    /// Another process wrote the checkpoint first.
    Conflict,
    /// The run is over, and its archive is lost.
    Sealed {
        status: RunStatus,
        /// The sessions of its plugins, whose objects may still exist.
        sessions: BTreeMap<PluginName, SessionId>,
    },
}

fn unusable(reason: impl std::fmt::Display) -> RunError {
    RunError::Record(format!("checkpoint: {reason}"))
}

impl Ownership {
    /// Reads the checkpoint; `None` if the run has no checkpoint store.
    pub(crate) async fn load(backend: &dyn Backend, uuid: &str) -> Result<Option<Self>, RunError> {
        let Some(store) = backend.checkpoint_store() else {
            return Ok(None);
        };
        let found = match store.read().await {
            Ok(found) => found,
            // A run that starts without it would start again in the next pod, next to its own plugins.
            Err(CheckpointStoreError::Refused(reason)) => {
                return Err(unusable(format!(
                    "{reason}; --aggregator-workload deployment needs get, create and update on Secrets in the run's namespace"
                )));
            }
            Err(error) => return Err(unusable(error)),
        };
        let version = found.as_ref().map(|found| found.version.clone());
        if found.as_ref().is_some_and(|found| found.content.is_none()) {
            tracing::warn!(
                secret = constants::RUN_SECRET,
                "the Secret of the checkpoint is not owned by the run's ConfigMap, replacing it"
            );
        }
        let found = found
            .and_then(|found| found.content)
            .map(|bytes| checkpoint_codec::decode(&bytes))
            .transpose();
        let found = found.map_err(|error| unusable(sono_types::error_chain(&error)))?;
        let epoch = found.as_ref().map_or(0, |checkpoint| checkpoint.epoch);
        Ok(Some(Self {
            store,
            holder: uuid::Uuid::new_v4().to_string(),
            epoch,
            version,
            checkpoint: found.filter(|checkpoint| uuid.is_empty() || checkpoint.run_start.uuid == uuid),
        }))
    }

    /// Whether a checkpoint of this run exists.
    pub(crate) fn has_checkpoint(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// Acquires the run: with the journal or, if that is empty, with the checkpoint, which is then written to the journal.
    pub(crate) async fn acquire(
        &mut self,
        journal: &Journal,
        records: &mut Vec<Record>,
        now: Timestamp,
    ) -> Result<Acquired, RunError> {
        match records.first() {
            Some(Record::Started(run_start)) => {
                let run_start = run_start.clone();
                self.resume(journal, records, run_start).await
            }
            Some(_) => Ok(Acquired::NewRun),
            None => self.take_over(journal, records, now).await,
        }
    }

    fn owned(&self) -> Record {
        Record::Owned {
            epoch: self.epoch,
            holder: self.holder.clone(),
        }
    }

    /// The checkpoint with the next epoch, and this process as its owner.
    fn next(&mut self, mut checkpoint: Checkpoint) -> Checkpoint {
        self.epoch += 1;
        (checkpoint.epoch, checkpoint.holder) = (self.epoch, self.holder.clone());
        checkpoint
    }

    /// False if another process has written the checkpoint since this process read it.
    async fn write(&mut self, checkpoint: &Checkpoint) -> Result<bool, RunError> {
        let written = checkpoint::write_first(self.store.as_ref(), checkpoint, self.version.as_ref()).await;
        let Some(version) = written.map_err(unusable)? else {
            return Ok(false);
        };
        self.version = Some(version);
        Ok(true)
    }

    async fn resume(
        &mut self,
        journal: &Journal,
        records: &mut Vec<Record>,
        run_start: RunStart,
    ) -> Result<Acquired, RunError> {
        if let Some(Checkpoint { epoch, holder, .. }) = &self.checkpoint {
            let (epoch, holder) = (*epoch, holder.clone());
            let last = Record::Owned { epoch, holder };
            if !records.contains(&last) {
                return Err(RunError::Superseded(
                    "another aggregator has taken over the run since this pod owned it".to_owned(),
                ));
            }
        }
        let checkpoint = match self.checkpoint.take() {
            Some(checkpoint) => checkpoint,
            None => Checkpoint::new(run_start, self.epoch, String::new()),
        };
        let mut checkpoint = self.next(checkpoint);
        for record in records.iter() {
            checkpoint.apply(record);
        }
        // Recorded first: a process that is killed between the two writes must recognize its own name.
        let owned = self.owned();
        journal
            .commit_patiently(vec![owned.clone()])
            .await
            .map_err(|error| RunError::Record(error.to_string()))?;
        records.push(owned);
        if !self.write(&checkpoint).await? {
            // The next read shows whether it was another aggregator.
            return Ok(Acquired::Conflict);
        }
        self.checkpoint = Some(checkpoint);
        Ok(Acquired::Owned)
    }

    async fn take_over(
        &mut self,
        journal: &Journal,
        records: &mut Vec<Record>,
        now: Timestamp,
    ) -> Result<Acquired, RunError> {
        let Some(checkpoint) = self.checkpoint.take() else {
            return Ok(Acquired::NewRun);
        };
        if matches!(checkpoint.phase, CheckpointPhase::Sealed(_)) {
            let plugins = checkpoint.run_start.plugins.iter();
            return Ok(Acquired::Sealed {
                status: archive_gone(&checkpoint),
                sessions: plugins
                    .map(|planned| (planned.plugin.clone(), planned.session.clone()))
                    .collect(),
            });
        }
        let mut checkpoint = self.next(checkpoint);
        let mut adopted = checkpoint.records(now);
        checkpoint.phase = CheckpointPhase::Running;
        if !self.write(&checkpoint).await? {
            return Ok(Acquired::Conflict);
        }
        tracing::warn!(
            epoch = self.epoch,
            "the results of the previous aggregator are lost, collecting them again"
        );
        adopted.push(self.owned());
        journal
            .commit_patiently(adopted.clone())
            .await
            .map_err(|error| RunError::Record(error.to_string()))?;
        *records = adopted;
        self.checkpoint = Some(checkpoint);
        Ok(Acquired::Owned)
    }

    /// Acquires a new run; `None` if another process wrote the checkpoint first.
    pub(crate) async fn begin(&mut self, run_start: &RunStart) -> Result<Option<Record>, RunError> {
        let checkpoint = Checkpoint::new(run_start.clone(), self.epoch, String::new());
        let checkpoint = self.next(checkpoint);
        if !self.write(&checkpoint).await? {
            return Ok(None);
        }
        self.checkpoint = Some(checkpoint);
        Ok(Some(self.owned()))
    }

    /// The writer of the checkpoint from now on.
    pub(crate) fn into_writer(self, run: &Run) -> Option<CheckpointWriter> {
        let (mut checkpoint, version) = (self.checkpoint?, self.version?);
        for plugin in run.ended() {
            checkpoint.end(plugin);
        }
        Some(CheckpointWriter::start(self.store, checkpoint, version))
    }
}

/// The status of a run whose archive is lost: every result is failed.
fn archive_gone(checkpoint: &Checkpoint) -> RunStatus {
    let plan = |planned: &sono_run::Planned| PluginPlan {
        plugin: planned.plugin.clone(),
        order: planned.order,
        expected: planned.expected(),
        timeout: None,
        discovers_targets: false,
    };
    let plans = checkpoint.run_start.plugins.iter().map(plan).collect();
    let mut status = Run::new(plans, RunPolicy::default()).status();
    for row in status.plugins.iter_mut().flatten() {
        plugin_status::FAILED.clone_into(&mut row.status);
        ARCHIVE_GONE.clone_into(&mut row.error);
    }
    RunStatus {
        status: OverallStatus::Failed,
        tarball: TarInfo::default(),
        ..status
    }
}
