//! The aggregator on the wire: real TLS, real files, and nothing else.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod adopted;
mod backend;
mod broken;
mod connections;
mod judged;
mod killed;
mod late;
mod local;
mod nodes;
mod owned;
mod partial;
mod query;
mod raw;
mod redaction;
mod refusals;
mod skew;
mod taken_up;
mod throughput;
mod watching;
mod wire;

use std::{collections::BTreeMap, io::Write as _, time::Duration};

use backend::{Options, TestRun, plugin, within};
use reqwest::{Client, StatusCode};
use serde_json::json;
use sono_bundle::Bundle;
use sono_manifest::DriverKind;
use sono_types::{Config, OverallStatus, UploadLimits, status::plugin_status};

/// Sends a body and returns the status and text of the response.
pub(crate) async fn put(
    client: &Client,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> (u16, String) {
    let mut request = client.put(url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request).await
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = within(request.send()).await.unwrap();
    (response.status().as_u16(), within(response.text()).await.unwrap())
}

/// Names and contents of all files below a directory.
pub(crate) fn tree(root: &std::path::Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs_err::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.insert(
                    name,
                    String::from_utf8_lossy(&fs_err::read(&path).unwrap()).into_owned(),
                );
            }
        }
    }
    files
}

pub(crate) fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        // Written by hand: the builder itself refuses hostile names.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    let mut encoder = builder.into_inner().unwrap();
    encoder.flush().unwrap();
    encoder.finish().unwrap()
}

pub(crate) const GLOBAL: &str = "/api/v1/results/global/p";

#[tokio::test]
async fn a_result_is_stored_once_and_the_run_ends_with_an_archive() {
    let run = TestRun::start(vec![plugin("p", DriverKind::Job)], UploadLimits::default()).await;
    let (client, url) = (run.client("p"), run.url(GLOBAL));
    let mut statuses = run.statuses.clone();
    let headers = [
        ("Content-Disposition", "attachment;filename=out.txt"),
        ("Content-Type", ""),
    ];
    assert_eq!(put(&client, &url, &headers, "content").await, (200, String::new()));
    let (outcome, _root) = run.finished().await;
    let finished = outcome.unwrap();
    let bundle = Bundle::open(&finished.archive).unwrap();
    assert_eq!(
        bundle.read("plugins/p/results/global/out.txt").unwrap().as_deref(),
        Some(b"content".as_slice())
    );
    assert_eq!(
        String::from_utf8(bundle.read("plugins/p/sonobuoy_results.yaml").unwrap().unwrap()).unwrap(),
        "name: p\nstatus: passed\nmeta:\n  type: summary\nitems:\n- name: out.txt\n  status: passed\n  meta:\n    file: results/global/out.txt\n"
    );
    assert_eq!(
        bundle.read("meta/info.json").unwrap().as_deref(),
        Some(br#"{"plugins":["p"]}"#.as_slice())
    );
    let last = statuses.borrow_and_update().clone();
    assert_eq!(last, finished.status);
    assert_eq!(last.status, OverallStatus::Complete);
    assert_eq!(last.tarball.size, fs_err::metadata(&finished.archive).unwrap().len());
}

/// W-46: unreadable results are errors of the run, except with Sonobuoy's compatibility.
#[tokio::test]
async fn unreadable_results_are_errors_of_the_run() {
    for (compatibility, errors, status) in [("", 1, "unknown"), ("sonobuoy", 0, "passed")] {
        let config = Config {
            results_compatibility: compatibility.to_owned(),
            ..Config::default()
        };
        let mut junit = plugin("p", DriverKind::Job);
        "junit".clone_into(&mut junit.result_format);
        let run = TestRun::begin(Options {
            definitions: vec![junit],
            config,
            ..Options::default()
        })
        .await;
        let headers = [("Content-Disposition", "attachment;filename=out.xml")];
        let answer = put(&run.client("p"), &run.url(GLOBAL), &headers, "<testsuites/>").await;
        assert_eq!(answer, (200, String::new()));
        let (outcome, _root) = run.finished().await;
        let finished = outcome.unwrap();
        let plugins = finished.status.plugins.unwrap();
        assert_eq!(
            (finished.errors, plugins[0].result_status.as_str()),
            (errors, status),
            "{compatibility:?}"
        );
    }
}

/// W-11: and each certificate is for its own plugin.
#[tokio::test]
async fn refusals_have_the_texts_of_the_protocol() {
    let definitions = vec![plugin("p", DriverKind::DaemonSet), plugin("cis-1.8", DriverKind::Job)];
    let run = TestRun::start(definitions, UploadLimits::default()).await;
    let (p, cis) = (run.client("p"), run.client("cis-1.8"));
    let by_node = |node: &str| run.url(&format!("/api/v1/results/by-node/{node}/p"));
    assert_eq!(put(&p, &by_node("n1"), &[], "x").await, (200, String::new()));
    assert_eq!(
        put(&p, &by_node("n1"), &[], "x").await,
        (409, "result p/n1 already received\n".to_owned())
    );
    assert_eq!(
        put(&p, &by_node("n9"), &[], "x").await,
        (403, "result p/n9 unexpected\n".to_owned())
    );
    assert_eq!(
        put(&p, &by_node("..%2Fn1"), &[], "x").await,
        (403, "result p/../n1 unexpected\n".to_owned())
    );
    assert_eq!(
        put(&p, &run.url(GLOBAL), &[], "x").await,
        (403, "result p/global unexpected\n".to_owned())
    );
    // A certificate is for its own plugin only.
    assert_eq!(
        put(&cis, &by_node("n2"), &[], "x").await,
        (
            403,
            "result p/n2 refused: the client certificate belongs to \"cis-1.8\"\n".to_owned()
        )
    );
    assert_eq!(
        put(&p, &run.url("/api/v1/other"), &[], "x").await,
        (404, "404 page not found\n".to_owned())
    );
    assert_eq!(put(&p, &run.url("/api/v1/results/by-node/p"), &[], "x").await.0, 404);
    assert_eq!(answer(p.get(by_node("n2"))).await, (405, String::new()));
    // The name is compared as text, because it is not a DNS name.
    assert_eq!(
        put(&cis, &run.url("/api/v1/results/global/cis-1.8"), &[], "x").await,
        (200, String::new())
    );
}

/// W-4: names and archive entries that lead outside are refused.
#[tokio::test]
async fn hostile_content_is_refused_and_stays_inside_until_a_good_one_follows() {
    let limits = UploadLimits {
        max_entries: 3,
        ..UploadLimits::default()
    };
    let run = TestRun::start(vec![plugin("p", DriverKind::DaemonSet)], limits).await;
    let client = run.client("p");
    let url = run.url("/api/v1/results/by-node/n1/p");
    let gzip = [("Content-Type", "application/gzip")];
    let hostile_name = [("Content-Disposition", r#"attachment;filename="../../../escaped""#)];
    let before: Vec<String> = tree(run.root.path()).into_keys().collect();
    let (status, text) = put(&client, &url, &hostile_name, "x").await;
    assert_eq!(status, 400, "{text}");
    assert!(text.starts_with("error handling result p/n1: "), "{text}");
    assert_eq!(put(&client, &url, &gzip, archive(&[("../escaped", "x")])).await.0, 400);
    assert_eq!(
        put(
            &client,
            &url,
            &gzip,
            archive(&[("a", ""), ("b", ""), ("c", ""), ("d", "")])
        )
        .await
        .0,
        400
    );
    assert_eq!(put(&client, &url, &gzip, "no gzip").await.0, 400);
    let mut statuses = run.statuses.clone();
    let is_failed = |status: &sono_types::RunStatus| {
        let first = status.rows().first();
        first.is_some_and(|row| row.status == plugin_status::FAILED)
    };
    let failed = within(statuses.wait_for(is_failed)).await;
    assert!(failed.is_ok());
    drop(failed);
    let good = archive(&[("deep/good.txt", "good")]);
    assert_eq!(put(&client, &url, &gzip, good).await, (200, String::new()));
    let added: BTreeMap<String, String> = tree(run.root.path())
        .into_iter()
        .filter(|(name, _)| !before.contains(name) && name.contains("results/"))
        .collect();
    let expected = BTreeMap::from([("run/plugins/p/results/n1/deep/good.txt".to_owned(), "good".to_owned())]);
    assert_eq!(added, expected);
    assert!(!tree(run.root.path()).keys().any(|name| name.contains("escaped")));
    assert_eq!(
        put(&client, &run.url("/api/v1/results/by-node/n2/p"), &[], "x").await.0,
        200
    );
    let (outcome, _root) = run.finished().await;
    let finished = outcome.unwrap();
    // The good result replaced the error.
    assert_eq!(finished.status.rows()[0].status, plugin_status::COMPLETE);
    let bundle = Bundle::open(&finished.archive).unwrap();
    assert_eq!(bundle.read("plugins/p/errors/n1/error.json").unwrap(), None);
}

/// W-6: the error report of a worker that cannot read its result is an error result.
#[tokio::test]
async fn error_report_of_a_worker_is_an_error_result() {
    for headers in [
        vec![
            ("X-Sono-Error", "1"),
            ("Content-Disposition", "attachment;filename=error.json"),
        ],
        vec![],
    ] {
        let run = TestRun::start(vec![plugin("p", DriverKind::Job)], UploadLimits::default()).await;
        let (client, url) = (run.client("p"), run.url(GLOBAL));
        let body = json!({"error": "cannot read it"}).to_string();
        assert_eq!(put(&client, &url, &headers, body).await, (200, String::new()));
        let (outcome, _root) = run.finished().await;
        let finished = outcome.unwrap();
        assert_eq!(finished.status.rows()[0].status, plugin_status::FAILED);
        let bundle = Bundle::open(&finished.archive).unwrap();
        assert_eq!(
            bundle.read("plugins/p/errors/global/error.json").unwrap().as_deref(),
            Some(br#"{"error":"cannot read it"}"#.as_slice())
        );
    }
}

/// W-3: nothing is locked while a body is received.
#[tokio::test]
async fn stalled_client_does_not_delay_others() {
    let limits = UploadLimits {
        idle_timeout: Duration::from_millis(300),
        ..UploadLimits::default()
    };
    let run = TestRun::start(vec![plugin("p", DriverKind::DaemonSet)], limits).await;
    let silent = run.client("p");
    let url = run.url("/api/v1/results/by-node/n1/p");
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, std::io::Error>>(1);
    sender.send(Ok(bytes::Bytes::from_static(b"begin"))).await.unwrap();
    let stream = futures::stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    });
    let stalled = tokio::spawn({
        let url = url.clone();
        async move { put(&silent, &url, &[], reqwest::Body::wrap_stream(stream)).await }
    });
    let other = run.client("p");
    assert_eq!(
        put(&other, &run.url("/api/v1/results/by-node/n2/p"), &[], "x").await.0,
        200
    );
    let (status, text) = within(stalled).await.unwrap();
    assert_eq!(
        (status, text.as_str()),
        (
            500,
            "error handling result p/n1: the body sent nothing for 0 s after 5 bytes\n"
        )
    );
    // The result is still pending.
    assert_eq!(put(&other, &url, &[], "x").await.0, 200);
    drop(sender);
    assert!(run.finished().await.0.is_ok());
}

#[tokio::test]
async fn sizes_are_limited() {
    let limits = UploadLimits {
        max_body_bytes: 10,
        max_progress_bytes: 20,
        ..UploadLimits::default()
    };
    let run = TestRun::start(vec![plugin("p", DriverKind::DaemonSet)], limits).await;
    let client = run.client("p");
    let url = run.url("/api/v1/results/by-node/n1/p");
    let expected = (
        400,
        "error handling result p/n1: the body is larger than the limit of 10 bytes (UploadLimits.MaxBodyBytes)\n"
            .to_owned(),
    );
    assert_eq!(put(&client, &url, &[], "12345678901").await, expected);
    let chunks = futures::stream::iter(["123456", "78901"].map(Ok::<_, std::io::Error>));
    assert_eq!(
        put(&client, &url, &[], reqwest::Body::wrap_stream(chunks)).await,
        expected
    );
    let progress = run.url("/api/v1/progress/by-node/n1/p");
    assert_eq!(
        answer(client.post(&progress).body(r#"{"msg":"123456789012345"}"#))
            .await
            .0,
        400
    );
    assert!(!run.directory().join("plugins/p/results").exists());
}

/// W-2: Sonobuoy has no route for the progress of nodes.
#[tokio::test]
async fn progress_is_accepted_on_both_routes() {
    let definitions = vec![plugin("p", DriverKind::DaemonSet), plugin("q", DriverKind::Job)];
    let run = TestRun::start(definitions, UploadLimits::default()).await;
    let (p, q) = (run.client("p"), run.client("q"));
    let post = |client: &Client, path: &str, body: &'static str| answer(client.post(run.url(path)).body(body));
    let update = r#"{"msg":"half","total":2,"completed":1}"#;
    assert_eq!(
        post(&p, "/api/v1/progress/by-node/n2/p", update).await,
        (200, String::new())
    );
    assert_eq!(
        post(&q, "/api/v1/progress/global/q", update).await,
        (200, String::new())
    );
    assert_eq!(post(&q, "/api/v1/progress/global/q", "x").await, (400, String::new()));
    assert_eq!(
        post(&p, "/api/v1/progress/by-node/n9/p", update).await,
        (403, "progress update for p/n9 unexpected\n".to_owned())
    );
    let mut statuses = run.statuses.clone();
    let has_progress = |status: &sono_types::RunStatus| {
        let progress: Vec<Option<&str>> = status
            .rows()
            .iter()
            .map(|row| row.progress.as_ref().map(|progress| progress.msg.as_str()))
            .collect();
        progress == [None, Some("half"), Some("half")]
    };
    assert!(within(statuses.wait_for(has_progress)).await.is_ok());
}

#[tokio::test]
async fn client_without_a_certificate_of_the_run_is_refused() {
    let run = TestRun::start(vec![plugin("p", DriverKind::Job)], UploadLimits::default()).await;
    let other = TestRun::start(vec![plugin("p", DriverKind::Job)], UploadLimits::default()).await;
    let error = within(other.client("p").put(run.url(GLOBAL)).body("x").send())
        .await
        .unwrap_err();
    assert!(error.is_connect() || error.is_request(), "{error:?}");
    assert_eq!(
        run.client("p")
            .put(run.url(GLOBAL))
            .body("x")
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );
}
