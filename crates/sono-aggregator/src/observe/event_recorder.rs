//! The event recorder: writes run events one after another. Nothing waits for it, and a failure has no other effect.

use std::{sync::Arc, time::Duration};

use sono_types::error_chain;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::backend::{Backend, EventError, RunEvent};

/// Attempts per event while the API server is unavailable.
const MAX_ATTEMPTS: u32 = 3;
/// Pause between attempts.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Starts the recorder. Events are sent to the sender; a run has few (see [`RunEvents`](crate::observe::run_events::RunEvents)), so nothing bounds them here. Dropping
/// it ends the task, after the last event.
pub(crate) fn start(backend: Arc<dyn Backend>) -> (mpsc::UnboundedSender<RunEvent>, JoinHandle<()>) {
    let (sender, events) = mpsc::unbounded_channel();
    (sender, tokio::spawn(record_events(backend, events)))
}

async fn record_events(backend: Arc<dyn Backend>, mut events: mpsc::UnboundedReceiver<RunEvent>) {
    // Logged once: the events are a convenience.
    let mut is_logged = false;
    while let Some(event) = events.recv().await {
        match patiently(backend.as_ref(), &event).await {
            Ok(()) => {}
            Err(EventError::Refused(error)) => {
                tracing::warn!(
                    error = error_chain(&error),
                    "cannot create Events of this run, continuing without them"
                );
                return;
            }
            Err(EventError::Failed(error)) if !is_logged => {
                is_logged = true;
                tracing::warn!(
                    error = error_chain(&error),
                    reason = event.reason,
                    "cannot create an Event of this run, continuing without it"
                );
            }
            Err(EventError::Failed(_)) => {}
        }
    }
}

async fn patiently(backend: &dyn Backend, event: &RunEvent) -> Result<(), EventError> {
    let mut left = MAX_ATTEMPTS;
    loop {
        left -= 1;
        match backend.record_event(event).await {
            Err(EventError::Failed(_)) if left > 0 => tokio::time::sleep(RETRY_PAUSE).await,
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path, sync::Mutex};

    use futures::future::BoxFuture;
    use sono_manifest::{Definition, NodeFacts};
    use sono_types::{RunStatus, SessionId};

    use super::*;
    use crate::{
        backend::{BackendError, Driver},
        observe::run_events::RunEvents,
    };

    /// A backend that returns the given results, then success.
    #[derive(Default)]
    struct Listener {
        answers: Mutex<Vec<EventError>>,
        heard: Mutex<Vec<String>>,
    }

    impl Backend for Listener {
        fn nodes<'a>(&'a self, _: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Option<Vec<NodeFacts>>, BackendError>> {
            Box::pin(async { Ok(None) })
        }

        fn driver(&self, _: Definition, _: SessionId) -> Box<dyn Driver> {
            unreachable!("nothing is started here")
        }

        fn publish<'a>(&'a self, _: &'a RunStatus) -> BoxFuture<'a, Result<(), BackendError>> {
            Box::pin(async { Ok(()) })
        }

        fn query<'a>(&'a self, _: &'a Path, _: &'a Arc<sono_redact::Redactor>) -> BoxFuture<'a, Vec<String>> {
            Box::pin(async { Vec::new() })
        }

        fn record_event<'a>(&'a self, event: &'a RunEvent) -> BoxFuture<'a, Result<(), EventError>> {
            self.heard.lock().unwrap().push(event.subject.clone());
            let answer = self.answers.lock().unwrap().pop();
            Box::pin(async { answer.map_or(Ok(()), Err) })
        }
    }

    async fn heard(answers: Vec<EventError>) -> Vec<String> {
        let backend = Arc::new(Listener {
            answers: Mutex::new(answers),
            ..Listener::default()
        });
        let (events, task) = start(Arc::<Listener>::clone(&backend));
        for why in ["a", "b"] {
            // A task that has ended accepts no events.
            events.send(RunEvents::broken(why)).ok();
        }
        drop(events);
        task.await.unwrap();
        backend.heard.lock().unwrap().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn failed_event_is_retried_and_refused_event_is_not() {
        let failed = || EventError::Failed(BackendError::new("away"));
        assert_eq!(heard(Vec::new()).await, ["a", "b"]);
        assert_eq!(heard(vec![failed()]).await, ["a", "a", "b"]);
        assert_eq!(heard(vec![failed(), failed(), failed()]).await, ["a", "a", "a", "b"]);
        assert_eq!(heard(vec![EventError::Refused(BackendError::new("no"))]).await, ["a"]);
    }
}
