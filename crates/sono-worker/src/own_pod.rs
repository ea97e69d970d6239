//! A watch on the worker's own pod, its only request to the API server. It uses a plain HTTP client and the pod's
//! service account. Without permission, the worker asks the aggregator instead ([`crate::siblings`]).

use std::{
    env, io,
    path::{Path, PathBuf},
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures::StreamExt as _;
use reqwest::{Certificate, Client, Response, StatusCode};
use serde::Deserialize;
use sono_types::{ContainersState, WorkerConfig, error_chain, worker::OwnPod};
use tokio::{sync::watch, time};

use crate::{containers::Pod, siblings, submit};

const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
/// Duration of one watch, as requested from the API server.
const WATCH_TIMEOUT: Duration = Duration::from_mins(4);
/// Additional time for a watch, after which its connection counts as dead; also the timeout of other requests.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Interval of reads if the account may read the pod but not watch it.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Shortest and longest delay between failed attempts.
const MIN_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_mins(1);
/// Longest event, in bytes: etcd stores objects of at most 1.5 MiB.
const MAX_EVENT_BYTES: usize = 4 << 20;

/// The address of the API server and the account's files.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) token: PathBuf,
    pub(crate) ca: PathBuf,
}

impl Server {
    /// The server and account of a pod, from its environment.
    fn in_cluster() -> Result<Self, &'static str> {
        let variable = |name: &'static str| env::var(name).ok().filter(|value| !value.is_empty()).ok_or(name);
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Ok(Self {
            url: format!("https://{host}:{port}"),
            token: TOKEN.into(),
            ca: CA.into(),
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("{0} is not set")]
    Variable(&'static str),
    #[error("cannot read {}", .0.display())]
    File(PathBuf, #[source] io::Error),
    #[error("cannot build a client for the API server")]
    Client(#[source] reqwest::Error),
    #[error("cannot reach the API server")]
    Request(#[source] reqwest::Error),
    #[error("the API server responded with {0}")]
    Status(StatusCode),
    #[error("the API server sent an event of more than {MAX_EVENT_BYTES} bytes")]
    TooLong,
    #[error("the API server sent an invalid event")]
    Event(#[source] serde_json::Error),
    #[error("the API server ended the watch: {0}")]
    Ended(String),
    #[error("the pod was deleted")]
    Gone,
}

impl WatchError {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
    }

    /// Whether a retry is useless.
    fn is_final(&self) -> bool {
        match self {
            Self::Variable(_) => true,
            Self::File(_, error) => error.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

/// Watches the other containers of `pod` and sends their state to `state`: through the API server if the pod's account
/// may read the pod, otherwise through the aggregator. Returns when neither is possible, or when `state` has no
/// receiver.
///
/// # Cancel safety
///
/// May be dropped at any point: it only reads, and the state is in `state`.
pub async fn watch_containers(config: &WorkerConfig, pod: OwnPod, state: watch::Sender<ContainersState>) {
    tokio::select! {
        () = watch_any(config, &pod, &state) => {}
        () = state.closed() => {}
    }
}

async fn watch_any(config: &WorkerConfig, pod: &OwnPod, state: &watch::Sender<ContainersState>) {
    let client = match submit::client(config) {
        Ok(client) => client,
        Err(error) => return warn_unavailable(&error_chain(&error)),
    };
    let urls = submit::urls(config);
    let server = Server::in_cluster();
    let mut delays = self::delays();
    let mut warned = false;
    loop {
        let error = match &server {
            Ok(server) => follow(server, pod, state).await,
            Err(name) => WatchError::Variable(name),
        };
        tracing::debug!(
            reason = error_chain(&error),
            "asking the aggregator about the other containers of this pod"
        );
        siblings::follow(&client, &urls, &config.target, state).await;
        if !warned {
            warn_unavailable(&error_chain(&error));
            warned = true;
        }
        if error.is_final() {
            return;
        }
        // The permission may be granted while the pod runs.
        time::sleep(delays.next().unwrap_or(MAX_DELAY)).await;
    }
}

/// The delays between failed attempts.
fn delays() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(MIN_DELAY)
        .with_max_delay(MAX_DELAY)
        .with_factor(2.0)
        .without_max_times()
        .build()
}

fn warn_unavailable(reason: &str) {
    tracing::warn!(
        reason,
        "cannot watch the other containers of this pod; results are collected only when the done file names them"
    );
}

/// Follows the pod until the account lacks the permission or does not exist.
async fn follow(server: &Server, pod: &OwnPod, state: &watch::Sender<ContainersState>) -> WatchError {
    let mut delays = self::delays();
    let mut may_watch = true;
    loop {
        let ended = if may_watch {
            watch_once(server, pod, state, &mut delays).await
        } else {
            get_once(server, pod, state).await
        };
        let error = match ended {
            Ok(()) => {
                delays = self::delays();
                if !may_watch {
                    time::sleep(POLL_INTERVAL).await;
                }
                continue;
            }
            Err(error) => error,
        };
        if error.is_refusal() && may_watch {
            // Sonobuoy only reads the pod, so the account may lack the permission to watch it.
            may_watch = false;
            continue;
        }
        if error.is_final() || error.is_refusal() {
            return error;
        }
        tracing::debug!(reason = error_chain(&error), "lost the watch on this pod");
        may_watch = true;
        time::sleep(delays.next().unwrap_or(MAX_DELAY)).await;
    }
}

/// One event of a watch. The object of an `ERROR` event is a `Status`.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    object: serde_json::Value,
}

/// Watches until the server ends the watch. With resource version 0, the first event is the pod from the server's
/// cache. So no version must be stored between watches, and the server need not confirm that its cache is current:
/// without a version it may refuse the watch after three seconds.
async fn watch_once(
    server: &Server,
    pod: &OwnPod,
    state: &watch::Sender<ContainersState>,
    delays: &mut ExponentialBackoff,
) -> Result<(), WatchError> {
    let seconds = WATCH_TIMEOUT.as_secs().to_string();
    let selector = format!("metadata.name={}", pod.name);
    let query = [
        ("watch", "1"),
        ("fieldSelector", selector.as_str()),
        ("timeoutSeconds", seconds.as_str()),
        ("resourceVersion", "0"),
    ];
    let response = request(server, &pods(server, pod), &query, WATCH_TIMEOUT + REQUEST_TIMEOUT).await?;
    let mut chunks = response.bytes_stream();
    let mut line = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(WatchError::Request)?;
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.len() > MAX_EVENT_BYTES {
                return Err(WatchError::TooLong);
            }
            if line.ends_with(b"\n") {
                let event: Event = serde_json::from_slice(&line).map_err(WatchError::Event)?;
                line.clear();
                match event.kind.as_str() {
                    "ADDED" | "MODIFIED" => {
                        *delays = self::delays();
                        let object: Pod = serde_json::from_value(event.object).map_err(WatchError::Event)?;
                        publish(state, object.others(&pod.container));
                    }
                    "DELETED" => return Err(WatchError::Gone),
                    "ERROR" => {
                        let message = event.object.get("message").and_then(serde_json::Value::as_str);
                        return Err(WatchError::Ended(message.unwrap_or("no reason given").to_owned()));
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

async fn get_once(server: &Server, pod: &OwnPod, state: &watch::Sender<ContainersState>) -> Result<(), WatchError> {
    let response = request(
        server,
        &format!("{}/{}", pods(server, pod), pod.name),
        &[],
        REQUEST_TIMEOUT,
    )
    .await?;
    let body = response.bytes().await.map_err(WatchError::Request)?;
    let object: Pod = serde_json::from_slice(&body).map_err(WatchError::Event)?;
    publish(state, object.others(&pod.container));
    Ok(())
}

fn publish(state: &watch::Sender<ContainersState>, now: ContainersState) {
    state.send_if_modified(|last| {
        let changed = *last != now;
        *last = now;
        changed
    });
}

fn pods(server: &Server, pod: &OwnPod) -> String {
    format!("{}/api/v1/namespaces/{}/pods", server.url, pod.namespace)
}

/// Sends a GET. Token and CA are read for every request, since both are rotated. No proxy: the request stays in the
/// cluster's network.
async fn request(server: &Server, url: &str, query: &[(&str, &str)], limit: Duration) -> Result<Response, WatchError> {
    let token = read(&server.token).await?;
    let ca = read(&server.ca).await?;
    let certificates = Certificate::from_pem_bundle(&ca).map_err(WatchError::Client)?;
    let client = Client::builder()
        .tls_certs_only(certificates)
        .no_proxy()
        .http1_only()
        .connect_timeout(REQUEST_TIMEOUT)
        .timeout(limit)
        .build()
        .map_err(WatchError::Client)?;
    let response = client
        .get(url)
        .query(query)
        .bearer_auth(String::from_utf8_lossy(&token).trim())
        .send()
        .await
        .map_err(WatchError::Request)?;
    let status = response.status();
    if status.is_success() {
        Ok(response)
    } else {
        Err(WatchError::Status(status))
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, WatchError> {
    fs_err::tokio::read(path)
        .await
        .map_err(|error| WatchError::File(path.to_path_buf(), error))
}

#[cfg(test)]
mod tests;
