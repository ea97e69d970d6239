//! Everything that wakes the coordinator.

use std::{future::Future, pin::Pin};

use tokio::sync::mpsc;

use super::{finalize, server::Server, tasks::Tasks};
use crate::{
    clock::{Clock, until},
    durability::{
        checkpoint::{CheckpointWriter, OwnershipLost},
        journal::Journal,
        progress_file::ProgressFile,
    },
    handle::Request,
    observe::status_snapshots::Snapshots,
};

/// The reason why the coordinator continues.
pub(super) enum Wake {
    /// A request or an event of another task.
    Request(Request),
    /// The machine's next deadline is due.
    Deadline,
    /// The status changed, and the pause since the last one is over.
    StatusDue,
    /// The progress changed, and the pause since the last write is over.
    ProgressDue,
    /// The archive is complete, or cannot be written.
    Finalized(finalize::Finalized),
    /// Another process owns the run, or the ownership cannot be confirmed.
    OwnershipLost(OwnershipLost),
    /// The journal's writer ended.
    JournalEnded,
    /// The workers' server ended.
    ServerEnded(std::io::Error),
    /// The process is asked to stop.
    Shutdown,
}

/// The sources of wakes, by reference.
pub(super) struct Sources<'a> {
    pub(super) requests: &'a mut mpsc::Receiver<Request>,
    /// The machine's next deadline.
    pub(super) deadline: Option<jiff::Timestamp>,
    pub(super) clock: &'a Clock,
    pub(super) snapshots: &'a Snapshots<'a>,
    pub(super) progress: &'a ProgressFile,
    pub(super) tasks: &'a mut Tasks,
    pub(super) checkpoint_writer: Option<&'a CheckpointWriter>,
    pub(super) journal: &'a Journal,
    pub(super) server: &'a mut Server,
}

impl Sources<'_> {
    /// Waits for the first wake.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost on drop: a request is taken only by the branch that returns it, tasks are polled by reference, and all other
    /// sources are states that can be checked again.
    pub(super) async fn next(self, shutdown: &mut Pin<&mut impl Future<Output = ()>>) -> Wake {
        let finished = async {
            match self.tasks.finish.as_mut() {
                Some(task) => task.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(message) = self.requests.recv() => Wake::Request(message),
            () = until(self.deadline, self.clock) => Wake::Deadline,
            () = self.snapshots.due() => Wake::StatusDue,
            () = self.progress.due() => Wake::ProgressDue,
            ended = finished => Wake::Finalized(ended.unwrap_or_else(|error| Err(error.into()))),
            lost = lost(self.checkpoint_writer) => Wake::OwnershipLost(lost),
            () = self.journal.ended() => Wake::JournalEnded,
            ended = &mut self.server.task => {
                Wake::ServerEnded(ended.map_or_else(std::io::Error::other, |()| std::io::Error::other("the server ended")))
            }
            () = shutdown => Wake::Shutdown,
        }
    }
}

/// Never resolves without a checkpoint.
async fn lost(checkpoint_writer: Option<&CheckpointWriter>) -> OwnershipLost {
    match checkpoint_writer {
        Some(checkpoint_writer) => checkpoint_writer.ownership_lost().await,
        None => std::future::pending().await,
    }
}
