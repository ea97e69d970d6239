//! If a task that others depend on ends unexpectedly, the run fails with that reason instead of hanging.

use sono_aggregator::RunError;
use sono_manifest::DriverKind;
use sono_types::UploadLimits;

use crate::{
    backend::{TestRun, plugin},
    put,
};

async fn ended_by(trouble: &'static str) -> (&'static str, String) {
    let run = TestRun::start(vec![plugin("p", DriverKind::DaemonSet)], UploadLimits::default()).await;
    let (client, url) = (run.client("p"), run.url("/api/v1/results/by-node/n1/p"));
    *run.trouble.breaks.lock().unwrap() = trouble;
    if trouble == "loopback" {
        run.local_server.abort();
    } else {
        // Causes a status and an Event; the response may not arrive.
        let headers = [(sono_types::routes::ERROR_HEADER, "1")];
        tokio::spawn(async move { put(&client, &url, &headers, r#"{"error":"no"}"#).await });
    }
    let error = run.finished().await.0.unwrap_err();
    let RunError::Task { task, reason } = error else {
        unreachable!("{error:?}")
    };
    (task, reason)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panic_of_the_status_publisher_ends_the_run() {
    let (task, reason) = ended_by("publish").await;
    assert_eq!(task, "the status publisher");
    assert!(reason.contains("panicked"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panic_of_the_event_recorder_ends_the_run() {
    assert_eq!(ended_by("record_event").await.0, "the event recorder");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_of_the_loopback_server_ends_the_run() {
    let ended = ended_by("loopback").await;
    assert_eq!(
        ended,
        ("the server on the loopback address", "the task panicked".to_owned())
    );
}
