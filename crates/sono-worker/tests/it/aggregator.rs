//! A scripted aggregator that records its requests.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::{AppendHeaders, IntoResponse},
};
use axum_server::{
    Handle,
    tls::TlsInfo,
    tls_rustls::{RustlsConfig, from_tcp_rustls},
};
use futures::StreamExt as _;
use sono_tls::Authority;
use sono_types::routes;
use tokio::{net::TcpSocket, sync::watch};

use crate::LIMIT;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    /// Method, path and HTTP version.
    pub(crate) line: String,
    /// The headers of the protocol, by name.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) length: usize,
    /// The first bytes of the body.
    pub(crate) start: String,
    pub(crate) peer: Vec<String>,
}

#[derive(Debug, Default)]
struct Script {
    answers: VecDeque<(u16, String)>,
    /// The query interval that workers are asked for, in seconds.
    retain: Option<u64>,
    /// Bytes received of an interrupted upload.
    before: Option<u64>,
    /// States of a pod's containers, one per query.
    containers: VecDeque<&'static str>,
    received: Vec<Received>,
}

#[derive(Clone)]
struct Shared {
    script: Arc<Mutex<Script>>,
    count: watch::Sender<usize>,
}

pub(crate) struct Aggregator {
    pub(crate) authority: Authority,
    address: SocketAddr,
    /// Bound, but not listening: connections are refused.
    socket: Option<TcpSocket>,
    shared: Shared,
    handle: Handle<SocketAddr>,
}

const HEADERS: [&str; 7] = [
    "content-type",
    "content-disposition",
    "content-length",
    "transfer-encoding",
    "content-range",
    "x-sono-error",
    routes::UPLOAD_HEADER,
];

impl Aggregator {
    /// An aggregator that has an address but does not accept connections yet.
    pub(crate) fn down() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        Self {
            authority: Authority::new(sono_worker::system_clock()).unwrap(),
            address: socket.local_addr().unwrap(),
            socket: Some(socket),
            shared: Shared {
                script: Arc::default(),
                count: watch::channel(0).0,
            },
            handle: Handle::new(),
        }
    }

    pub(crate) fn up() -> Self {
        let mut aggregator = Self::down();
        aggregator.start();
        aggregator
    }

    pub(crate) fn start(&mut self) {
        let listener = self.socket.take().unwrap().listen(64).unwrap().into_std().unwrap();
        let identity = self
            .authority
            .server(sono_worker::system_clock(), &["127.0.0.1".to_owned()])
            .unwrap();
        let config = sono_tls::server_config(&identity, self.authority.certificate_pem()).unwrap();
        let app = Router::new().fallback(receive).with_state(self.shared.clone());
        let server = from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config)))
            .unwrap()
            .handle(self.handle.clone());
        tokio::spawn(server.serve(app.into_make_service()));
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The responses to the next requests; later requests get 200.
    pub(crate) fn answer(&self, answers: &[(u16, &str)]) {
        let answers = answers.iter().map(|(status, text)| (*status, (*text).to_owned()));
        self.shared.script.lock().unwrap().answers.extend(answers);
    }

    /// Asks workers to retain their result and to query it at this interval.
    pub(crate) fn asks_to_retain(&self, seconds: u64) {
        self.shared.script.lock().unwrap().retain = Some(seconds);
    }

    /// Reports this many received bytes of an interrupted upload.
    pub(crate) fn has(&self, bytes: u64) {
        self.shared.script.lock().unwrap().before = Some(bytes);
    }

    /// The responses to the next queries about containers.
    pub(crate) fn says_of_containers(&self, names: &[&'static str]) {
        self.shared.script.lock().unwrap().containers.extend(names);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.script.lock().unwrap().received.clone()
    }

    /// Waits until this many requests were received.
    pub(crate) async fn wait_for(&self, requests: usize) {
        let mut count = self.shared.count.subscribe();
        tokio::time::timeout(LIMIT, count.wait_for(|count| *count >= requests))
            .await
            .expect("no request came")
            .unwrap();
    }
}

impl Drop for Aggregator {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

async fn receive(
    State(shared): State<Shared>,
    Extension(peer): Extension<Arc<TlsInfo>>,
    request: Request,
) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let asks = parts.method == "HEAD" && parts.headers.contains_key(routes::UPLOAD_HEADER);
    let asks_of_containers = parts.method == "HEAD" && parts.headers.contains_key(routes::CONTAINERS_HEADER);
    let (length, start) = drain(body).await;
    let received = Received {
        line: format!("{} {} {:?}", parts.method, parts.uri.path(), parts.version),
        headers: HEADERS
            .into_iter()
            .filter_map(|name| Some((name, parts.headers.get(name)?.to_str().unwrap().to_owned())))
            .collect(),
        length,
        start,
        peer: sono_tls::certificate_names(&peer.peer_certificates[0]),
    };
    let mut script = shared.script.lock().unwrap();
    script.received.push(received);
    let (status, text) = script.answers.pop_front().unwrap_or((200, String::new()));
    shared.count.send_modify(|count| *count += 1);
    let retain = script
        .retain
        .map(|seconds| [(routes::KEEP_HEADER, seconds.to_string())]);
    let before = script.before.filter(|_| asks);
    let before = before.map(|bytes| [(routes::RECEIVED_HEADER, bytes.to_string())]);
    let containers = if asks_of_containers {
        script.containers.pop_front()
    } else {
        None
    };
    let containers = containers.map(|name| [(routes::CONTAINERS_HEADER, name)]);
    (
        StatusCode::from_u16(status).unwrap(),
        retain.map(AppendHeaders),
        before.map(AppendHeaders),
        containers.map(AppendHeaders),
        text,
    )
}

async fn drain(body: Body) -> (usize, String) {
    let mut pieces = body.into_data_stream();
    let (mut length, mut start) = (0, Vec::new());
    while let Some(Ok(piece)) = pieces.next().await {
        length += piece.len();
        if start.len() < 200 {
            start.extend_from_slice(&piece);
            start.truncate(200);
        }
    }
    (length, String::from_utf8_lossy(&start).into_owned())
}
