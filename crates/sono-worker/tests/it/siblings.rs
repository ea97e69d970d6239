//! A pod without a token for reading pods: the aggregator reports the state of the other containers.

use std::{
    io::{BufRead as _, BufReader},
    process::Command,
};

use crate::{
    Plugin,
    aggregator::Aggregator,
    program::{log_until, program},
};

const PUT: &str = "PUT /api/v1/results/global/cis-1.8 HTTP/1.1";
const HEAD: &str = "HEAD /api/v1/results/global/cis-1.8 HTTP/1.1";

/// The program as in a pod, without the variables and files for reaching the API server.
fn in_a_pod(plugin: &Plugin) -> Command {
    let mut command = program(plugin, "worker global --level=trace");
    command
        .env("SONOBUOY_NS", "ns")
        .env("SONOBUOY_PLUGIN_POD", "p")
        .env("SONOBUOY_WORKER_CONTAINER", "sonobuoy-worker");
    command
}

#[tokio::test]
async fn results_without_done_file_are_sent_once_the_aggregator_says_that_the_plugin_ended() {
    let aggregator = Aggregator::up();
    aggregator.says_of_containers(&["unknown", "running", "later", "succeeded"]);
    let plugin = Plugin::of(&aggregator);
    plugin.write("note.txt", "left behind");
    let mut command = in_a_pod(&plugin);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    let lines: Vec<String> = aggregator.received().into_iter().map(|request| request.line).collect();
    assert_eq!(lines, [HEAD, HEAD, HEAD, HEAD, PUT], "{log}");
    assert!(!log.contains("cannot watch the other containers"), "{log}");
}

#[tokio::test]
async fn aggregator_without_the_query_leaves_the_done_file() {
    // Sonobuoy's aggregator and one of sono that stores nothing; one that stores results but not this one; each of them
    // with the result.
    for status in [405, 404, 200, 403] {
        let aggregator = Aggregator::up();
        aggregator.answer(&[(503, ""), (status, "")]);
        let plugin = Plugin::of(&aggregator);
        let mut child = in_a_pod(&plugin).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let said = tokio::task::spawn_blocking(move || {
            let mut log = BufReader::new(stderr).lines();
            let said = log_until(&mut log, "cannot watch the other containers of this pod");
            (said, log)
        });
        let (said, log) = said.await.unwrap();
        assert!(said.contains("KUBERNETES_SERVICE_HOST is not set"), "{said}");
        plugin.finish("a.json", "{}");
        let ended = tokio::task::spawn_blocking(move || {
            drop(log);
            child.wait().unwrap()
        });
        assert!(ended.await.unwrap().success());
        let lines: Vec<String> = aggregator.received().into_iter().map(|request| request.line).collect();
        assert_eq!(lines, [HEAD, HEAD, PUT], "{status}");
    }
}
