//! Requests of other tasks, and their answers: at once, or once the state in the answer is on disk.

use std::path::PathBuf;

use jiff::Timestamp;
use sono_run::{CommitDecision, Effect, Event, NotRecorded, Record, Refusal, Run};
use tokio::sync::oneshot;

use crate::{
    durability::journal::Journal,
    handle::{Request, UploadReceipt},
    observe::status_snapshots::when_recorded,
};

/// An answer that is given once its state is on disk.
pub(super) struct Reply {
    pub(super) give: Box<dyn FnOnce(Result<(), NotRecorded>) + Send>,
    /// A directory whose names have to be on disk before.
    names: Option<PathBuf>,
}

/// Journals what has to survive. An acknowledged result is in place and synced but for its name, or stored in its record;
/// if that fails, its sender gets the error. An answer without a record of its own waits for the records before it: it may
/// depend on them.
pub(super) fn write(journal: &Journal, records: Vec<Record>, reply: Option<Reply>) {
    match reply {
        Some(Reply {
            give,
            names: Some(names),
        }) => journal.append_after_names(names, records, give),
        Some(Reply { give, names: None }) => journal.append(records, Some(give)),
        None if records.is_empty() => {}
        None => journal.append(records, Some(Box::new(|_| {}))),
    }
}

/// Gives a request to the machine. Returns what follows, and the answer where it has to wait for the disk.
pub(super) fn answer(
    run: &mut Run,
    journal: &Journal,
    at: Timestamp,
    message: Request,
) -> (Vec<Effect>, Option<Reply>) {
    match message {
        // An asker that has gone needs no answer.
        Request::Begin { key, reply } => match run.begin(&key) {
            Err(known @ (Refusal::AlreadyReceived(_) | Refusal::TooLate(_))) => {
                (Vec::new(), Some(reply_when_durable(reply, Err(known))))
            }
            begun => {
                reply.send(begun).ok();
                (Vec::new(), None)
            }
        },
        Request::Commit { ticket, reply } => match run.request_commit(&ticket) {
            decision @ (CommitDecision::AlreadyReceived | CommitDecision::TooLate) => {
                (Vec::new(), Some(reply_when_durable(reply, (ticket, decision))))
            }
            decision => {
                reply.send((ticket, decision)).ok();
                (Vec::new(), None)
            }
        },
        Request::Finish {
            ticket,
            outcome,
            unsynced,
            reply,
        } => {
            let effects = run.finish(at, &ticket, outcome);
            let is_in = run.is_stored(ticket.key());
            let names = unsynced.filter(|_| is_in);
            let give = Box::new(move |recorded: Result<(), NotRecorded>| {
                let unrecorded = recorded.err();
                reply.send(UploadReceipt { is_in, unrecorded }).ok();
            });
            (effects, Some(Reply { give, names }))
        }
        Request::ResultState { key, reply } => {
            reply.send(run.result_state(&key)).ok();
            (Vec::new(), None)
        }
        Request::Progress { key, update, reply } => {
            let expected = run.expects(&key);
            reply.send(expected).ok();
            let event = expected.then_some(Event::Progress { key, update });
            (event.map(|event| run.handle(at, event)).unwrap_or_default(), None)
        }
        Request::Status { reply } => {
            when_recorded(journal, run, move |status| drop(reply.send(status)));
            (Vec::new(), None)
        }
        Request::Processing { plugin, reply } => {
            let give = Box::new(move |recorded: Result<(), NotRecorded>| {
                if recorded.is_ok() {
                    reply.send(()).ok();
                }
            });
            let effects = vec![Effect::Record(Record::Processing { plugin })];
            (effects, Some(Reply { give, names: None }))
        }
        Request::Event(event) => (run.handle(at, event), None),
    }
}

/// A worker that hears that its result is known already, or too late, does not send it again: that must be on disk by then, just as
/// for a 200.
/// Where the journal cannot say so the asker is left without an answer, which it takes for a process that ends, and tries
/// again.
fn reply_when_durable<T: Send + 'static>(reply: oneshot::Sender<T>, answer: T) -> Reply {
    Reply {
        give: Box::new(move |recorded| {
            if recorded.is_ok() {
                reply.send(answer).ok();
            }
        }),
        names: None,
    }
}

#[cfg(test)]
mod tests;
