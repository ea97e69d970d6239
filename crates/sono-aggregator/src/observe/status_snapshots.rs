//! Status snapshots: taken at most a few times a second. They wait until their state is on disk, except after an error of the journal
//! other than a full disk.

use std::{sync::Arc, time::Duration};

use sono_run::{NotRecorded, Run};
use sono_types::{OverallStatus, RunStatus};
use tokio::sync::{mpsc, watch};

use crate::{backend::RunEvent, durability::journal::Journal, observe::loopback::LoopbackView};

/// Sends statuses and run events to the tasks that write them, and to the loopback address.
#[derive(Clone)]
pub(crate) struct Publisher {
    pub(crate) statuses: watch::Sender<Arc<RunStatus>>,
    pub(crate) events: mpsc::UnboundedSender<RunEvent>,
    pub(crate) view: LoopbackView,
}

impl Publisher {
    pub(crate) fn show(&self, status: impl Into<Arc<RunStatus>>) {
        let status = status.into();
        self.view.show(Arc::clone(&status));
        self.statuses.send_replace(status);
    }

    pub(crate) fn publish(&self, events: impl IntoIterator<Item = RunEvent>) {
        for event in events {
            // A recorder that has ended has logged the reason.
            self.events.send(event).ok();
        }
    }

    pub(crate) fn fail(&self) -> RunStatus {
        let status = RunStatus {
            status: OverallStatus::Failed,
            ..RunStatus::clone(&self.statuses.borrow())
        };
        self.show(status.clone());
        status
    }
}

/// Passes the current status to `what` once all of its state is on disk: a loss of power must not undo what a user has seen.
/// If the journal cannot be written, `what` is not called.
pub(crate) fn when_recorded(journal: &Journal, run: &Run, what: impl FnOnce(RunStatus) + Send + 'static) {
    let status = run.status();
    let done = move |on_disk: Result<(), NotRecorded>| {
        if on_disk.is_ok() {
            what(status);
        }
    };
    journal.append(Vec::new(), Some(Box::new(done)));
}

/// Takes snapshots of a changed status, at most one per pause, however many results arrive.
pub(crate) struct Snapshots<'a> {
    publisher: &'a Publisher,
    changed: bool,
    next: tokio::time::Instant,
}

/// Pause between two snapshots.
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(200);

impl<'a> Snapshots<'a> {
    pub(crate) fn new(publisher: &'a Publisher) -> Self {
        Self {
            publisher,
            changed: false,
            next: tokio::time::Instant::now(),
        }
    }

    pub(crate) fn mark(&mut self) {
        self.changed = true;
    }

    pub(crate) fn show_if_due(&mut self, run: &Run, journal: &Journal) {
        let now = tokio::time::Instant::now();
        if self.changed && now >= self.next {
            let publisher = self.publisher.clone();
            let status = run.status();
            // On a full volume the status does not change. After any other error of the journal it is published anyway: a status
            // that never changes would be worse, and the journal's error is in the log.
            journal.when_synced(Box::new(move |_| publisher.show(status)));
            self.changed = false;
            self.next = now + SNAPSHOT_PAUSE;
        }
    }

    /// Resolves when a snapshot is due; see [`Snapshots::show_if_due`]. Cancel safe.
    pub(crate) async fn due(&self) {
        if self.changed {
            tokio::time::sleep_until(self.next).await;
        } else {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sono_run::{Effect, Event, Failure};
    use sono_types::status::plugin_status;

    use super::*;
    use crate::{durability::disk_full::DiskFull, test_run::run_of_one_result};

    fn rows(status: &RunStatus) -> Vec<&str> {
        status.rows().iter().map(|row| row.status.as_str()).collect()
    }

    /// A result that failed is not shown as failed before its record is on disk: after a loss of power it would be waited
    /// for again.
    #[tokio::test]
    async fn snapshot_never_contains_state_that_is_not_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal"), &DiskFull::default())
            .unwrap()
            .journal;
        let (mut run, key) = run_of_one_result(true);
        let (statuses, mut shown) = watch::channel(Arc::<RunStatus>::default());
        let publisher = Publisher {
            statuses,
            events: mpsc::unbounded_channel().0,
            view: LoopbackView::default(),
        };
        let mut snapshots = Snapshots::new(&publisher);
        // The disk hangs: nothing after this is synced until the test releases it.
        let (synced, disk) = std::sync::mpsc::channel::<()>();
        let wait = move |_| disk.recv().unwrap();
        journal.append(Vec::new(), Some(Box::new(wait)));

        run.handle(Timestamp::UNIX_EPOCH, Event::Start);
        let failure = Failure::new("gone");
        let records = run
            .handle(Timestamp::UNIX_EPOCH, Event::Failed { key, failure })
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Record(record) => Some(record),
                _ => None,
            });
        journal.append(records.collect(), None);
        snapshots.mark();
        snapshots.show_if_due(&run, &journal);
        assert_eq!(rows(&run.status()), [plugin_status::FAILED]);
        assert!(!shown.has_changed().unwrap(), "it is not on disk yet");
        let (reply, mut asked) = tokio::sync::oneshot::channel();
        when_recorded(&journal, &run, move |status| drop(reply.send(status)));
        assert!(asked.try_recv().is_err(), "a request for the status waits as well");

        synced.send(()).unwrap();
        shown.changed().await.unwrap();
        assert_eq!(rows(&shown.borrow_and_update()), [plugin_status::FAILED]);
        assert_eq!(rows(&asked.await.unwrap()), [plugin_status::FAILED]);
    }
}
