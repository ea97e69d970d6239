//! `logs`.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{Said, command, with_cluster};

fn pod(name: &str, plugin: Option<&str>, containers: &[(&str, Value, i32, Value)]) -> Value {
    let mut labels = json!({"component": "sonobuoy", "sonobuoy-component": "aggregator"});
    if let Some(plugin) = plugin {
        labels = json!({"component": "sonobuoy", "sonobuoy-component": "plugin", "sonobuoy-plugin": plugin});
    }
    let specs: Vec<Value> = containers
        .iter()
        .map(|(name, ..)| json!({"name": name, "image": "i"}))
        .collect();
    let statuses: Vec<Value> = containers
        .iter()
        .map(|(name, state, restarts, last)| {
            json!({"name": name, "image": "", "imageID": "", "ready": true, "restartCount": restarts,
                "state": state, "lastState": last})
        })
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "sonobuoy", "labels": labels},
        "spec": {"nodeName": "node1", "containers": specs},
        "status": {"phase": "Running", "containerStatuses": statuses},
    })
}

fn running() -> Value {
    json!({"running": {}})
}

fn ended(code: i32) -> Value {
    json!({"terminated": {"exitCode": code}})
}

fn with_status(mut pod: Value, status: &str) -> Value {
    let text = json!({"plugins": [], "status": status}).to_string();
    pod["metadata"]["annotations"] = json!({"sonobuoy.hept.io/status": text});
    pod
}

fn api() -> FakeApi {
    let api = FakeApi::start();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sonobuoy"}}));
    api.put(pod("aggregator", None, &[("kube-sonobuoy", running(), 0, json!({}))]));
    api.put(pod(
        "p-job",
        Some("p"),
        &[
            ("broken", ended(2), 0, json!({})),
            (
                "new",
                json!({"waiting": {"reason": "CreateContainerConfigError", "message": "no such secret"}}),
                0,
                json!({}),
            ),
            ("again", running(), 1, ended(1)),
            ("unreadable", running(), 0, json!({})),
        ],
    ));
    api.put_log("sonobuoy", "aggregator", "kube-sonobuoy", "one\ntwo\nthree\n");
    api.put_log("sonobuoy", "p-job", "broken", "b1\nb2");
    api.put_log("sonobuoy", "p-job", "again", "now\n");
    api.put_previous_log("sonobuoy", "p-job", "again", "before\n");
    api
}

/// BUG 24: lines are whole, each with its container; a container that waits, and one whose log cannot be read, are no
/// reason to keep the others' from being shown.
#[test]
fn every_line_is_whole_and_no_container_hides_another() {
    let api = api();
    assert_eq!(
        with_cluster(&api, &["logs"]),
        Said {
            code: 1,
            stdout: "aggregator/kube-sonobuoy: one\naggregator/kube-sonobuoy: two\naggregator/kube-sonobuoy: three\np-job/broken: b1\np-job/broken: b2\np-job/again: now\n".to_owned(),
            stderr: "p-job/new: no log yet: no such secret (CreateContainerConfigError)\nerror: cannot read the log of p-job/unreadable\n  cause: reading the log of container unreadable of pod `p-job` was refused (400): container \"unreadable\" in pod \"p-job\" is waiting to start\n".to_owned(),
        }
    );
}

#[test]
fn a_part_of_the_logs() {
    let api = api();
    let aggregator = |arguments: &[&str]| {
        let said = with_cluster(&api, &[&["logs", "-p", "sonobuoy"], arguments].concat());
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{arguments:?}");
        said.stdout
    };
    assert_eq!(aggregator(&["--tail", "1"]), "aggregator/kube-sonobuoy: three\n");
    assert_eq!(
        aggregator(&["--since", "2s", "--timestamps"]),
        "aggregator/kube-sonobuoy: 2026-01-01T00:00:01.5Z two\naggregator/kube-sonobuoy: 2026-01-01T00:00:02.5Z three\n"
    );
    assert_eq!(
        with_cluster(&api, &["logs", "--failed"]),
        Said {
            code: 0,
            stdout: "p-job/broken: b1\np-job/broken: b2\np-job/again (before its restart): before\n".to_owned(),
            stderr: String::new(),
        }
    );
    assert_eq!(
        with_cluster(&api, &["logs", "--failed", "-p", "sonobuoy"]).stderr,
        "no container has failed\n"
    );
}

/// BUG 11: following sees the aggregator, pods that come later and containers that are started again; it takes up a log
/// that broke off where it was, without a line twice; and it ends with the run.
#[test]
fn following_ends_with_the_run_and_misses_nothing() {
    let aggregator = |containers: &[_]| with_status(pod("aggregator", None, containers), "running");
    let one = [("kube-sonobuoy", running(), 0, json!({}))];
    let api = api();
    api.remove("pods", Some("sonobuoy"), "p-job");
    api.put(aggregator(&one));
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = api.write_kubeconfig(directory.path());
    let mut child = command(directory.path())
        .env("KUBECONFIG", kubeconfig)
        .args(["logs", "-f", "--tail", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut expect = |line: &str| assert_eq!(lines.next().unwrap().unwrap(), line);
    expect("aggregator/kube-sonobuoy: two");
    expect("aggregator/kube-sonobuoy: three");
    // The fake API ends every log at once, though the container still runs.
    api.put_log("sonobuoy", "aggregator", "kube-sonobuoy", "one\ntwo\nthree\nfour\n");
    expect("aggregator/kube-sonobuoy: four");
    api.put_log("sonobuoy", "later", "c", "from the first\n");
    api.put(pod("later", Some("p"), &[("c", running(), 0, json!({}))]));
    expect("later/c: from the first");
    api.put_log("sonobuoy", "later", "c", "from the second\n");
    api.put(pod("later", Some("p"), &[("c", ended(0), 1, ended(1))]));
    expect("later/c: from the second");
    api.put(with_status(pod("aggregator", None, &one), "complete"));
    assert!(lines.next().is_none());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
        (Some(0), "")
    );
}
