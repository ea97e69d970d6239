//! The coordinator handle: how other tasks send requests to the owner of the [`Run`](sono_run::Run).

use std::path::PathBuf;

use sono_run::{CommitDecision, Event, NotRecorded, Refusal, ResultState, Ticket, UploadOutcome};
use sono_types::{PluginName, ProgressUpdate, ResultKey, RunStatus};
use tokio::sync::{mpsc, oneshot};

/// A request to the coordinator.
#[derive(Debug)]
pub(crate) enum Request {
    Begin {
        key: ResultKey,
        reply: oneshot::Sender<Result<Ticket, Refusal>>,
    },
    Commit {
        ticket: Ticket,
        reply: oneshot::Sender<(Ticket, CommitDecision)>,
    },
    Finish {
        ticket: Ticket,
        outcome: UploadOutcome,
        /// A directory to sync before the reply, if the result is stored.
        unsynced: Option<PathBuf>,
        /// Sent once the records are on disk, or cannot be written.
        reply: oneshot::Sender<UploadReceipt>,
    },
    Progress {
        key: ResultKey,
        update: ProgressUpdate,
        reply: oneshot::Sender<bool>,
    },
    /// The state of a result.
    ResultState {
        key: ResultKey,
        reply: oneshot::Sender<Option<ResultState>>,
    },
    /// The full status.
    Status {
        reply: oneshot::Sender<RunStatus>,
    },
    /// Post-processing of a plugin is about to begin.
    Processing {
        plugin: PluginName,
        /// Sent once the record is on disk.
        reply: oneshot::Sender<()>,
    },
    Event(Event),
}

/// The outcome of an upload whose ticket was returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadReceipt {
    /// The result is stored.
    pub(crate) is_stored: bool,
    /// The reason why the record or the name is not on disk.
    pub(crate) unrecorded: Option<NotRecorded>,
}

/// The run is over, and the coordinator has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run is over")]
pub(crate) struct Closed;

/// Sends requests to the coordinator.
#[derive(Debug, Clone)]
pub(crate) struct CoordinatorHandle(mpsc::Sender<Request>);

impl CoordinatorHandle {
    /// A handle, and the requests that the coordinator receives.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(1024);
        (Self(sender), receiver)
    }

    pub(crate) async fn begin(&self, key: &ResultKey) -> Result<Result<UploadTicket, Refusal>, Closed> {
        let begun = self
            .ask(|reply| Request::Begin {
                key: key.clone(),
                reply,
            })
            .await?;
        Ok(begun.map(|ticket| UploadTicket {
            coordinator: self.clone(),
            ticket: Some(ticket),
        }))
    }

    /// False when no result is expected under that key.
    pub(crate) async fn progress(&self, key: ResultKey, update: ProgressUpdate) -> Result<bool, Closed> {
        self.ask(|reply| Request::Progress { key, update, reply }).await
    }

    /// The state of a result, if it is expected.
    pub(crate) async fn result_state(&self, key: ResultKey) -> Result<Option<ResultState>, Closed> {
        self.ask(|reply| Request::ResultState { key, reply }).await
    }

    pub(crate) async fn status(&self) -> Result<RunStatus, Closed> {
        self.ask(|reply| Request::Status { reply }).await
    }

    /// Returns once the journal has the start of the plugin's post-processing.
    pub(crate) async fn processing(&self, plugin: &PluginName) -> Result<(), Closed> {
        let plugin = plugin.clone();
        self.ask(|reply| Request::Processing { plugin, reply }).await
    }

    /// Post-processing of the plugin is over.
    pub(crate) async fn processed(&self, plugin: &PluginName) -> Result<(), Closed> {
        let plugins = [plugin.clone()].into();
        self.send(Event::Processed { plugins }).await
    }

    pub(crate) async fn send(&self, event: Event) -> Result<(), Closed> {
        self.0.send(Request::Event(event)).await.map_err(|_| Closed)
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Closed> {
        let (reply, answer) = oneshot::channel();
        self.0.send(message(reply)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

/// The drop guard of an upload. It ends the ticket however the task ends: after a panic the result must not count as still
/// being received.
#[derive(Debug)]
pub(crate) struct UploadTicket {
    coordinator: CoordinatorHandle,
    ticket: Option<Ticket>,
}

impl UploadTicket {
    pub(crate) async fn request_commit(&mut self) -> Result<CommitDecision, Closed> {
        let Some(ticket) = self.ticket.take() else {
            return Err(Closed);
        };
        let (ticket, decision) = self.coordinator.ask(|reply| Request::Commit { ticket, reply }).await?;
        self.ticket = Some(ticket);
        Ok(decision)
    }

    /// Ends the upload. If its result is stored, the names of the directory `unsynced` are synced.
    pub(crate) async fn finish(
        mut self,
        outcome: UploadOutcome,
        unsynced: Option<PathBuf>,
    ) -> Result<UploadReceipt, Closed> {
        let Some(ticket) = self.ticket.take() else {
            return Err(Closed);
        };
        self.coordinator
            .ask(|reply| Request::Finish {
                ticket,
                outcome,
                unsynced,
                reply,
            })
            .await
    }
}

impl Drop for UploadTicket {
    fn drop(&mut self) {
        let (Some(ticket), Ok(runtime)) = (self.ticket.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let coordinator = self.coordinator.clone();
        // Not joined: it sends one request, or fails if the coordinator has ended.
        runtime.spawn(async move {
            let (reply, _) = oneshot::channel();
            let outcome = UploadOutcome::Aborted;
            // This fails only if the run is over, and the result with it.
            let message = Request::Finish {
                ticket,
                outcome,
                unsynced: None,
                reply,
            };
            coordinator.0.send(message).await.ok();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::run_of_one_result;

    #[tokio::test]
    async fn ticket_of_a_panicking_task_is_ended() {
        let (mut run, key) = run_of_one_result(false);
        let (coordinator, mut messages) = CoordinatorHandle::new();
        let broken = tokio::spawn(async move {
            let mut held = coordinator.begin(&key).await.unwrap().unwrap();
            assert_eq!(held.request_commit().await, Ok(CommitDecision::Granted));
            panic!("a defect");
        });
        let mut seen = Vec::new();
        while let Some(message) = messages.recv().await {
            match message {
                Request::Begin { key, reply } => {
                    seen.push("begin");
                    reply.send(run.begin(&key)).unwrap();
                }
                Request::Commit { ticket, reply } => {
                    seen.push("commit");
                    let decision = run.request_commit(&ticket);
                    reply.send((ticket, decision)).unwrap();
                }
                Request::Finish { outcome, .. } => {
                    assert_eq!(outcome, UploadOutcome::Aborted);
                    seen.push("finish");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(broken.await.unwrap_err().is_panic());
        assert_eq!(seen, ["begin", "commit", "finish"]);
    }
}
