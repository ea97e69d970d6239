//! Uploads with retries: the body is read from disk anew at every try and never held in memory.

use std::{
    io::SeekFrom,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::{Body, Client, StatusCode, header};
use sono_bundle::{Links, open_regular};
use sono_types::{WorkerConfig, constants, routes};
use tokio::{
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::io::ReaderStream;

use crate::{WorkerError, content, keep};

/// Size of the pieces in which a file is sent.
const CHUNK: usize = 64 << 10;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long no byte may move before a try counts as failed.
const IDLE: Duration = Duration::from_mins(1);
/// How long the answer may take after the last byte was sent: the aggregator unpacks and syncs the result first.
const ANSWER: Duration = Duration::from_mins(5);
/// Of a file from this size on the aggregator is asked how much of it is there already, after a try that failed.
const RESUMABLE: u64 = 4 << 20;
/// How long that answer may take.
const ASK: Duration = Duration::from_secs(10);
/// How much of an answer's text is kept.
const MAX_MESSAGE: usize = 4 << 10;
/// The wait after the first failed try; it doubles, with some jitter, up to [`MAX_DELAY`].
const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(30);

/// How an upload ended, so that nothing is left to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) how: How,
    /// The result shall be kept, and asked for after so long.
    pub(crate) keep: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Stored,
    /// The aggregator has this result from an earlier try.
    Before,
    /// The run takes no more results, and does not have this one.
    TooLate,
}

/// What is uploaded.
#[derive(Debug, Clone)]
pub(crate) enum Upload {
    File(PathBuf),
    /// There is no result, for this reason.
    Error(String),
}

/// How an upload ended badly.
#[derive(Debug)]
pub(crate) enum SubmitError {
    /// The file cannot be read.
    Unreadable(String),
    Worker(WorkerError),
}

/// A client that knows the aggregator and nobody else. No proxy: the plugin's own environment is in the worker's too.
pub(crate) fn client(config: &WorkerConfig) -> Result<Client, WorkerError> {
    let tls =
        sono_tls::client_config(&config.ca_cert, &config.client_cert, &config.client_key).map_err(WorkerError::Tls)?;
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .build()
        .map_err(WorkerError::Client)
}

/// Where the result is uploaded to, by one address of the aggregator or the other.
pub(crate) fn urls(config: &WorkerConfig) -> Vec<String> {
    let path = routes::result_path(&config.plugin, &config.target);
    let urls = config.aggregator_urls.iter();
    urls.map(|url| format!("{url}{path}")).collect()
}

/// Sends `upload` to the first of `urls` that can be reached, and tries again until it was taken, refused for good, or
/// `within` is over. One try is always made.
pub(crate) async fn submit(
    client: &Client,
    urls: &[String],
    upload: &Upload,
    within: Duration,
) -> Result<Accepted, SubmitError> {
    let give_up = Instant::now() + within;
    let mut delays = ExponentialBuilder::new()
        .with_min_delay(MIN_DELAY)
        .with_max_delay(MAX_DELAY)
        .with_factor(2.0)
        .without_max_times()
        .with_jitter()
        .build();
    let mut tries = 0_usize;
    loop {
        tries += 1;
        // After a failure the next address has its turn: the one that failed may lead nowhere.
        let first = tries - 1;
        let last = match send_to_any(client, urls, first, upload, tries > 1).await {
            Ok(accepted) => return Ok(accepted),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Again(reason)) => reason,
        };
        let delay = delays.next().unwrap_or(MAX_DELAY).min(MAX_DELAY);
        if Instant::now() + delay >= give_up {
            return Err(SubmitError::Worker(WorkerError::GaveUp { tries, last }));
        }
        tracing::warn!(tries, reason = last, ?delay, "upload failed, trying again");
        sleep(delay).await;
    }
}

enum Failure {
    /// Worth another try.
    Again(String),
    Final(SubmitError),
}

/// One try: the next address is used where the one before cannot be connected to.
async fn send_to_any(
    client: &Client,
    urls: &[String],
    first: usize,
    upload: &Upload,
    again: bool,
) -> Result<Accepted, Failure> {
    let mut reasons = Vec::new();
    for turn in 0..urls.len() {
        let url = &urls[(first + turn) % urls.len()];
        match send(client, url, upload, again).await {
            Err(Try::Connect(reason)) => reasons.push(reason),
            Err(Try::Again(reason)) => return Err(Failure::Again(reason)),
            Err(Try::Final(error)) => return Err(Failure::Final(error)),
            Ok(accepted) => return Ok(accepted),
        }
    }
    Err(Failure::Again(reasons.join("; ")))
}

enum Try {
    Connect(String),
    Again(String),
    Final(SubmitError),
}

/// `again`: some of it may have arrived before.
async fn send(client: &Client, url: &str, upload: &Upload, again: bool) -> Result<Accepted, Try> {
    let moved = Moved::new();
    let request = client.put(url);
    let request = match upload {
        Upload::Error(message) => {
            moved.finish();
            request
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::CONTENT_DISPOSITION, content::disposition(constants::ERROR_FILE))
                .header(routes::ERROR_HEADER, "1")
                .body(serde_json::json!({ "error": message }).to_string())
        }
        Upload::File(path) => {
            let unreadable = |error: std::io::Error| Try::Final(unreadable(path, &error));
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
            if length >= RESUMABLE {
                if again {
                    from = received(client, url, &name)
                        .await
                        .filter(|from| *from < length)
                        .unwrap_or(0);
                }
                request = request.header(routes::UPLOAD_HEADER, name);
            }
            if from > 0 {
                tracing::info!(from, length, "going on where the upload broke off");
                file.seek(SeekFrom::Start(from)).await.map_err(unreadable)?;
                request = request.header(header::CONTENT_RANGE, format!("bytes {from}-{}/{length}", length - 1));
            }
            request
                .header(header::CONTENT_LENGTH, length - from)
                .body(body(file, length - from, &moved))
        }
    };
    let answered = tokio::select! {
        answered = request.send() => answered,
        () = moved.stalled() => return Err(Try::Again(format!("{url}: no byte could be sent for {IDLE:?}, or no answer came for {ANSWER:?}"))),
    };
    if let Some(reason) = moved.read_error() {
        let Upload::File(path) = upload else {
            return Err(Try::Again(reason));
        };
        return Err(Try::Final(SubmitError::Unreadable(format!(
            "failed to read result file {}: {reason}",
            path.display()
        ))));
    }
    let response = answered.map_err(|error| {
        let reason = format!("error encountered dialing aggregator at {url}: {}", chain(&error));
        if error.is_connect() {
            Try::Connect(reason)
        } else {
            Try::Again(reason)
        }
    })?;
    let status = response.status();
    let accepted = |how| Accepted {
        how,
        keep: keep::wanted(response.headers()),
    };
    if status.is_success() {
        return Ok(accepted(How::Stored));
    }
    if status == StatusCode::CONFLICT {
        return Ok(accepted(How::Before));
    }
    if status == StatusCode::GONE {
        return Ok(accepted(How::TooLate));
    }
    let message = message(response).await;
    // What it should go on behind is gone: the next try asks, and begins anew.
    let gap = status == StatusCode::RANGE_NOT_SATISFIABLE;
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || gap {
        return Err(Try::Again(format!("{url} answered {status}: {message}")));
    }
    Err(Try::Final(SubmitError::Worker(WorkerError::Refused {
        status: status.as_u16(),
        url: url.to_owned(),
        message,
    })))
}

/// How many bytes of the upload of that name are there; none where nobody says so.
async fn received(client: &Client, url: &str, name: &str) -> Option<u64> {
    let asked = client.head(url).header(routes::UPLOAD_HEADER, name).send();
    let answer = timeout(ASK, asked).await.ok()?.ok()?;
    let bytes = answer.headers().get(routes::RECEIVED_HEADER)?.to_str().ok()?;
    answer.status().is_success().then(|| bytes.parse().ok())?
}

struct OpenFile {
    file: tokio::fs::File,
    length: u64,
    /// Another one for other content: a file that was written anew begins anew.
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
    // Its own buffer would otherwise grow to 2 MiB.
    file.set_max_buf_size(CHUNK);
    Ok(OpenFile {
        file,
        length,
        name: format!("{length:x}-{:x}", changed.unwrap_or_default().as_nanos()),
        content_type,
        disposition: content::disposition(&name.unwrap_or_default()),
    })
}

/// Exactly `length` bytes of the file: it may still grow.
fn body(file: tokio::fs::File, length: u64, moved: &Moved) -> Body {
    let (sent, failed) = (moved.clone(), moved.clone());
    if length == 0 {
        moved.finish();
    }
    let mut left = length;
    let pieces = ReaderStream::with_capacity(file.take(length), CHUNK)
        .inspect_ok(move |piece| {
            left -= piece.len() as u64;
            // Whoever knows the length does not ask for what comes after the last piece.
            if left == 0 { sent.finish() } else { sent.touch() }
        })
        .inspect_err(move |error| failed.fail(error));
    Body::wrap_stream(pieces)
}

/// When a body last moved on. Shared between the body, which hyper pulls, and the try that waits for the answer.
#[derive(Debug, Clone)]
struct Moved(Arc<Mutex<Progress>>);

#[derive(Debug)]
struct Progress {
    at: Instant,
    finished: bool,
    read_error: Option<String>,
}

impl Moved {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Progress {
            at: Instant::now(),
            finished: false,
            read_error: None,
        })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn touch(&self) {
        self.with(|progress| progress.at = Instant::now());
    }

    fn finish(&self) {
        self.with(|progress| {
            progress.at = Instant::now();
            progress.finished = true;
        });
    }

    fn fail(&self, error: &std::io::Error) {
        self.with(|progress| progress.read_error = Some(error.to_string()));
    }

    fn read_error(&self) -> Option<String> {
        self.with(|progress| progress.read_error.take())
    }

    /// Ends when nothing has moved for too long.
    async fn stalled(&self) {
        loop {
            let due = self.with(|progress| progress.at + if progress.finished { ANSWER } else { IDLE });
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }
}

/// The text of an answer, cut to a sensible length.
async fn message(response: reqwest::Response) -> String {
    let mut text = Vec::new();
    let mut pieces = response.bytes_stream();
    while text.len() < MAX_MESSAGE {
        match timeout(IDLE, pieces.next()).await {
            Ok(Some(Ok(piece))) => text.extend_from_slice(&piece),
            _ => break,
        }
    }
    text.truncate(MAX_MESSAGE);
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn unreadable(path: &Path, error: &std::io::Error) -> SubmitError {
    SubmitError::Unreadable(format!("failed to read result file {}: {error}", path.display()))
}

/// An error and its causes: reqwest's own text says little.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_may_be_slow_but_not_stand_still() {
        let moved = Moved::new();
        let start = Instant::now();
        let sending = async {
            for _ in 0..10 {
                sleep(IDLE * 9 / 10).await;
                moved.touch();
            }
        };
        tokio::join!(sending, moved.stalled());
        assert_eq!(start.elapsed(), IDLE * 9 + IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_may_take_longer_than_a_piece() {
        let moved = Moved::new();
        let start = Instant::now();
        moved.finish();
        moved.stalled().await;
        assert_eq!(start.elapsed(), ANSWER);
    }
}
