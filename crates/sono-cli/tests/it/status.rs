//! `status`: output for scripts and users, and explanations of problems.

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{Finished, with_cluster};

fn aggregator(status: Option<&Value>, phase: &str, more: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "any-name", "namespace": "sonobuoy",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"}},
        "spec": {"nodeName": "node1", "containers": [{"name": "kube-sonobuoy", "image": "i"}]},
        "status": {"phase": phase},
    });
    if let Some(status) = status {
        pod["metadata"]["annotations"] = json!({"sonobuoy.hept.io/status": status.to_string()});
    }
    if let Value::Object(more) = more {
        pod["status"].as_object_mut().unwrap().extend(more);
    }
    pod
}

fn with(pods: impl IntoIterator<Item = Value>) -> FakeApi {
    let api = FakeApi::start();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sonobuoy"}}));
    pods.into_iter().for_each(|pod| api.put(pod));
    api
}

fn row(plugin: &str, node: &str, status: &str, result: &str) -> Value {
    json!({"plugin": plugin, "node": node, "status": status, "result-status": result, "result-counts": null})
}

fn running(rows: &[Value]) -> Value {
    json!({"plugins": rows, "status": "running",
        "tar-info": {"name": "", "created": "0001-01-01T00:00:00Z", "sha256": "", "size": 0}})
}

/// If a quota, a webhook or a pod security level rejects a DaemonSet's pods, no pod exists to explain it.
#[test]
fn pods_that_cannot_be_created_are_explained() {
    let status = running(&[row("p", "n1", "running", ""), row("p", "n2", "running", "")]);
    let api = with([aggregator(Some(&status), "Running", json!({}))]);
    api.put(json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "p-set", "namespace": "sonobuoy", "uid": "u",
            "labels": {"sonobuoy-component": "plugin", "sonobuoy-plugin": "p"}},
        "status": {"desiredNumberScheduled": 2, "currentNumberScheduled": 0}}));
    api.put(
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "sonobuoy"},
        "involvedObject": {"uid": "u"}, "reason": "FailedCreate", "lastTimestamp": "2999-01-01T00:00:00Z",
        "message": "(combined from similar events): Error creating: pods \"x\" is forbidden: exceeded quota: none"}),
    );
    let finished = with_cluster(&api, &["status"]);
    assert_eq!(finished.code, 0);
    assert_eq!(
        finished.stderr,
        "p: no pod can be created: Error creating: pods \"x\" is forbidden: exceeded quota: none\n"
    );
    let finished = with_cluster(&api, &["status", "-o", "table"]);
    assert!(finished.stdout.contains("exceeded quota: none"), "{}", finished.stdout);
}

const CREATED: &str = "aggregator pending: its pod is being created or replaced\n";
const ATTACH: &str = "hint: to attach: sono wait; to cancel the run: sono delete\n";

/// BUG 27: a pod without container statuses does not crash, all containers are considered, and the reason why the pod does
/// not run is reported.
#[test]
fn a_pod_that_does_not_start_is_explained() {
    let waiting = |name: &str, reason: &str| {
        json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": "i: not found"}}})
    };
    let state = |name: &str, state: Value| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    let cases = [
        (json!({}), 0, CREATED, ATTACH),
        (
            json!({"containerStatuses": [state("kube-sonobuoy", json!({}))]}),
            0,
            CREATED,
            ATTACH,
        ),
        (
            json!({"containerStatuses": [state("first", json!({"running": {}})), waiting("kube-sonobuoy", "ImagePullBackOff")]}),
            1,
            "aggregator pending: image i: not found (ImagePullBackOff)\n",
            "hint: use another image with --sonobuoy-image or --registry; to cancel the run: sono delete\n",
        ),
        (
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient cpu."}]}),
            0,
            "aggregator pending: cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu (Unschedulable)\n",
            ATTACH,
        ),
    ];
    for (more, code, stdout, stderr) in cases {
        let api = with([aggregator(None, "Pending", more.clone())]);
        let expected = Finished {
            code,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        };
        assert_eq!(with_cluster(&api, &["status", "--json"]), expected, "{more}");
        assert_eq!(with_cluster(&api, &["status", "-o", "table"]), expected, "{more}");
    }
}

/// Document formats are supported in every state of the run.
#[test]
fn a_pod_that_does_not_start_has_documents() {
    let waiting = json!({"containerStatuses": [{"name": "kube-sonobuoy", "image": "", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "i: not found"}}}]});
    let api = with([aggregator(None, "Pending", waiting)]);
    let reason = "image i: not found (ImagePullBackOff)";
    for (form, expected) in [
        (
            "json",
            format!(
                "{{\"plugins\":[],\"status\":\"pending\",\"reason\":\"{reason}\",\"aggregator\":{{\"state\":\"pending\",\"reason\":\"ImagePullBackOff\",\"message\":\"image i: not found\"}}}}\n"
            ),
        ),
        (
            "yaml",
            format!(
                "plugins: []\nstatus: pending\nreason: \"{reason}\"\naggregator:\n  state: pending\n  reason: ImagePullBackOff\n  message: \"image i: not found\"\n"
            ),
        ),
        ("markdown", format!("## Run pending\n\n{reason}\n")),
    ] {
        let expected = Finished {
            code: 1,
            stdout: expected,
            stderr: String::new(),
        };
        assert_eq!(with_cluster(&api, &["status", "-o", form]), expected, "{form}");
    }
}

/// BUG 58: a run that ended without an archive is `failed` in status, message and exit code; timeouts of plugins are reported
/// with `--exit-code`.
#[test]
fn a_failed_run_is_distinguished() {
    let mut failed = running(&[row("p", "global", "failed", "")]);
    failed["status"] = "failed".into();
    let api = with([aggregator(Some(&failed), "Running", json!({}))]);
    let finished = with_cluster(&api, &["status"]);
    assert_eq!(
        (finished.code, finished.stdout.lines().last()),
        (1, Some("run failed; for the reason: sono logs -p sonobuoy"))
    );
    assert_eq!(with_cluster(&api, &["status", "--exit-code"]).code, 5);
    let mut timed_out = running(&[row("p", "global", "failed", "timeout")]);
    timed_out["status"] = "complete".into();
    timed_out["tar-info"] = json!({"name": "a.tar.gz", "created": "2026-01-01T00:00:00Z", "sha256": "ab", "size": 1});
    let api = with([aggregator(Some(&timed_out), "Running", json!({}))]);
    assert_eq!(with_cluster(&api, &["status"]).code, 0);
    assert_eq!(with_cluster(&api, &["status", "--exit-code"]).code, 3);
}

#[test]
fn status_is_printed_in_every_format() {
    let status = running(&[
        row("p", "n1", "complete", ""),
        row("p", "n2", "running", ""),
        row("q", "global", "running", ""),
    ]);
    let plugin = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p-x", "namespace": "sonobuoy",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "plugin", "sonobuoy-plugin": "p"}},
        "spec": {"nodeName": "n2", "containers": [{"name": "p", "image": "p:1"}]},
        "status": {"phase": "Pending", "containerStatuses": [{"name": "p", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"waiting": {"reason": "ErrImageNeverPull", "message": "m"}}}]},
    });
    let api = with([aggregator(Some(&status), "Running", json!({})), plugin]);
    let mut document = status;
    document["aggregator"] = json!({"state": "running"});
    for (row, state) in ["complete", "pending", "running"].into_iter().enumerate() {
        document["plugins"][row]["state"] = state.into();
    }
    document["plugins"][1]["reason"] = "ErrImageNeverPull".into();
    document["plugins"][1]["message"] = "image p:1 is not on the node and its pull policy is Never".into();
    let forms = [
        (
            "table",
            "PLUGIN  TARGET  STATE     RESULT  PROGRESS  DETAIL
p       n2      pending   -       -         image p:1 is not on the node and its pull policy is Never (ErrImageNeverPull)
p       n1      complete  -       -
q       global  running   -       -
"
            .to_owned(),
            "hint: for details: sono logs -p p; to cancel the run: sono delete\n",
        ),
        ("json", format!("{document}\n"), ""),
        (
            "yaml",
            "plugins:\n- plugin: p\n  node: n1\n  status: complete\n  result-status: \"\"\n  result-counts: null\n  state: complete\n- plugin: p\n  node: n2\n  status: running\n  result-status: \"\"\n  result-counts: null\n  state: pending\n  reason: ErrImageNeverPull\n  message: image p:1 is not on the node and its pull policy is Never\n- plugin: q\n  node: global\n  status: running\n  result-status: \"\"\n  result-counts: null\n  state: running\nstatus: running\ntar-info:\n  name: \"\"\n  created: \"0001-01-01T00:00:00Z\"\n  sha256: \"\"\n  size: 0\naggregator:\n  state: running\n".to_owned(),
            "",
        ),
        (
            "markdown",
            "## Run running\n\n| plugin | target | state | result | progress | detail |\n| --- | --- | --- | --- | --- | --- |\n| p | n2 | pending | - | - | image p:1 is not on the node and its pull policy is Never (ErrImageNeverPull) |\n| p | n1 | complete | - | - |  |\n| q | global | running | - | - |  |\n".to_owned(),
            "",
        ),
    ];
    for (form, stdout, stderr) in forms {
        let finished = with_cluster(&api, &["status", "-o", form]);
        let (finished, expected) = if form == "json" {
            let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap().to_string();
            (parsed(&finished.stdout), parsed(&stdout))
        } else {
            assert_eq!((finished.code, finished.stderr.as_str()), (0, stderr), "{form}");
            (finished.stdout, stdout)
        };
        assert_eq!(finished, expected, "{form}");
    }
}

/// If the full status cannot be fetched, the folded status is shown.
#[test]
fn folded_status_is_shown_if_the_full_status_is_unavailable() {
    let status = running(&[row("p", "(9900 nodes)", "complete", ""), row("p", "n1", "running", "")]);
    let api = with([aggregator(Some(&status), "Running", json!({}))]);
    let finished = with_cluster(&api, &["status", "--show-all"]);
    assert_eq!(finished.code, 0);
    assert!(finished.stdout.contains("(9900 nodes)"), "{}", finished.stdout);
    assert!(
        finished
            .stderr
            .starts_with("cannot fetch the full status (showing a summary): cannot query the aggregator"),
        "{}",
        finished.stderr
    );
    let asked = api.requests();
    let exec = "GET /api/v1/namespaces/sonobuoy/pods/any-name/exec";
    assert!(asked.iter().any(|request| request == exec), "{asked:?}");
    // The short table only requires the folded status.
    assert_eq!(with_cluster(&api, &["status"]).stderr, "");
}

/// A run exists also before the aggregator's first pod, and between two of its pods.
#[test]
fn an_aggregator_without_a_pod_is_pending() {
    let deployment = |status: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "sonobuoy", "namespace": "sonobuoy",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"}}, "status": status})
    };
    let attach = "hint: to attach: sono wait; to cancel the run: sono delete\n";
    let api = with([deployment(json!({}))]);
    let finished = with_cluster(&api, &["status"]);
    assert_eq!(
        (finished.code, finished.stdout.as_str(), finished.stderr.as_str()),
        (0, "aggregator pending: its pod is being created or replaced\n", attach)
    );
    assert_eq!(
        with_cluster(&api, &["status", "--exit-code"]).code,
        i32::from(sono_types::exit::NOT_COMPLETE)
    );

    api.put(deployment(json!({"conditions": [
        {"type": "ReplicaFailure", "status": "True", "message": "pods \"sonobuoy-1-\" is forbidden: exceeded quota: few"}]})));
    let why = "no pod can be created: pods \"sonobuoy-1-\" is forbidden: exceeded quota: few";
    let finished = with_cluster(&api, &["status"]);
    assert_eq!(
        (finished.code, finished.stdout, finished.stderr.as_str()),
        (0, format!("aggregator pending: {why}\n"), attach)
    );
    let finished = with_cluster(&api, &["status", "-o", "json"]);
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(
        document,
        json!({"status": "pending", "plugins": [], "reason": why,
            "aggregator": {"state": "pending", "reason": "FailedCreate", "message": why}})
    );
    for command in ["retrieve", "logs"] {
        let finished = with_cluster(&api, &[command]);
        assert_eq!(
            (finished.code, finished.stderr),
            (
                1,
                format!(
                    "error: the aggregator in namespace `sonobuoy` currently has no pod\n  {why}\n  hint:  to wait for it: sono wait -n sonobuoy; for details: kubectl -n sonobuoy describe deployment sonobuoy\n"
                )
            )
        );
    }
}
