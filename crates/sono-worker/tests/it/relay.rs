use std::net::TcpListener;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sono_types::Target;
use sono_worker::{Options, RelayListener, WorkerError};

use crate::{
    Plugin,
    aggregator::{Aggregator, Received},
    options,
};

fn post(path: &str, body: &str) -> Received {
    Received {
        line: format!("POST {path} HTTP/1.1"),
        headers: vec![("content-length", body.len().to_string())],
        length: body.len(),
        start: body.to_owned(),
        peer: vec!["cis-1.8".to_owned()],
    }
}

/// Runs a worker with a relay while `plugin_does`, which receives the relay's address, runs.
async fn with_relay<Does: Future<Output = ()>>(plugin: &Plugin, plugin_does: impl FnOnce(String) -> Does) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let options = Options {
        relay: RelayListener::Bound(vec![listener]),
        grace: std::time::Duration::ZERO,
        ..options()
    };
    let outcome = plugin.run_with(options, plugin_does(url)).await;
    assert!(
        matches!(outcome, Ok(sono_worker::WorkerOutcome::NoResults)),
        "{outcome:?}"
    );
}

async fn send(method: Method, url: &str, body: &'static str) -> (u16, String) {
    let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let answer = client.request(method, url).body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn progress_and_its_response_are_relayed() {
    let aggregator = Aggregator::up();
    let mut plugin = Plugin::of(&aggregator);
    with_relay(&plugin, async |url| {
        aggregator.answer(&[(200, ""), (403, "progress update for cis-1.8/global unexpected")]);
        let progress = format!("{url}/progress");
        assert_eq!(
            send(Method::POST, &progress, r#"{"total":3}"#).await,
            (200, String::new())
        );
        assert_eq!(
            send(Method::PUT, &progress, "{}").await,
            (403, "progress update for cis-1.8/global unexpected".to_owned())
        );
        assert_eq!(send(Method::POST, &format!("{url}/other"), "{}").await.0, 404);
    })
    .await;
    plugin.config.target = Target::parse("n1").unwrap();
    with_relay(&plugin, async |url| {
        assert_eq!(send(Method::POST, &format!("{url}/progress"), "{}").await.0, 200);
    })
    .await;
    assert_eq!(
        aggregator.received(),
        [
            post("/api/v1/progress/global/cis-1.8", r#"{"total":3}"#),
            post("/api/v1/progress/global/cis-1.8", "{}"),
            post("/api/v1/progress/by-node/n1/cis-1.8", "{}"),
        ]
    );
}

#[tokio::test]
async fn the_relay_outlives_the_aggregator() {
    let mut aggregator = Aggregator::down();
    let plugin = Plugin::of(&aggregator);
    with_relay(&plugin, async |url| {
        let progress = format!("{url}/progress");
        let (status, reason) = send(Method::POST, &progress, "{}").await;
        assert_eq!(status, 500);
        assert!(reason.contains("onnection refused"), "{reason}");
        aggregator.start();
        assert_eq!(send(Method::POST, &progress, "{}").await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn progress_takes_the_second_address_too() {
    let refusing = Aggregator::down();
    let aggregator = Aggregator::up();
    let mut plugin = Plugin::of(&aggregator);
    plugin.config.aggregator_urls.insert(0, refusing.url());
    with_relay(&plugin, async |url| {
        assert_eq!(send(Method::POST, &format!("{url}/progress"), "{}").await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn too_large_update_is_rejected() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    let large = "x".repeat((4 << 20) + 1).leak();
    with_relay(&plugin, async |url| {
        assert_eq!(send(Method::POST, &format!("{url}/progress"), large).await.0, 413);
    })
    .await;
    assert_eq!(aggregator.received(), []);
}

#[tokio::test]
async fn port_in_use_does_not_stop_the_worker() {
    let aggregator = Aggregator::up();
    let mut plugin = Plugin::of(&aggregator);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    plugin.config.progress_port = taken.local_addr().unwrap().port().to_string();
    plugin.finish("a.json", "{}");
    let options = Options {
        relay: RelayListener::Configured,
        ..options()
    };
    let outcome: Result<_, WorkerError> = plugin.run_with(options, std::future::pending()).await;
    assert_eq!(outcome.unwrap(), sono_worker::WorkerOutcome::Transmitted);
}

/// The Kubernetes suite's own posts stay at zero; its output has every verdict.
#[tokio::test]
async fn a_suites_output_is_progress() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    with_relay(&plugin, async |url| {
        let output = "Will run 3 of 7 specs\nSS•S\n• [FAILED] [1.0 seconds]\n[sig] T [It] a [sig, b]\n";
        plugin.write("e2e.log", output);
        aggregator.wait_for(1).await;
        let own = r#"{"msg":"Test Suite completed","total":3,"completed":0}"#;
        assert_eq!(send(Method::POST, &format!("{url}/progress"), own).await.0, 200);
    })
    .await;
    let bodies: Vec<Value> = aggregator
        .received()
        .iter()
        .map(|received| serde_json::from_str(&received.start).unwrap())
        .collect();
    let update = |msg| json!({"msg": msg, "total": 3, "completed": 1, "failures": ["[sig] T a"]});
    assert_eq!(bodies, [update(""), update("Test Suite completed")]);
}

/// Output written just before the suite ended is reported before the result, since later progress is refused.
#[tokio::test]
async fn last_verdicts_are_reported() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    plugin.write("e2e.log", "Will run 2 of 7 specs\n••\n");
    plugin.finish("a.json", "{}");
    plugin.run().await.unwrap();
    let progress = r#"{"completed":2,"failures":[],"msg":"","total":2}"#;
    let received: Vec<(String, String)> = aggregator
        .received()
        .into_iter()
        .map(|received| (received.line, received.start))
        .collect();
    let expected = [
        ("POST /api/v1/progress/global/cis-1.8 HTTP/1.1", progress),
        ("PUT /api/v1/results/global/cis-1.8 HTTP/1.1", "{}"),
    ];
    assert_eq!(
        received,
        expected.map(|(line, body)| (line.to_owned(), body.to_owned()))
    );
}
