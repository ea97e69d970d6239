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

/// Why the coordinator has something to do.
pub(super) enum Wake {
    /// Another task asks for something, or reports.
    Request(Request),
    /// The machine's next deadline has come.
    Deadline,
    /// The status changed, and the last one was shown long enough ago.
    StatusDue,
    /// Progress changed, and was written long enough ago.
    ProgressDue,
    /// The archive is made, or will not be.
    Finalized(finalize::Finalized),
    /// Another process has the run, or this one cannot know that it has it.
    OwnershipLost(OwnershipLost),
    /// The journal's writer ended.
    JournalEnded,
    /// The workers' server ended.
    ServerEnded(std::io::Error),
    /// The process is asked to stop.
    Shutdown,
}

/// What is waited for; each part is watched by reference and stays where it is.
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
    /// Waits for the next of all.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when this is dropped: a message is taken only by the branch that returns it, tasks are polled in
    /// their place, and all others are states that can be looked at again.
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
            ended = finished => Wake::Finalized(ended.unwrap_or_else(|error| Err(finalize::NotPacked(error.to_string())))),
            lost = lost(self.checkpoint_writer) => Wake::OwnershipLost(lost),
            () = self.journal.ended() => Wake::JournalEnded,
            ended = &mut self.server.task => {
                Wake::ServerEnded(ended.map_or_else(std::io::Error::other, |()| std::io::Error::other("the server ended")))
            }
            () = shutdown => Wake::Shutdown,
        }
    }
}

/// Never without a checkpoint.
async fn lost(checkpoint_writer: Option<&CheckpointWriter>) -> OwnershipLost {
    match checkpoint_writer {
        Some(checkpoint_writer) => checkpoint_writer.ownership_lost().await,
        None => std::future::pending().await,
    }
}
