//! The metrics of a run, for Prometheus. Counts only, without names of nodes, messages or plugin data, so that a
//! scraper without access to the run may read them. Written without a metrics crate, because there are only a dozen counters.

mod text;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

pub(crate) use text::text;

/// Upper bounds of the histogram's buckets, in milliseconds: a small result takes a few, a stalled one minutes.
const BOUNDS: [u64; 10] = [5, 10, 50, 100, 500, 1_000, 5_000, 30_000, 60_000, 300_000];

/// Why an upload was not answered with 200; the words are label values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Identity,
    Unexpected,
    AlreadyReceived,
    TooLate,
    Content,
    Busy,
    Broken,
    Storage,
    DiskFull,
    Ending,
}

impl Refused {
    const ALL: [Self; 10] = [
        Self::Identity,
        Self::Unexpected,
        Self::AlreadyReceived,
        Self::TooLate,
        Self::Content,
        Self::Busy,
        Self::Broken,
        Self::Storage,
        Self::DiskFull,
        Self::Ending,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Unexpected => "unexpected",
            Self::AlreadyReceived => "already-received",
            Self::TooLate => "too-late",
            Self::Content => "content",
            Self::Busy => "busy",
            Self::Broken => "broken",
            Self::Storage => "storage",
            Self::DiskFull => "no-room",
            Self::Ending => "ending",
        }
    }
}

/// Counters of one process. They begin at nothing when the process is started again, as Prometheus expects.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    run: OnceLock<String>,
    accepted: AtomicU64,
    refused: [AtomicU64; Refused::ALL.len()],
    dropped: Arc<AtomicU64>,
    bytes: AtomicU64,
    /// Accepted uploads by duration, each in one bucket of [`BOUNDS`]; the last bucket is unbounded.
    took: [AtomicU64; BOUNDS.len() + 1],
    took_microseconds: AtomicU64,
    /// The journal's counter of syncs, once the journal is open.
    syncs: OnceLock<Arc<AtomicU64>>,
    written: AtomicU64,
    unwritten: AtomicU64,
}

impl Metrics {
    /// Sets the identity of the run; later calls have no effect.
    pub(crate) fn identify(&self, run: &str) {
        self.run.get_or_init(|| run.to_owned());
    }

    pub(crate) fn uploaded(&self, took: Duration) {
        self.accepted.fetch_add(1, Relaxed);
        let bucket = BOUNDS.iter().take_while(|bound| took > Duration::from_millis(**bound));
        if let Some(bucket) = self.took.get(bucket.count()) {
            bucket.fetch_add(1, Relaxed);
        }
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.took_microseconds.fetch_add(microseconds, Relaxed);
    }

    pub(crate) fn refused(&self, why: Refused) {
        if let Some(count) = self.refused.get(why as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Counts connections that are closed before their request because there are too many.
    pub(crate) fn dropped_connections(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn syncs_of(&self, journal: Arc<AtomicU64>) {
        self.syncs.get_or_init(|| journal);
    }

    pub(crate) fn status_written(&self, well: bool) {
        let count = if well { &self.written } else { &self.unwritten };
        count.fetch_add(1, Relaxed);
    }
}
