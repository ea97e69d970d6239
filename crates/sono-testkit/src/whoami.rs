//! An API server for connection tests: it only serves `/version` and reports the client's credentials in the response.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs::default_provider,
    server::WebPkiClientVerifier,
};
use serde_json::json;

use crate::Identity;

/// Maximum time that a client may be silent.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a request's head, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// A server that listens on loopback until the process ends.
#[derive(Debug)]
pub struct WhoamiServer {
    address: SocketAddr,
}

impl WhoamiServer {
    /// Starts a server without TLS.
    pub fn plain() -> Self {
        Self::start(IpAddr::from([127, 0, 0, 1]), None)
    }

    /// Starts a server with TLS on `address`. Client certificates of `clients` are optional.
    pub fn secure(address: IpAddr, server: &Identity, clients: &Identity) -> Self {
        let provider = Arc::new(default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(clients.der()).expect("it is a certificate");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .expect("the roots contain an authority");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider supports the default versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![server.der()], server.key_der())
            .expect("the key matches the certificate");
        Self::start(address, Some(Arc::new(config)))
    }

    fn start(address: IpAddr, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let tls = tls.clone();
                // Ignore clients that disconnect early.
                thread::spawn(move || serve(client, tls).ok());
            }
        });
        Self { address }
    }

    /// Address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Port of the server.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

fn serve(client: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<()> {
    client.set_read_timeout(Some(READ_TIMEOUT))?;
    let Some(tls) = tls else {
        return answer(client, false);
    };
    let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, client);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    let certified = stream.conn.peer_certificates().is_some();
    answer(&mut stream, certified)?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn answer(mut client: impl Read + Write, certified: bool) -> io::Result<()> {
    let head = head(&mut client)?;
    let mut lines = head.lines();
    let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default();
    let path = path.find("://").map_or(path, |scheme| {
        let rest = &path[scheme + 3..];
        rest.find('/').map_or("/", |slash| &rest[slash..])
    });
    let prefix = path.split("/version").next().unwrap_or_default();
    let mut who: Vec<String> = Vec::new();
    if certified {
        who.push("a certificate".to_owned());
    }
    let mut headers: Vec<String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .filter(|(name, _)| name == "authorization" || name.starts_with("impersonate-"))
        .map(|(name, value)| match name.as_str() {
            "authorization" => value.to_owned(),
            _ => format!("{name} {value}"),
        })
        .collect();
    headers.sort();
    who.extend(headers);
    if !prefix.is_empty() {
        who.push(format!("below {prefix}"));
    }
    if who.is_empty() {
        who.push("anonymous".to_owned());
    }
    let body = json!({
        "major": "1", "minor": "37", "gitVersion": "v1.37.2", "platform": "linux/amd64", "who": who.join(", "),
    });
    let body = body.to_string();
    let length = body.len();
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    client.write_all(text.as_bytes())?;
    client.flush()
}

/// Reads the request line and headers.
pub(crate) fn head(client: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        bytes.extend(byte);
        if bytes.len() > MAX_HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
