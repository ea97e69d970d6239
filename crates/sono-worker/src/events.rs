//! File events of the done file. They only reduce latency: the worker also polls, because some volumes have no events.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};
use sono_types::constants;
use tokio::sync::watch;

/// Counts of the events of the done file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct EventCounts {
    touched: u64,
    closed: u64,
}

/// Watches the done file for events.
#[derive(Debug)]
pub(crate) struct DoneEvents {
    counts: watch::Receiver<EventCounts>,
    seen: EventCounts,
    _watcher: Option<RecommendedWatcher>,
}

impl DoneEvents {
    /// Watches the done file in `directory`. If that is not possible, logs a warning and never reports an event.
    pub(crate) fn new(directory: &Path) -> Self {
        let (sender, counts) = watch::channel(EventCounts::default());
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            sender.send_if_modified(|counts| counts.count(&event));
        })
        .and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "cannot watch the results directory; polling every second"))
            .ok();
        Self {
            counts,
            seen: EventCounts::default(),
            _watcher: watcher,
        }
    }

    /// Whether the done file was closed after writing or moved into place since the last call. Call it before observing
    /// the file.
    pub(crate) fn closed(&mut self) -> bool {
        let now = *self.counts.borrow_and_update();
        let closed = now.closed > self.seen.closed;
        self.seen = now;
        closed
    }

    /// Resolves after an event since the last call of [`DoneEvents::closed`]; never resolves without a watch.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub(crate) async fn next(&mut self) {
        if self.counts.wait_for(|now| *now != self.seen).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl EventCounts {
    fn count(&mut self, event: &Event) -> bool {
        let ours = |path: &PathBuf| path.file_name() == Some(OsStr::new(constants::DONE_FILE));
        match event.kind {
            // Observing the file causes these events, too, and must not trigger another observation.
            EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write) => return false,
            // The last of two paths is the new location of the file.
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both))
                if event.paths.last().is_some_and(ours) =>
            {
                self.closed += 1;
            }
            _ if event.need_rescan() || event.paths.iter().any(ours) => self.touched += 1,
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fs_err as fs;

    use super::*;

    async fn limited(events: &mut DoneEvents) {
        tokio::time::timeout(Duration::from_secs(10), events.next())
            .await
            .expect("an event within ten seconds");
    }

    #[tokio::test]
    async fn writing_and_moving_cause_events_and_reading_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let done = directory.path().join("done");
        let mut events = DoneEvents::new(directory.path());
        assert!(!events.closed());

        fs::write(&done, "x").unwrap();
        while !events.closed() {
            limited(&mut events).await;
        }

        fs::write(directory.path().join("other"), "x").unwrap();
        fs::read(&done).unwrap();
        fs::rename(&done, directory.path().join("taken")).unwrap();
        limited(&mut events).await;
        assert!(!events.closed(), "moving away is not moving into place");

        fs::rename(directory.path().join("taken"), &done).unwrap();
        while !events.closed() {
            limited(&mut events).await;
        }
    }

    #[test]
    fn observing_does_not_wake() {
        let mut counts = EventCounts::default();
        let mut count = |kind| counts.count(&Event::new(kind).add_path("/r/done".into()));
        assert!(!count(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(count(EventKind::Create(notify::event::CreateKind::File)));
        assert_eq!(counts, EventCounts { touched: 1, closed: 0 });
    }
}
