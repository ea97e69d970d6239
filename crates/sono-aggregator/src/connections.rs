//! Connections of both listeners: authorization, idle limits, and the order of requests.
//!
//! A worker's connection passes three stages. Until the first byte of its request it is one of the [`Newcomers`], of which the
//! oldest is dropped when there are too many. Then its certificate is known, and it waits for a slot ([`Admission`]), without
//! anything but the TLS session in memory. With a slot it is served: one request, within the limits on head, body and answer.

mod admission;
mod descriptors;
mod newcomers;
mod quiet;

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, response::Response};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use sono_types::UploadLimits;
use tokio::{
    io::AsyncBufReadExt as _,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub(crate) use self::{
    admission::{Admission, LONGEST_STALL, Slot, UploadSlot},
    descriptors::raise_limit as raise_descriptor_limit,
};
use self::{
    newcomers::{Newcomer, Newcomers},
    quiet::Quiet,
};

/// How long a connection may send nothing before its request.
const SILENCE: Duration = Duration::from_secs(3);
/// How many connections of a listener without certificates are held; then the oldest ends.
const MOST_WITHOUT_CERTIFICATES: usize = 64;
/// Time limit for the head of a request to such a listener.
const HEAD_WITHOUT_CERTIFICATE: Duration = Duration::from_secs(10);
/// Read buffer of one connection in bytes: bodies are written to disk as they arrive, and TLS returns at most 16 KiB.
const READ_BUFFER: usize = 16 << 10;
/// Time limit of requests in progress once the server stops.
const GRACE: Duration = Duration::from_secs(1);
/// Pause after an error of accept: it is the system that is short of something.
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// The other side of a worker's connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The names in its certificate: that of its plugin.
    pub(crate) names: Vec<String>,
}

/// The server for workers.
pub(crate) struct WorkerServer {
    pub(crate) tls: TlsAcceptor,
    pub(crate) app: Router,
    pub(crate) limits: Arc<UploadLimits>,
    pub(crate) dropped: Arc<AtomicU64>,
}

impl WorkerServer {
    /// Serves until `stop`; requests in progress then have a time limit.
    pub(crate) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let newcomers = Newcomers::new(descriptors::share_of(newcomers::MOST), Arc::clone(&self.dropped));
        let admission = Admission::new(&self.limits, descriptors::share_of(admission::MOST_WAITING));
        let (server, stopped) = (Arc::new(self), stop.clone());
        accept(listener, newcomers, stop, move |stream, newcomer| {
            let (server, admission, stopped) = (Arc::clone(&server), admission.clone(), stopped.clone());
            async move {
                let prepared = tokio::select! {
                    prepared = server.prepare(stream, newcomer, &admission) => prepared,
                    () = stopped.cancelled() => None,
                };
                if let Some((stream, peer, slot)) = prepared {
                    server.serve_one(stream, peer, slot).await;
                }
            }
        })
        .await;
    }

    /// The first two stages. None if the connection ended there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection before its request is read; the worker connects again.
    async fn prepare(
        &self,
        stream: TcpStream,
        mut newcomer: Newcomer,
        admission: &Admission,
    ) -> Option<(TlsStream<Quiet<TcpStream>>, Peer, Slot)> {
        // An acknowledgement is a few bytes; waiting to fill a packet would only add latency.
        stream.set_nodelay(true).ok()?;
        let begun = timeout(self.limits.handshake_timeout, begin(&self.tls, stream));
        let (mut stream, peer) = tokio::select! {
            begun = begun => begun.ok()?.inspect_err(|error| tracing::debug!(%error, "a connection ended before its request")).ok()?,
            () = newcomer.dropped() => return None,
        };
        drop(newcomer);
        let certificate = peer.names.first().map_or("", String::as_str);
        let admitted = timeout(self.limits.connection_idle, admission.admit(certificate)).await;
        let Some(slot) = admitted.ok().flatten() else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        // A client that gave up waiting connects again; serving this connection would be in vain.
        if has_gone(stream.get_ref().0.get_ref()) {
            return None;
        }
        stream.get_mut().0.allow(self.limits.connection_idle);
        Some((stream, peer, slot))
    }

    async fn serve_one(&self, stream: TlsStream<Quiet<TcpStream>>, peer: Peer, slot: Slot) {
        let (peer, slot, app) = (Arc::new(peer), Arc::new(slot), self.app.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(&peer));
            request.extensions_mut().insert(Arc::clone(&slot));
            answer(app.clone(), request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.handshake_timeout)
            // A connection that only waits for its next request would hold the slot of another.
            .keep_alive(false)
            .max_buf_size(READ_BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        let longest = self.limits.max_body_time.saturating_add(self.limits.connection_idle);
        if let Ok(Err(error)) = timeout(longest, connection).await {
            tracing::debug!(%error, "a worker's connection ended");
        }
    }
}

/// The handshake, and the first byte of the request.
async fn begin(tls: &TlsAcceptor, stream: TcpStream) -> io::Result<(TlsStream<Quiet<TcpStream>>, Peer)> {
    let mut stream = tls.accept(Quiet::new(stream, SILENCE)).await?;
    let certificates = stream.get_ref().1.peer_certificates();
    let names = certificates
        .and_then(<[_]>::first)
        .map(|der| sono_tls::certificate_names(der))
        .unwrap_or_default();
    if stream.fill_buf().await?.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((stream, Peer { names }))
}

/// Serves `app` without certificates, for as long as the process lives: a few connections at a time, of which the oldest ends when there
/// are too many.
pub(crate) async fn serve_without_certificates(listener: TcpListener, app: Router) {
    let newcomers = Newcomers::new(MOST_WITHOUT_CERTIFICATES, Arc::default());
    accept(
        listener,
        newcomers,
        CancellationToken::new(),
        move |stream, mut newcomer| {
            let app = app.clone();
            async move {
                let service = service_fn(move |request| answer(app.clone(), request));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_WITHOUT_CERTIFICATE)
                    .serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    // Dropped in favour of a newer connection: its request only reads.
                    _ = connection => {}
                    () = newcomer.dropped() => {}
                }
            }
        },
    )
    .await;
}

async fn answer(app: Router, request: Request<Incoming>) -> Result<Response, Infallible> {
    app.oneshot(request.map(Body::new)).await
}

/// Accepts until `stop`, and serves each connection in a task of its own.
///
/// # Cancel safety
///
/// Dropping the future aborts the tasks, and with them requests in progress. None of the branches loses a connection to another one.
async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    newcomers: Newcomers,
    stop: CancellationToken,
    serve: impl Fn(TcpStream, Newcomer) -> F,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted: io::Result<(TcpStream, SocketAddr)> = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                log_panic(ended);
                continue;
            }
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, address)) => {
                connections.spawn(serve(stream, newcomers.enter(address.ip())));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(AFTER_ERROR).await;
            }
        }
    }
    drop(listener);
    let all = async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    };
    timeout(GRACE, all).await.ok();
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the task of a connection failed");
    }
}

/// Whether the other end has closed the connection, or its half of it.
#[cfg(target_os = "linux")]
fn has_gone(stream: &TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut watched = [PollFd::new(stream, PollFlags::RDHUP)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&at_once)).is_ok_and(|events| events > 0)
}

/// Elsewhere reading its request finds it out.
#[cfg(not(target_os = "linux"))]
fn has_gone(_: &TcpStream) -> bool {
    false
}
