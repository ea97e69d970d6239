//! Raw HTTP requests over real TLS.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};

use crate::backend::{TestRun, within};

pub(crate) type Connection = StreamOwned<ClientConnection, TcpStream>;

/// A connection that speaks HTTP/1.1.
pub(crate) async fn connect(run: &TestRun, tls: rustls::ClientConfig) -> io::Result<Connection> {
    let address = run.address;
    within(tokio::task::spawn_blocking(move || shake_hands(address, tls)))
        .await
        .unwrap()
}

fn shake_hands(address: SocketAddr, mut tls: rustls::ClientConfig) -> io::Result<Connection> {
    if tls.alpn_protocols.is_empty() {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
    let client = ClientConnection::new(Arc::new(tls), name).map_err(io::Error::other)?;
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut connection = StreamOwned::new(client, stream);
    while connection.conn.is_handshaking() {
        connection.conn.complete_io(&mut connection.sock)?;
    }
    Ok(connection)
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self {
            status,
            headers,
            body: body.to_owned(),
        }
    }
}

/// Sends `head` (lines without their ends) and `body` as they are and reads until the server closes.
pub(crate) async fn exchange(run: &TestRun, plugin: &str, head: &[&str], body: &[u8]) -> Answer {
    let mut bytes = head.join("\r\n").into_bytes();
    bytes.extend_from_slice(b"\r\nHost: h\r\nConnection: close\r\n\r\n");
    bytes.extend_from_slice(body);
    let mut connection = connect(run, run.tls(plugin)).await.unwrap();
    let work = tokio::task::spawn_blocking(move || {
        connection.write_all(&bytes).unwrap();
        connection.flush().unwrap();
        let mut text = Vec::new();
        // A server that closes without TLS' close_notify has sent its response.
        drop(connection.read_to_end(&mut text));
        Answer::parse(&String::from_utf8_lossy(&text))
    });
    within(work).await.unwrap()
}
