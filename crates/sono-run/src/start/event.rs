//! The input and output of the start-up: settings, events, effects and errors.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use sono_types::{PluginName, RunStatus, SessionId, ids::NameError};

use crate::{
    checkpoint::Checkpoint,
    event::{Effect, RunPolicy},
    machine::Run,
    record::{JOURNAL_VERSION, Record, RunStart},
};

/// The input of the start-up.
#[derive(Debug, Clone)]
pub struct StartSettings {
    /// The configured identity of the run; empty if the configuration has none.
    pub uuid: String,
    /// The identity that the backend gives to a run without a configured one.
    pub backend_identity: Option<String>,
    /// The identity of a new run that has neither.
    pub new_uuid: String,
    /// The name of this process in the checkpoint and the journal, which no other process has.
    pub holder: String,
    /// Another process may hold the journal until it ends, and this one waits for that: a replacement pod may start before the
    /// previous one has ended.
    pub waits_for_journal: bool,
    /// Settings of the run. One with a checkpoint is acquired in the checkpoint store.
    pub policy: RunPolicy,
}

/// The outcome of a [`StartEffect`]. `E` is the shell's error.
#[derive(Debug, PartialEq)]
pub enum StartEvent<E> {
    /// [`StartEffect::ReadCheckpoint`] is done.
    CheckpointRead {
        /// The stored checkpoint, of this run or of another one.
        checkpoint: Option<Box<Checkpoint>>,
        /// The run's directory has only a journal of commit baf4e4a or earlier, whose name lacks the run's identity.
        has_nameless_journal: bool,
    },
    /// [`StartEffect::OpenJournal`] is done: the records of the journal.
    JournalOpened(Vec<Record>),
    /// Another process holds the journal.
    JournalHeld(E),
    /// Another process wrote the checkpoint before [`StartEffect::WriteCheckpoint`] did.
    Conflict,
    /// [`StartEffect::ListNodes`] is done. Without the permission to list nodes they are discovered later.
    NodesListed,
    /// The nodes could not be listed.
    NodesFailed(E),
    /// [`StartEffect::Plan`] is done.
    Planned(RunStart),
    /// [`StartEffect::Restore`] is done: records of committed results that the journal lacks, because the process ended in between.
    Restored(Vec<Record>),
}

/// An action for the shell. A failure without an event of its own ends the start-up.
#[derive(Debug, PartialEq)]
pub enum StartEffect<E> {
    /// Read the checkpoint.
    ReadCheckpoint,
    /// Open the journal of this run; an empty identity means that the directory belongs to one run.
    OpenJournal {
        /// The identity of the run, as far as it is known.
        uuid: String,
    },
    /// Close the journal, for another attempt.
    CloseJournal,
    /// Wait a moment before the next effect.
    Pause,
    /// Write these records to the journal, and wait until they are on disk.
    Record(Vec<Record>),
    /// Replace exactly the checkpoint that was read.
    WriteCheckpoint(Box<Checkpoint>),
    /// The run has this identity: make the drivers of its plugins.
    Identify {
        /// The identity, a valid name of a directory.
        uuid: String,
        /// The sessions of plugins that an earlier process planned.
        sessions: BTreeMap<PluginName, SessionId>,
    },
    /// Remove unfinished files of an earlier process.
    RemoveUnfinished {
        /// When the run started, for the name of its archive.
        start: Timestamp,
    },
    /// Make the run's directories and first files.
    Prepare,
    /// List the nodes.
    ListNodes {
        /// Time limit; `None` means that the run cannot start without them.
        within: Option<Duration>,
    },
    /// Plan a new run: its expected results, from its drivers and nodes, and its certificates.
    Plan {
        /// When the run starts.
        start: Timestamp,
    },
    /// Write the files of results that the journal contains, and look for results that it lacks; see [`Startup::records`](super::Startup::records).
    Restore,
    /// The run can continue: the last effect.
    Start(Box<OwnedRun>),
    /// An earlier process completed the run: the last effect.
    Over {
        /// The final status.
        status: Box<RunStatus>,
        /// The archive was lost with its pod.
        is_archive_lost: bool,
    },
    /// Write this to the log.
    Log(StartNotice<E>),
    /// The run cannot start: the last effect.
    Fail(E),
}

/// A step of the start-up that users may want to know.
#[derive(Debug, PartialEq)]
pub enum StartNotice<E> {
    /// Another process holds the journal, and this one waits.
    JournalHeld(E),
    /// Another process wrote the checkpoint at the same time.
    Conflict,
    /// The results of the previous process are lost, and are collected again.
    TakenOver {
        /// The epoch of this process.
        epoch: u64,
    },
    /// The journal of an earlier process is resumed.
    Resumed {
        /// The number of its records.
        records: usize,
    },
}

/// A run that this process owns.
#[derive(Debug, PartialEq)]
pub struct OwnedRun {
    /// Its identity and plugins.
    pub run_start: RunStart,
    /// Its state.
    pub run: Run,
    /// Its first effects.
    pub effects: Vec<Effect>,
    /// The checkpoint that this process wrote; `None` if the run has none.
    pub checkpoint: Option<Checkpoint>,
    /// An earlier process started it.
    pub is_resumed: bool,
}

/// Why a run cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Another version of this program wrote the journal or the checkpoint.
    #[error("the journal has the unsupported version {0}; this aggregator supports version {JOURNAL_VERSION}")]
    Version(u32),
    /// The journal begins with another record than [`Record::Started`].
    #[error("the first record of the journal is not the run's identity")]
    NoIdentity,
    /// The identity cannot be the name of a directory.
    #[error(transparent)]
    Identity(#[from] NameError),
    /// The checkpoint has an owner that the journal does not know.
    #[error("another aggregator has taken over the run since this pod owned it")]
    Superseded,
}
