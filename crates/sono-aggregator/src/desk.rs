//! How tasks reach the one owner of the [`Run`](crate::run::Run): messages in, answers out.

use sono_types::{ProgressUpdate, ResultKey};
use tokio::sync::{mpsc, oneshot};

use crate::run::{Claim, Event, Outcome, Refusal, Ticket};

/// Everything that can wake the owner of the run.
#[derive(Debug)]
pub(crate) enum Message {
    Begin {
        key: ResultKey,
        reply: oneshot::Sender<Result<Ticket, Refusal>>,
    },
    Claim {
        ticket: Ticket,
        reply: oneshot::Sender<(Ticket, Claim)>,
    },
    Finish {
        ticket: Ticket,
        outcome: Outcome,
        reply: oneshot::Sender<()>,
    },
    Progress {
        key: ResultKey,
        update: ProgressUpdate,
        reply: oneshot::Sender<bool>,
    },
    Event(Event),
}

/// The run is over and its owner gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run is over")]
pub(crate) struct Closed;

/// A way to send messages to the owner of the run.
#[derive(Debug, Clone)]
pub(crate) struct Desk(mpsc::Sender<Message>);

impl Desk {
    /// A desk and what its owner reads from.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(1024);
        (Self(sender), receiver)
    }

    pub(crate) async fn begin(&self, key: &ResultKey) -> Result<Result<Ticket, Refusal>, Closed> {
        self.ask(|reply| Message::Begin {
            key: key.clone(),
            reply,
        })
        .await
    }

    pub(crate) async fn claim(&self, ticket: Ticket) -> Result<(Ticket, Claim), Closed> {
        self.ask(|reply| Message::Claim { ticket, reply }).await
    }

    pub(crate) async fn finish(&self, ticket: Ticket, outcome: Outcome) -> Result<(), Closed> {
        self.ask(|reply| Message::Finish { ticket, outcome, reply }).await
    }

    /// False when no result is expected under that key.
    pub(crate) async fn progress(&self, key: ResultKey, update: ProgressUpdate) -> Result<bool, Closed> {
        self.ask(|reply| Message::Progress { key, update, reply }).await
    }

    pub(crate) async fn tell(&self, event: Event) -> Result<(), Closed> {
        self.0.send(Message::Event(event)).await.map_err(|_| Closed)
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Closed> {
        let (reply, answer) = oneshot::channel();
        self.0.send(message(reply)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}
