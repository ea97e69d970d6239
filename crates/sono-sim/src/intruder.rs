//! Hostile clients other than workers. They end with the run.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context as _;
use sono_types::{WorkerConfig, constants};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{content::NODES, schedule::Intruder, world};

/// Runs an intruder. Returns a violation if the aggregator gave a wrong response.
pub(crate) async fn intrude(
    intruder: Intruder,
    environment: BTreeMap<String, String>,
    address: Ipv4Addr,
) -> anyhow::Result<Option<String>> {
    let config = world::worker_config(&environment, Some("n00000"))?;
    let base = config
        .aggregator_urls
        .first()
        .context("the worker has an address")?
        .clone();
    let refused = async |path: &str, expected: &[u16]| {
        let client = world::client(&config)?;
        // A restarting aggregator does not respond.
        let Ok(answer) = client.put(format!("{base}{path}")).body("x").send().await else {
            return Ok(None);
        };
        let status = answer.status().as_u16();
        let is_expected = expected.contains(&status) || status == 503;
        Ok((!is_expected).then(|| format!("{intruder:?}: {path} was answered with {status}")))
    };
    match intruder {
        Intruder::UnknownNode => refused(&format!("/api/v1/results/by-node/stranger/{NODES}"), &[403]).await,
        Intruder::OtherPlugin => refused("/api/v1/results/global/last", &[403]).await,
        Intruder::OddPath => refused("/api/v1/results/by-node/%2e%2e%2f%2e%2e/nodes", &[301, 403, 404]).await,
        Intruder::NoCertificate => {
            let client = reqwest::Client::builder()
                .tls_danger_accept_invalid_certs(true)
                .no_proxy()
                .build()?;
            let answer = client
                .put(format!("{base}/api/v1/results/global/last"))
                .body("x")
                .send()
                .await;
            Ok(answer
                .ok()
                .map(|answer| format!("without a certificate: {}", answer.status())))
        }
        Intruder::Garbage { bytes } => {
            if let Ok(mut stream) = connect(address).await {
                // The server may close the connection early.
                stream.write_all(&vec![b'\x16'; usize::from(bytes)]).await.ok();
                let mut rest = Vec::new();
                timeout(Duration::from_secs(30), stream.read_to_end(&mut rest))
                    .await
                    .ok();
            }
            Ok(None)
        }
        Intruder::Silent => {
            if let Ok(mut stream) = connect(address).await {
                let ended = timeout(Duration::from_secs(30), stream.read_u8()).await;
                return Ok(ended
                    .is_err()
                    .then(|| "a connection without a handshake was open for 30 s".to_owned()));
            }
            Ok(None)
        }
        Intruder::SlowReader => {
            let head = "PUT /api/v1/results/by-node/stranger/nodes HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
            send_slowly(config, address, head.repeat(2000)).await
        }
        Intruder::SlowHead => {
            let head = "PUT /api/v1/results/by-node/stranger/nodes HTTP/1.1\r\nHost: h\r\nX-Slow: ";
            send_slowly(config, address, head.to_owned()).await
        }
    }
}

async fn connect(address: Ipv4Addr) -> std::io::Result<TcpStream> {
    TcpStream::connect((address, constants::AGGREGATOR_PORT)).await
}

/// Completes the TLS handshake, sends these bytes, and reads slowly until the server closes the connection. Blocking: uses
/// rustls without tokio's wrapper.
async fn send_slowly(config: WorkerConfig, address: Ipv4Addr, text: String) -> anyhow::Result<Option<String>> {
    tokio::task::spawn_blocking(move || {
        use std::io::{Read as _, Write as _};
        let tls = sono_tls::client_config(&config.ca_cert, &config.client_cert, &config.client_key)?;
        let name = rustls::pki_types::ServerName::try_from(address.to_string())?;
        let connection = rustls::ClientConnection::new(Arc::new(tls), name)?;
        let Ok(stream) = std::net::TcpStream::connect((address, constants::AGGREGATOR_PORT)) else {
            return Ok(None);
        };
        stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut stream = rustls::StreamOwned::new(connection, stream);
        // The server may cut the connection or stop reading; both are expected here.
        if stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(500));
        let mut rest = [0; 512];
        while let Ok(1..) = stream.read(&mut rest) {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(None)
    })
    .await?
}
