//! Requests of other tasks, and their replies: at once, or once the state in the reply is on disk.

use std::path::PathBuf;

use jiff::Timestamp;
use sono_run::{CommitDecision, Effect, Event, NotRecorded, Record, Refusal, Run};
use tokio::sync::oneshot;

use crate::{
    durability::journal::Journal,
    handle::{Request, UploadReceipt},
    observe::status_snapshots::when_recorded,
};

/// A reply that is sent once its state is on disk.
pub(super) struct Reply {
    pub(super) send: Box<dyn FnOnce(Result<(), NotRecorded>) + Send>,
    /// A directory whose names have to be synced first.
    names: Option<PathBuf>,
}

/// Writes the records. An acknowledged result is committed and synced except for its name, or stored in its record; if that
/// fails, its sender gets the error. A reply without its own record waits for the earlier records, because it may depend on them.
pub(super) fn write(journal: &Journal, records: Vec<Record>, reply: Option<Reply>) {
    match reply {
        Some(Reply {
            send,
            names: Some(names),
        }) => journal.append_after_names(names, records, send),
        Some(Reply { send, names: None }) => journal.append(records, Some(send)),
        None if records.is_empty() => {}
        None => journal.append(records, Some(Box::new(|_| {}))),
    }
}

/// Passes a request to the machine. Returns its effects, and the reply if it has to wait for the disk.
pub(super) fn answer(
    run: &mut Run,
    journal: &Journal,
    at: Timestamp,
    message: Request,
) -> (Vec<Effect>, Option<Reply>) {
    match message {
        // A sender that has disconnected needs no reply.
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
            let is_stored = run.is_stored(ticket.key());
            let names = unsynced.filter(|_| is_stored);
            let send = Box::new(move |recorded: Result<(), NotRecorded>| {
                let unrecorded = recorded.err();
                reply.send(UploadReceipt { is_stored, unrecorded }).ok();
            });
            (effects, Some(Reply { send, names }))
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
            let send = Box::new(move |recorded: Result<(), NotRecorded>| {
                if recorded.is_ok() {
                    reply.send(()).ok();
                }
            });
            let effects = vec![Effect::Record(Record::Processing { plugin })];
            (effects, Some(Reply { send, names: None }))
        }
        Request::Event(event) => (run.handle(at, event), None),
    }
}

/// A worker does not repeat a result that is already received or too late: that state must be on disk before the reply, as for a
/// 200. If the journal cannot be written, no reply is sent, and the worker retries.
fn reply_when_durable<T: Send + 'static>(reply: oneshot::Sender<T>, answer: T) -> Reply {
    Reply {
        send: Box::new(move |recorded| {
            if recorded.is_ok() {
                reply.send(answer).ok();
            }
        }),
        names: None,
    }
}

#[cfg(test)]
mod tests;
