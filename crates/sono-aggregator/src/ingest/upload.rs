//! One upload: the body is written to a temporary file and then committed, with limits on every step and without a lock.

mod collect;
mod report;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use sono_bundle::{Staged, StoreError};
use sono_run::{
    CommitDecision, Refusal, SmallBody,
    Stored::{InJournal, InPlace},
    UploadOutcome,
};
use sono_types::{ResultKey, UploadLimits, error_chain, layout};
use tokio::sync::{OwnedRwLockReadGuard, RwLock, Semaphore};

use crate::{
    connections::UploadSlot,
    durability::disk_full::DiskFull,
    handle::{CoordinatorHandle, UploadTicket},
    ingest::{
        error::UploadError,
        quota::{Reserved, UploadQuota},
        resume::{Part, Partials},
        spool::Writers,
        staging,
        staging::Content,
    },
    observe::metrics::{Metrics, Refused},
};

/// Large results that are unpacked and synced at the same time. Concurrent syncs share the writes of the file system.
const PLACING: usize = 32;
/// Small results that are staged or committed at the same time.
const PLACING_SMALL: usize = 16;

/// Properties of the body according to the request's headers.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// Name to store it under; not checked yet.
    pub(crate) file_name: String,
    /// The exact content type.
    pub(crate) content_type: String,
    /// Size in bytes, if the client states it.
    pub(crate) length: Option<u64>,
    /// The body is marked as an error report.
    pub(crate) is_error: bool,
    /// Which part of a body it is, where the sender knows of parts.
    pub(crate) part: Option<Part>,
    /// The client sends the body only when it is asked to: a refusal need not read it.
    pub(crate) waits: bool,
}

/// Receives uploads.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    coordinator: CoordinatorHandle,
    /// The run's directory; results appear below `plugins/`.
    root: PathBuf,
    /// Temporary files, on the same file system and outside the archive.
    incoming: PathBuf,
    limits: Arc<UploadLimits>,
    quota: Arc<UploadQuota>,
    writers: Writers,
    partials: Partials,
    placing: Arc<Semaphore>,
    placing_small: Arc<Semaphore>,
    commits_in_progress: Arc<RwLock<()>>,
    disk_full: DiskFull,
    metrics: Arc<Metrics>,
}

/// A complete body.
struct Received {
    content: Content,
    reserved: Reserved,
}

/// A complete body before the ticket is finished.
enum Placement {
    /// An error report, which is not stored.
    Reported(String),
    /// A large result in its place and synced, except for its name in the directory above.
    InPlace,
    /// A staged small result: the journal stores it first.
    Small { staged: Staged, body: SmallBody },
}

impl Uploads {
    /// Receives uploads for a run with `present` bytes of results. `commits_in_progress` is read-locked by each result that is being
    /// committed; the reader of all results takes the write lock.
    pub(crate) fn new(
        coordinator: CoordinatorHandle,
        root: PathBuf,
        incoming: PathBuf,
        limits: Arc<UploadLimits>,
        present: u64,
        commits_in_progress: Arc<RwLock<()>>,
    ) -> Self {
        Self {
            coordinator,
            root,
            incoming,
            quota: Arc::new(UploadQuota::new(&limits, present)),
            limits,
            writers: Writers::default(),
            partials: Partials::default(),
            placing: Arc::new(Semaphore::new(PLACING)),
            placing_small: Arc::new(Semaphore::new(PLACING_SMALL)),
            commits_in_progress,
            disk_full: DiskFull::default(),
            metrics: Arc::default(),
        }
    }

    /// Counts these bytes of the run's log with those of results.
    pub(crate) fn counting_log(self, log: Arc<AtomicU64>) -> Self {
        self.quota.count_log(log);
        self
    }

    /// Acknowledged results that do not fit on the disk wait there.
    pub(crate) fn waiting_in(self, disk_full: &DiskFull) -> Self {
        let disk_full = disk_full.clone();
        Self { disk_full, ..self }
    }

    /// Counts uploads in these metrics.
    pub(crate) fn counted_in(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// How many bytes there are of a body that broke off.
    pub(crate) fn received(&self, key: &ResultKey, name: &str) -> Option<u64> {
        self.partials.received(key, name)
    }

    /// Counts an upload that was refused because of its sender's certificate.
    pub(crate) fn refused_identity(&self) {
        self.metrics.refused(Refused::Identity);
    }

    /// Receives one result, in a task of its own: if the client disconnects after its last byte, the result is still stored and
    /// recorded in the ledger.
    ///
    /// # Cancel safety
    ///
    /// Not cancelled by the client. When the process ends, the ticket's drop guard ends the ledger entry, and the result is sent again.
    pub(crate) async fn receive(
        &self,
        key: ResultKey,
        head: Head,
        body: Body,
        mut slot: UploadSlot,
    ) -> Result<(), UploadError> {
        let began = tokio::time::Instant::now();
        let mut stream = body.into_data_stream();
        let received = self.receive_stream(&key, &head, &mut stream, &mut slot).await;
        match &received {
            Ok(()) => {
                self.metrics.uploaded(began.elapsed());
                tracing::info!(plugin_name = %key.plugin, node = %key.target, "result stored");
            }
            Err(error) => {
                self.metrics.refused(error.kind());
                tracing::warn!(plugin_name = %key.plugin, node = %key.target, error = error.message(&key), "Result processing error");
                // A body that was too slow is not drained either.
                if !head.waits && !matches!(error, UploadError::Broken(_) | UploadError::Preempted(_)) {
                    // The answer would be lost if the connection were closed while the client is still sending.
                    self.drain(&mut stream).await;
                }
            }
        }
        received
    }

    async fn receive_stream(
        &self,
        key: &ResultKey,
        head: &Head,
        stream: &mut BodyDataStream,
        slot: &mut UploadSlot,
    ) -> Result<(), UploadError> {
        let mut ticket = self.coordinator.begin(key).await??;
        let _turn = self.quota.enter(key)?;
        match self.store(&mut ticket, key, head, stream, slot).await {
            Ok(Placement::Small { staged, body }) => self.finish_small(ticket, key, staged, body).await,
            Ok(Placement::InPlace) => self.finish_in_place(ticket, key).await,
            Ok(Placement::Reported(reason)) => finish_recorded(ticket, UploadOutcome::Reported(reason)).await,
            Err(error) => {
                let outcome = error.outcome();
                if matches!(outcome, UploadOutcome::Refused(_)) {
                    finish_recorded(ticket, outcome).await?;
                } else {
                    ticket.finish(outcome, None).await?;
                }
                Err(error)
            }
        }
    }

    /// Finishes a large result after its commit. One sync of the parent directory serves all waiting uploads.
    async fn finish_in_place(&self, ticket: UploadTicket, key: &ResultKey) -> Result<(), UploadError> {
        let place = self.root.join(layout::results_dir(key));
        let directory = place.parent().unwrap_or(&self.root).to_path_buf();
        let finished = ticket
            .finish(UploadOutcome::Stored(InPlace), Some(directory.clone()))
            .await?;
        if !finished.is_in {
            // The archive is being made without it.
            return Err(Refusal::TooLate(key.clone()).into());
        }
        let Some(reason) = finished.unrecorded else {
            return Ok(());
        };
        // The result needs no record, because a restart finds its files, but their directory must be synced.
        tracing::warn!(plugin_name = %key.plugin, node = %key.target, reason = error_chain(&reason), "cannot record the result in the journal, syncing its directory instead");
        blocking(move || sono_bundle::sync_directory(&directory).map_err(|error| unstored(&error))).await
    }

    /// Finishes a small result: the journal stores it, then its files are committed. The end of the run waits for the commit.
    async fn finish_small(
        &self,
        ticket: UploadTicket,
        key: &ResultKey,
        staged: Staged,
        body: SmallBody,
    ) -> Result<(), UploadError> {
        let commits_in_progress = Arc::clone(&self.commits_in_progress).read_owned().await;
        let stored = UploadOutcome::Stored(InJournal(body.clone()));
        let finished = ticket.finish(stored, None).await?;
        if !finished.is_in {
            return Err(Refusal::TooLate(key.clone()).into());
        }
        let durably = finished.unrecorded.is_some();
        if let Some(reason) = &finished.unrecorded {
            tracing::warn!(plugin_name = %key.plugin, node = %key.target, reason = error_chain(reason), "cannot store the result in the journal, syncing its files instead");
        }
        let destination = self.root.join(layout::results_dir(key));
        let _permit = self.placing_small.acquire().await;
        let place = destination.clone();
        let placed = blocking(move || {
            let placed = if durably {
                staged.commit_durable(&place)
            } else {
                staged.commit_unsynced(&place)
            };
            placed.map_err(|error| unstored(&error))
        });
        match placed.await {
            Err(full @ UploadError::Full(_)) => {
                self.place_later(body, destination, commits_in_progress);
                // If the journal has the result, its sender gets success; if it is stored nowhere yet, its sender is asked to
                // retry.
                if durably { Err(full) } else { Ok(()) }
            }
            placed => placed,
        }
    }

    /// The result counts as stored, and no worker sends it again: the end of the run waits until the disk has space for it. The
    /// task is watched through `commits_in_progress`: the end of the run waits for its guard, however the task ends, and reports
    /// a result whose files are missing.
    fn place_later(&self, body: SmallBody, destination: PathBuf, commits_in_progress: OwnedRwLockReadGuard<()>) {
        let (disk_full, limits, incoming) = (self.disk_full.clone(), Arc::clone(&self.limits), self.incoming.clone());
        tokio::spawn(async move {
            let place = move || staging::restore(&body, &incoming, &destination, &limits);
            if let Err(error) = disk_full.retry("storing a received result", place).await {
                tracing::error!(error = error_chain(&error), "cannot store a received result");
            }
            drop(commits_in_progress);
        });
    }

    async fn store(
        &self,
        ticket: &mut UploadTicket,
        key: &ResultKey,
        head: &Head,
        stream: &mut BodyDataStream,
        slot: &mut UploadSlot,
    ) -> Result<Placement, UploadError> {
        let received = self.collect(key, head, stream, slot).await?;
        let Received { content, reserved } = received;
        let (content, reported) = report::reported_error(head, content).await?;
        if let Some(reason) = reported {
            return Ok(Placement::Reported(reason));
        }
        match ticket.request_commit().await? {
            CommitDecision::Granted => {}
            CommitDecision::Busy => return Err(UploadError::Busy),
            CommitDecision::AlreadyReceived => {
                return Err(Refusal::AlreadyReceived(key.clone()).into());
            }
            CommitDecision::TooLate => return Err(Refusal::TooLate(key.clone()).into()),
        }
        let received = Received { content, reserved };
        self.stage(key, head, received).await
    }

    /// Checks and stages the result; a large one is also committed.
    async fn stage(&self, key: &ResultKey, head: &Head, received: Received) -> Result<Placement, UploadError> {
        let destination = self.root.join(layout::results_dir(key));
        let (head, incoming) = (head.clone(), self.incoming.clone());
        let mut limits = UploadLimits::clone(&self.limits);
        let permit = match &received.content {
            Content::Memory(_) => self.placing_small.acquire().await,
            Content::File(_) => self.placing.acquire().await,
        };
        let made = blocking(move || {
            let Received { content, mut reserved } = received;
            // Bytes that are not there for anybody are not there for an archive either.
            let left = reserved.left();
            let squeezed = left < limits.max_unpacked_bytes;
            limits.max_unpacked_bytes = limits.max_unpacked_bytes.min(left);
            let staged = staging::stage(&content, &incoming, &head.file_name, &head.content_type, &limits);
            let (staged, unpacked) = staged.map_err(|error| match error {
                UploadError::TooLarge(_) if squeezed => UploadError::Full(reserved.limit()),
                UploadError::Full(reason) => UploadError::Full(disk_full_message(&reason)),
                other => other,
            })?;
            let ready = match content {
                Content::Memory(bytes) => {
                    // At this point the sender can still be asked to retry.
                    staged.prepare(&destination).map_err(|error| unstored(&error))?;
                    let body = SmallBody::new(head.file_name, head.content_type, &bytes);
                    Placement::Small { staged, body }
                }
                Content::File(_) => {
                    staged.commit_synced(&destination).map_err(|error| unstored(&error))?;
                    Placement::InPlace
                }
            };
            match unpacked {
                Some(bytes) => reserved.keep(bytes),
                None => reserved.keep_all(),
            }
            Ok(ready)
        });
        let made = made.await;
        drop(permit);
        made
    }

    /// Reads and discards a body: the response would be lost if the connection were closed while the client sends.
    pub(crate) async fn discard(&self, body: Body) {
        self.drain(&mut body.into_data_stream()).await;
    }

    /// Reads and discards the rest of a body, up to a size and for a time (weakness W-40: without this its sender
    /// would see a reset instead of the code, and try again).
    async fn drain(&self, stream: &mut BodyDataStream) {
        let read = async {
            let mut size = 0;
            while let Some(Ok(chunk)) = stream.next().await {
                size += chunk.len() as u64;
                if size > self.limits.max_drain_bytes {
                    return;
                }
            }
        };
        // A slower sender sees the reset.
        tokio::time::timeout(self.limits.idle_timeout, read).await.ok();
    }
}

/// Finishes an upload that ends as an error of its result. Its sender does not send it again, so the response must not come before
/// the record is on disk.
async fn finish_recorded(ticket: UploadTicket, outcome: UploadOutcome) -> Result<(), UploadError> {
    match ticket.finish(outcome, None).await?.unrecorded {
        None => Ok(()),
        Some(reason) => {
            let reason = error_chain(&reason);
            Err(UploadError::Storage(format!("cannot record the error: {reason}")))
        }
    }
}

/// Runs work on the disk on the blocking pool.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
) -> Result<T, UploadError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        // Work in progress is cancelled when this process ends.
        Err(if error.is_cancelled() {
            UploadError::Closed
        } else {
            UploadError::Storage(format!("cannot store the result: {error}"))
        })
    })
}

fn unstored(error: &StoreError) -> UploadError {
    let reason = error_chain(error);
    if error.is_full() {
        UploadError::Full(disk_full_message(&reason))
    } else {
        UploadError::Storage(reason)
    }
}

/// The reason of an upload that the full disk stopped, and not a limit of the run.
fn disk_full_message(reason: &str) -> String {
    format!("the aggregator's volume is full ({reason}); use a larger volume")
}

#[cfg(test)]
mod tests {
    use sono_run::NotRecorded;
    use sono_types::SharedError;

    use super::*;
    use crate::{
        handle::{Request, UploadReceipt},
        test_run::run_of_one_result,
    };

    /// Reports an error of the result to a coordinator whose journal gives this answer.
    async fn report_error(unrecorded: Option<NotRecorded>) -> Result<(), UploadError> {
        let (mut run, key) = run_of_one_result(false);
        let (coordinator, mut requests) = CoordinatorHandle::new();
        let answers = tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                match request {
                    Request::Begin { key, reply } => drop(reply.send(run.begin(&key))),
                    Request::Finish { reply, .. } => {
                        let unrecorded = unrecorded.clone();
                        drop(reply.send(UploadReceipt {
                            is_in: false,
                            unrecorded,
                        }));
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        let ticket = coordinator.begin(&key).await.unwrap().unwrap();
        let finished = finish_recorded(ticket, UploadOutcome::Reported("no result".to_owned())).await;
        drop(coordinator);
        answers.await.unwrap();
        finished
    }

    /// The sender of an error does not repeat it after a success: with a full disk it is asked to.
    #[tokio::test]
    async fn error_that_is_not_in_the_journal_is_not_acknowledged() {
        assert_eq!(report_error(None).await, Ok(()));
        let full = Some(NotRecorded::Write(SharedError::new("no space left")));
        let reason = "cannot record the error: cannot write the journal: no space left".to_owned();
        assert_eq!(report_error(full).await, Err(UploadError::Storage(reason)));
    }
}
