//! The watch on the worker's own pod: the only thing that it asks the API server, with plain HTTP and the service
//! account that the pod has anyway. A pod without such an account asks the aggregator ([`crate::siblings`]).

use std::{
    env, io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::StreamExt as _;
use reqwest::{Certificate, Client, Response, StatusCode};
use serde::Deserialize;
use sono_types::{ContainersState, WorkerConfig, worker::OwnPod};
use tokio::{sync::watch, time};

use crate::{
    containers::Pod,
    siblings,
    submit::{self, chain},
};

const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
/// How long the API server keeps one watch open.
const WATCH: Duration = Duration::from_mins(4);
/// What a connection that died without a word is given on top.
const SLACK: Duration = Duration::from_secs(30);
/// How often the pod is asked for where it may be read but not watched.
const POLL: Duration = Duration::from_secs(5);
/// Waits between failed tries.
const MIN_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_mins(1);
/// Longest event that is looked at: etcd holds objects of at most 1.5 MiB.
const MAX_EVENT: usize = 4 << 20;

/// Where the API server is and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) token: PathBuf,
    pub(crate) ca: PathBuf,
}

impl Server {
    /// As every pod finds it.
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
    #[error("the API server cannot be reached")]
    Request(#[source] reqwest::Error),
    #[error("the API server answered {0}")]
    Status(StatusCode),
    #[error("the API server sent an event of more than {MAX_EVENT} bytes")]
    TooLong,
    #[error("the API server sent something that is no event")]
    Event(#[source] serde_json::Error),
    #[error("the API server ended the watch: {0}")]
    Ended(String),
    #[error("the pod is gone")]
    Gone,
}

impl WatchError {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
    }

    /// Whether waiting cannot help.
    fn is_final(&self) -> bool {
        match self {
            Self::Variable(_) => true,
            Self::File(_, error) => error.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

/// Follows what the other containers of `pod` are up to and passes it on to `state`: by the API server where the pod's
/// account may look at the pod, otherwise by the aggregator. Ends when neither can ever say, and when `state` has no
/// receiver any more.
pub async fn watch_containers(config: &WorkerConfig, pod: OwnPod, state: watch::Sender<ContainersState>) {
    tokio::select! {
        () = watch_each(config, &pod, &state) => {}
        () = state.closed() => {}
    }
}

async fn watch_each(config: &WorkerConfig, pod: &OwnPod, state: &watch::Sender<ContainersState>) {
    let client = match submit::client(config) {
        Ok(client) => client,
        Err(error) => return off(&chain(&error)),
    };
    let urls = submit::urls(config);
    let server = Server::in_cluster();
    let mut delay = MIN_DELAY;
    let mut said = false;
    loop {
        let error = match &server {
            Ok(server) => follow(server, pod, state).await,
            Err(name) => WatchError::Variable(name),
        };
        tracing::debug!(
            reason = chain(&error),
            "asking the aggregator for the other containers of this pod"
        );
        siblings::follow(&client, &urls, &config.target, state).await;
        if !said {
            off(&chain(&error));
            said = true;
        }
        if error.is_final() {
            return;
        }
        // Rights may be granted while the pod runs.
        time::sleep(delay).await;
        delay = (delay * 2).min(MAX_DELAY);
    }
}

fn off(reason: &str) {
    tracing::warn!(
        reason,
        "cannot see the other containers of this pod: results are taken only when the done file names them"
    );
}

/// Ends when the account may not look at the pod, or does not exist.
async fn follow(server: &Server, pod: &OwnPod, state: &watch::Sender<ContainersState>) -> WatchError {
    let mut delay = MIN_DELAY;
    let mut may_watch = true;
    loop {
        let ended = if may_watch {
            watch_once(server, pod, state, &mut delay).await
        } else {
            get_once(server, pod, state).await
        };
        let error = match ended {
            Ok(()) => {
                delay = MIN_DELAY;
                if !may_watch {
                    time::sleep(POLL).await;
                }
                continue;
            }
            Err(error) => error,
        };
        if error.is_refusal() && may_watch {
            // Sonobuoy reads the pod again and again, so an account may be allowed that alone.
            may_watch = false;
            continue;
        }
        if error.is_final() || error.is_refusal() {
            return error;
        }
        tracing::debug!(reason = chain(&error), "lost sight of this pod");
        may_watch = true;
        time::sleep(delay).await;
        delay = (delay * 2).min(MAX_DELAY);
    }
}

/// One event of a watch. The object of an error is no pod but a `Status`.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    object: serde_json::Value,
}

/// Watches until the server ends it. With resource version 0 the first event is the pod as the server's cache has it, so
/// there is nothing to remember from one watch to the next, and nothing to wait for: a cache that cannot tell whether it is
/// current refuses a watch without version after three seconds.
async fn watch_once(
    server: &Server,
    pod: &OwnPod,
    state: &watch::Sender<ContainersState>,
    delay: &mut Duration,
) -> Result<(), WatchError> {
    let seconds = WATCH.as_secs().to_string();
    let selector = format!("metadata.name={}", pod.name);
    let query = [
        ("watch", "1"),
        ("fieldSelector", selector.as_str()),
        ("timeoutSeconds", seconds.as_str()),
        ("resourceVersion", "0"),
    ];
    let response = ask(server, &pods(server, pod), &query, WATCH + SLACK).await?;
    let mut pieces = response.bytes_stream();
    let mut line = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(WatchError::Request)?;
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.len() > MAX_EVENT {
                return Err(WatchError::TooLong);
            }
            if line.ends_with(b"\n") {
                let event: Event = serde_json::from_slice(&line).map_err(WatchError::Event)?;
                line.clear();
                match event.kind.as_str() {
                    "ADDED" | "MODIFIED" => {
                        *delay = MIN_DELAY;
                        let object: Pod = serde_json::from_value(event.object).map_err(WatchError::Event)?;
                        tell(state, object.others(&pod.container));
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
    let response = ask(server, &format!("{}/{}", pods(server, pod), pod.name), &[], SLACK).await?;
    let body = response.bytes().await.map_err(WatchError::Request)?;
    let object: Pod = serde_json::from_slice(&body).map_err(WatchError::Event)?;
    tell(state, object.others(&pod.container));
    Ok(())
}

fn tell(state: &watch::Sender<ContainersState>, now: ContainersState) {
    state.send_if_modified(|last| {
        let changed = *last != now;
        *last = now;
        changed
    });
}

fn pods(server: &Server, pod: &OwnPod) -> String {
    format!("{}/api/v1/namespaces/{}/pods", server.url, pod.namespace)
}

/// Token and CA are read for every request: both are replaced while the pod runs. No proxy: this is the cluster's own
/// network.
async fn ask(server: &Server, url: &str, query: &[(&str, &str)], limit: Duration) -> Result<Response, WatchError> {
    let token = read(&server.token).await?;
    let ca = read(&server.ca).await?;
    let certificates = Certificate::from_pem_bundle(&ca).map_err(WatchError::Client)?;
    let client = Client::builder()
        .tls_certs_only(certificates)
        .no_proxy()
        .http1_only()
        .connect_timeout(SLACK)
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
