//! The output of failed containers: in a running cluster and in archives.

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{Finished, retrieve, sono, with_cluster};

const ERROR: &str = "container plugin of pod x on node n1 ended with exit code 1 and no result arrived";

fn pod() -> Value {
    let status = |name: &str, state: Value| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "x", "namespace": "sonobuoy",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "plugin", "sonobuoy-plugin": "p"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "plugin", "image": "i"}, {"name": "sonobuoy-worker", "image": "i"}]},
        "status": {"phase": "Running", "containerStatuses": [
            status("plugin", json!({"terminated": {"exitCode": 1}})),
            status("sonobuoy-worker", json!({"running": {}}))]}})
}

fn archive() -> Vec<u8> {
    let tree = json!({"name": "p", "status": "failed", "items": [
        {"name": ERROR, "status": "failed", "meta": {"file": "errors/n1/error.json"},
            "details": {"error": ERROR, "log": "starting\ncannot find the <frobnicator>\u{1b}[2J"}}]});
    retrieve::packed(&[
        ("meta/info.json", br#"{"plugins": ["p"]}"#),
        ("plugins/p/sonobuoy_results.yaml", tree.to_string().as_bytes()),
        ("podlogs/other/y/logs/c.txt", b"not of the run\n"),
        (
            "podlogs/sonobuoy/x/logs/plugin.txt",
            b"starting\ncannot find the frobnicator\n",
        ),
        ("podlogs/sonobuoy/x/logs/sonobuoy-worker.txt", b"waiting\n"),
        (
            "resources/ns/sonobuoy/core_v1_pods.json",
            json!({"items": [pod()]}).to_string().as_bytes(),
        ),
    ])
}

#[test]
fn logs_of_an_archive_are_selected() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("a.tar.gz"), archive()).unwrap();
    let logs = |flags: &[&str]| sono(directory.path(), &[&["logs", "--archive", "a.tar.gz"], flags].concat());
    let printed = |stdout: &str| Finished {
        code: 0,
        stdout: stdout.to_owned(),
        stderr: String::new(),
    };
    let plugin = "x/plugin: starting\nx/plugin: cannot find the frobnicator\n";
    let all = format!("{plugin}x/sonobuoy-worker: waiting\n");
    assert_eq!(logs(&[]), printed(&all));
    assert_eq!(logs(&["-p", "p"]), printed(&all));
    assert_eq!(logs(&["p", "--node", "n1"]), printed(&all));
    assert_eq!(logs(&["--failed"]), printed(plugin));
    assert_eq!(
        logs(&["--failed", "--tail", "1"]),
        printed("x/plugin: cannot find the frobnicator\n")
    );
    for (flags, error) in [
        (["-p", "q"], "error: the archive has no logs of plugin `q`"),
        (["--node", "n2"], "error: the archive has no logs of the run"),
        (
            ["--since", "5m"],
            "error: the argument '--archive <ARCHIVE>' cannot be used with '--since <TIME>'",
        ),
    ] {
        let finished = logs(&flags);
        assert_eq!(
            (finished.code, finished.stderr.lines().next()),
            (1, Some(error)),
            "{flags:?}"
        );
    }
}

#[test]
fn results_show_the_end_of_the_log() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("a.tar.gz"), archive()).unwrap();
    let results = |form: &str| sono(directory.path(), &["results", "a.tar.gz", "-o", form]);
    let table = results("table");
    assert_eq!(
        table.stdout,
        format!(
            "run   failed\n\np         failed   1 run: 1 failed\n  ✗ {ERROR}\n      starting\n      cannot find the <frobnicator>\\u{{1b}}[2J\n"
        )
    );
    assert_eq!(
        table.stderr,
        "hint: for all of the logs: sono logs --archive a.tar.gz --failed\n"
    );
    let markdown = results("markdown").stdout;
    assert!(
        markdown.contains("All of the logs: `sono logs --archive a.tar.gz --failed`"),
        "{markdown}"
    );
    let junit = results("junit").stdout;
    assert!(
        junit.contains("&#10;starting&#10;cannot find the &lt;frobnicator&gt;"),
        "{junit}"
    );
}

#[test]
fn output_of_a_failed_container_is_shown_while_it_exists() {
    let api = FakeApi::start();
    let status = json!({"status": "running", "plugins": [{"plugin": "p", "node": "n1", "status": "running"}]});
    api.put(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "sonobuoy", "namespace": "sonobuoy",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"},
            "annotations": {"sonobuoy.hept.io/status": status.to_string()}},
        "spec": {"nodeName": "node1", "containers": [{"name": "kube-sonobuoy", "image": "i"}]},
        "status": {"phase": "Running"}}));
    api.put(pod());
    api.put_log("sonobuoy", "x", "plugin", "starting\ncannot find the frobnicator\n");
    let output = [
        "p on n1: end of the log of container plugin:",
        "  | starting",
        "  | cannot find the frobnicator",
        "  all of it: sono logs -p p --failed",
    ];
    let why = "p waits on n1: container plugin ended with exit code 1";
    let shown = with_cluster(&api, &["status"]).stderr;
    assert_eq!(shown.lines().collect::<Vec<_>>(), [&[why][..], &output].concat());
    let waited = with_cluster(&api, &["wait", "--wait=4s"]);
    let lines: Vec<&str> = waited
        .stderr
        .lines()
        .map(|line| line.strip_prefix("… ").unwrap_or(line))
        .collect();
    let expected = [
        &["aggregator runs on node1", "earlier  p started on 1 node", why],
        &output[..],
    ]
    .concat();
    assert_eq!(lines[..expected.len()], expected);
    assert_eq!(
        lines[expected.len()..],
        [
            "error: the run is not complete after 4s; it continues",
            "  p waits on n1: container plugin ended with exit code 1",
            "  hint:  to see its progress: sono status; to wait again: sono wait"
        ]
    );
}
