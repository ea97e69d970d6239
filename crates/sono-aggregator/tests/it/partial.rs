//! Bodies that broke off, and their rests.

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

/// Larger than what is not worth keeping, and no piece of it like another.
fn content() -> Vec<u8> {
    let byte = |at: u32| u8::try_from(((at / 251) ^ at) % 251).unwrap();
    (0..5 << 20).map(byte).collect()
}

/// Sends the first `bytes` of the content, and then the connection breaks.
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
        // A socket that is closed while something is unread takes along what it has sent.
        connection.sock.shutdown(Shutdown::Write).unwrap();
        drop(connection.read_to_end(&mut Vec::new()));
    });
    within(work).await.unwrap();
}

/// Status, and how much is there.
async fn ask(client: &Client, url: &str, name: &str) -> (u16, Option<usize>) {
    let answer = within(client.head(url).header(routes::UPLOAD_HEADER, name).send())
        .await
        .unwrap();
    let bytes = answer.headers().get(routes::RECEIVED_HEADER);
    let bytes = bytes.map(|bytes| bytes.to_str().unwrap().parse().unwrap());
    (answer.status().as_u16(), bytes)
}

/// Waits until the server has noticed that the body broke off.
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
async fn a_large_result_goes_on_where_it_broke_off() {
    let run = TestRun::start(vec![plugin("p", DriverKind::Job)], UploadLimits::default()).await;
    let (client, url) = (run.client("p"), run.url(PATH));
    assert_eq!(ask(&client, &url, NAME).await, (404, None));
    send_and_break_off(&run, 3 << 20).await;
    let from = received(&client, &url).await;
    assert_eq!(from, 3 << 20);
    // Under another name it is another body.
    assert_eq!(ask(&client, &url, "5-2").await, (404, None));
    assert_eq!(put_rest(&client, &url, from).await, (200, String::new()));
    let stored = fs_err::read(run.directory().join("plugins/p/results/global/result")).unwrap();
    assert!(stored == content(), "{} bytes", stored.len());
    assert!(run.finished().await.0.is_ok());
}

/// What does not follow what is there is not taken for it; the body then comes from its beginning.
#[tokio::test]
async fn a_rest_of_something_else_is_refused() {
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

/// Nor does anybody learn what another plugin has sent.
#[tokio::test]
async fn only_its_own_plugin_may_ask() {
    let plugins = vec![plugin("p", DriverKind::Job), plugin("q", DriverKind::Job)];
    let run = TestRun::start(plugins, UploadLimits::default()).await;
    send_and_break_off(&run, 3 << 20).await;
    received(&run.client("p"), &run.url(PATH)).await;
    assert_eq!(ask(&run.client("q"), &run.url(PATH), NAME).await, (403, None));
}
