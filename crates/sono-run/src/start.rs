//! The start-up of a run as a state machine: the run starts, or resumes where an earlier process left it.
//!
//! An existing journal takes precedence over the checkpoint: it knows more. Without one the checkpoint takes its place, and results
//! are collected again. The journal of a pod that another pod has replaced is ignored.

mod event;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use sono_types::{OverallStatus, RunId, RunStatus, TarInfo, status::plugin_status};

pub use self::event::{OwnedRun, StartEffect, StartError, StartEvent, StartNotice, StartSettings};
use super::{
    checkpoint::{Checkpoint, CheckpointPhase},
    event::{Effect, Event, PluginPlan, RunPolicy},
    machine::Run,
    record::{JOURNAL_VERSION, Planned, Record, RunStart},
};

/// The error of every result whose archive was lost with its pod.
pub const ARCHIVE_LOST: &str = "the archive was complete, but was lost with the aggregator's pod before it was retrieved; run again with --wait --rm, which retrieves it immediately, or with --results-volume";

/// Time limit of the list of nodes when a run is resumed: it only shows which nodes plugins leave out.
const NODE_LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// The effects of a step, or why there are none.
type Step<E> = Result<Vec<StartEffect<E>>, StartError>;

/// The start-up. The shell carries out the effects of [`Startup::begin`] one after another; when one has an outcome that is an event,
/// the effects of the event replace those that are left.
#[derive(Debug)]
pub struct Startup {
    settings: StartSettings,
    /// The identity of the run, as far as it is known.
    uuid: String,
    /// The last epoch in the checkpoint store.
    epoch: u64,
    /// The stored checkpoint of this run; later the one that this process writes.
    checkpoint: Option<Checkpoint>,
    /// The records of an earlier process; empty for a new run.
    records: Vec<Record>,
    /// The wait for the journal has been logged.
    has_reported_wait: bool,
}

impl Startup {
    /// A start-up that has not started.
    pub fn new(settings: StartSettings) -> Self {
        Self {
            settings,
            uuid: String::new(),
            epoch: 0,
            checkpoint: None,
            records: Vec::new(),
            has_reported_wait: false,
        }
    }

    /// The records of an earlier process.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The first effects.
    pub fn begin<E: From<StartError>>(&mut self) -> Vec<StartEffect<E>> {
        self.uuid.clone_from(&self.settings.uuid);
        (self.epoch, self.checkpoint) = (0, None);
        self.records.clear();
        if !self.uuid.is_empty()
            && let Err(error) = RunId::parse(&self.uuid)
        {
            return vec![StartEffect::Fail(StartError::from(error).into())];
        }
        if self.settings.policy.checkpointed {
            vec![StartEffect::ReadCheckpoint]
        } else {
            self.open_journal(false)
        }
    }

    /// Handles the outcome of an effect, and returns the next effects.
    pub fn handle<E: From<StartError>>(&mut self, at: Timestamp, event: StartEvent<E>) -> Vec<StartEffect<E>> {
        let step = match event {
            StartEvent::CheckpointRead {
                checkpoint,
                has_nameless_journal,
            } => {
                self.epoch = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.epoch);
                self.checkpoint = checkpoint.map(|checkpoint| *checkpoint).filter(|checkpoint| {
                    let configured = &self.settings.uuid;
                    configured.is_empty() || checkpoint.run_start.uuid == *configured
                });
                Ok(self.open_journal(has_nameless_journal))
            }
            StartEvent::JournalHeld(error) if self.settings.waits_for_journal => Ok(self.wait_for_journal(error)),
            StartEvent::JournalHeld(error) => Ok(vec![StartEffect::Fail(error)]),
            StartEvent::JournalOpened(records) => self.acquire(at, records),
            StartEvent::Conflict => {
                let again = [
                    StartEffect::CloseJournal,
                    StartEffect::Log(StartNotice::Conflict),
                    StartEffect::Pause,
                ];
                Ok(again.into_iter().chain(self.begin()).collect())
            }
            StartEvent::NodesFailed(error) if self.records.is_empty() => Ok(vec![StartEffect::Fail(error)]),
            StartEvent::NodesListed if self.records.is_empty() => Ok(vec![StartEffect::Plan { start: at }]),
            StartEvent::NodesListed | StartEvent::NodesFailed(_) => Ok(vec![StartEffect::Restore]),
            StartEvent::Planned(run_start) => Ok(self.start(at, run_start)),
            StartEvent::Restored(missed) => self.resume(at, missed),
        };
        step.unwrap_or_else(|error| vec![StartEffect::Fail(error.into())])
    }

    /// Opens the journal with the run's name, or without one if an earlier program may have written it.
    fn open_journal<E>(&mut self, has_nameless_journal: bool) -> Vec<StartEffect<E>> {
        let is_nameless = has_nameless_journal && self.checkpoint.is_some();
        if self.uuid.is_empty()
            && !is_nameless
            && let Some(identity) = &self.settings.backend_identity
        {
            self.uuid.clone_from(identity);
        }
        let uuid = self.uuid.clone();
        vec![StartEffect::OpenJournal { uuid }]
    }

    fn wait_for_journal<E>(&mut self, error: E) -> Vec<StartEffect<E>> {
        let is_first = !std::mem::replace(&mut self.has_reported_wait, true);
        let reported = is_first.then_some(StartEffect::Log(StartNotice::JournalHeld(error)));
        let uuid = self.uuid.clone();
        let again = [StartEffect::Pause, StartEffect::OpenJournal { uuid }];
        reported.into_iter().chain(again).collect()
    }

    /// Acquires the run: with the journal or, if that is empty, with the checkpoint, which is then written to the journal.
    fn acquire<E>(&mut self, at: Timestamp, records: Vec<Record>) -> Step<E> {
        match records.first() {
            None => match self.checkpoint.take() {
                None => self.prepare_new(),
                Some(checkpoint) => self.take_over(at, checkpoint),
            },
            Some(Record::Started(run_start)) => {
                let run_start = run_start.clone();
                self.acquire_with_journal(&run_start, records)
            }
            Some(_) => Err(StartError::NoIdentity),
        }
    }

    /// A new run gets an identity.
    fn prepare_new<E>(&mut self) -> Step<E> {
        if self.uuid.is_empty() {
            self.uuid.clone_from(&self.settings.new_uuid);
        }
        RunId::parse(&self.uuid)?;
        Ok(vec![
            StartEffect::Identify {
                uuid: self.uuid.clone(),
                sessions: BTreeMap::new(),
            },
            StartEffect::Prepare,
            StartEffect::ListNodes { within: None },
        ])
    }

    fn acquire_with_journal<E>(&mut self, run_start: &RunStart, records: Vec<Record>) -> Step<E> {
        check(run_start)?;
        self.records = records;
        let mut effects = Vec::new();
        if self.settings.policy.checkpointed {
            if let Some(Checkpoint { epoch, holder, .. }) = &self.checkpoint {
                let (epoch, holder) = (*epoch, holder.clone());
                if !self.records.contains(&Record::Owned { epoch, holder }) {
                    return Err(StartError::Superseded);
                }
            }
            let stored = self.checkpoint.take();
            let stored = stored.unwrap_or_else(|| Checkpoint::new(run_start.clone(), self.epoch, String::new()));
            let mut checkpoint = self.next(stored);
            for record in &self.records {
                checkpoint.apply(record);
            }
            let owned = self.owned();
            self.records.push(owned.clone());
            // Recorded first: a process that is killed between the two writes must recognize its own name.
            effects.push(StartEffect::Record(vec![owned]));
            effects.push(self.write(checkpoint));
        }
        effects.extend(self.proceed(run_start));
        Ok(effects)
    }

    /// The journal is lost, with all results: the checkpoint takes its place.
    fn take_over<E>(&mut self, at: Timestamp, checkpoint: Checkpoint) -> Step<E> {
        check(&checkpoint.run_start)?;
        if matches!(checkpoint.phase, CheckpointPhase::Sealed(_)) {
            let status = Box::new(lost_status(&checkpoint));
            return Ok(vec![
                identify(&checkpoint.run_start),
                StartEffect::Over {
                    status,
                    is_archive_lost: true,
                },
            ]);
        }
        let mut checkpoint = self.next(checkpoint);
        self.records = checkpoint.records(at);
        self.records.push(self.owned());
        checkpoint.phase = CheckpointPhase::Running;
        let run_start = checkpoint.run_start.clone();
        let mut effects = vec![
            self.write(checkpoint),
            StartEffect::Log(StartNotice::TakenOver { epoch: self.epoch }),
            StartEffect::Record(self.records.clone()),
        ];
        effects.extend(self.proceed(&run_start));
        Ok(effects)
    }

    /// Continues with the records of an earlier process.
    fn proceed<E>(&self, run_start: &RunStart) -> Vec<StartEffect<E>> {
        let records = self.records.len();
        let mut effects = vec![
            identify(run_start),
            StartEffect::Log(StartNotice::Resumed { records }),
            StartEffect::RemoveUnfinished { start: run_start.start },
        ];
        let sealed = self.records.iter().rev().find_map(|record| match record {
            Record::Sealed { status } => Some(Box::new(status.clone())),
            _ => None,
        });
        match sealed {
            Some(status) => effects.push(StartEffect::Over {
                status,
                is_archive_lost: false,
            }),
            None => effects.extend([
                StartEffect::Prepare,
                StartEffect::ListNodes {
                    within: Some(NODE_LIST_TIMEOUT),
                },
            ]),
        }
        effects
    }

    /// Acquires a new run. It is recorded before any object is created, so that the next process recognizes the objects.
    fn start<E>(&mut self, at: Timestamp, run_start: RunStart) -> Vec<StartEffect<E>> {
        let mut effects = Vec::new();
        let mut first = vec![Record::Started(run_start.clone())];
        if self.settings.policy.checkpointed {
            let checkpoint = self.next(Checkpoint::new(run_start.clone(), self.epoch, String::new()));
            effects.push(self.write(checkpoint));
            first.push(self.owned());
        }
        effects.push(StartEffect::Record(first));
        let mut run = Run::new(plans(&run_start), self.settings.policy.clone());
        let first_effects = run.handle(at, Event::Start);
        effects.push(self.owned_run(run_start, run, first_effects, false));
        effects
    }

    /// Replays the records. Those that the journal lacks are inserted before the end of the collection: the results arrived in time.
    fn resume<E>(&mut self, at: Timestamp, missed: Vec<Record>) -> Step<E> {
        let mut effects = Vec::new();
        let mut records = std::mem::take(&mut self.records);
        if !missed.is_empty() {
            effects.push(StartEffect::Record(missed.clone()));
            let end = records.iter().position(|record| *record == Record::Finishing);
            let end = end.unwrap_or(records.len());
            records.splice(end..end, missed);
        }
        let Some(Record::Started(run_start)) = records.first().cloned() else {
            return Err(StartError::NoIdentity);
        };
        let mut run = Run::recover(plans(&run_start), self.settings.policy.clone(), &records);
        let first_effects = run.resume(at);
        effects.push(self.owned_run(run_start, run, first_effects, true));
        Ok(effects)
    }

    fn owned_run<E>(
        &mut self,
        run_start: RunStart,
        run: Run,
        effects: Vec<Effect>,
        is_resumed: bool,
    ) -> StartEffect<E> {
        let mut checkpoint = self.checkpoint.take();
        if let Some(checkpoint) = &mut checkpoint {
            for plugin in run.ended() {
                checkpoint.end(plugin);
            }
        }
        StartEffect::Start(Box::new(OwnedRun {
            run_start,
            run,
            effects,
            checkpoint,
            is_resumed,
        }))
    }

    /// The checkpoint with the next epoch, and this process as its owner.
    fn next(&mut self, mut checkpoint: Checkpoint) -> Checkpoint {
        self.epoch += 1;
        (checkpoint.epoch, checkpoint.holder) = (self.epoch, self.settings.holder.clone());
        checkpoint
    }

    fn write<E>(&mut self, checkpoint: Checkpoint) -> StartEffect<E> {
        self.checkpoint = Some(checkpoint.clone());
        StartEffect::WriteCheckpoint(Box::new(checkpoint))
    }

    fn owned(&self) -> Record {
        Record::Owned {
            epoch: self.epoch,
            holder: self.settings.holder.clone(),
        }
    }
}

/// Checks the identity that a journal or a checkpoint contains.
fn check(run_start: &RunStart) -> Result<(), StartError> {
    if run_start.version != JOURNAL_VERSION {
        return Err(StartError::Version(run_start.version));
    }
    RunId::parse(&run_start.uuid)?;
    Ok(())
}

fn identify<E>(run_start: &RunStart) -> StartEffect<E> {
    let session = |planned: &Planned| (planned.plugin.clone(), planned.session.clone());
    StartEffect::Identify {
        uuid: run_start.uuid.clone(),
        sessions: run_start.plugins.iter().map(session).collect(),
    }
}

fn plans(run_start: &RunStart) -> Vec<PluginPlan> {
    run_start.plugins.iter().map(Planned::plan).collect()
}

/// The status of a run whose archive is lost: every result is failed.
fn lost_status(checkpoint: &Checkpoint) -> RunStatus {
    let known = |plan: PluginPlan| PluginPlan {
        discovers_targets: false,
        ..plan
    };
    let plans = plans(&checkpoint.run_start).into_iter().map(known).collect();
    let mut status = Run::new(plans, RunPolicy::default()).status();
    for row in status.plugins.iter_mut().flatten() {
        plugin_status::FAILED.clone_into(&mut row.status);
        ARCHIVE_LOST.clone_into(&mut row.error);
    }
    RunStatus {
        status: OverallStatus::Failed,
        tarball: TarInfo::default(),
        ..status
    }
}

#[cfg(test)]
mod tests;
