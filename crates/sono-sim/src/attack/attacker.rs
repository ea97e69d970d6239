//! Attackers: separate processes with the environment of the attacking plugin's worker. `sono-sim attacker KIND` waits for
//! a line on standard input and attacks until standard input ends.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use rustls::pki_types::ServerName;
use sono_types::{WorkerConfig, routes};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{content, world};

/// A kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Connections that send nothing and are reopened when closed
    Silent,
    /// Connections that complete the TLS handshake with the plugin's certificate (and, over HTTP/2, send one request) and then
    /// send nothing
    Idle,
    /// Progress updates of 4 MB, sent byte by byte
    Drip,
    /// Progress updates of 4 MB for every node, as fast as possible
    Flood,
    /// Progress updates of up to 4 MB on all connections at once: many empty names, long names, a long message
    Crowd,
    /// Results of another plugin, which are rejected; each used to add a line to the log
    Refused,
}

#[derive(Debug, Args)]
pub(crate) struct AttackerArguments {
    kind: Kind,
    /// Number of connections, or of requests of `refused`
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Number of the plugin's nodes
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// Start immediately and attack for this many seconds
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

/// Size of an oversized progress update, in bytes.
const UPDATE_BYTES: usize = 4_000_000;
/// Interval between two bytes of a dripping update.
const DRIP_INTERVAL: Duration = Duration::from_secs(2);
/// Delay before another connection attempt.
const RECONNECT_DELAY: Duration = Duration::from_millis(50);

/// Address and credentials for the attacked aggregator.
#[derive(Clone)]
struct Target {
    address: SocketAddr,
    name: ServerName<'static>,
    config: Arc<WorkerConfig>,
    tls: TlsConnector,
}

pub(super) async fn attack(arguments: AttackerArguments) -> anyhow::Result<()> {
    world::raise_open_files()?;
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let config = world::worker_config(&environment, Some(&content::node(0)))?;
    let url = reqwest::Url::parse(
        config
            .aggregator_urls
            .first()
            .context("the worker has an aggregator URL")?,
    )?;
    let host = url.host_str().context("the address has a host")?;
    let addresses = url.socket_addrs(|| None)?;
    let mut tls = sono_tls::client_config(&config.ca_cert, &config.client_cert, &config.client_key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tls.resumption = rustls::client::Resumption::disabled();
    let target = Target {
        name: ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?,
        address: *addresses.first().context("the aggregator has an address")?,
        config: Arc::new(config),
        tls: TlsConnector::from(Arc::new(tls)),
    };
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    if arguments.seconds.is_none() {
        input.next_line().await?;
    }
    let end = async {
        match arguments.seconds {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => while let Ok(Some(_)) = input.next_line().await {},
        }
    };
    tokio::select! {
        () = end => Ok(()),
        attacked = target.attack(&arguments) => attacked,
    }
}

impl Target {
    async fn attack(&self, arguments: &AttackerArguments) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        let connections = if arguments.kind == Kind::Refused {
            8
        } else {
            arguments.count
        };
        for number in 0..connections {
            let (target, kind, nodes) = (self.clone(), arguments.kind, arguments.nodes);
            let requests = arguments.count / 8;
            tasks.spawn(async move {
                match kind {
                    Kind::Silent => target.silent().await,
                    Kind::Idle => target.idle().await,
                    Kind::Drip => target.drip(number, nodes).await,
                    Kind::Flood => target.flood(nodes).await,
                    Kind::Crowd => target.crowd(number, nodes).await,
                    Kind::Refused => target.refused(requests).await,
                }
            });
        }
        tasks.join_all().await;
        // The attack is complete; wait until standard input ends.
        std::future::pending().await
    }

    async fn silent(&self) {
        loop {
            let Ok(mut stream) = TcpStream::connect(self.address).await else {
                sleep(RECONNECT_DELAY).await;
                continue;
            };
            until_closed(&mut stream).await;
        }
    }

    async fn idle(&self) {
        loop {
            let Ok(mut stream) = self.handshake().await else {
                sleep(RECONNECT_DELAY).await;
                continue;
            };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                stream.write_all(&http2_head()).await.ok();
                stream.flush().await.ok();
            }
            until_closed(&mut stream).await;
        }
    }

    async fn drip(&self, number: usize, nodes: usize) {
        let path = self.progress_path(number % nodes);
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {UPDATE_BYTES}\r\n\r\n{{");
        loop {
            let Ok(mut stream) = self.handshake_for_http1().await else {
                sleep(RECONNECT_DELAY).await;
                continue;
            };
            if stream.write_all(head.as_bytes()).await.is_err() {
                continue;
            }
            while stream.write_all(b" ").await.is_ok() && stream.flush().await.is_ok() {
                tokio::select! {
                    () = sleep(DRIP_INTERVAL) => {}
                    () = until_answered(&mut stream) => break,
                }
            }
        }
    }

    async fn flood(&self, nodes: usize) {
        let names: Vec<String> = (0..UPDATE_BYTES / 1000)
            .map(|number| format!("{number:0>990}"))
            .collect();
        let body = serde_json::json!({"msg": "x", "total": names.len(), "failures": names}).to_string();
        let Ok(client) = world::client(&self.config) else {
            return;
        };
        let base = self.config.aggregator_urls.first().cloned().unwrap_or_default();
        for _ in 0..4 {
            for node in 0..nodes {
                let request = client
                    .post(format!("{base}{}", self.progress_path(node)))
                    .body(body.clone());
                request.send().await.ok();
            }
        }
    }

    async fn crowd(&self, number: usize, nodes: usize) {
        static BODIES: OnceLock<[String; 4]> = OnceLock::new();
        let bodies = BODIES.get_or_init(crowd_bodies);
        let body = &bodies[number % bodies.len()];
        let path = self.progress_path(number % nodes);
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        loop {
            let Ok(mut stream) = self.handshake_for_http1().await else {
                sleep(RECONNECT_DELAY).await;
                continue;
            };
            if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(body.as_bytes()).await.is_err() {
                continue;
            }
            until_answered(&mut stream).await;
        }
    }

    async fn refused(&self, requests: usize) {
        let Ok(client) = world::client(&self.config) else {
            return;
        };
        let base = self.config.aggregator_urls.first().cloned().unwrap_or_default();
        let plugin = &self.config.plugin;
        for number in 0..requests {
            let other = format!("{base}/api/v1/results/by-node/{}/not-{plugin}", content::node(number));
            client.put(other).body("x").send().await.ok();
        }
    }

    fn progress_path(&self, node: usize) -> String {
        let target = sono_types::Target::parse(&content::node(node)).expect("it is a valid name");
        routes::progress_path(&self.config.plugin, &target)
    }

    async fn handshake(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect(&self.tls).await
    }

    async fn handshake_for_http1(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = rustls::ClientConfig::clone(self.tls.config());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        self.connect(&TlsConnector::from(Arc::new(config))).await
    }

    async fn connect(&self, tls: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        tls.connect(self.name.clone(), stream).await
    }
}

/// Bodies that take more memory than bytes, a long text, and one that is just small enough to need no turn.
fn crowd_bodies() -> [String; 4] {
    let list = |name: &str| {
        let count = UPDATE_BYTES / (name.len() + 3);
        format!(r#"{{"failures":[{}]}}"#, vec![format!("{name:?}"); count].join(","))
    };
    [
        list(""),
        list(&"x".repeat(990)),
        format!(r#"{{"msg":{:?}}}"#, "x".repeat(UPDATE_BYTES)),
        format!(r#"{{"errors":[{}""]}}"#, r#""","#.repeat(21_000)),
    ]
}

async fn until_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut bytes = [0; 256];
    while let Ok(1..) = stream.read(&mut bytes).await {}
}

async fn until_answered(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    // A response, the end of the connection or an error: the request is over.
    stream.read_u8().await.ok();
}

/// The start of an HTTP/2 connection with `HEAD /` (RFC 9113 §3.4, RFC 7541 §6), to satisfy the time limit on the first
/// request.
fn http2_head() -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const HEADERS: [u8; 5] = [1, 0b101, 0, 0, 0];
    // `:method` HEAD as a literal, `:scheme` https, `:path` /, `:authority` h as a literal.
    const BLOCK: [u8; 11] = [0x02, 4, b'H', b'E', b'A', b'D', 0x87, 0x84, 0x01, 1, b'h'];
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(SETTINGS);
    bytes.extend([0, 0, 11]);
    bytes.extend(HEADERS);
    bytes.push(1);
    bytes.extend(BLOCK);
    bytes
}
