//! Queries from another process in the same pod, for users who may exec but not port-forward.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use sono_types::{RunStatus, constants, exit, fold_status, routes};

/// Time limit of each step of a query.
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// Maximum size of the short form in bytes.
const SHORT_STATUS_BYTES: usize = 64 << 10;

/// Prints the status: every row of it, or the short form.
pub(super) fn status(full: bool) -> anyhow::Result<ExitCode> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, constants::LOCAL_PORT));
    let mut text = ask(address, routes::LOCAL_STATUS).context("cannot query the aggregator of this pod")?;
    if !full {
        let status: RunStatus = serde_json::from_slice(&text).context("reading the status")?;
        text = serde_json::to_vec(&fold_status(&status, SHORT_STATUS_BYTES))?;
    }
    text.push(b'\n');
    std::io::stdout()
        .write_all(&text)
        .context("writing to standard output")?;
    Ok(ExitCode::from(exit::SUCCESS))
}

/// The body of a plain `GET`. HTTP/1.0: the connection ends with the response, so no client library is needed.
fn ask(address: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
    let mut stream =
        TcpStream::connect_timeout(&address, STEP_LIMIT).with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(STEP_LIMIT))?;
    stream.set_write_timeout(Some(STEP_LIMIT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .context("the response has no headers")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let body = answer.split_off(end + 4);
    let line = head.lines().next().unwrap_or_default();
    if line.split(' ').nth(1) != Some("200") {
        bail!(
            "the aggregator returned {line}: {}",
            String::from_utf8_lossy(&body).trim_end()
        );
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::observe::loopback::{LoopbackView, serve_locally};

    #[tokio::test]
    async fn status_query_reads_the_whole_response() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let _server = serve_locally(listener, LoopbackView::default()).unwrap();
        let asked = tokio::task::spawn_blocking(move || {
            let status = ask(address, routes::LOCAL_STATUS).unwrap();
            (status, ask(address, routes::LOCAL_ARCHIVE).unwrap_err().to_string())
        });
        let (status, error) = asked.await.unwrap();
        assert_eq!(
            serde_json::from_slice::<RunStatus>(&status).unwrap(),
            RunStatus::default()
        );
        assert_eq!(
            error,
            "the aggregator returned HTTP/1.0 404 Not Found: no archive exists yet"
        );
    }
}
