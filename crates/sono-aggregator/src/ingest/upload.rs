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
        quota::{Reservation, UploadQuota},
        resume::{Partials, UploadPart},
        spool::Writers,
        staging,
        staging::Content,
    },
    observe::metrics::{Metrics, Refused},
};

/// Large results that are unpacked and synced at the same time. Concurrent syncs share the writes of the file system.
const MAX_CONCURRENT_COMMITS: usize = 32;
/// Small results that are staged or committed at the same time.
const MAX_CONCURRENT_SMALL_COMMITS: usize = 16;

/// Properties of the body according to the request's headers.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// Name of the stored file; not checked yet.
    pub(crate) file_name: String,
    /// The exact content type.
    pub(crate) content_type: String,
    /// Size in bytes, if the client states it.
    pub(crate) length: Option<u64>,
    /// The body is marked as an error report.
    pub(crate) is_error: bool,
    /// The part of the body in this request, if the sender resumes uploads.
    pub(crate) part: Option<UploadPart>,
    /// The client sends the body only after an interim response, so a refusal need not read it.
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
    commit_permits: Arc<Semaphore>,
    small_commit_permits: Arc<Semaphore>,
    commits_in_progress: Arc<RwLock<()>>,
    disk_full: DiskFull,
    metrics: Arc<Metrics>,
}

/// A complete body.
struct Received {
    content: Content,
    reservation: Reservation,
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
            commit_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_COMMITS)),
            small_commit_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_SMALL_COMMITS)),
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

    /// Where acknowledged results wait for free disk space.
    pub(crate) fn waiting_in(self, disk_full: &DiskFull) -> Self {
        let disk_full = disk_full.clone();
        Self { disk_full, ..self }
    }

    /// Counts uploads in these metrics.
    pub(crate) fn counted_in(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// The number of received bytes of an interrupted body.
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
                // The rest of a body that was too slow is not read either.
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
            Ok(Placement::Reported(reason)) => finish_without_result(ticket, UploadOutcome::Reported(reason)).await,
            Err(error) => {
                finish_without_result(ticket, error.outcome()).await?;
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
        if !finished.is_stored {
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
        if !finished.is_stored {
            return Err(Refusal::TooLate(key.clone()).into());
        }
        let durably = finished.unrecorded.is_some();
        if let Some(reason) = &finished.unrecorded {
            tracing::warn!(plugin_name = %key.plugin, node = %key.target, reason = error_chain(reason), "cannot store the result in the journal, syncing its files instead");
        }
        let destination = self.root.join(layout::results_dir(key));
        let _permit = self.small_commit_permits.acquire().await;
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
                self.commit_later(body, destination, commits_in_progress);
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
    fn commit_later(&self, body: SmallBody, destination: PathBuf, commits_in_progress: OwnedRwLockReadGuard<()>) {
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
        let Received { content, reservation } = received;
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
        let received = Received { content, reservation };
        self.stage(key, head, received).await
    }

    /// Checks and stages the result; a large one is also committed.
    async fn stage(&self, key: &ResultKey, head: &Head, received: Received) -> Result<Placement, UploadError> {
        let destination = self.root.join(layout::results_dir(key));
        let (head, incoming) = (head.clone(), self.incoming.clone());
        let mut limits = UploadLimits::clone(&self.limits);
        let permit = match &received.content {
            Content::Memory(_) => self.small_commit_permits.acquire().await,
            Content::File(_) => self.commit_permits.acquire().await,
        };
        let made = blocking(move || {
            let Received {
                content,
                mut reservation,
            } = received;
            // An archive may not unpack to more bytes than the quota has left.
            let left = reservation.left();
            let is_quota_limit = left < limits.max_unpacked_bytes;
            limits.max_unpacked_bytes = limits.max_unpacked_bytes.min(left);
            let staged = staging::stage(&content, &incoming, &head.file_name, &head.content_type, &limits);
            let (staged, unpacked) = staged.map_err(|error| match error {
                UploadError::TooLarge(_) if is_quota_limit => UploadError::Full(reservation.limit()),
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
                Some(bytes) => reservation.retain(bytes),
                None => reservation.retain_all(),
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

    /// Reads and discards the rest of a body, within limits on size and time (weakness W-40: otherwise the sender sees a reset
    /// instead of the status code, and retries).
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

/// Finishes an upload that stores no result. The sender of an error of the result does not send it again, so the response must not
/// come before the record is on disk.
async fn finish_without_result(ticket: UploadTicket, outcome: UploadOutcome) -> Result<(), UploadError> {
    let is_final = matches!(outcome, UploadOutcome::Reported(_) | UploadOutcome::Refused(_));
    match ticket.finish(outcome, None).await?.unrecorded {
        Some(reason) if is_final => Err(UploadError::Storage(format!(
            "cannot record the error: {}",
            error_chain(&reason)
        ))),
        _ => Ok(()),
    }
}

/// Runs disk work on the blocking pool.
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

/// The reason for a failed upload when the disk is full, as opposed to a limit of the run.
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

    /// Finishes an upload with a coordinator whose journal gives this answer.
    async fn finish(outcome: UploadOutcome, unrecorded: Option<NotRecorded>) -> Result<(), UploadError> {
        let (mut run, key) = run_of_one_result(false);
        let (coordinator, mut requests) = CoordinatorHandle::new();
        let answers = tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                match request {
                    Request::Begin { key, reply } => drop(reply.send(run.begin(&key))),
                    Request::Finish { reply, .. } => {
                        let unrecorded = unrecorded.clone();
                        drop(reply.send(UploadReceipt {
                            is_stored: false,
                            unrecorded,
                        }));
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        let ticket = coordinator.begin(&key).await.unwrap().unwrap();
        let finished = finish_without_result(ticket, outcome).await;
        drop(coordinator);
        answers.await.unwrap();
        finished
    }

    /// The sender of an error does not repeat it after a success: with a full disk it is asked to.
    #[tokio::test]
    async fn error_that_is_not_in_the_journal_is_not_acknowledged() {
        let full = NotRecorded::Write(SharedError::new("no space left"));
        let unrecorded =
            UploadError::Storage("cannot record the error: cannot write the journal: no space left".to_owned());
        let reason = || "no result".to_owned();
        for outcome in [UploadOutcome::Reported(reason()), UploadOutcome::Refused(reason())] {
            assert_eq!(finish(outcome.clone(), None).await, Ok(()));
            assert_eq!(finish(outcome, Some(full.clone())).await, Err(unrecorded.clone()));
        }
        // These are sent again anyway.
        for outcome in [UploadOutcome::Unstored(reason()), UploadOutcome::Aborted] {
            assert_eq!(finish(outcome, Some(full.clone())).await, Ok(()));
        }
    }
}
