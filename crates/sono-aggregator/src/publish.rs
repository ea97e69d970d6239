//! Shows each status that differs from the last, a few at once and then at most one a second; the last one always.

use std::{sync::Arc, time::Duration};

use sono_types::RunStatus;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::driver::Site;

/// Statuses shown without a pause in between: a short run has only a handful.
const BURST: u32 = 5;
/// The pause after that, and between tries when showing fails.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the last status is tried: whoever waits for the run waits for it, and API servers are away for minutes.
const LAST_TRIES: u32 = 3600;

/// Statuses go into the sender. Dropping it ends the task, after the last status is shown.
pub(crate) fn start(site: Arc<dyn Site>) -> (watch::Sender<RunStatus>, JoinHandle<()>) {
    let (sender, receiver) = watch::channel(RunStatus::default());
    (sender, tokio::spawn(publish(site, receiver)))
}

async fn publish(site: Arc<dyn Site>, mut statuses: watch::Receiver<RunStatus>) {
    statuses.mark_changed();
    let mut shown = None;
    let (mut tokens, mut last) = (BURST, Instant::now());
    loop {
        // A value that nobody has seen yet counts as changed even when the sender is gone.
        let closed = statuses.changed().await.is_err() || statuses.has_changed().is_err();
        let status = statuses.borrow_and_update().clone();
        if shown.as_ref() != Some(&status) {
            match show(site.as_ref(), &status, closed).await {
                Ok(()) => shown = Some(status),
                Err(error) => {
                    tracing::warn!(error, "showing the status");
                    if !closed {
                        statuses.mark_changed();
                    }
                    tokens = 0;
                }
            }
        }
        if closed {
            return;
        }
        tokens = (tokens + u32::try_from(last.elapsed().as_secs()).unwrap_or(BURST)).min(BURST);
        last = Instant::now();
        if tokens > 0 {
            tokens -= 1;
        } else {
            // The end of the run does not wait for the pause.
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = ended(&statuses) => {}
            }
        }
    }
}

/// Resolves when the sender is gone.
async fn ended(statuses: &watch::Receiver<RunStatus>) {
    let mut own = statuses.clone();
    while own.changed().await.is_ok() {}
}

async fn show(site: &dyn Site, status: &RunStatus, last: bool) -> Result<(), String> {
    let mut tries = if last { LAST_TRIES } else { 1 };
    loop {
        tries -= 1;
        match site.publish(status).await {
            Err(error) if tries > 0 => {
                tracing::warn!(error, "showing the last status, trying again");
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}
