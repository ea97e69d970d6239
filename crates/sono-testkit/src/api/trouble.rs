//! Faults of the whole API server, independent of the request.

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

/// A fault that applies to any request.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// The response is this `Status`; its `code` is the HTTP status.
    Answer(Value),
    /// The usual response is delayed.
    Delay(Duration),
    /// The connection breaks in the middle of the response; the request has no effect.
    Cut,
    /// The request gets no response.
    Hang,
}

#[derive(Debug)]
struct Planned {
    trouble: Trouble,
    left: usize,
}

/// Planned and current faults of a server.
#[derive(Debug)]
pub(super) struct Troubles {
    planned: Mutex<Vec<Planned>>,
    away: AtomicBool,
    /// Number of watches that are still refused with 410.
    gone: AtomicUsize,
    /// Changes to end all watches.
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

    /// The fault for the next request.
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

    /// Whether to refuse the next watch because its resource version is too old.
    pub(super) fn refuses_watch(&self) -> bool {
        let take = |gone: usize| gone.checked_sub(1);
        self.gone.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }
}

/// The response to a watch with an expired resource version.
pub(super) fn too_old() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410,
        "message": "too old resource version"})
}

/// A response that breaks in the middle.
pub(super) fn cut() -> Response {
    let broken = stream::iter([
        Ok::<_, std::io::Error>(Bytes::from_static(b"{")),
        Err(std::io::Error::other("the server closed the connection")),
    ]);
    Response::builder()
        .header("content-type", "application/json")
        .body(Body::from_stream(broken))
        .expect("the headers are valid")
}
