//! Uploads with retries. Every attempt reads the body from disk, so it is never in memory.

use std::{
    io::SeekFrom,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::{Body, Client, StatusCode, header};
use sono_bundle::{Links, open_regular};
use sono_types::{WorkerConfig, constants, error_chain, routes};
use tokio::{
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::io::ReaderStream;

use crate::{WorkerError, content, intervals::growing, retention};

/// Bytes per chunk of an uploaded file.
const CHUNK: usize = 64 << 10;
/// Timeout of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest pause of an upload before the attempt fails.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Timeout of the response after the last byte was sent: the aggregator unpacks and syncs the result first.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(5);
/// Size from which a failed upload is resumed, in bytes: the worker asks the aggregator how much it has received.
const MIN_RESUMABLE: u64 = 4 << 20;
/// Timeout of that query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a response that are reported.
const MAX_MESSAGE: usize = 4 << 10;
/// The delay after the first failed attempt. It doubles, with jitter, up to [`MAX_DELAY`].
const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(30);

/// An upload after which nothing is left to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) outcome: SubmitOutcome,
    /// The first query interval, if the result is to be retained.
    pub(crate) retain: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubmitOutcome {
    Stored,
    /// The aggregator has this result from an earlier upload.
    AlreadyStored,
    /// The run accepts no more results, and does not have this one.
    TooLate,
}

/// A result or an error to upload.
#[derive(Debug, Clone)]
pub(crate) enum Upload {
    File(PathBuf),
    /// The reason for the missing result.
    Error(String),
}

/// Why an upload failed.
#[derive(Debug)]
pub(crate) enum SubmitError {
    /// The file cannot be read.
    Unreadable(String),
    Worker(WorkerError),
}

/// A client that trusts only the aggregator. It ignores proxies, since it inherits the plugin's environment.
pub(crate) fn client(config: &WorkerConfig) -> Result<Client, WorkerError> {
    let tls =
        sono_tls::client_config(&config.ca_cert, &config.client_cert, &config.client_key).map_err(WorkerError::Tls)?;
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
        .map_err(WorkerError::Client)
}

/// The upload URLs of the result, one per address of the aggregator.
pub(crate) fn urls(config: &WorkerConfig) -> Vec<String> {
    let path = routes::result_path(&config.plugin, &config.target);
    let urls = config.aggregator_urls.iter();
    urls.map(|url| format!("{url}{path}")).collect()
}

/// Uploads to the first reachable address. Retries until the aggregator accepts or rejects the upload, or `within` has
/// passed. At least one attempt is made.
pub(crate) async fn submit(
    client: &Client,
    urls: &[String],
    upload: &Upload,
    within: Duration,
) -> Result<Accepted, SubmitError> {
    let deadline = Instant::now() + within;
    let mut delays = growing(MIN_DELAY, MAX_DELAY, 2.0);
    let mut attempts = 0_usize;
    loop {
        attempts += 1;
        // The next attempt begins with the next address: the failed one may be unreachable.
        let first = attempts - 1;
        let last = match send_to_any(client, urls, first, upload, attempts > 1).await {
            Ok(accepted) => return Ok(accepted),
            Err(Failure::Permanent(error)) => return Err(error),
            Err(Failure::Transient(reason)) => reason,
        };
        let delay = delays.next().unwrap_or(MAX_DELAY);
        if Instant::now() + delay >= deadline {
            return Err(SubmitError::Worker(WorkerError::GaveUp { tries: attempts, last }));
        }
        tracing::warn!(attempts, reason = last, ?delay, "upload failed, retrying");
        sleep(delay).await;
    }
}

enum Failure {
    /// Worth a retry.
    Transient(String),
    Permanent(SubmitError),
}

/// One attempt: falls back to the next address if a connection fails.
async fn send_to_any(
    client: &Client,
    urls: &[String],
    first: usize,
    upload: &Upload,
    is_retry: bool,
) -> Result<Accepted, Failure> {
    let mut reasons = Vec::new();
    for offset in 0..urls.len() {
        let url = &urls[(first + offset) % urls.len()];
        match send(client, url, upload, is_retry).await {
            Err(SendError::Connect(reason)) => reasons.push(reason),
            Err(SendError::Transient(reason)) => return Err(Failure::Transient(reason)),
            Err(SendError::Permanent(error)) => return Err(Failure::Permanent(error)),
            Ok(accepted) => return Ok(accepted),
        }
    }
    Err(Failure::Transient(reasons.join("; ")))
}

enum SendError {
    Connect(String),
    Transient(String),
    Permanent(SubmitError),
}

/// Sends one upload. `is_retry`: parts of it may have arrived before.
async fn send(client: &Client, url: &str, upload: &Upload, is_retry: bool) -> Result<Accepted, SendError> {
    let progress = TransferProgress::new();
    let request = client.put(url);
    let request = match upload {
        Upload::Error(message) => {
            progress.finish();
            request
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::CONTENT_DISPOSITION, content::disposition(constants::ERROR_FILE))
                .header(routes::ERROR_HEADER, "1")
                .body(serde_json::json!({ "error": message }).to_string())
        }
        Upload::File(path) => {
            let unreadable = |error: std::io::Error| SendError::Permanent(unreadable(path, &error));
            let OpenFile {
                mut file,
                length,
                name,
                content_type,
                disposition,
            } = open(path).await.map_err(unreadable)?;
            let mut request = request
                .header(header::CONTENT_TYPE, content_type)
                .header(header::CONTENT_DISPOSITION, disposition);
            let mut from = 0;
            if length >= MIN_RESUMABLE {
                if is_retry {
                    from = received(client, url, &name)
                        .await
                        .filter(|from| *from < length)
                        .unwrap_or(0);
                }
                request = request.header(routes::UPLOAD_HEADER, name);
            }
            if from > 0 {
                tracing::info!(from, length, "resuming the upload");
                file.seek(SeekFrom::Start(from)).await.map_err(unreadable)?;
                request = request.header(header::CONTENT_RANGE, format!("bytes {from}-{}/{length}", length - 1));
            }
            request
                .header(header::CONTENT_LENGTH, length - from)
                .body(body(file, length - from, &progress))
        }
    };
    // A request that is dropped closes its connection; the next attempt resumes behind the bytes that the aggregator has.
    let response = tokio::select! {
        response = request.send() => response,
        () = progress.stalled() => return Err(SendError::Transient(format!("{url}: nothing could be sent for {IDLE_TIMEOUT:?}, or no response arrived within {RESPONSE_TIMEOUT:?}"))),
    };
    if let Some(reason) = progress.read_error() {
        let Upload::File(path) = upload else {
            return Err(SendError::Transient(reason));
        };
        return Err(SendError::Permanent(SubmitError::Unreadable(format!(
            "failed to read result file {}: {reason}",
            path.display()
        ))));
    }
    let response = response.map_err(|error| {
        let reason = format!("error encountered dialing aggregator at {url}: {}", error_chain(&error));
        if error.is_connect() {
            SendError::Connect(reason)
        } else {
            SendError::Transient(reason)
        }
    })?;
    let status = response.status();
    let accepted = |outcome| Accepted {
        outcome,
        retain: retention::requested_interval(response.headers()),
    };
    if status.is_success() {
        return Ok(accepted(SubmitOutcome::Stored));
    }
    if status == StatusCode::CONFLICT {
        return Ok(accepted(SubmitOutcome::AlreadyStored));
    }
    if status == StatusCode::GONE {
        return Ok(accepted(SubmitOutcome::TooLate));
    }
    let message = message(response).await;
    // The received part no longer exists: the next attempt queries it, and starts at the beginning.
    let gap = status == StatusCode::RANGE_NOT_SATISFIABLE;
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || gap {
        return Err(SendError::Transient(format!(
            "{url} responded with {status}: {message}"
        )));
    }
    Err(SendError::Permanent(SubmitError::Worker(WorkerError::Refused {
        status: status.as_u16(),
        url: url.to_owned(),
        message,
    })))
}

/// How many bytes of the named upload the aggregator has received; `None` if it does not say.
async fn received(client: &Client, url: &str, name: &str) -> Option<u64> {
    let query = client.head(url).header(routes::UPLOAD_HEADER, name).send();
    let answer = timeout(QUERY_TIMEOUT, query).await.ok()?.ok()?;
    let bytes = answer.headers().get(routes::RECEIVED_HEADER)?.to_str().ok()?;
    answer.status().is_success().then(|| bytes.parse().ok())?
}

struct OpenFile {
    file: tokio::fs::File,
    length: u64,
    /// Identifies the content: a rewritten file is uploaded from its beginning.
    name: String,
    content_type: &'static str,
    disposition: String,
}

async fn open(path: &Path) -> std::io::Result<OpenFile> {
    let (path, name) = (
        path.to_path_buf(),
        path.file_name().map(|name| name.to_string_lossy().into_owned()),
    );
    let (file, metadata, content_type) = tokio::task::spawn_blocking(move || {
        let content_type = content::content_type(&path)?;
        let file = open_regular(&path, Links::Followed)?;
        let metadata = file.metadata()?;
        Ok::<_, std::io::Error>((file.into_file(), metadata, content_type))
    })
    .await??;
    let length = metadata.len();
    let changed = metadata.modified().ok();
    let changed = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let mut file = tokio::fs::File::from_std(file);
    // The default buffer would grow to 2 MiB.
    file.set_max_buf_size(CHUNK);
    Ok(OpenFile {
        file,
        length,
        name: format!("{length:x}-{:x}", changed.unwrap_or_default().as_nanos()),
        content_type,
        disposition: content::disposition(&name.unwrap_or_default()),
    })
}

/// A body of exactly `length` bytes, although the file may still grow.
fn body(file: tokio::fs::File, length: u64, progress: &TransferProgress) -> Body {
    let (sent, failed) = (progress.clone(), progress.clone());
    if length == 0 {
        progress.finish();
    }
    let mut left = length;
    let chunks = ReaderStream::with_capacity(file.take(length), CHUNK)
        .inspect_ok(move |chunk| {
            left -= chunk.len() as u64;
            // hyper knows the length and does not poll after the last chunk.
            if left == 0 { sent.finish() } else { sent.touch() }
        })
        .inspect_err(move |error| failed.fail(error));
    Body::wrap_stream(chunks)
}

/// When a body last made progress. Shared by the body, which hyper polls, and the attempt, which waits for the
/// response.
#[derive(Debug, Clone)]
struct TransferProgress(Arc<Mutex<TransferState>>);

#[derive(Debug)]
struct TransferState {
    at: Instant,
    finished: bool,
    read_error: Option<String>,
}

impl TransferProgress {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(TransferState {
            at: Instant::now(),
            finished: false,
            read_error: None,
        })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut TransferState) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn touch(&self) {
        self.with(|state| state.at = Instant::now());
    }

    fn finish(&self) {
        self.with(|state| {
            state.at = Instant::now();
            state.finished = true;
        });
    }

    fn fail(&self, error: &std::io::Error) {
        self.with(|state| state.read_error = Some(error.to_string()));
    }

    fn read_error(&self) -> Option<String> {
        self.with(|state| state.read_error.take())
    }

    /// Resolves when the transfer has stalled.
    async fn stalled(&self) {
        loop {
            let due = self.with(|state| state.at + if state.finished { RESPONSE_TIMEOUT } else { IDLE_TIMEOUT });
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }
}

/// The text of a response, up to [`MAX_MESSAGE`] bytes.
async fn message(response: reqwest::Response) -> String {
    let mut text = Vec::new();
    let mut chunks = response.bytes_stream();
    while text.len() < MAX_MESSAGE {
        match timeout(IDLE_TIMEOUT, chunks.next()).await {
            Ok(Some(Ok(chunk))) => text.extend_from_slice(&chunk),
            _ => break,
        }
    }
    text.truncate(MAX_MESSAGE);
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn unreadable(path: &Path, error: &std::io::Error) -> SubmitError {
    SubmitError::Unreadable(format!("failed to read result file {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slow_body_is_allowed_and_stalled_body_is_not() {
        let progress = TransferProgress::new();
        let start = Instant::now();
        let sending = async {
            for _ in 0..10 {
                sleep(IDLE_TIMEOUT * 9 / 10).await;
                progress.touch();
            }
        };
        tokio::join!(sending, progress.stalled());
        assert_eq!(start.elapsed(), IDLE_TIMEOUT * 9 + IDLE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn response_timeout_is_longer_than_idle_timeout() {
        let progress = TransferProgress::new();
        let start = Instant::now();
        progress.finish();
        progress.stalled().await;
        assert_eq!(start.elapsed(), RESPONSE_TIMEOUT);
    }
}
