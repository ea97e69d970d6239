//! An aggregator that remembers what it got and answers as it was told.

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
    /// Those that the protocol knows, by name.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) length: usize,
    /// The first few bytes.
    pub(crate) start: String,
    pub(crate) peer: Vec<String>,
}

#[derive(Debug, Default)]
struct Script {
    answers: VecDeque<(u16, String)>,
    /// Seconds after which workers shall ask for their result.
    keep: Option<u64>,
    /// How many bytes of an upload that broke off are here.
    before: Option<u64>,
    /// What is said of a pod's containers, a name for each question.
    containers: VecDeque<&'static str>,
    received: Vec<Received>,
}

#[derive(Clone)]
struct Desk {
    script: Arc<Mutex<Script>>,
    count: watch::Sender<usize>,
}

pub(crate) struct Aggregator {
    pub(crate) authority: Authority,
    address: SocketAddr,
    /// Bound, but not listening: connections are refused.
    socket: Option<TcpSocket>,
    desk: Desk,
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
    /// Has an address at which nobody answers yet.
    pub(crate) fn down() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        Self {
            authority: Authority::new(sono_worker::system_clock()).unwrap(),
            address: socket.local_addr().unwrap(),
            socket: Some(socket),
            desk: Desk {
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
        let app = Router::new().fallback(receive).with_state(self.desk.clone());
        let server = from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config)))
            .unwrap()
            .handle(self.handle.clone());
        tokio::spawn(server.serve(app.into_make_service()));
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// What the next requests are answered with; all further ones get 200.
    pub(crate) fn answer(&self, answers: &[(u16, &str)]) {
        let answers = answers.iter().map(|(status, text)| (*status, (*text).to_owned()));
        self.desk.script.lock().unwrap().answers.extend(answers);
    }

    /// Workers shall keep their result, and ask for it after so many seconds.
    pub(crate) fn keeps(&self, seconds: u64) {
        self.desk.script.lock().unwrap().keep = Some(seconds);
    }

    /// Of an upload that breaks off so many bytes are here.
    pub(crate) fn has(&self, bytes: u64) {
        self.desk.script.lock().unwrap().before = Some(bytes);
    }

    /// What the next questions about containers are answered with.
    pub(crate) fn says_of_containers(&self, names: &[&'static str]) {
        self.desk.script.lock().unwrap().containers.extend(names);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.desk.script.lock().unwrap().received.clone()
    }

    /// Waits until so many requests were answered.
    pub(crate) async fn wait_for(&self, requests: usize) {
        let mut count = self.desk.count.subscribe();
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
    State(desk): State<Desk>,
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
    let mut script = desk.script.lock().unwrap();
    script.received.push(received);
    let (status, text) = script.answers.pop_front().unwrap_or((200, String::new()));
    desk.count.send_modify(|count| *count += 1);
    let keep = script.keep.map(|seconds| [(routes::KEEP_HEADER, seconds.to_string())]);
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
        keep.map(AppendHeaders),
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
