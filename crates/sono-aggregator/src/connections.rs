//! Connections of both listeners: authorization, idle limits, and the order of requests.
//!
//! A worker's connection passes three stages. Until the first byte of its request it is one of the [`PendingConnections`], of which the
//! oldest is dropped beyond a limit. Then its certificate is known, and it waits for a slot ([`Admission`]) with only the TLS
//! session in memory. With a slot, one request is served, within the limits on head, body and response.

mod admission;
mod descriptors;
mod idle_timeout;
mod pending;

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
    admission::{Admission, MAX_STALL, Slot, UploadSlot},
    descriptors::raise_limit as raise_descriptor_limit,
};
use self::{
    idle_timeout::IdleTimeout,
    pending::{PendingConnection, PendingConnections},
};

/// Idle limit of a connection before the first byte of its request.
const FIRST_BYTE_LIMIT: Duration = Duration::from_secs(3);
/// Maximum number of connections to a listener without certificates; the oldest is dropped beyond it.
const MAX_WITHOUT_CERTIFICATES: usize = 64;
/// Time limit for the head of a request to such a listener.
const HEAD_LIMIT_WITHOUT_CERTIFICATE: Duration = Duration::from_secs(10);
/// Read buffer of one connection in bytes: bodies are written to disk as they arrive, and TLS returns at most 16 KiB.
const READ_BUFFER: usize = 16 << 10;
/// Time limit of requests in progress once the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);
/// Pause after a failed accept: the system lacks file descriptors or memory.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(50);

/// The client of a worker's connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The names in its certificate, which is the certificate of its plugin.
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
        let pending_connections =
            PendingConnections::new(descriptors::share_of(pending::MAX_PENDING), Arc::clone(&self.dropped));
        let admission = Admission::new(&self.limits, descriptors::share_of(admission::MAX_WAITING));
        let (server, stopped) = (Arc::new(self), stop.clone());
        accept(listener, pending_connections, stop, move |stream, pending| {
            let (server, admission, stopped) = (Arc::clone(&server), admission.clone(), stopped.clone());
            async move {
                let prepared = tokio::select! {
                    prepared = server.prepare(stream, pending, &admission) => prepared,
                    () = stopped.cancelled() => None,
                };
                if let Some((stream, peer, slot)) = prepared {
                    server.serve_one(stream, peer, slot).await;
                }
            }
        })
        .await;
    }

    /// The first two stages. `None` if the connection ended during them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection before its request is read; the worker connects again.
    async fn prepare(
        &self,
        stream: TcpStream,
        mut pending: PendingConnection,
        admission: &Admission,
    ) -> Option<(TlsStream<IdleTimeout<TcpStream>>, Peer, Slot)> {
        // An acknowledgement is a few bytes; waiting to fill a packet would only add latency.
        stream.set_nodelay(true).ok()?;
        let handshake = timeout(self.limits.handshake_timeout, handshake(&self.tls, stream));
        let (mut stream, peer) = tokio::select! {
            result = handshake => result.ok()?.inspect_err(|error| tracing::debug!(%error, "a connection ended before its request")).ok()?,
            () = pending.dropped() => return None,
        };
        drop(pending);
        let certificate = peer.names.first().map_or("", String::as_str);
        let admitted = timeout(self.limits.connection_idle, admission.admit(certificate)).await;
        let Some(slot) = admitted.ok().flatten() else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        // A client that stopped waiting connects again.
        if is_closed_by_peer(stream.get_ref().0.get_ref()) {
            return None;
        }
        stream.get_mut().0.set_limit(self.limits.connection_idle);
        Some((stream, peer, slot))
    }

    async fn serve_one(&self, stream: TlsStream<IdleTimeout<TcpStream>>, peer: Peer, slot: Slot) {
        let (peer, slot, app) = (Arc::new(peer), Arc::new(slot), self.app.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(&peer));
            request.extensions_mut().insert(Arc::clone(&slot));
            answer(app.clone(), request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.handshake_timeout)
            // A connection that waits for its next request would hold a slot.
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
async fn handshake(tls: &TlsAcceptor, stream: TcpStream) -> io::Result<(TlsStream<IdleTimeout<TcpStream>>, Peer)> {
    let mut stream = tls.accept(IdleTimeout::new(stream, FIRST_BYTE_LIMIT)).await?;
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

/// Serves `app` without certificates until the process ends, with a limit on the number of connections.
pub(crate) async fn serve_without_certificates(listener: TcpListener, app: Router) {
    let pending_connections = PendingConnections::new(MAX_WITHOUT_CERTIFICATES, Arc::default());
    accept(
        listener,
        pending_connections,
        CancellationToken::new(),
        move |stream, mut pending| {
            let app = app.clone();
            async move {
                let service = service_fn(move |request| answer(app.clone(), request));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_LIMIT_WITHOUT_CERTIFICATE)
                    .serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    // Dropped in favour of a newer connection: its request only reads.
                    _ = connection => {}
                    () = pending.dropped() => {}
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
    pending_connections: PendingConnections,
    stop: CancellationToken,
    serve: impl Fn(TcpStream, PendingConnection) -> F,
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
                connections.spawn(serve(stream, pending_connections.enter(address.ip())));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_ERROR_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    };
    timeout(SHUTDOWN_GRACE, all).await.ok();
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the task of a connection failed");
    }
}

/// Whether the client has closed the connection, or its half of it.
#[cfg(target_os = "linux")]
fn is_closed_by_peer(stream: &TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut watched = [PollFd::new(stream, PollFlags::RDHUP)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&at_once)).is_ok_and(|events| events > 0)
}

/// On other systems, reading the request detects it.
#[cfg(not(target_os = "linux"))]
fn is_closed_by_peer(_: &TcpStream) -> bool {
    false
}
