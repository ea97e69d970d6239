//! The status publisher: writes each status that differs from the last, at most one a second; the final one always, and at once.

use std::{sync::Arc, time::Duration};

use sono_types::{RunStatus, error_chain, fold_status};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    backend::{Backend, BackendError},
    observe::metrics::Metrics,
};

/// The pause after each status.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause after a failed write, unless it is of the last status.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(5);
/// Attempts for the last status: `wait` depends on it, and API servers are unavailable for minutes.
const FINAL_ATTEMPTS: u32 = 3600;

/// Starts the publisher. Statuses are sent to the sender; dropping it ends the task after the last status is written. Nothing is
/// written before the first one: a process that resumes a run knows less than the published status until it has read the journal.
pub(crate) fn start(
    backend: Arc<dyn Backend>,
    metrics: Arc<Metrics>,
) -> (watch::Sender<Arc<RunStatus>>, JoinHandle<()>) {
    let (sender, receiver) = watch::channel(Arc::default());
    (sender, tokio::spawn(publish(backend, receiver, metrics)))
}

async fn publish(backend: Arc<dyn Backend>, mut statuses: watch::Receiver<Arc<RunStatus>>, metrics: Arc<Metrics>) {
    // The initial value was never sent and is not written.
    let mut shown = Some(RunStatus::default());
    loop {
        // An unseen value counts as changed even after the sender was dropped.
        let closed = statuses.changed().await.is_err() || statuses.has_changed().is_err();
        let status = Arc::clone(&statuses.borrow_and_update());
        // Publishing may take long: the full status with all progress is dropped first.
        let status = {
            let published = match backend.max_status_bytes() {
                Some(most) => fold_status(&status, most),
                None => RunStatus::clone(&status),
            };
            drop(status);
            published
        };
        let mut pause = PAUSE;
        if shown.as_ref() != Some(&status) {
            match show(backend.as_ref(), &status, closed, &metrics).await {
                Ok(()) => shown = Some(status),
                Err(error) => {
                    tracing::warn!(error = error_chain(&error), "cannot write the status");
                    if !closed {
                        statuses.mark_changed();
                    }
                    pause = PAUSE_AFTER_ERROR;
                }
            }
        }
        if closed {
            return;
        }
        // The end of the run does not wait for the pause.
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = ended(&statuses) => {}
        }
    }
}

/// Resolves when the sender was dropped.
async fn ended(statuses: &watch::Receiver<Arc<RunStatus>>) {
    let mut own = statuses.clone();
    while own.changed().await.is_ok() {}
}

async fn show(backend: &dyn Backend, status: &RunStatus, last: bool, metrics: &Metrics) -> Result<(), BackendError> {
    let mut tries = if last { FINAL_ATTEMPTS } else { 1 };
    loop {
        tries -= 1;
        let shown = backend.publish(status).await;
        metrics.status_written(shown.is_ok());
        match shown {
            Err(error) if tries > 0 => {
                tracing::warn!(error = error_chain(&error), "cannot write the last status, retrying");
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path, sync::Mutex};

    use futures::future::BoxFuture;
    use sono_manifest::{Definition, NodeFacts};
    use sono_types::{OverallStatus, SessionId};
    use tokio::time::Instant;

    use super::*;
    use crate::backend::Driver;

    /// A backend that refuses the first writes, then records the status.
    #[derive(Default)]
    struct FakeBackend {
        refusals: Mutex<u32>,
        tries: Mutex<u32>,
        shown: Mutex<Vec<OverallStatus>>,
    }

    impl Backend for FakeBackend {
        fn nodes<'a>(&'a self, _: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Option<Vec<NodeFacts>>, BackendError>> {
            Box::pin(async { Ok(None) })
        }

        fn driver(&self, _: Definition, _: SessionId) -> Box<dyn Driver> {
            panic!("no plugin is started here")
        }

        fn publish<'a>(&'a self, status: &'a RunStatus) -> BoxFuture<'a, Result<(), BackendError>> {
            *self.tries.lock().unwrap() += 1;
            let mut refusals = self.refusals.lock().unwrap();
            let outcome = if *refusals == 0 {
                self.shown.lock().unwrap().push(status.status.clone());
                Ok(())
            } else {
                *refusals -= 1;
                Err(BackendError::new("away"))
            };
            Box::pin(async { outcome })
        }

        fn query<'a>(&'a self, _: &'a Path, _: &'a Arc<sono_redact::Redactor>) -> BoxFuture<'a, Vec<String>> {
            Box::pin(async { Vec::new() })
        }
    }

    fn status(status: OverallStatus) -> RunStatus {
        RunStatus {
            status,
            ..RunStatus::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn last_status_is_written_after_an_outage_of_the_server() {
        let fake = Arc::new(FakeBackend {
            refusals: Mutex::new(100),
            ..FakeBackend::default()
        });
        let (statuses, publisher) = start(Arc::<FakeBackend>::clone(&fake), Arc::default());
        statuses.send_replace(status(OverallStatus::Complete).into());
        drop(statuses);
        let begun = Instant::now();
        publisher.await.unwrap();
        assert_eq!(*fake.shown.lock().unwrap(), [OverallStatus::Complete]);
        assert_eq!(*fake.tries.lock().unwrap(), 101);
        // One attempt per second, not a busy loop.
        assert_eq!(begun.elapsed().as_secs(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn status_is_written_at_most_once_a_second() {
        let fake = Arc::new(FakeBackend::default());
        let (statuses, publisher) = start(Arc::<FakeBackend>::clone(&fake), Arc::default());
        for number in 0..100 {
            statuses.send_replace(status(OverallStatus::Other(number.to_string())).into());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        drop(statuses);
        publisher.await.unwrap();
        let shown = fake.shown.lock().unwrap().clone();
        assert_eq!(shown.last(), Some(&OverallStatus::Other("99".to_owned())));
        assert!((10..=12).contains(&shown.len()), "{}", shown.len());
    }

    /// A process that resumes a run, or ends before it has read the journal, does not set the status back (found by the
    /// simulation: `complete` became `running` for a moment).
    #[tokio::test(start_paused = true)]
    async fn status_is_not_written_before_the_first_one() {
        let fake = Arc::new(FakeBackend::default());
        let (statuses, publisher) = start(Arc::<FakeBackend>::clone(&fake), Arc::default());
        tokio::time::sleep(PAUSE * 3).await;
        drop(statuses);
        publisher.await.unwrap();
        assert_eq!(*fake.tries.lock().unwrap(), 0);
    }

    /// A write is retried after a conflict or while the API server is unavailable, also without a new status.
    #[tokio::test(start_paused = true)]
    async fn refused_status_is_written_again() {
        let fake = Arc::new(FakeBackend {
            refusals: Mutex::new(2),
            ..FakeBackend::default()
        });
        let (statuses, publisher) = start(Arc::<FakeBackend>::clone(&fake), Arc::default());
        statuses.send_replace(status(OverallStatus::PostProcessing).into());
        tokio::time::sleep(PAUSE_AFTER_ERROR * 3).await;
        assert_eq!(*fake.shown.lock().unwrap(), [OverallStatus::PostProcessing]);
        drop(statuses);
        publisher.await.unwrap();
        assert_eq!(*fake.tries.lock().unwrap(), 3);
    }
}
