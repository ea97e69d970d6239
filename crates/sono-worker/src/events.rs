//! File events of the done file. They only save time: whoever waits for them also looks from time to time, because there
//! are volumes without events.

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

/// What happened to the done file so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Happened {
    touched: u64,
    closed: u64,
}

/// Tells when something happens to the done file.
#[derive(Debug)]
pub(crate) struct DoneEvents {
    happened: watch::Receiver<Happened>,
    taken: Happened,
    _watcher: Option<RecommendedWatcher>,
}

impl DoneEvents {
    /// Watches the done file in `directory`. Where that is not possible it says so in the log, and no event ever comes.
    pub(crate) fn new(directory: &Path) -> Self {
        let (sender, happened) = watch::channel(Happened::default());
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            sender.send_if_modified(|happened| happened.count(&event));
        })
        .and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let watcher = watcher
            .inspect_err(
                |error| tracing::warn!(%error, "no file events for the results directory, looking every second"),
            )
            .ok();
        Self {
            happened,
            taken: Happened::default(),
            _watcher: watcher,
        }
    }

    /// Whether the done file was closed after writing, or moved into place, since this was last asked. To be asked
    /// before the file is looked at.
    pub(crate) fn closed(&mut self) -> bool {
        let now = *self.happened.borrow_and_update();
        let closed = now.closed > self.taken.closed;
        self.taken = now;
        closed
    }

    /// Ends when something happened to the done file after [`DoneEvents::closed`] was last asked; never ends where there
    /// are no events.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) {
        if self.happened.wait_for(|now| *now != self.taken).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Happened {
    fn count(&mut self, event: &Event) -> bool {
        let ours = |path: &PathBuf| path.file_name() == Some(OsStr::new(constants::DONE_FILE));
        match event.kind {
            // Looking at the file is such an event too, and must not cause another look.
            EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write) => return false,
            // Of two paths the last is where the file is now.
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
    async fn writing_and_moving_are_told_and_reading_is_not() {
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
        assert!(!events.closed(), "moved away is not moved into place");

        fs::rename(directory.path().join("taken"), &done).unwrap();
        while !events.closed() {
            limited(&mut events).await;
        }
    }

    #[test]
    fn looking_does_not_wake() {
        let mut happened = Happened::default();
        let mut count = |kind| happened.count(&Event::new(kind).add_path("/r/done".into()));
        assert!(!count(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(count(EventKind::Create(notify::event::CreateKind::File)));
        assert_eq!(happened, Happened { touched: 1, closed: 0 });
    }
}
