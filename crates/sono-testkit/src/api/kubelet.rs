//! Exec and port-forward over WebSockets, as a kubelet serves them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{body::Body, http::request::Parts, response::Response};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use super::path;

/// The subprotocol that reports exit codes of exec.
const PROTOCOL: &str = "v4.channel.k8s.io";
/// Maximum size of one message, in bytes.
const MESSAGE_BYTES: usize = 64 << 10;

/// Outcome of an executed command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Executed {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
    /// Exit code.
    pub code: u8,
}

pub(super) type Run = Box<dyn Fn(&[String]) -> Executed + Send + Sync>;
pub(super) type Port = Box<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// Handlers of pods, by the path of the subresource.
#[derive(Default)]
pub(super) struct Kubelet {
    exec: Mutex<BTreeMap<String, Arc<Run>>>,
    ports: Mutex<BTreeMap<String, Arc<Port>>>,
}

impl std::fmt::Debug for Kubelet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Kubelet").finish_non_exhaustive()
    }
}

impl Kubelet {
    pub(super) fn put_exec(&self, namespace: &str, pod: &str, run: Run) {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/exec");
        let mut exec = self.exec.lock().unwrap_or_else(PoisonError::into_inner);
        exec.insert(path, Arc::new(run));
    }

    pub(super) fn put_port(&self, namespace: &str, pod: &str, port: Port) {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/portforward");
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.insert(path, Arc::new(port));
    }

    /// Response to a request for one of the handlers; the connection continues as a WebSocket.
    pub(super) fn answer(&self, parts: &mut Parts) -> Option<Response> {
        let path = parts.uri.path();
        let run = self
            .exec
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            .cloned();
        let port = self
            .ports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            .cloned();
        if run.is_none() && port.is_none() {
            return None;
        }
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes().to_vec();
        let pending = parts.extensions.remove::<hyper::upgrade::OnUpgrade>()?;
        let query = parts.uri.query().unwrap_or_default().to_owned();
        tokio::spawn(async move {
            let Ok(upgraded) = pending.await else { return };
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            // Some tests close the connection early.
            drop(match (run, port) {
                (Some(run), _) => exec(socket, &query, &run).await,
                (None, Some(port)) => forward(socket, &query, &port).await,
                (None, None) => Ok(()),
            });
        });
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::UPGRADE, "websocket")
            .header(header::CONNECTION, "Upgrade")
            .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(&key))
            .header(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
            .body(Body::empty());
        Some(response.expect("these headers are valid"))
    }
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;
type SendResult = Result<(), tokio_tungstenite::tungstenite::Error>;

async fn send(socket: &mut Socket, channel: u8, bytes: &[u8]) -> SendResult {
    for chunk in bytes.chunks(MESSAGE_BYTES) {
        let mut message = vec![channel];
        message.extend_from_slice(chunk);
        socket.send(Message::Binary(Bytes::from(message))).await?;
    }
    Ok(())
}

async fn exec(mut socket: Socket, query: &str, run: &Run) -> SendResult {
    let command: Vec<String> = path::pairs(query)
        .filter(|(name, _)| name == "command")
        .map(|(_, value)| value)
        .collect();
    let Executed { stdout, stderr, code } = run(&command);
    send(&mut socket, 1, &stdout).await?;
    send(&mut socket, 2, stderr.as_bytes()).await?;
    let status = if code == 0 {
        json!({"metadata": {}, "status": "Success"})
    } else {
        json!({"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with exit code {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}})
    };
    send(&mut socket, 3, status.to_string().as_bytes()).await?;
    socket.close(None).await
}

async fn forward(mut socket: Socket, query: &str, port: &Port) -> SendResult {
    let number = path::pairs(query)
        .find(|(name, _)| name == "ports")
        .and_then(|(_, value)| value.parse::<u16>().ok())
        .unwrap_or_default();
    for channel in [0, 1] {
        send(&mut socket, channel, &number.to_le_bytes()).await?;
    }
    let mut head = String::new();
    while let Some(message) = socket.next().await {
        let Message::Binary(bytes) = message? else { continue };
        head.push_str(&String::from_utf8_lossy(bytes.get(1..).unwrap_or_default()));
        if head.contains("\r\n\r\n") {
            send(&mut socket, 0, &port(&head)).await?;
            break;
        }
    }
    socket.close(None).await
}
