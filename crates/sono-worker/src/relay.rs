//! The progress relay: a plugin posts to loopback without certificates, and the worker relays to the aggregator.
//!
//! Sonobuoy listens on all interfaces; this relay is not reachable from outside the pod.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::any,
};
use bytes::Bytes;
use reqwest::Client;
use sono_types::{UploadLimits, WorkerConfig, error_chain, routes};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time,
};

use crate::live::{Live, Reader};

/// The sockets on which the relay listens.
#[derive(Debug, Default)]
pub enum RelayListener {
    /// The configured port of both loopback addresses. A port in use (by two plugins on the host network, for example)
    /// is retried periodically; the worker runs without a relay meanwhile.
    #[default]
    Configured,
    /// Sockets that are bound already.
    Bound(Vec<std::net::TcpListener>),
}

/// A progress update and the HTTP status of the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressPost {
    /// The body.
    pub body: Bytes,
    /// The status of the response.
    pub status: u16,
}

/// Interval between reads of a suite's output.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between attempts to bind a port in use.
const REBIND_INTERVAL: Duration = Duration::from_secs(5);
/// Timeout of reading a plugin's request.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of one address of the aggregator. Progress is soon out of date.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Relay {
    client: Client,
    urls: Vec<String>,
    posts: Option<mpsc::UnboundedSender<ProgressPost>>,
    live: Live,
}

/// Relays progress updates and reports the output of a suite in `results`, until dropped. It never returns, and no
/// error stops it. A sender received from `flush` is used after the current output was reported.
pub(crate) async fn relay(
    config: &WorkerConfig,
    client: Client,
    listener: RelayListener,
    posts: Option<mpsc::UnboundedSender<ProgressPost>>,
    results: &Path,
    mut flush: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let path = routes::progress_path(&config.plugin, &config.target);
    let urls: Vec<String> = config
        .aggregator_urls
        .iter()
        .map(|url| format!("{url}{path}"))
        .collect();
    tracing::info!(
        "Starting to listen on port {} for progress updates and will relay them to {}",
        config.progress_port,
        urls.join(", ")
    );
    let relay = Arc::new(Relay {
        client,
        urls,
        posts,
        live: Live::default(),
    });
    let app = Router::new()
        .route(routes::RELAY, any(forward))
        .with_state(Arc::clone(&relay));
    let mut servers = JoinSet::new();
    match listener {
        RelayListener::Bound(listeners) => {
            for listener in listeners {
                let listener = listener
                    .set_nonblocking(true)
                    .and_then(|()| TcpListener::from_std(listener));
                match listener {
                    Ok(listener) => drop(servers.spawn(serve(listener, app.clone()))),
                    Err(error) => tracing::error!(%error, "cannot listen for progress updates"),
                }
            }
        }
        RelayListener::Configured => match config.progress_port.parse::<u16>() {
            Err(error) => {
                tracing::error!(port = config.progress_port, %error, "the port for progress updates is invalid");
            }
            Ok(port) => {
                let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
                servers.spawn(bind_and_serve(v4, app.clone()));
                servers.spawn(bind_and_serve(v6, app));
            }
        },
    }
    let serving = async {
        while let Some(ended) = servers.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a server for progress updates ended unexpectedly, which is a bug in sono");
            }
        }
    };
    let reporting = async {
        let mut reader = Reader::new(results);
        loop {
            if let Some(update) = reader.poll(&relay.live).await {
                relay_update(&relay, &update.into()).await;
            }
            tokio::select! {
                () = time::sleep(POLL_INTERVAL) => {}
                Some(flushed) = flush.recv() => {
                    if let Some(update) = reader.poll(&relay.live).await {
                        relay_update(&relay, &update.into()).await;
                    }
                    // The requester may have stopped waiting.
                    flushed.send(()).ok();
                }
            }
        }
    };
    let ((), ()) = tokio::join!(serving, reporting);
}

async fn bind_and_serve(address: SocketAddr, app: Router) {
    let mut reported = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return serve(listener, app).await,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if !reported {
                    tracing::error!(
                        %error,
                        "Error listening on port {:?}: another process uses the port, for example a plugin on the host network; progress is not relayed until the port is free; results are not affected",
                        address.port().to_string()
                    );
                    reported = true;
                }
            }
            Err(error) => {
                // For example, a pod without IPv6.
                tracing::info!(%address, %error, "cannot listen for progress updates at this address");
                return;
            }
        }
        time::sleep(REBIND_INTERVAL).await;
    }
}

async fn serve(listener: TcpListener, app: Router) {
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "stopped listening for progress updates");
    }
}

/// As in Sonobuoy, any method is accepted.
async fn forward(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let limit = usize::try_from(UploadLimits::default().max_progress_bytes).unwrap_or(usize::MAX);
    let body = match time::timeout(RECEIVE_TIMEOUT, to_bytes(request.into_body(), limit)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let completed = relay.live.complete(&body).map(Bytes::from);
    let answer = relay_update(&relay, completed.as_ref().unwrap_or(&body)).await;
    if let Some(posts) = &relay.posts {
        let status = answer.status().as_u16();
        // The receiver may have been dropped.
        posts.send(ProgressPost { body, status }).ok();
    }
    answer
}

async fn relay_update(relay: &Relay, body: &Bytes) -> Response {
    // Exactly two attempts, the second at the other address if there is one.
    let mut reason = String::new();
    for url in relay.urls.iter().cycle().take(2) {
        match post(&relay.client, url, body.clone()).await {
            Ok(answer) => return answer,
            Err(error) => reason = error,
        }
    }
    tracing::warn!(reason, "progress update was not relayed");
    (StatusCode::INTERNAL_SERVER_ERROR, reason).into_response()
}

async fn post(client: &Client, url: &str, body: Bytes) -> Result<Response, String> {
    let failed = |error: reqwest::Error| format!("{url}: {}", error_chain(&error));
    let answer = client
        .post(url)
        .timeout(FORWARD_TIMEOUT)
        .body(body)
        .send()
        .await
        .map_err(failed)?;
    let status = answer.status();
    let text = answer.bytes().await.map_err(failed)?;
    Ok((status, Body::from(text)).into_response())
}
