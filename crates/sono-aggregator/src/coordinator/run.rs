//! A run from its settings to its final status: the coordinator and the tasks that publish its state.

use std::{
    future::Future,
    net::TcpListener,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{self, FusedFuture as _},
};
use sono_manifest::Definition;
use sono_types::{Config, RunStatus, SessionId, UploadLimits, error_chain};
use tokio::task::JoinHandle;

use super::event_loop;
use crate::{
    backend::{Addresses, Backend},
    clock::Clock,
    error::RunError,
    observe::{
        event_recorder, loopback::LoopbackView, run_events::RunEvents, run_log::RunLog, status_publisher,
        status_snapshots::Publisher,
    },
};

/// Time for the last status and for the removal of plugins after the process is asked to stop.
pub(super) const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// The resolved settings of a run.
#[allow(
    missing_debug_implementations,
    clippy::allow_attributes,
    reason = "holds trait objects and a closure"
)]
pub struct Setup {
    /// The effective configuration. Without a UUID the run gets one.
    pub config: Config,
    /// The plugins to run, checked to have different names.
    pub definitions: Vec<Definition>,
    /// Where the run happens.
    pub backend: Arc<dyn Backend>,
    /// Directory for the run's files and its archive.
    pub root: PathBuf,
    /// Where workers connect to.
    pub listener: TcpListener,
    /// Its addresses for workers.
    pub addresses: Addresses,
    /// Limits on uploads.
    pub limits: UploadLimits,
    /// The time.
    pub clock: Clock,
    /// Makes session ids.
    pub new_session: fn() -> SessionId,
    /// The log for the archive.
    pub log: RunLog,
    /// Whether the results mounts of plugins are changed to the configured directory.
    pub reconcile: bool,
    /// The view of the run on the loopback address; see [`serve_locally`](crate::serve_locally).
    pub view: LoopbackView,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedRun {
    /// The archive on disk.
    pub archive: PathBuf,
    /// The last status.
    pub status: RunStatus,
    /// Number of logged errors that did not end the run.
    pub errors: usize,
}

/// Executes the run: plugins, queries, post-processing, archive. Returns when the archive is sealed and the final status is
/// published. If `shutdown` resolves first, it returns [`RunError::Stopped`] and retains the directory. A run that an earlier
/// process started in the same directory is resumed.
pub async fn execute_run(setup: Setup, shutdown: impl Future<Output = ()>) -> Result<FinishedRun, RunError> {
    let backend = Arc::clone(&setup.backend);
    let (statuses, status_task) = status_publisher::start(Arc::clone(&backend), setup.view.metrics());
    let (events, event_task) = event_recorder::start(Arc::clone(&backend));
    let stop_status_task = status_task.abort_handle();
    let (mut status_task, mut event_task) = (status_task.fuse(), event_task.fuse());
    let view = setup.view.clone();
    let publisher = Publisher {
        statuses,
        events,
        view: setup.view.clone(),
    };
    let mut shutdown = std::pin::pin!(shutdown);
    let journal = OnceLock::new();
    // Boxed, because the future contains the whole run. If a task that it depends on breaks, it is dropped; see `coordinate`.
    let outcome = tokio::select! {
        outcome = Box::pin(event_loop::coordinate(setup, &publisher, &journal, shutdown.as_mut())) => outcome,
        reason = broken(&mut status_task) => Err(RunError::Task { task: "the status publisher", reason }),
        reason = broken(&mut event_task) => Err(RunError::Task { task: "the event recorder", reason }),
        task = view.broken() => Err(RunError::Task { task, reason: "the task panicked".to_owned() }),
    };
    if let Some(journal) = journal.into_inner() {
        journal.close(SHUTDOWN_LIMIT).await;
    }
    if matches!(outcome, Err(RunError::Superseded(_))) {
        // Another process publishes the status now.
        stop_status_task.abort();
        return outcome;
    }
    if matches!(outcome, Err(RunError::Stopped)) {
        stop_status_task.abort();
        if backend.plugins_survive_restart() {
            return outcome;
        }
        show_once(&backend, publisher.fail()).await;
        return outcome;
    }
    if let Err(error) = &outcome {
        // Clients that wait must learn that the run is over.
        let status = publisher.fail();
        publisher.publish([RunEvents::broken(&error_chain(error))]);
        if status_task.is_terminated() {
            show_once(&backend, status).await;
        }
    }
    drop(publisher);
    if status_task.is_terminated() {
        return outcome;
    }
    tokio::select! {
        published = &mut status_task => {
            if let Err(error) = published {
                tracing::error!(%error, "the status publisher failed");
            }
        }
        () = shutdown => stop_status_task.abort(),
    }
    if !event_task.is_terminated() {
        // Events are written within moments, or not at all.
        tokio::time::timeout(SHUTDOWN_LIMIT, event_task).await.ok();
    }
    outcome
}

/// Resolves with the reason if the task panics; never resolves if it ends regularly.
async fn broken(task: &mut future::Fuse<JoinHandle<()>>) -> String {
    match task.await {
        Err(error) => error.to_string(),
        Ok(()) => std::future::pending().await,
    }
}

/// Publishes the status with a single attempt: the permission may be lost, or the publisher may be what failed.
async fn show_once(backend: &Arc<dyn Backend>, status: RunStatus) {
    let backend = Arc::clone(backend);
    let shown = tokio::spawn(async move { backend.publish(&status).await });
    if !matches!(tokio::time::timeout(SHUTDOWN_LIMIT, shown).await, Ok(Ok(Ok(())))) {
        tracing::warn!("cannot set the status to failed");
    }
}
