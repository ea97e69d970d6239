//! An API server that misbehaves: not one path that is refused, but any request for a while.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::watch;

/// What happens to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// It is answered with this `Status`, whose `code` is the HTTP status.
    Answer(Value),
    /// It is answered as usual, so much later.
    Delay(Duration),
    /// Its connection ends in the middle of the answer; nothing is done.
    Cut,
    /// It is never answered.
    Hang,
}

#[derive(Debug)]
struct Planned {
    trouble: Trouble,
    left: usize,
}

/// The troubles of one server.
#[derive(Debug)]
pub(super) struct Troubles {
    planned: Mutex<Vec<Planned>>,
    away: AtomicBool,
    /// How many watches are still refused with 410.
    gone: AtomicUsize,
    /// Its value changes when all watches end.
    pub(super) ends: watch::Sender<u64>,
}

impl Default for Troubles {
    fn default() -> Self {
        Self {
            planned: Mutex::default(),
            away: AtomicBool::default(),
            gone: AtomicUsize::default(),
            ends: watch::Sender::new(0),
        }
    }
}

impl Troubles {
    pub(super) fn plan(&self, trouble: Trouble, times: usize) {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.push(Planned { trouble, left: times });
    }

    pub(super) fn clear(&self) {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.away.store(false, Ordering::SeqCst);
        self.gone.store(0, Ordering::SeqCst);
    }

    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
        if away {
            self.end_watches(0);
        }
    }

    pub(super) fn end_watches(&self, gone: usize) {
        self.gone.fetch_add(gone, Ordering::SeqCst);
        self.ends.send_modify(|ends| *ends += 1);
    }

    /// The trouble that meets the next request.
    pub(super) fn next(&self) -> Option<Trouble> {
        if self.away.load(Ordering::SeqCst) {
            return Some(Trouble::Cut);
        }
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let first = planned.first_mut()?;
        let trouble = first.trouble.clone();
        first.left = first.left.saturating_sub(1);
        if first.left == 0 {
            planned.remove(0);
        }
        Some(trouble)
    }

    /// Whether the next watch is refused because what it asks for is too old.
    pub(super) fn refuses_watch(&self) -> bool {
        let take = |gone: usize| gone.checked_sub(1);
        self.gone.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }
}

/// A watch whose history is gone.
pub(super) fn too_old() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410,
        "message": "too old resource version"})
}

/// An answer that breaks off.
pub(super) fn cut() -> Response {
    let broken = stream::iter([
        Ok::<_, std::io::Error>(Bytes::from_static(b"{")),
        Err(std::io::Error::other("the server has gone")),
    ]);
    Response::builder()
        .header("content-type", "application/json")
        .body(Body::from_stream(broken))
        .expect("the headers are valid")
}
