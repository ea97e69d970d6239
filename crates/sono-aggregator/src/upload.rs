//! One upload: body to a temporary file, then into place, with limits on every step and no lock held meanwhile.

use std::{path::PathBuf, sync::Arc};

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use sono_types::{ResultKey, UploadLimits, constants, layout};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Semaphore,
};

use crate::{
    desk::{Closed, Desk},
    run::{Claim, Outcome, Refusal, Ticket},
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
    /// 500: our disk, or a body that broke off; sending it again may help.
    #[error("error handling result {key}: {reason}")]
    Storage { key: ResultKey, reason: String },
    /// 503: the aggregator is ending.
    #[error("the run is over")]
    Closed,
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
    placing: Arc<Semaphore>,
}

/// How receiving the body went wrong.
enum Receive {
    Content(String),
    Storage(String),
}

impl Uploads {
    pub(crate) fn new(desk: Desk, root: PathBuf, incoming: PathBuf, limits: Arc<UploadLimits>) -> Self {
        Self {
            desk,
            root,
            incoming,
            limits,
            placing: Arc::new(Semaphore::new(PLACING)),
        }
    }

    /// Receives one result. Runs in a task of its own: when the client goes away after its last byte, the result is
    /// still put in place and the ledger told.
    pub(crate) async fn receive(&self, key: ResultKey, head: Head, body: Body) -> Result<(), UploadError> {
        let mut stream = body.into_data_stream();
        let begun = match self.desk.begin(&key).await {
            Ok(begun) => begun,
            Err(closed) => {
                self.drain(&mut stream).await;
                return Err(closed.into());
            }
        };
        let ticket = match begun {
            Ok(ticket) => ticket,
            Err(refusal) => {
                // The answer would be lost if the connection were closed while the client is still sending.
                self.drain(&mut stream).await;
                return Err(refusal.into());
            }
        };
        let (ticket, outcome, answer) = self.store(ticket, &key, &head, &mut stream).await;
        match &answer {
            Ok(()) => tracing::info!(plugin_name = %key.plugin, node = %key.target, "result stored"),
            Err(error) => {
                tracing::warn!(plugin_name = %key.plugin, node = %key.target, %error, "Result processing error");
            }
        }
        if let Some(ticket) = ticket {
            self.desk.finish(ticket, outcome).await?;
        }
        if matches!(answer, Err(UploadError::Content { .. })) {
            self.drain(&mut stream).await;
        }
        answer
    }

    async fn store(
        &self,
        ticket: Ticket,
        key: &ResultKey,
        head: &Head,
        stream: &mut BodyDataStream,
    ) -> (Option<Ticket>, Outcome, Result<(), UploadError>) {
        let content = |reason: String| {
            (
                Outcome::Refused(reason.clone()),
                Err(UploadError::Content {
                    key: key.clone(),
                    reason,
                }),
            )
        };
        let storage = |reason: String| {
            (
                Outcome::Aborted,
                Err(UploadError::Storage {
                    key: key.clone(),
                    reason,
                }),
            )
        };
        let (file, size) = match self.to_file(head, stream).await {
            Ok(received) => received,
            Err(Receive::Content(reason)) => {
                let (outcome, answer) = content(reason);
                return (Some(ticket), outcome, answer);
            }
            Err(Receive::Storage(reason)) => {
                let (outcome, answer) = storage(reason);
                return (Some(ticket), outcome, answer);
            }
        };
        if let Some(reason) = self.reported_error(head, &file, size).await {
            return (Some(ticket), Outcome::Reported(reason), Ok(()));
        }
        let ticket = match self.desk.claim(ticket).await {
            Ok((ticket, Claim::Granted)) => ticket,
            Ok((ticket, Claim::Busy)) => {
                return (Some(ticket), Outcome::Aborted, Err(UploadError::Busy(key.clone())));
            }
            Ok((ticket, Claim::AlreadyReceived)) => {
                return (
                    Some(ticket),
                    Outcome::Aborted,
                    Err(Refusal::AlreadyReceived(key.clone()).into()),
                );
            }
            Err(closed) => return (None, Outcome::Aborted, Err(closed.into())),
        };
        let (outcome, answer) = match self.place(key, head, file).await {
            Ok(()) => (Outcome::Stored, Ok(())),
            Err(Receive::Content(reason)) => content(reason),
            Err(Receive::Storage(reason)) => storage(reason),
        };
        (Some(ticket), outcome, answer)
    }

    /// Streams the body to a temporary file, which goes away with the returned value.
    async fn to_file(&self, head: &Head, stream: &mut BodyDataStream) -> Result<(tempfile::TempPath, u64), Receive> {
        let limit = self.limits.max_body_bytes;
        let too_large = || Receive::Content(format!("the body is larger than the limit of {limit} bytes"));
        if head.length.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let disk = |error: &dyn std::fmt::Display| Receive::Storage(format!("storing the body: {error}"));
        let (file, path) = tempfile::NamedTempFile::new_in(&self.incoming)
            .map_err(|error| disk(&error))?
            .into_parts();
        let mut file = tokio::fs::File::from_std(file);
        // One buffer a connection: thousands of workers report within seconds of each other.
        file.set_max_buf_size(64 << 10);
        let mut size = 0_u64;
        loop {
            let chunk = match tokio::time::timeout(self.limits.idle_timeout, stream.next()).await {
                Err(_) => {
                    let seconds = self.limits.idle_timeout.as_secs();
                    return Err(Receive::Storage(format!(
                        "the body sent nothing for {seconds} s after {size} bytes"
                    )));
                }
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    return Err(Receive::Storage(format!(
                        "the body broke off after {size} bytes: {error}"
                    )));
                }
                Ok(Some(Ok(chunk))) => chunk,
            };
            size += chunk.len() as u64;
            if size > limit {
                return Err(too_large());
            }
            file.write_all(&chunk).await.map_err(|error| disk(&error))?;
        }
        file.flush().await.map_err(|error| disk(&error))?;
        if let Some(length) = head.length.filter(|length| *length != size) {
            return Err(Receive::Storage(format!(
                "the body broke off after {size} of {length} bytes"
            )));
        }
        Ok((path, size))
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

    async fn place(&self, key: &ResultKey, head: &Head, file: tempfile::TempPath) -> Result<(), Receive> {
        let destination = self.root.join(layout::results_dir(key));
        let head = head.clone();
        let limits = Arc::clone(&self.limits);
        let permit = Arc::clone(&self.placing).acquire_owned().await;
        let placed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            if head.content_type == constants::GZIP_MIME {
                sono_bundle::place_archive(&file, &destination, &limits)
                    .map(|_| ())
                    .map_err(|error| {
                        let reason = chain(&error);
                        if error.is_content() {
                            Receive::Content(reason)
                        } else {
                            Receive::Storage(reason)
                        }
                    })
            } else {
                let name = sono_bundle::safe_file_name(&head.file_name, &limits)
                    .map_err(|error| Receive::Content(chain(&error)))?;
                sono_bundle::place_file(&file, &name, &destination).map_err(|error| Receive::Storage(chain(&error)))
            }
        });
        placed
            .await
            .unwrap_or_else(|error| Err(Receive::Storage(format!("storing the result: {error}"))))
    }

    /// Reads a body nobody wants: the answer would be lost if the connection were closed while the client sends.
    pub(crate) async fn discard(&self, body: Body) {
        self.drain(&mut body.into_data_stream()).await;
    }

    /// Reads what is left of a body nobody wants, within the same limits.
    async fn drain(&self, stream: &mut BodyDataStream) {
        let mut size = 0;
        while let Ok(Some(Ok(chunk))) = tokio::time::timeout(self.limits.idle_timeout, stream.next()).await {
            size += chunk.len() as u64;
            if size > self.limits.max_body_bytes {
                return;
            }
        }
    }
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
