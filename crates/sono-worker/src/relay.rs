//! The progress relay: a plugin posts to its own pod's loopback, without certificates, and the worker passes it on.
//!
//! Sonobuoy listens on all interfaces; this relay cannot be reached from outside the pod.

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
use sono_types::{UploadLimits, WorkerConfig, routes};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time,
};

use crate::{
    live::{Live, Reader},
    submit::chain,
};

/// Where the relay listens.
#[derive(Debug, Default)]
pub enum RelayListener {
    /// On the configured port of the loopback addresses. A port that is taken (two plugins on the host network, say) is
    /// tried again from time to time, and the worker goes on without a relay meanwhile.
    #[default]
    Configured,
    /// On sockets that are bound already.
    Bound(Vec<std::net::TcpListener>),
}

/// A progress update as it was posted, and the HTTP status that answered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressPost {
    /// The body.
    pub body: Bytes,
    /// The answer.
    pub status: u16,
}

/// How often the output of a suite is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often a port that is taken is tried again.
const REBIND: Duration = Duration::from_secs(5);
/// How long reading a plugin's request may take.
const RECEIVE: Duration = Duration::from_secs(10);
/// How long one address of the aggregator may take to answer. Progress is soon out of date.
const FORWARD: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Relay {
    client: Client,
    urls: Vec<String>,
    posts: Option<mpsc::UnboundedSender<ProgressPost>>,
    live: Live,
}

/// Serves until it is dropped, and tells what the output of a suite in `results` says. It never ends by itself and no error
/// ends it. Whoever asks by `last` is told when all that the output says now has been passed on.
pub(crate) async fn relay(
    config: &WorkerConfig,
    client: Client,
    listener: RelayListener,
    posts: Option<mpsc::UnboundedSender<ProgressPost>>,
    results: &Path,
    mut last: mpsc::Receiver<oneshot::Sender<()>>,
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
            Err(error) => tracing::error!(port = config.progress_port, %error, "no port for progress updates"),
            Ok(port) => {
                let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
                servers.spawn(bind_and_serve(v4, app.clone()));
                servers.spawn(bind_and_serve(v6, app));
            }
        },
    }
    let serving = async { while servers.join_next().await.is_some() {} };
    let telling = async {
        let mut reader = Reader::new(results);
        loop {
            if let Some(update) = reader.look(&relay.live).await {
                pass_on(&relay, &update.into()).await;
            }
            tokio::select! {
                () = time::sleep(LOOK) => {}
                Some(told) = last.recv() => {
                    if let Some(update) = reader.look(&relay.live).await {
                        pass_on(&relay, &update.into()).await;
                    }
                    // Whoever asked waits only so long.
                    told.send(()).ok();
                }
            }
        }
    };
    let ((), ()) = tokio::join!(serving, telling);
}

async fn bind_and_serve(address: SocketAddr, app: Router) {
    let mut said = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return serve(listener, app).await,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if !said {
                    tracing::error!(
                        %error,
                        "Error listening on port {:?}: something else on this network listens there, such as another plugin on the host's network; progress is not passed on until the port is free, results are",
                        address.port().to_string()
                    );
                    said = true;
                }
            }
            Err(error) => {
                // No IPv6 in this pod, for one.
                tracing::info!(%address, %error, "no progress updates at this address");
                return;
            }
        }
        time::sleep(REBIND).await;
    }
}

async fn serve(listener: TcpListener, app: Router) {
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "progress updates are no longer listened for");
    }
}

/// Any method counts, as with Sonobuoy.
async fn forward(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let limit = usize::try_from(UploadLimits::default().max_progress_bytes).unwrap_or(usize::MAX);
    let body = match time::timeout(RECEIVE, to_bytes(request.into_body(), limit)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let completed = relay.live.complete(&body).map(Bytes::from);
    let answer = pass_on(&relay, completed.as_ref().unwrap_or(&body)).await;
    if let Some(posts) = &relay.posts {
        let status = answer.status().as_u16();
        // Whoever asked for them may have gone.
        posts.send(ProgressPost { body, status }).ok();
    }
    answer
}

async fn pass_on(relay: &Relay, body: &Bytes) -> Response {
    // Exactly two tries: the second at the other address where there is one.
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
    let failed = |error: reqwest::Error| format!("{url}: {}", chain(&error));
    let answer = client
        .post(url)
        .timeout(FORWARD)
        .body(body)
        .send()
        .await
        .map_err(failed)?;
    let status = answer.status();
    let text = answer.bytes().await.map_err(failed)?;
    Ok((status, Body::from(text)).into_response())
}
