//! Whose a run is, and what it goes on from, where it keeps a memory outside of its volume.
//!
//! A journal that is there wins: it knows more. Where there is none, what is kept outside takes its place; results are then
//! collected again. The journal of a pod that another one has replaced meanwhile is worth nothing any more.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use sono_run::{Begun, CheckpointPhase, Memory, Plan, Policy, Record, Run};
use sono_types::{OverallStatus, PluginName, RunStatus, SessionId, TarInfo, constants, status::plugin_status};

use crate::{
    backend::{Site, Vault, VaultError, Version},
    durability::{checkpoint, checkpoint::Keeper, checkpoint_codec, journal::Journal},
    error::RunError,
};

/// What is said when the archive went with its pod.
pub(crate) const ARCHIVE_GONE: &str = "the archive was made, and went together with the aggregator's pod before it was fetched; run again, with --wait --rm, which fetches it at once, or with --results-volume";

/// One process' claim to a run.
pub(crate) struct Claim {
    vault: Arc<dyn Vault>,
    /// A text that no other process has.
    holder: String,
    /// The last epoch of whatever is kept there.
    epoch: u64,
    /// What is kept there, on which it is decided what to do; then what this process wrote.
    version: Option<Version>,
    /// What is kept there of this run; then what this process keeps.
    memory: Option<Memory>,
}

/// How far a claim got.
pub(crate) enum Taken {
    /// The run is this process' own, and the records say what it goes on from.
    Done,
    /// There is none yet.
    Nothing,
    /// Somebody else was quicker.
    Missed,
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

impl Claim {
    /// What is kept of the run; `None` where nothing shall be.
    pub(crate) async fn look(site: &dyn Site, uuid: &str) -> Result<Option<Self>, RunError> {
        let Some(vault) = site.vault() else { return Ok(None) };
        let found = match vault.read().await {
            Ok(found) => found,
            // Whoever began without it would begin once more in the next pod, beside the plugins that are there.
            Err(VaultError::Refused(reason)) => {
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
        let epoch = found.as_ref().map_or(0, |memory| memory.epoch);
        Ok(Some(Self {
            vault,
            holder: uuid::Uuid::new_v4().to_string(),
            epoch,
            version,
            memory: found.filter(|memory| uuid.is_empty() || memory.begun.uuid == uuid),
        }))
    }

    /// Whether a checkpoint of this run exists.
    pub(crate) fn has_checkpoint(&self) -> bool {
        self.memory.is_some()
    }

    /// Takes the run over: with the journal, or where it is empty with what is kept, which then is in the journal too.
    pub(crate) async fn take_up(
        &mut self,
        journal: &Journal,
        records: &mut Vec<Record>,
        now: Timestamp,
    ) -> Result<Taken, RunError> {
        match records.first() {
            Some(Record::Begun(begun)) => {
                let begun = begun.clone();
                self.go_on(journal, records, begun).await
            }
            Some(_) => Ok(Taken::Nothing),
            None => self.adopt(journal, records, now).await,
        }
    }

    fn owned(&self) -> Record {
        Record::Owned {
            epoch: self.epoch,
            holder: self.holder.clone(),
        }
    }

    /// As the next of those that had the run.
    fn next(&mut self, mut memory: Memory) -> Memory {
        self.epoch += 1;
        (memory.epoch, memory.holder) = (self.epoch, self.holder.clone());
        memory
    }

    /// False when anything was written since this process looked.
    async fn write(&mut self, memory: &Memory) -> Result<bool, RunError> {
        let written = checkpoint::claim(self.vault.as_ref(), memory, self.version.as_ref()).await;
        let Some(version) = written.map_err(unusable)? else {
            return Ok(false);
        };
        self.version = Some(version);
        Ok(true)
    }

    async fn go_on(&mut self, journal: &Journal, records: &mut Vec<Record>, begun: Begun) -> Result<Taken, RunError> {
        if let Some(Memory { epoch, holder, .. }) = &self.memory {
            let (epoch, holder) = (*epoch, holder.clone());
            let last = Record::Owned { epoch, holder };
            if !records.contains(&last) {
                return Err(RunError::Superseded(
                    "another aggregator has taken the run over since this pod had it".to_owned(),
                ));
            }
        }
        let memory = match self.memory.take() {
            Some(memory) => memory,
            None => Memory::new(begun, self.epoch, String::new()),
        };
        let mut memory = self.next(memory);
        for record in records.iter() {
            memory.note(record);
        }
        // Before it is so: a process that is killed between the two must know itself again.
        let owned = self.owned();
        journal
            .commit_patiently(vec![owned.clone()])
            .await
            .map_err(RunError::Record)?;
        records.push(owned);
        if !self.write(&memory).await? {
            // The next look says whether it was another aggregator.
            return Ok(Taken::Missed);
        }
        self.memory = Some(memory);
        Ok(Taken::Done)
    }

    async fn adopt(&mut self, journal: &Journal, records: &mut Vec<Record>, now: Timestamp) -> Result<Taken, RunError> {
        let Some(memory) = self.memory.take() else {
            return Ok(Taken::Nothing);
        };
        if matches!(memory.phase, CheckpointPhase::Sealed(_)) {
            let plugins = memory.begun.plugins.iter();
            return Ok(Taken::Sealed {
                status: archive_gone(&memory),
                sessions: plugins
                    .map(|planned| (planned.plugin.clone(), planned.session.clone()))
                    .collect(),
            });
        }
        let mut memory = self.next(memory);
        let mut adopted = memory.records(now);
        memory.phase = CheckpointPhase::Running;
        if !self.write(&memory).await? {
            return Ok(Taken::Missed);
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
        self.memory = Some(memory);
        Ok(Taken::Done)
    }

    /// Makes the run that begins this process' own; `None` when somebody else was quicker.
    pub(crate) async fn begin(&mut self, begun: &Begun) -> Result<Option<Record>, RunError> {
        let memory = Memory::new(begun.clone(), self.epoch, String::new());
        let memory = self.next(memory);
        if !self.write(&memory).await? {
            return Ok(None);
        }
        self.memory = Some(memory);
        Ok(Some(self.owned()))
    }

    /// What keeps it from now on.
    pub(crate) fn keeper(self, run: &Run) -> Option<Keeper> {
        let (mut memory, version) = (self.memory?, self.version?);
        for plugin in run.ended() {
            memory.end(plugin);
        }
        Some(Keeper::start(self.vault, memory, version))
    }
}

/// Every result was in, or failed, and all of that is gone.
fn archive_gone(memory: &Memory) -> RunStatus {
    let plan = |planned: &sono_run::Planned| Plan {
        plugin: planned.plugin.clone(),
        order: planned.order,
        expected: planned.expected(),
        timeout: None,
        learns: false,
    };
    let plans = memory.begun.plugins.iter().map(plan).collect();
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
