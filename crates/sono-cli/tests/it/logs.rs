//! `logs`.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStdout, Stdio},
};

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{Finished, command, with_cluster};

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

/// BUG 24: lines are complete and have their container; a waiting container or an unreadable log does not hide the others.
#[test]
fn lines_are_complete_and_no_container_hides_another() {
    let api = api();
    assert_eq!(
        with_cluster(&api, &["logs"]),
        Finished {
            code: 1,
            stdout: "aggregator/kube-sonobuoy: one\naggregator/kube-sonobuoy: two\naggregator/kube-sonobuoy: three\np-job/broken: b1\np-job/broken: b2\np-job/again: now\n".to_owned(),
            stderr: "p-job/new: no log yet: no such secret (CreateContainerConfigError)\nerror: cannot read the log of p-job/unreadable\n  cause: reading the log of container unreadable of pod `p-job` was refused (400): container \"unreadable\" in pod \"p-job\" is waiting to start\n".to_owned(),
        }
    );
}

#[test]
fn flags_select_a_part_of_the_logs() {
    let api = api();
    let aggregator = |arguments: &[&str]| {
        let finished = with_cluster(&api, &[&["logs", "-p", "sonobuoy"], arguments].concat());
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""), "{arguments:?}");
        finished.stdout
    };
    assert_eq!(aggregator(&["--tail", "1"]), "aggregator/kube-sonobuoy: three\n");
    assert_eq!(
        aggregator(&["--since", "2s", "--timestamps"]),
        "aggregator/kube-sonobuoy: 2026-01-01T00:00:01.5Z two\naggregator/kube-sonobuoy: 2026-01-01T00:00:02.5Z three\n"
    );
    assert_eq!(
        with_cluster(&api, &["logs", "--failed"]),
        Finished {
            code: 0,
            stdout: "p-job/broken: b1\np-job/broken: b2\np-job/again (before its restart): before\n".to_owned(),
            stderr: String::new(),
        }
    );
    assert_eq!(
        with_cluster(&api, &["logs", "--failed", "-p", "sonobuoy"]).stderr,
        "no failed containers\n"
    );
}

/// BUG 11: following includes the aggregator, later pods and restarted containers; it resumes an interrupted log without
/// duplicate lines; and it ends with the run.
#[test]
fn following_ends_with_the_run_and_misses_no_line() {
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
    assert_eq!(lines.next().transpose().unwrap(), None);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
        (Some(0), "")
    );
}

/// Starts `logs -f` on this cluster; returns the process and its lines.
fn following(api: &FakeApi, directory: &std::path::Path) -> (Child, Lines<BufReader<ChildStdout>>) {
    let kubeconfig = api.write_kubeconfig(directory);
    let mut child = command(directory)
        .env("KUBECONFIG", kubeconfig)
        .args(["logs", "-f"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// A run with an aggregator that prints no lines, and its pod.
fn silent_run() -> (FakeApi, Value) {
    let api = FakeApi::start();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sonobuoy"}}));
    let aggregator = pod("aggregator", None, &[("kube-sonobuoy", running(), 0, json!({}))]);
    api.put(with_status(aggregator.clone(), "running"));
    api.put_log("sonobuoy", "aggregator", "kube-sonobuoy", "");
    (api, aggregator)
}

/// Lines with equal times, lines of a clock that steps back, and lines of a container that ended while
/// its log was not being read.
#[test]
fn following_loses_no_line_of_equal_or_earlier_times() {
    let (api, aggregator) = silent_run();
    let line = |second: u32, text: &str| format!("2026-01-01T00:00:{second:02}.5Z {text}\n");
    let first = [
        line(40, "a"),
        line(40, "a"),
        line(40, "b"),
        line(10, "c"),
        line(10, "c"),
    ]
    .concat();
    api.put_timed_log("sonobuoy", "p-job", "c", &first);
    api.put(pod("p-job", Some("p"), &[("c", running(), 0, json!({}))]));
    let directory = tempfile::tempdir().unwrap();
    let (child, mut lines) = following(&api, directory.path());
    let mut expect = |texts: &[&str]| {
        for text in texts {
            assert_eq!(lines.next().unwrap().unwrap(), format!("p-job/c: {text}"));
        }
    };
    expect(&["a", "a", "b", "c", "c"]);
    // The connection was interrupted after these lines, and the clock steps back again.
    let second = [first, line(10, "c"), line(2, "a"), line(40, "b")].concat();
    api.put_timed_log("sonobuoy", "p-job", "c", &second);
    expect(&["c", "a", "b"]);
    api.put_timed_log("sonobuoy", "p-job", "c", &format!("{second}{}last", line(41, "a")));
    api.put(pod("p-job", Some("p"), &[("c", ended(0), 0, json!({}))]));
    expect(&["a", "last"]);
    api.put(with_status(aggregator, "complete"));
    assert_eq!(lines.next().transpose().unwrap(), None);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
}

/// More containers with endless logs than connections.
#[test]
fn following_reads_every_container() {
    let (api, aggregator) = silent_run();
    api.hold_logs();
    let names: BTreeSet<String> = (0..300).map(|at| format!("p-{at:03}")).collect();
    for name in &names {
        api.put_log("sonobuoy", name, "c", "one\n");
        api.put(pod(name, Some("p"), &[("c", running(), 0, json!({}))]));
    }
    let directory = tempfile::tempdir().unwrap();
    let (child, mut lines) = following(&api, directory.path());
    let read: BTreeSet<String> = lines.by_ref().take(300).map(Result::unwrap).collect();
    assert_eq!(read, names.iter().map(|name| format!("{name}/c: one")).collect());
    // The last lines are read, too, also of followed logs.
    for name in &names {
        api.put_log("sonobuoy", name, "c", "one\ntwo\n");
    }
    api.put(with_status(aggregator, "complete"));
    let rest: BTreeSet<String> = lines.map(Result::unwrap).collect();
    assert_eq!(rest, names.iter().map(|name| format!("{name}/c: two")).collect());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
        (
            Some(0),
            "more than 224 logs: the others are polled, and their lines may be delayed by a few seconds\n"
        )
    );
}

/// Transient errors, which `wait` survives, too.
#[test]
fn following_survives_transient_errors() {
    let (api, aggregator) = silent_run();
    let status = |code: u16, reason: &str, message: &str| {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "reason": reason, "code": code, "message": message})
    };
    let log = "/api/v1/namespaces/sonobuoy/pods/p-job/log";
    api.fail_times(
        "GET",
        log,
        status(500, "InternalError", "etcdserver: leader changed"),
        1,
    );
    api.fail_times("GET", log, status(502, "", "bad gateway"), 1);
    api.fail_times("GET", log, status(429, "TooManyRequests", "slow down"), 1);
    api.put_log("sonobuoy", "p-job", "c", "one\n");
    api.put(pod("p-job", Some("p"), &[("c", running(), 0, json!({}))]));
    let directory = tempfile::tempdir().unwrap();
    let (child, mut lines) = following(&api, directory.path());
    assert_eq!(lines.next().unwrap().unwrap(), "p-job/c: one");
    api.end_watches(2);
    api.fail_times("GET", log, status(503, "ServiceUnavailable", "restarting"), 1);
    let pods = "/api/v1/namespaces/sonobuoy/pods";
    api.fail_times(
        "GET",
        pods,
        status(500, "InternalError", "etcdserver: leader changed"),
        2,
    );
    api.end_watches(0);
    api.put_log("sonobuoy", "p-job", "c", "one\ntwo\n");
    assert_eq!(lines.next().unwrap().unwrap(), "p-job/c: two");
    api.put(with_status(aggregator, "complete"));
    assert_eq!(lines.next().transpose().unwrap(), None);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
}
