//! One upload: body to a temporary file, then into place, with limits on every step and no lock held meanwhile.

use std::{io::ErrorKind, path::PathBuf, sync::Arc};

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use sono_bundle::{Staged, StoreError};
use sono_types::{ResultKey, UploadLimits, constants, layout};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{RwLock, Semaphore},
};

use crate::{
    desk::{Closed, Desk, Held},
    metrics::{Metrics, Refused},
    room::{Reserved, Room},
    run::{Claim, Outcome, Refusal, SmallBody},
    small::{self, NotStaged},
};

/// Bodies up to this size are looked at for a worker's own error report.
const MAX_ERROR_BODY: u64 = 64 << 10;
/// How many results are unpacked and synced at the same time: more only makes the disk seek.
const PLACING: usize = 8;

/// What the head of the request says about the body.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// Name to store it under; not checked yet.
    pub(crate) file_name: String,
    /// The exact content type.
    pub(crate) content_type: String,
    /// Bytes, where the client says.
    pub(crate) length: Option<u64>,
    /// The worker says that the body is an error report.
    pub(crate) is_error: bool,
    /// The client sends the body only when it is asked to: a refusal need not read it.
    pub(crate) waits: bool,
}

/// Why an upload was not answered with 200.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UploadError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// 400: the content is not acceptable; sending it again does not help.
    #[error("error handling result {key}: {reason}")]
    Content { key: ResultKey, reason: String },
    /// 503: the same result is being put in place for another request.
    #[error("result {0} is being stored for another request, try again")]
    Busy(ResultKey),
    /// 503: too many requests at once, for this result or this plugin.
    #[error("{0}, try again")]
    Crowded(String),
    /// 500: the body broke off, stalled or took too long; sending it again may help.
    #[error("error handling result {key}: {reason}")]
    Broken { key: ResultKey, reason: String },
    /// 500: our disk; sending it again may help.
    #[error("error handling result {key}: {reason}")]
    Storage { key: ResultKey, reason: String },
    /// 507: there is no room for it.
    #[error("error handling result {key}: {reason}")]
    Full { key: ResultKey, reason: String },
    /// 503: the aggregator is ending.
    #[error("the run is over")]
    Closed,
}

impl UploadError {
    /// The word under which it is counted.
    fn kind(&self) -> Refused {
        match self {
            Self::Refused(Refusal::Unexpected(_)) => Refused::Unexpected,
            Self::Refused(Refusal::AlreadyReceived(_)) => Refused::AlreadyReceived,
            Self::Content { .. } => Refused::Content,
            Self::Busy(_) | Self::Crowded(_) => Refused::Busy,
            Self::Broken { .. } => Refused::Broken,
            Self::Storage { .. } => Refused::Storage,
            Self::Full { .. } => Refused::NoRoom,
            Self::Closed => Refused::Ending,
        }
    }
}

impl From<Closed> for UploadError {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// Takes uploads in.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    desk: Desk,
    /// The run's directory; results appear below `plugins/`.
    root: PathBuf,
    /// Temporary files, on the same file system and outside the archive.
    incoming: PathBuf,
    limits: Arc<UploadLimits>,
    room: Arc<Room>,
    placing: Arc<Semaphore>,
    landing: Arc<RwLock<()>>,
    metrics: Arc<Metrics>,
}

/// How receiving the body went wrong.
enum Receive {
    /// The content is at fault.
    Content(String),
    /// The client, or the way to it: nothing is known about the content.
    Broken(String),
    /// Our disk.
    Storage(String),
    /// There is no room for it.
    Full(String),
}

impl Receive {
    /// What the ledger is told, and what the client.
    fn end(self, key: &ResultKey) -> (Outcome, UploadError) {
        let key = key.clone();
        match self {
            Self::Content(reason) => (Outcome::Refused(reason.clone()), UploadError::Content { key, reason }),
            Self::Broken(reason) => (Outcome::Aborted, UploadError::Broken { key, reason }),
            Self::Storage(reason) => (Outcome::Unstored(reason.clone()), UploadError::Storage { key, reason }),
            Self::Full(reason) => (Outcome::Unstored(reason.clone()), UploadError::Full { key, reason }),
        }
    }
}

/// A complete body in a temporary file, which goes away with it.
struct Received {
    file: tempfile::TempPath,
    size: u64,
    reserved: Reserved,
}

/// A result that is checked, and all of it where it is small.
struct Ready {
    staged: Staged,
    body: Option<SmallBody>,
}

/// How far a body came before the ticket is given back.
enum Stored {
    /// There is nothing more to do.
    Settled(Outcome),
    /// It is to be kept in the journal, and then put in place.
    Small { staged: Staged, body: SmallBody },
}

impl Uploads {
    /// Takes uploads for a run whose results so far take `present` bytes. `landing` is held by each result on the way to
    /// its place; whoever reads them all takes the other end of it.
    pub(crate) fn new(
        desk: Desk,
        root: PathBuf,
        incoming: PathBuf,
        limits: Arc<UploadLimits>,
        present: u64,
        landing: Arc<RwLock<()>>,
    ) -> Self {
        Self {
            desk,
            root,
            incoming,
            room: Arc::new(Room::new(&limits, present)),
            limits,
            placing: Arc::new(Semaphore::new(PLACING)),
            landing,
            metrics: Arc::default(),
        }
    }

    /// Counts what happens there.
    pub(crate) fn counted_in(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// A result whose sender may not send it.
    pub(crate) fn refused_identity(&self) {
        self.metrics.refused(Refused::Identity);
    }

    /// Receives one result. Runs in a task of its own: when the client goes away after its last byte, the result is
    /// still put in place and the ledger told.
    pub(crate) async fn receive(&self, key: ResultKey, head: Head, body: Body) -> Result<(), UploadError> {
        let began = tokio::time::Instant::now();
        let mut stream = body.into_data_stream();
        let received = self.receive_stream(&key, &head, &mut stream).await;
        match &received {
            Ok(()) => {
                self.metrics.uploaded(began.elapsed());
                tracing::info!(plugin_name = %key.plugin, node = %key.target, "result stored");
            }
            Err(error) => {
                self.metrics.refused(error.kind());
                tracing::warn!(plugin_name = %key.plugin, node = %key.target, %error, "Result processing error");
                // Whoever sends too slowly is not waited for once more.
                if !head.waits && !matches!(error, UploadError::Broken { .. }) {
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
    ) -> Result<(), UploadError> {
        let mut held = self.desk.begin(key).await??;
        let _turn = self.room.enter(key).map_err(UploadError::Crowded)?;
        let patience = self.limits.idle_timeout;
        let _seat = self
            .room
            .seat(&key.plugin, patience)
            .await
            .map_err(UploadError::Crowded)?;
        match self.store(&mut held, key, head, stream).await {
            Ok(Stored::Small { staged, body }) => self.finish_small(held, key, staged, body).await,
            Ok(Stored::Settled(outcome)) => {
                let counts = outcome == Outcome::Stored;
                if !held.finish(outcome, None).await?.is_in && counts {
                    // The archive is being made without it.
                    return Err(Refusal::AlreadyReceived(key.clone()).into());
                }
                Ok(())
            }
            Err((outcome, error)) => {
                held.finish(outcome, None).await?;
                Err(error)
            }
        }
    }

    /// Once the journal has it a small result is on disk, and then it is put in its place, which the end of the run waits
    /// for.
    async fn finish_small(
        &self,
        held: Held,
        key: &ResultKey,
        staged: Staged,
        body: SmallBody,
    ) -> Result<(), UploadError> {
        let _landing = self.landing.read().await;
        let finished = held.finish(Outcome::Stored, Some(body)).await?;
        if !finished.is_in {
            return Err(Refusal::AlreadyReceived(key.clone()).into());
        }
        if let Some(reason) = &finished.unrecorded {
            tracing::warn!(plugin_name = %key.plugin, node = %key.target, reason, "the journal cannot keep the result, so it is synced by itself");
        }
        let placed = self.place(key, staged, finished.unrecorded.is_some()).await;
        placed.map_err(|error| error.end(key).1)
    }

    async fn store(
        &self,
        held: &mut Held,
        key: &ResultKey,
        head: &Head,
        stream: &mut BodyDataStream,
    ) -> Result<Stored, (Outcome, UploadError)> {
        let received = self.to_file(head, stream).await.map_err(|error| error.end(key))?;
        if let Some(reason) = self.reported_error(head, &received.file, received.size).await {
            return Ok(Stored::Settled(Outcome::Reported(reason)));
        }
        let closed = |error: Closed| (Outcome::Aborted, error.into());
        match held.claim().await.map_err(closed)? {
            Claim::Granted => {}
            Claim::Busy => return Err((Outcome::Aborted, UploadError::Busy(key.clone()))),
            Claim::AlreadyReceived => {
                return Err((Outcome::Aborted, Refusal::AlreadyReceived(key.clone()).into()));
            }
        }
        let Ready { staged, body } = self.stage(key, head, received).await.map_err(|error| error.end(key))?;
        if let Some(body) = body {
            return Ok(Stored::Small { staged, body });
        }
        self.place(key, staged, true).await.map_err(|error| error.end(key))?;
        Ok(Stored::Settled(Outcome::Stored))
    }

    /// Streams the body to a temporary file.
    async fn to_file(&self, head: &Head, stream: &mut BodyDataStream) -> Result<Received, Receive> {
        let limit = self.limits.max_body_bytes;
        let too_large = || Receive::Content(format!("the body is larger than the limit of {limit} bytes"));
        if head.length.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let disk = |error: &std::io::Error| {
            let reason = format!("storing the body: {error}");
            match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Receive::Full(no_room(&reason)),
                _ => Receive::Storage(reason),
            }
        };
        let (file, path) = tempfile::NamedTempFile::new_in(&self.incoming)
            .map_err(|error| disk(&error))?
            .into_parts();
        let mut file = tokio::fs::File::from_std(file);
        // One buffer a connection: thousands of workers report within seconds of each other.
        file.set_max_buf_size(64 << 10);
        let mut reserved = Reserved::new(Arc::clone(&self.room));
        let until = tokio::time::Instant::now() + self.limits.max_body_time;
        let mut size = 0_u64;
        loop {
            let idle = tokio::time::Instant::now() + self.limits.idle_timeout;
            let chunk = match tokio::time::timeout_at(idle.min(until), stream.next()).await {
                Err(_) if until <= idle => {
                    let seconds = self.limits.max_body_time.as_secs();
                    return Err(Receive::Broken(format!(
                        "the body took longer than the limit of {seconds} s, {size} bytes of it arrived"
                    )));
                }
                Err(_) => {
                    let seconds = self.limits.idle_timeout.as_secs();
                    return Err(Receive::Broken(format!(
                        "the body sent nothing for {seconds} s after {size} bytes"
                    )));
                }
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    return Err(Receive::Broken(format!(
                        "the body broke off after {size} bytes: {error}"
                    )));
                }
                Ok(Some(Ok(chunk))) => chunk,
            };
            size += chunk.len() as u64;
            self.metrics.received(chunk.len() as u64);
            if size > limit {
                return Err(too_large());
            }
            reserved.grow(chunk.len() as u64).map_err(Receive::Full)?;
            file.write_all(&chunk).await.map_err(|error| disk(&error))?;
        }
        file.flush().await.map_err(|error| disk(&error))?;
        if let Some(length) = head.length.filter(|length| *length != size) {
            return Err(Receive::Broken(format!(
                "the body broke off after {size} of {length} bytes"
            )));
        }
        Ok(Received {
            file: path,
            size,
            reserved,
        })
    }

    /// What a worker that could not read its result sends instead: `{"error": "…"}`, marked by a header (ours), or
    /// without a file name (Sonobuoy's: weakness W-6).
    async fn reported_error(&self, head: &Head, file: &tempfile::TempPath, size: u64) -> Option<String> {
        let unnamed = head.file_name == constants::DEFAULT_FILE_NAME;
        if !head.is_error && (!unnamed || size > MAX_ERROR_BODY) {
            return None;
        }
        let mut bytes = Vec::new();
        let file = tokio::fs::File::open(file).await.ok()?;
        file.take(MAX_ERROR_BODY).read_to_end(&mut bytes).await.ok()?;
        let fields: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(&bytes).ok();
        let message = fields.as_ref().and_then(|fields| fields.get("error")?.as_str());
        match (head.is_error, message) {
            (true, Some(message)) => Some(message.to_owned()),
            // Marked as an error: it is one, whatever it looks like.
            (true, None) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            (false, message) => message
                .filter(|_| fields.as_ref().is_some_and(|fields| fields.len() == 1))
                .map(str::to_owned),
        }
    }

    /// Checks the result and makes it, beside its place.
    async fn stage(&self, key: &ResultKey, head: &Head, received: Received) -> Result<Ready, Receive> {
        let destination = self.root.join(layout::results_dir(key));
        let head = head.clone();
        let mut limits = UploadLimits::clone(&self.limits);
        let permit = Arc::clone(&self.placing).acquire_owned().await;
        let staged = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let Received {
                file,
                size,
                mut reserved,
            } = received;
            let body = if size <= SmallBody::MOST_BYTES {
                let bytes = fs_err::read(&file).map_err(|error| Receive::Storage(error.to_string()))?;
                Some(SmallBody::new(
                    head.file_name.clone(),
                    head.content_type.clone(),
                    &bytes,
                ))
            } else {
                None
            };
            // Bytes that are not there for anybody are not there for an archive either.
            let left = reserved.left();
            let squeezed = left < limits.max_unpacked_bytes;
            limits.max_unpacked_bytes = limits.max_unpacked_bytes.min(left);
            let staged = small::stage(&file, &head.file_name, &head.content_type, &limits);
            let (staged, unpacked) = staged.map_err(|error| match error {
                NotStaged::Content { too_large: true, .. } if squeezed => Receive::Full(reserved.limit()),
                NotStaged::Content { reason, .. } => Receive::Content(reason),
                NotStaged::Storage { reason, full: true } => Receive::Full(no_room(&reason)),
                NotStaged::Storage { reason, full: false } => Receive::Storage(reason),
            })?;
            // Here the sender can still be told to try again.
            staged.prepare(&destination).map_err(|error| unstored(&error))?;
            match unpacked {
                Some(bytes) => reserved.keep(bytes),
                None => reserved.keep_all(),
            }
            Ok(Ready { staged, body })
        });
        staged
            .await
            .unwrap_or_else(|error| Err(Receive::Storage(format!("storing the result: {error}"))))
    }

    /// Puts a result in place, and says 200 only when it stays there: a small one is in the journal.
    async fn place(&self, key: &ResultKey, staged: Staged, durably: bool) -> Result<(), Receive> {
        let destination = self.root.join(layout::results_dir(key));
        let permit = Arc::clone(&self.placing).acquire_owned().await;
        let placed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let placed = if durably {
                staged.appear_durably(&destination)
            } else {
                staged.appear(&destination)
            };
            placed.map_err(|error| unstored(&error))
        });
        placed
            .await
            .unwrap_or_else(|error| Err(Receive::Storage(format!("storing the result: {error}"))))
    }

    /// Reads a body nobody wants: the answer would be lost if the connection were closed while the client sends.
    pub(crate) async fn discard(&self, body: Body) {
        self.drain(&mut body.into_data_stream()).await;
    }

    /// Reads what is left of a body nobody wants, up to a size and for a time (weakness W-40: without this its sender
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
        // Whoever is slower than that sees the reset.
        tokio::time::timeout(self.limits.idle_timeout, read).await.ok();
    }
}

fn unstored(error: &StoreError) -> Receive {
    let reason = chain(error);
    if error.is_full() {
        Receive::Full(no_room(&reason))
    } else {
        Receive::Storage(reason)
    }
}

/// What is said where our disk, and not a limit of ours, is the bound.
fn no_room(reason: &str) -> String {
    format!("the aggregator has no room left on its volume ({reason}); give it a larger one")
}

/// An error and its causes in one line, each once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        source = cause.source();
    }
    text
}
