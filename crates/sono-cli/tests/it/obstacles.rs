//! Obstacles of plugins' pods while a command waits for a run, against a fake API.

use std::process::Stdio;

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{command, finished, normalized, with_cluster};

const SETS: &str = "GET /apis/apps/v1/namespaces/sonobuoy/daemonsets";
const REFUSED: &str =
    "pods \"p-\" is forbidden: violates PodSecurity \"restricted:latest\": hostPID (container must not set it)";

/// A run with the DaemonSet plugin `p` on two nodes.
fn run(status: &str, state: &str) -> FakeApi {
    let api = FakeApi::start();
    put_status(&api, status, state);
    api
}

fn put_status(api: &FakeApi, status: &str, state: &str) {
    let rows: Vec<Value> = ["n1", "n2"]
        .iter()
        .map(|node| json!({"plugin": "p", "node": node, "status": state, "result-status": if state == "complete" { "passed" } else { "" }}))
        .collect();
    let mut status = json!({"status": status, "plugins": rows});
    status["tar-info"] = json!({"name": "a.tar.gz", "created": "2026-01-01T00:00:00Z", "sha256": "ab", "size": 1});
    api.put(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "sonobuoy", "namespace": "sonobuoy",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"},
            "annotations": {"sonobuoy.hept.io/status": status.to_string()}},
        "spec": {"nodeName": "n1", "containers": [{"name": "kube-sonobuoy", "image": "i"}]},
        "status": {"phase": "Running"}}));
}

fn put_set(api: &FakeApi, current: usize) {
    api.put(json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "p-set", "namespace": "sonobuoy", "uid": "u",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "plugin", "sonobuoy-plugin": "p"}},
        "status": {"desiredNumberScheduled": 2, "currentNumberScheduled": current}}));
}

fn put_pod(api: &FakeApi, node: &str) {
    api.put(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("p-{node}"), "namespace": "sonobuoy",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "plugin", "sonobuoy-plugin": "p"}},
        "spec": {"nodeName": node, "containers": [{"name": "plugin", "image": "i"}]}, "status": {"phase": "Running"}}));
}

fn put_refusal(api: &FakeApi) {
    api.put(
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "sonobuoy"},
        "involvedObject": {"uid": "u"}, "reason": "FailedCreate", "lastTimestamp": "2999-01-01T00:00:00Z",
        "message": format!("Error creating: {REFUSED}")}),
    );
}

fn lines(stderr: &str) -> Vec<&str> {
    stderr
        .lines()
        .map(|line| line.strip_prefix("… ").unwrap_or(line))
        .collect()
}

/// Only Events contain the reason: no pod exists that could be watched.
#[test]
fn refused_daemon_set_pods_are_reported_while_waiting() {
    let api = run("running", "running");
    put_set(&api, 0);
    put_refusal(&api);
    let waited = with_cluster(&api, &["wait", "--wait=8s", "--exit-code"]);
    let why = format!("p: no pod can be created: Error creating: {REFUSED}");
    assert_eq!(
        (waited.code, lines(&waited.stderr)),
        (
            6,
            vec![
                "aggregator running on n1",
                "earlier  p started on 2 nodes",
                why.as_str(),
                "error: the run is not complete after 8s; it continues",
                &format!("  {why}"),
                "  hint:  to see its progress: sono status; to wait again: sono wait",
            ]
        )
    );
    // A poll each second, not more.
    let polls = api.requests().iter().filter(|request| *request == SETS).count();
    assert!((3..=9).contains(&polls), "{polls}");
}

/// The obstacle is no longer reported once the pods exist, and nothing is polled then.
#[test]
fn refusals_are_polled_only_while_pods_are_missing() {
    let api = run("running", "running");
    put_set(&api, 2);
    for node in ["n1", "n2"] {
        put_pod(&api, node);
    }
    let waited = with_cluster(&api, &["wait", "--wait=3s", "--exit-code"]);
    assert_eq!(waited.code, 6, "{}", waited.stderr);
    assert!(!waited.stderr.contains("no pod can be created"), "{}", waited.stderr);
    assert!(
        !api.requests().iter().any(|request| request == SETS),
        "{:?}",
        api.requests()
    );
}

#[test]
fn refusal_that_ends_is_not_repeated_at_the_end() {
    let api = run("running", "running");
    put_set(&api, 0);
    put_refusal(&api);
    let directory = tempfile::tempdir().unwrap();
    let waiting = command(directory.path())
        .env("KUBECONFIG", api.write_kubeconfig(directory.path()))
        .args(["wait", "--wait=12s", "--exit-code"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = std::time::Instant::now();
    while api.requests().iter().filter(|request| *request == SETS).count() < 4 {
        assert!(started.elapsed().as_secs() < 30, "{:?}", api.requests());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    put_set(&api, 2);
    for node in ["n1", "n2"] {
        put_pod(&api, node);
    }
    let waited = normalized(&api, finished(&waiting.wait_with_output().unwrap()));
    let lines = lines(&waited.stderr);
    let reported = lines
        .iter()
        .filter(|line| line.contains("no pod can be created"))
        .count();
    assert_eq!((waited.code, reported), (6, 1), "{lines:?}");
    assert_eq!(
        lines[lines.len() - 2..],
        [
            "error: the run is not complete after 12s; it continues",
            "  hint:  to see its progress: sono status; to wait again: sono wait"
        ]
    );
}
