//! Tells the story, one note after the other, beside the run: nothing waits for it, and what cannot be told harms nothing.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinHandle};

use crate::backend::{Note, Site, Untold};

/// Tries for each note while the API server is away.
const TRIES: u32 = 3;
/// Between them.
const PAUSE: Duration = Duration::from_secs(1);

/// Notes go into the sender; the run makes few (see [`Story`](crate::observe::run_events::Story)), so nothing bounds them here. Dropping
/// it ends the task, after the last note.
pub(crate) fn start(site: Arc<dyn Site>) -> (mpsc::UnboundedSender<Note>, JoinHandle<()>) {
    let (sender, notes) = mpsc::unbounded_channel();
    (sender, tokio::spawn(tell(site, notes)))
}

async fn tell(site: Arc<dyn Site>, mut notes: mpsc::UnboundedReceiver<Note>) {
    // Said once: the log is no place for what is only a convenience.
    let mut said = false;
    while let Some(note) = notes.recv().await {
        match patiently(site.as_ref(), &note).await {
            Ok(()) => {}
            Err(Untold::Refused(error)) => {
                tracing::warn!(error, "the cluster takes no Events of this run; nothing else changes");
                return;
            }
            Err(Untold::Failed(error)) if !said => {
                said = true;
                tracing::warn!(
                    error,
                    reason = note.reason,
                    "an Event of this run could not be created; nothing else changes"
                );
            }
            Err(Untold::Failed(_)) => {}
        }
    }
}

async fn patiently(site: &dyn Site, note: &Note) -> Result<(), Untold> {
    let mut left = TRIES;
    loop {
        left -= 1;
        match site.tell(note).await {
            Err(Untold::Failed(_)) if left > 0 => tokio::time::sleep(PAUSE).await,
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
    use crate::{backend::Driver, observe::run_events::Story};

    /// Answers with what it was given, then with success.
    #[derive(Default)]
    struct Listener {
        answers: Mutex<Vec<Untold>>,
        heard: Mutex<Vec<String>>,
    }

    impl Site for Listener {
        fn nodes<'a>(&'a self, _: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Option<Vec<NodeFacts>>, String>> {
            Box::pin(async { Ok(None) })
        }

        fn driver(&self, _: Definition, _: SessionId) -> Box<dyn Driver> {
            unreachable!("nothing is started here")
        }

        fn publish<'a>(&'a self, _: &'a RunStatus) -> BoxFuture<'a, Result<(), String>> {
            Box::pin(async { Ok(()) })
        }

        fn query<'a>(&'a self, _: &'a Path) -> BoxFuture<'a, Vec<String>> {
            Box::pin(async { Vec::new() })
        }

        fn tell<'a>(&'a self, note: &'a Note) -> BoxFuture<'a, Result<(), Untold>> {
            self.heard.lock().unwrap().push(note.subject.clone());
            let answer = self.answers.lock().unwrap().pop();
            Box::pin(async { answer.map_or(Ok(()), Err) })
        }
    }

    async fn heard(answers: Vec<Untold>) -> Vec<String> {
        let site = Arc::new(Listener {
            answers: Mutex::new(answers),
            ..Listener::default()
        });
        let (notes, task) = start(Arc::<Listener>::clone(&site));
        for why in ["a", "b"] {
            // A task that has ended takes none.
            notes.send(Story::broken(why)).ok();
        }
        drop(notes);
        task.await.unwrap();
        site.heard.lock().unwrap().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_and_what_is_refused_is_not() {
        let failed = || Untold::Failed("away".to_owned());
        assert_eq!(heard(Vec::new()).await, ["a", "b"]);
        assert_eq!(heard(vec![failed()]).await, ["a", "a", "b"]);
        assert_eq!(heard(vec![failed(), failed(), failed()]).await, ["a", "a", "a", "b"]);
        assert_eq!(heard(vec![Untold::Refused("no".to_owned())]).await, ["a"]);
    }
}
