//! The loopback listener: whole status, archive with ranges, partial results.

use reqwest::{Client, Response};
use serde_json::Value;
use sono_types::{RunStatus, routes};

use crate::{
    backend::{Options, TestRun, within},
    put,
};

async fn get(run: &std::net::SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Client::new().get(format!("http://{run}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    within(request.send()).await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn partial_results_are_served_during_the_run_and_the_archive_afterwards() {
    let run = TestRun::begin(Options::default()).await;
    let (client, local) = (run.client("p"), run.local);
    let by_node = |node: &str| run.url(&format!("/api/v1/results/by-node/{node}/p"));
    let (first, second) = (by_node("n1"), by_node("n2"));
    assert_eq!(get(&local, routes::LOCAL_ARCHIVE, &[]).await.status(), 404);
    assert_eq!(put(&client, &first, &[], "one").await.0, 200);

    let partial = get(&local, routes::LOCAL_PARTIAL, &[]).await;
    assert_eq!(partial.status(), 200);
    assert_eq!(
        header(&partial, "content-disposition"),
        "attachment; filename=\"partial_run.tar.gz\""
    );
    let bytes = within(partial.bytes()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("partial.tar.gz");
    fs_err::write(&file, &bytes).unwrap();
    let bundle = sono_bundle::Bundle::open(&file).unwrap();
    assert_eq!(
        bundle.read("plugins/p/results/n1/result").unwrap().as_deref(),
        Some(b"one".as_slice())
    );

    assert_eq!(put(&client, &second, &[], "two").await.0, 200);
    let (outcome, _root) = run.finished().await;
    let finished = outcome.unwrap();
    let whole = fs_err::read(&finished.archive).unwrap();
    let tarball = &finished.status.tarball;

    // The listener outlives the run.
    let status: RunStatus = get(&local, routes::LOCAL_STATUS, &[]).await.json().await.unwrap();
    assert_eq!(status, finished.status);
    assert_eq!(get(&local, routes::LOCAL_PARTIAL, &[]).await.status(), 404);
    let got = get(&local, routes::LOCAL_ARCHIVE, &[]).await;
    let etag = format!("\"{}\"", tarball.sha256);
    assert_eq!(got.status(), 200);
    assert_eq!(header(&got, "etag"), etag);
    assert_eq!(header(&got, "accept-ranges"), "bytes");
    assert_eq!(header(&got, "content-length"), whole.len().to_string());
    assert_eq!(
        header(&got, "content-disposition"),
        format!("attachment; filename=\"{}\"", tarball.name)
    );
    assert_eq!(within(got.bytes()).await.unwrap(), whole);

    let head = Client::new().head(format!("http://{local}{}", routes::LOCAL_ARCHIVE));
    let head = within(head.send()).await.unwrap();
    assert_eq!(header(&head, "content-length"), whole.len().to_string());
    assert_eq!(within(head.bytes()).await.unwrap().len(), 0);

    let rest = get(
        &local,
        routes::LOCAL_ARCHIVE,
        &[("Range", "bytes=10-"), ("If-Range", &etag)],
    )
    .await;
    assert_eq!(rest.status(), 206);
    assert_eq!(
        header(&rest, "content-range"),
        format!("bytes 10-{}/{}", whole.len() - 1, whole.len())
    );
    assert_eq!(within(rest.bytes()).await.unwrap(), whole[10..]);
    let outside = get(&local, routes::LOCAL_ARCHIVE, &[("Range", "bytes=99999999-")]).await;
    assert_eq!(outside.status(), 416);
    assert_eq!(header(&outside, "content-range"), format!("bytes */{}", whole.len()));
    // A client with a part of another archive gets this one from the start.
    let other = get(
        &local,
        routes::LOCAL_ARCHIVE,
        &[("Range", "bytes=10-"), ("If-Range", "\"other\"")],
    )
    .await;
    assert_eq!(other.status(), 200);
    assert_eq!(within(other.bytes()).await.unwrap(), whole);
}

#[tokio::test]
async fn full_status_has_every_row() {
    let run = TestRun::begin(Options {
        nodes: 3000,
        ..Options::default()
    })
    .await;
    let rows = async {
        loop {
            let status: Value = get(&run.local, routes::LOCAL_STATUS, &[]).await.json().await.unwrap();
            if let Some(rows) = status["plugins"].as_array() {
                return rows.len();
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(within(rows).await, 3000);
    let other = get(&run.local, "/api/v1/results/global/p", &[]).await;
    assert_eq!(other.status(), 404);
}

/// The next status contains every result that was answered with 200, with many concurrent uploads.
#[tokio::test]
async fn full_status_contains_every_acknowledged_result() {
    let run = TestRun::begin(Options {
        nodes: 30,
        ..Options::default()
    })
    .await;
    let client = run.client("p");
    let mut seen = Vec::new();
    for node in 1..30 {
        let url = run.url(&format!("/api/v1/results/by-node/n{node}/p"));
        assert_eq!(put(&client, &url, &[], "fine").await.0, 200);
        let status: RunStatus = get(&run.local, routes::LOCAL_STATUS, &[]).await.json().await.unwrap();
        let complete = status.rows().iter().filter(|row| row.status == "complete").count();
        seen.push(complete);
    }
    assert_eq!(seen, (1..30).collect::<Vec<_>>());
}

/// `splat --file`, for users who may exec but not port-forward: the rest of an interrupted download.
#[tokio::test]
async fn splat_writes_a_file_from_any_offset() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("a.tar.gz"), "0123456789").unwrap();
    let splat = async |arguments: &[&str]| {
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_sono-aggregator"));
        program.arg("splat").arg(folder.path()).args(arguments);
        let output = within(program.output()).await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let written = |text: &str| (Some(0), text.to_owned());
    assert_eq!(splat(&["--file", "a.tar.gz"]).await, written("0123456789"));
    assert_eq!(splat(&["--file", "a.tar.gz", "--offset", "7"]).await, written("789"));
    assert_eq!(splat(&["--file", "a.tar.gz", "--offset", "10"]).await, written(""));
    let refused = (Some(1), String::new());
    assert_eq!(splat(&["--file", "a.tar.gz", "--offset", "11"]).await, refused);
    assert_eq!(splat(&["--file", "../a.tar.gz"]).await, refused);
    assert_eq!(splat(&["--file", ".."]).await, refused);
    assert_eq!(splat(&["--offset", "1"]).await, refused);
}

#[tokio::test]
async fn requests_of_web_pages_are_refused() {
    let run = TestRun::begin(Options::default()).await;
    for (headers, status) in [
        (vec![], 200),
        (vec![("Host", "localhost:8081")], 200),
        (vec![("Host", "[::1]:1")], 200),
        (vec![("Host", "evil.example")], 421),
        (vec![("Host", "evil.example"), ("Origin", "http://evil.example")], 421),
        (vec![("Origin", "http://evil.example")], 403),
        (vec![("Origin", "null")], 403),
    ] {
        for path in [routes::LOCAL_STATUS, routes::LOCAL_PARTIAL, routes::METRICS] {
            assert_eq!(
                get(&run.local, path, &headers).await.status(),
                status,
                "{path} {headers:?}"
            );
        }
        let unknown = get(&run.local, "/unknown", &headers).await.status().as_u16();
        assert_eq!(unknown, if status == 200 { 404 } else { status }, "{headers:?}");
    }
}
