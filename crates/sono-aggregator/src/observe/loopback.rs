//! The server on the loopback address, for port-forward and exec: the whole status, the archive with ranges, and what
//! a run has collected so far. Kubernetes decides who may port-forward; workers cannot reach it.

use std::{
    io::{self, SeekFrom},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing,
};
use futures::Stream;
use sono_types::{RunStatus, TarInfo, routes};
use tokio::{
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::io::ReaderStream;

use crate::{
    connections,
    handle::CoordinatorHandle,
    observe::{metrics, metrics::Metrics},
};

/// Level of gzip for partial results: fast rather than small.
const PARTIAL_COMPRESSION: u32 = 1;
/// Size in bytes of the chunks of partial results.
const CHUNK: usize = 256 << 10;

/// The view of a run for clients of the loopback address, which outlives the run.
#[derive(Debug, Clone, Default)]
pub struct LoopbackView {
    seen: Arc<Mutex<Seen>>,
    metrics: Arc<Metrics>,
    /// Which server has ended.
    ended: Arc<watch::Sender<Option<&'static str>>>,
}

#[derive(Debug, Default)]
struct Seen {
    status: Arc<RunStatus>,
    /// The run's directory, while it exists.
    directory: Option<PathBuf>,
    archive: Option<(PathBuf, TarInfo)>,
    /// The coordinator, once it runs.
    coordinator: Option<CoordinatorHandle>,
}

impl LoopbackView {
    /// The current status from the coordinator: the published one is older while many results arrive, and a client that got a
    /// 200 must find it counted. Before and after a run, the last published status.
    async fn status(&self) -> Arc<RunStatus> {
        let coordinator = self.lock().coordinator.clone();
        if let Some(coordinator) = coordinator
            && let Ok(status) = coordinator.status().await
        {
            return Arc::new(status);
        }
        Arc::clone(&self.lock().status)
    }

    pub(crate) fn ask(&self, coordinator: &CoordinatorHandle) {
        self.lock().coordinator = Some(coordinator.clone());
    }

    /// The metrics of the run.
    pub(crate) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    pub(crate) fn show(&self, status: Arc<RunStatus>) {
        self.lock().status = status;
    }

    pub(crate) fn collect_in(&self, directory: &Path) {
        self.lock().directory = Some(directory.to_path_buf());
    }

    pub(crate) fn seal(&self, archive: &Path, tarball: &TarInfo) {
        let mut seen = self.lock();
        seen.directory = None;
        seen.archive = Some((archive.to_path_buf(), tarball.clone()));
    }

    fn directory(&self) -> Option<PathBuf> {
        self.lock().directory.clone()
    }

    fn archive(&self) -> Option<(PathBuf, TarInfo)> {
        self.lock().archive.clone()
    }

    /// Resolves with the name of a server of this view when it ends.
    pub(crate) async fn broken(&self) -> &'static str {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await.map(|ended| *ended) {
            Ok(Some(ended)) => ended,
            // The sender is a field of this view, so it exists.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves `view` until the task is dropped or the process ends.
pub fn serve_locally(listener: TcpListener, view: LoopbackView) -> io::Result<JoinHandle<()>> {
    let app = Router::new()
        .route(routes::LOCAL_STATUS, routing::get(status))
        .route(routes::LOCAL_ARCHIVE, routing::get(archive))
        .route(routes::LOCAL_PARTIAL, routing::get(partial))
        .route(routes::METRICS, routing::get(numbers));
    let end = End(Arc::clone(&view.ended), "the server on the loopback address");
    let app = complete(app, view).layer(middleware::from_fn(only_local_programs));
    serve(listener, app, end)
}

/// Answers programs that address this host, and refuses web pages: a page whose name resolves to this address (DNS rebinding)
/// sends its own `Host`, a page of another site its `Origin`.
async fn only_local_programs(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_this_host) {
        return text(
            StatusCode::MISDIRECTED_REQUEST,
            "the Host header must be localhost, 127.0.0.1 or [::1]",
        );
    }
    if headers.contains_key(header::ORIGIN) {
        return text(StatusCode::FORBIDDEN, "requests from web pages are refused");
    }
    next.run(request).await
}

/// Whether a `Host` names this host, with whatever port: port-forward may have any.
fn is_this_host(host: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| {
        let port = host
            .get(..name.len())
            .filter(|start| start.eq_ignore_ascii_case(name))
            .and_then(|_| host.get(name.len()..));
        port.is_some_and(|port| {
            port.is_empty()
                || port
                    .strip_prefix(':')
                    .is_some_and(|digits| digits.parse::<u16>().is_ok())
        })
    })
}

/// Serves the metrics of `view` and nothing else, for a scraper outside of the pod.
pub fn serve_metrics(listener: TcpListener, view: LoopbackView) -> io::Result<JoinHandle<()>> {
    let end = End(Arc::clone(&view.ended), "the server of metrics");
    let app = Router::new().route(routes::METRICS, routing::get(numbers));
    serve(listener, complete(app, view), end)
}

fn complete(app: Router<LoopbackView>, view: LoopbackView) -> Router {
    app.fallback(|| async { text(StatusCode::NOT_FOUND, "404 page not found") })
        .with_state(view)
}

fn serve(listener: TcpListener, app: Router, end: End) -> io::Result<JoinHandle<()>> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    Ok(tokio::spawn(async move {
        let _end = end;
        connections::serve_without_certificates(listener, app).await;
    }))
}

/// Reports on drop that a server has ended.
struct End(Arc<watch::Sender<Option<&'static str>>>, &'static str);

impl Drop for End {
    fn drop(&mut self) {
        self.0.send_replace(Some(self.1));
    }
}

async fn numbers(State(view): State<LoopbackView>) -> Response {
    let text = metrics::text(&view.metrics, view.status().await.as_ref());
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response()
}

async fn status(State(view): State<LoopbackView>) -> Response {
    match serde_json::to_vec(view.status().await.as_ref()) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn archive(State(view): State<LoopbackView>, headers: HeaderMap) -> Response {
    let Some((path, tarball)) = view.archive() else {
        return text(StatusCode::NOT_FOUND, "no archive exists yet");
    };
    let entity = format!("\"{}\"", tarball.sha256);
    let header_text = |name| {
        headers
            .get(name)
            .and_then(|value: &header::HeaderValue| value.to_str().ok())
    };
    // The client has a part of another archive: send this one from the start.
    let same = header_text(header::IF_RANGE).is_none_or(|known| known == entity);
    let range = header_text(header::RANGE)
        .filter(|_| same)
        .map_or(Range::Whole, |range| Range::parse(range, tarball.size));
    let name = format!("attachment; filename=\"{}\"", tarball.name);
    let common = [
        (header::CONTENT_TYPE, sono_types::constants::GZIP_MIME.to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::ETAG, entity),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    let (status, first, length, content_range) = match range {
        Range::Whole => (StatusCode::OK, 0, tarball.size, None),
        Range::Part { first, length } => {
            let last = (first + length).saturating_sub(1);
            let content_range = format!("bytes {first}-{last}/{}", tarball.size);
            (StatusCode::PARTIAL_CONTENT, first, length, Some(content_range))
        }
        Range::Outside => {
            let content_range = [(header::CONTENT_RANGE, format!("bytes */{}", tarball.size))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, common, content_range).into_response();
        }
    };
    let opened = async {
        let mut file = tokio::fs::File::open(&path).await?;
        file.seek(SeekFrom::Start(first)).await?;
        io::Result::Ok(file)
    };
    let file = match opened.await {
        Ok(file) => file,
        Err(error) => {
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                &format!("reading the archive: {error}"),
            );
        }
    };
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), CHUNK));
    let mut response = (status, common, [(header::CONTENT_LENGTH, length.to_string())], body).into_response();
    if let Some(content_range) = content_range.and_then(|text| text.parse().ok()) {
        response.headers_mut().insert(header::CONTENT_RANGE, content_range);
    }
    response
}

/// The requested bytes (RFC 9110 §14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    Whole,
    Part { first: u64, length: u64 },
    Outside,
}

impl Range {
    /// An invalid header, or one with several ranges, gets the whole archive.
    fn parse(header: &str, size: u64) -> Self {
        let Some((first, last)) = header
            .trim()
            .strip_prefix("bytes=")
            .and_then(|range| range.split_once('-'))
        else {
            return Self::Whole;
        };
        let (first, last) = (first.trim(), last.trim());
        let part = |first: u64, end: u64| {
            if first < end {
                Self::Part {
                    first,
                    length: end - first,
                }
            } else {
                Self::Outside
            }
        };
        match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => part(first, last.saturating_add(1).min(size)),
            (Ok(first), Err(_)) if last.is_empty() => part(first, size),
            (Err(_), Ok(suffix)) if first.is_empty() => part(size.saturating_sub(suffix), size),
            _ => Self::Whole,
        }
    }
}

async fn partial(State(view): State<LoopbackView>) -> Response {
    let Some(directory) = view.directory() else {
        return text(
            StatusCode::NOT_FOUND,
            "no partial results exist: the run has not started, its archive is sealed, or it requires the redaction to be proved",
        );
    };
    let (sender, chunks) = mpsc::channel::<io::Result<Bytes>>(4);
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    tokio::task::spawn_blocking(move || {
        let writer = io::BufWriter::with_capacity(CHUNK, Chunks(sender.clone()));
        let packed = sono_bundle::pack_directory(&directory, writer, &[], PARTIAL_COMPRESSION);
        let ended = packed
            .map_err(io::Error::other)
            .and_then(|(mut writer, _)| io::Write::flush(&mut writer));
        if let Err(error) = ended {
            // A stream that ends with an error is incomplete for the client. The client may have disconnected.
            sender.blocking_send(Err(error)).ok();
        }
    });
    let headers = [
        (header::CONTENT_TYPE, sono_types::constants::GZIP_MIME.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"partial_{name}.tar.gz\""),
        ),
    ];
    (headers, Body::from_stream(stream(chunks))).into_response()
}

fn stream(chunks: mpsc::Receiver<io::Result<Bytes>>) -> impl Stream<Item = io::Result<Bytes>> {
    futures::stream::unfold(chunks, |mut chunks| async { Some((chunks.recv().await?, chunks)) })
}

/// Writes into a channel; waits while the client is slower.
struct Chunks(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn text(status: StatusCode, message: &str) -> Response {
    (status, format!("{message}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_header_of_another_machine_is_refused() {
        for host in [
            "localhost",
            "LocalHost:8081",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:65535",
        ] {
            assert!(is_this_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "localhost:",
            "localhost:x",
            "localhost:99999",
            "localhost@evil",
            "127.0.0.1.nip.io",
            "127.0.0.10",
            "127.1",
            "::1",
            "[::1",
            "[::1]x",
            "[::2]",
            "0.0.0.0",
            "a localhost",
        ] {
            assert!(!is_this_host(host), "{host}");
        }
    }

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let part = |first, length| Range::Part { first, length };
        for (header, expected) in [
            ("bytes=0-", part(0, 100)),
            ("bytes=10-19", part(10, 10)),
            ("bytes=90-200", part(90, 10)),
            ("bytes=99-", part(99, 1)),
            ("bytes=-30", part(70, 30)),
            ("bytes=-300", part(0, 100)),
            ("bytes=100-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=5-4", Range::Whole),
            ("bytes=0-1,5-6", Range::Whole),
            ("lines=1-2", Range::Whole),
            ("bytes=x-", Range::Whole),
        ] {
            assert_eq!(Range::parse(header, 100), expected, "{header}");
        }
    }
}
