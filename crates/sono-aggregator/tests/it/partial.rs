//! Interrupted uploads and their resumption.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    time::Duration,
};

use reqwest::Client;
use sono_manifest::DriverKind;
use sono_types::{UploadLimits, routes};

use crate::{
    backend::{TestRun, plugin, within},
    put,
    raw::connect,
};

const PATH: &str = "/api/v1/results/global/p";
const NAME: &str = "5-1";

/// A body above the minimum size of resumable uploads, in which no two parts are equal.
fn content() -> Vec<u8> {
    let byte = |at: u32| u8::try_from(((at / 251) ^ at) % 251).unwrap();
    (0..5 << 20).map(byte).collect()
}

/// Sends the first `bytes` of the content, then closes the connection.
async fn send_and_break_off(run: &TestRun, bytes: usize) {
    let content = content();
    let head = format!(
        "PUT {PATH} HTTP/1.1\r\nHost: h\r\n{}: {NAME}\r\nContent-Length: {}\r\n\r\n",
        routes::UPLOAD_HEADER,
        content.len()
    );
    let mut connection = connect(run, run.tls("p")).await.unwrap();
    let work = tokio::task::spawn_blocking(move || {
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(&content[..bytes]).unwrap();
        connection.flush().unwrap();
        // A socket that is closed with unread data discards its sent data.
        connection.sock.shutdown(Shutdown::Write).unwrap();
        drop(connection.read_to_end(&mut Vec::new()));
    });
    within(work).await.unwrap();
}

/// Status of the response, and the number of stored bytes.
async fn ask(client: &Client, url: &str, name: &str) -> (u16, Option<usize>) {
    let answer = within(client.head(url).header(routes::UPLOAD_HEADER, name).send())
        .await
        .unwrap();
    let bytes = answer.headers().get(routes::RECEIVED_HEADER);
    let bytes = bytes.map(|bytes| bytes.to_str().unwrap().parse().unwrap());
    (answer.status().as_u16(), bytes)
}

/// Waits until the server has detected the interruption.
async fn received(client: &Client, url: &str) -> usize {
    let noticed = async {
        loop {
            if let (200, Some(bytes)) = ask(client, url, NAME).await {
                return bytes;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(noticed).await
}

fn rest(from: usize, whole: usize) -> [(&'static str, String); 2] {
    [
        (routes::UPLOAD_HEADER, NAME.to_owned()),
        ("content-range", format!("bytes {from}-{}/{whole}", whole - 1)),
    ]
}

async fn put_rest(client: &Client, url: &str, from: usize) -> (u16, String) {
    let content = content();
    let headers = rest(from, content.len());
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    put(client, url, &headers, content[from..].to_vec()).await
}

#[tokio::test]
async fn interrupted_large_upload_is_resumed() {
    let run = TestRun::start(vec![plugin("p", DriverKind::Job)], UploadLimits::default()).await;
    let (client, url) = (run.client("p"), run.url(PATH));
    assert_eq!(ask(&client, &url, NAME).await, (404, None));
    send_and_break_off(&run, 3 << 20).await;
    let from = received(&client, &url).await;
    assert_eq!(from, 3 << 20);
    // Another name identifies another body.
    assert_eq!(ask(&client, &url, "5-2").await, (404, None));
    assert_eq!(put_rest(&client, &url, from).await, (200, String::new()));
    let stored = fs_err::read(run.directory().join("plugins/p/results/global/result")).unwrap();
    assert!(stored == content(), "{} bytes", stored.len());
    assert!(run.finished().await.0.is_ok());
}

/// A rest that does not continue the stored part is refused; the body is then sent from its beginning.
#[tokio::test]
async fn rest_that_does_not_continue_the_stored_part_is_refused() {
    let run = TestRun::start(vec![plugin("p", DriverKind::Job)], UploadLimits::default()).await;
    let (client, url) = (run.client("p"), run.url(PATH));
    send_and_break_off(&run, 3 << 20).await;
    let from = received(&client, &url).await;
    let (status, text) = put_rest(&client, &url, from - 1).await;
    let expected = format!(
        "error handling result p/global: the first {} bytes of the body are not stored; send the body from the beginning\n",
        from - 1
    );
    assert_eq!((status, text), (416, expected));
    assert_eq!(ask(&client, &url, NAME).await, (404, None));
    assert_eq!(put_rest(&client, &url, 0).await, (200, String::new()));
    let stored = fs_err::read(run.directory().join("plugins/p/results/global/result")).unwrap();
    assert!(stored == content(), "{} bytes", stored.len());
    assert!(run.finished().await.0.is_ok());
}

/// A plugin cannot query the uploads of another one.
#[tokio::test]
async fn received_bytes_are_reported_to_the_own_plugin_only() {
    let plugins = vec![plugin("p", DriverKind::Job), plugin("q", DriverKind::Job)];
    let run = TestRun::start(plugins, UploadLimits::default()).await;
    send_and_break_off(&run, 3 << 20).await;
    received(&run.client("p"), &run.url(PATH)).await;
    assert_eq!(ask(&run.client("q"), &run.url(PATH), NAME).await, (403, None));
}
