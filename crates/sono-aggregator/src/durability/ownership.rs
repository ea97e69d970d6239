//! Whose a run is, and what it goes on from, where it keeps a memory outside of its volume.
//!
//! A journal that is there wins: it knows more. Where there is none, what is kept outside takes its place; results are then
//! collected again. The journal of a pod that another one has replaced meanwhile is worth nothing any more.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use sono_run::{Begun, Checkpoint, CheckpointPhase, Plan, Policy, Record, Run};
use sono_types::{OverallStatus, PluginName, RunStatus, SessionId, TarInfo, constants, status::plugin_status};

use crate::{
    backend::{Backend, CheckpointStore, CheckpointStoreError, Version},
    durability::{checkpoint, checkpoint::CheckpointWriter, checkpoint_codec, journal::Journal},
    error::RunError,
};

/// What is said when the archive went with its pod.
pub(crate) const ARCHIVE_GONE: &str = "the archive was made, and went together with the aggregator's pod before it was fetched; run again, with --wait --rm, which fetches it at once, or with --results-volume";

/// This process' ownership of a run, as far as it got.
pub(crate) struct Ownership {
    store: Arc<dyn CheckpointStore>,
    /// A text that no other process has.
    holder: String,
    /// The last epoch of whatever is kept there.
    epoch: u64,
    /// What is kept there, on which it is decided what to do; then what this process wrote.
    version: Option<Version>,
    /// What is kept there of this run; then what this process keeps.
    checkpoint: Option<Checkpoint>,
}

/// How the acquisition of a run ended.
pub(crate) enum Acquired {
    /// The run is this process' own, and the records say what it goes on from.
    Owned,
    /// There is none yet.
    NewRun,
    /// Somebody else was quicker.
    Conflict,
    /// It is over, and its archive is gone.
    Sealed {
        status: RunStatus,
        /// The names under which its plugins' objects may still be there.
        sessions: BTreeMap<PluginName, SessionId>,
    },
}

fn unusable(reason: impl std::fmt::Display) -> RunError {
    RunError::Record(format!("what the run keeps outside of its volume: {reason}"))
}

impl Ownership {
    /// What is kept of the run; `None` where nothing shall be.
    pub(crate) async fn load(backend: &dyn Backend, uuid: &str) -> Result<Option<Self>, RunError> {
        let Some(store) = backend.checkpoint_store() else {
            return Ok(None);
        };
        let found = match store.read().await {
            Ok(found) => found,
            // Whoever began without it would begin once more in the next pod, beside the plugins that are there.
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
                "this Secret does not belong to the run's ConfigMap: replacing it instead of continuing another run"
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
            checkpoint: found.filter(|checkpoint| uuid.is_empty() || checkpoint.begun.uuid == uuid),
        }))
    }

    /// Whether a checkpoint of this run exists.
    pub(crate) fn has_checkpoint(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// Takes the run over: with the journal, or where it is empty with what is kept, which then is in the journal too.
    pub(crate) async fn acquire(
        &mut self,
        journal: &Journal,
        records: &mut Vec<Record>,
        now: Timestamp,
    ) -> Result<Acquired, RunError> {
        match records.first() {
            Some(Record::Begun(begun)) => {
                let begun = begun.clone();
                self.resume(journal, records, begun).await
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

    /// As the next of those that had the run.
    fn next(&mut self, mut checkpoint: Checkpoint) -> Checkpoint {
        self.epoch += 1;
        (checkpoint.epoch, checkpoint.holder) = (self.epoch, self.holder.clone());
        checkpoint
    }

    /// False when anything was written since this process looked.
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
        begun: Begun,
    ) -> Result<Acquired, RunError> {
        if let Some(Checkpoint { epoch, holder, .. }) = &self.checkpoint {
            let (epoch, holder) = (*epoch, holder.clone());
            let last = Record::Owned { epoch, holder };
            if !records.contains(&last) {
                return Err(RunError::Superseded(
                    "another aggregator has taken the run over since this pod had it".to_owned(),
                ));
            }
        }
        let checkpoint = match self.checkpoint.take() {
            Some(checkpoint) => checkpoint,
            None => Checkpoint::new(begun, self.epoch, String::new()),
        };
        let mut checkpoint = self.next(checkpoint);
        for record in records.iter() {
            checkpoint.apply(record);
        }
        // Before it is so: a process that is killed between the two must know itself again.
        let owned = self.owned();
        journal
            .commit_patiently(vec![owned.clone()])
            .await
            .map_err(RunError::Record)?;
        records.push(owned);
        if !self.write(&checkpoint).await? {
            // The next look says whether it was another aggregator.
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
            let plugins = checkpoint.begun.plugins.iter();
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
            "the aggregator before this one went with its results: collecting them again"
        );
        adopted.push(self.owned());
        journal
            .commit_patiently(adopted.clone())
            .await
            .map_err(RunError::Record)?;
        *records = adopted;
        self.checkpoint = Some(checkpoint);
        Ok(Acquired::Owned)
    }

    /// Makes the run that begins this process' own; `None` when somebody else was quicker.
    pub(crate) async fn begin(&mut self, begun: &Begun) -> Result<Option<Record>, RunError> {
        let checkpoint = Checkpoint::new(begun.clone(), self.epoch, String::new());
        let checkpoint = self.next(checkpoint);
        if !self.write(&checkpoint).await? {
            return Ok(None);
        }
        self.checkpoint = Some(checkpoint);
        Ok(Some(self.owned()))
    }

    /// What keeps it from now on.
    pub(crate) fn into_writer(self, run: &Run) -> Option<CheckpointWriter> {
        let (mut checkpoint, version) = (self.checkpoint?, self.version?);
        for plugin in run.ended() {
            checkpoint.end(plugin);
        }
        Some(CheckpointWriter::start(self.store, checkpoint, version))
    }
}

/// Every result was in, or failed, and all of that is gone.
fn archive_gone(checkpoint: &Checkpoint) -> RunStatus {
    let plan = |planned: &sono_run::Planned| Plan {
        plugin: planned.plugin.clone(),
        order: planned.order,
        expected: planned.expected(),
        timeout: None,
        learns: false,
    };
    let plans = checkpoint.begun.plugins.iter().map(plan).collect();
    let mut status = Run::new(plans, Policy::default()).status();
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
