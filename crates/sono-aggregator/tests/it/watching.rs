//! Observation of a run from outside: metrics for Prometheus, and Events of the run's ConfigMap.

use serde_json::{Value, json};
use sono_aggregator::{LoopbackView, serve_metrics};
use sono_manifest::DriverKind;
use sono_testkit::{FakeApi, forbidden};
use sono_types::{OverallStatus, routes};

use crate::{
    backend::{Options, TestRun, plugin, within},
    put,
    taken_up::{NAMESPACE, aggregator_of, api, config},
};

const EVENTS: &str = "/api/v1/namespaces/sonobuoy/events";

#[tokio::test]
async fn uploads_are_counted() {
    let run = TestRun::begin(Options {
        nodes: 2,
        ..Options::default()
    })
    .await;
    let (client, local) = (run.client("p"), run.local);
    let by_node = |node: &str| run.url(&format!("/api/v1/results/by-node/{node}/p"));
    assert_eq!(put(&client, &by_node("n1"), &[], "1234").await.0, 200);
    assert_eq!(put(&client, &by_node("n1"), &[], "again").await.0, 409);
    assert_eq!(put(&client, &by_node("n9"), &[], "").await.0, 403);
    assert_eq!(
        put(&client, &run.url("/api/v1/results/global/other"), &[], "").await.0,
        403
    );

    let page = within(reqwest::get(format!("http://{local}{}", routes::METRICS)))
        .await
        .unwrap();
    assert_eq!(
        page.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = within(page.text()).await.unwrap();
    for row in [
        format!(
            "sono_run_info{{run=\"run\",version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        ),
        r#"sono_run_phase{phase="running"} 1"#.to_owned(),
        r#"sono_results{plugin="p",state="expected"} 2"#.to_owned(),
        r#"sono_results{plugin="p",state="complete"} 1"#.to_owned(),
        "sono_uploads_accepted_total 1".to_owned(),
        r#"sono_uploads_refused_total{reason="already-received"} 1"#.to_owned(),
        r#"sono_uploads_refused_total{reason="unexpected"} 1"#.to_owned(),
        r#"sono_uploads_refused_total{reason="identity"} 1"#.to_owned(),
        r#"sono_upload_duration_seconds_bucket{le="+Inf"} 1"#.to_owned(),
    ] {
        assert!(text.lines().any(|line| line == row), "{row} is not in\n{text}");
    }
    let number = |name: &str| -> u64 {
        let row = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        row.unwrap().parse().unwrap()
    };
    assert!(number("sono_upload_bytes_total") >= 4, "{text}");
    assert!(number("sono_journal_syncs_total") >= 2, "{text}");
}

/// The metrics address serves nothing else.
#[tokio::test]
async fn metrics_address_serves_metrics_only() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    serve_metrics(listener, LoopbackView::default()).unwrap();
    let mut codes = Vec::new();
    for path in [
        routes::METRICS,
        routes::LOCAL_STATUS,
        routes::LOCAL_ARCHIVE,
        routes::LOCAL_PARTIAL,
    ] {
        codes.push(
            within(reqwest::get(format!("http://{address}{path}")))
                .await
                .unwrap()
                .status()
                .as_u16(),
        );
    }
    assert_eq!(codes, [200, 404, 404, 404]);
}

/// Type, reason and message of the run's Events, by reason.
fn recorded(api: &FakeApi) -> Vec<(String, String, String)> {
    let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let mut recorded: Vec<_> = api
        .all("events")
        .iter()
        .filter(|event| event["involvedObject"]["name"] == "sonobuoy-config-cm")
        .map(|event| (text(event, "type"), text(event, "reason"), text(event, "message")))
        .collect();
    recorded.sort();
    recorded
}

/// A plugin whose pod the cluster refuses: the shortest run with a failure.
async fn run_that_fails(api: &FakeApi) -> (sono_aggregator::FinishedRun, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let refused = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422,
        "reason": "Invalid", "message": "no such field"});
    api.fail("POST", "/api/v1/namespaces/sonobuoy/pods", refused);
    let run = aggregator_of(plugin("p", DriverKind::Job), api, folder.path()).await;
    let finished = within(run.outcome).await.unwrap().unwrap();
    assert_eq!(finished.status.status, OverallStatus::Complete);
    (finished, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_describe_start_failure_and_end() {
    let api = api();
    let (finished, _folder) = run_that_fails(&api).await;
    let recorded = recorded(&api);
    let (name, size) = (&finished.status.tarball.name, finished.status.tarball.size);
    let uuid = &config().uuid;
    let failure = recorded.iter().find(|(_, reason, _)| reason == "ResultFailed").unwrap();
    assert!(
        failure.2.starts_with("no result of p/global: error running plugin p: "),
        "{}",
        failure.2
    );
    assert!(failure.2.contains("no such field"), "{}", failure.2);
    let line = |kind: &str, reason: &str, message: String| (kind.to_owned(), reason.to_owned(), message);
    let others: Vec<_> = recorded.iter().filter(|line| *line != failure).cloned().collect();
    assert_eq!(failure.0, "Warning");
    assert_eq!(
        others,
        [
            line(
                "Normal",
                "PluginStarted",
                "plugin p started, expecting 1 result".to_owned()
            ),
            line(
                "Normal",
                "PostProcessing",
                "all plugins are done; querying the cluster and packing".to_owned()
            ),
            line(
                "Normal",
                "RunStarted",
                format!("run {uuid} started, expecting 1 result")
            ),
            line(
                "Warning",
                "RunComplete",
                format!("the archive {name} is ready ({size} bytes); 1 of 1 results are error results")
            ),
        ]
    );
}

/// An account without the right to create Events has the same run, and one line in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_events_do_not_affect_the_run() {
    let api = api();
    api.fail(
        "POST",
        EVENTS,
        forbidden("sonobuoy", "create", "events", Some(NAMESPACE)),
    );
    run_that_fails(&api).await;
    assert_eq!(recorded(&api), []);
    let asked = api.requests();
    let tries = asked
        .iter()
        .filter(|request| request.contains(EVENTS) && request.starts_with("POST"));
    assert_eq!(tries.count(), 1, "{asked:?}");
}
