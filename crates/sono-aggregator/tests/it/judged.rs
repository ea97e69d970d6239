//! Untolerated taints and failed containers without a result, against a fake API.

use serde_json::{Value, json};
use sono_manifest::DriverKind;
use sono_testkit::forbidden;
use sono_types::constants;

use crate::{
    backend::plugin,
    nodes::{LIMIT, daemon_set, ended, error_of, node, pod, record_of, settle, upload},
    taken_up::{NAMESPACE, aggregator_of, aggregator_with, api, config},
};

/// The status and the archive name a node with a taint that the plugin does not tolerate; with `AllNodes` it is a failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_with_an_untolerated_taint_is_named_or_fails_with_all_nodes() {
    let gap = json!([{"plugin": "p", "count": 1, "nodes": ["n2"], "reason": "taint bad=yes:NoSchedule"}]);
    for all_nodes in [false, true] {
        let (api, folder) = (api(), tempfile::tempdir().unwrap());
        node(&api, "n1");
        api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n2"},
            "spec": {"taints": [{"key": "bad", "value": "yes", "effect": "NoSchedule"}]}}));
        let mut definition = plugin("p", DriverKind::DaemonSet);
        definition.pod_spec = Some(json!({"containers": []}));
        let config = sono_types::Config { all_nodes, ..config() };
        let run = aggregator_with(definition, config, &api, folder.path()).await;
        let set = daemon_set(&api).await;
        pod(&api, &set, "n1");
        settle(&api, 1);
        assert_eq!(upload(&api, &run, &set, "n1").await, 200);
        let (finished, bundle) = ended(run).await;
        let rows = finished.status.rows();
        let rows: Vec<(&str, &str)> = rows
            .iter()
            .map(|row| (row.node.as_str(), row.result_status.as_str()))
            .collect();
        let info: Value = serde_json::from_slice(&bundle.read("meta/info.json").unwrap().unwrap()).unwrap();
        if all_nodes {
            assert_eq!(rows, [("n1", "passed"), ("n2", "failed")]);
            assert_eq!(
                error_of(&bundle, "n2"),
                "No pod was scheduled on node n2: the DaemonSet has all 1 desired pods. Check tolerations for plugin p"
            );
        } else {
            assert_eq!(rows, [("n1", "passed")]);
            assert_eq!(
                (json!(finished.status.left_out), &info["left-out"]),
                (gap.clone(), &gap)
            );
        }
    }
}

/// The worker exits after the permanent failure of its siblings, and the plugin fails ten seconds later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_job_container_fails_the_plugin_ten_seconds_after_the_worker_exited() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    let run = aggregator_of(plugin("p", DriverKind::Job), &api, folder.path()).await;
    let name = "sonobuoy-p-job-0909090909090909";
    let made = api.wait_for("pods", Some(NAMESPACE), name, LIMIT, |pod| pod.is_some());
    made.await.unwrap();
    let ago = |seconds: i64| {
        let time = sono_aggregator::system_clock()() - jiff::SignedDuration::from_secs(seconds);
        jiff::Timestamp::from_second(time.as_second()).unwrap().to_string()
    };
    let terminated = |name: &str, code: i32, seconds: i64| {
        json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "reason": "Error", "finishedAt": ago(seconds)}}})
    };
    let mut pod = api.get("pods", Some(NAMESPACE), name).unwrap();
    pod["spec"]["nodeName"] = json!("n1");
    // About seven seconds ago: Kubernetes' timestamps have whole seconds.
    pod["status"] = json!({"phase": "Failed",
        "containerStatuses": [terminated("c", 3, 9), terminated(constants::WORKER_CONTAINER, 0, 7)]});
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let lines: Vec<String> = (1..=11).map(|number| format!("line {number}")).collect();
    api.put_log(NAMESPACE, name, "c", &format!("{}\nuse {token}\n", lines.join("\n")));
    let begun = std::time::Instant::now();
    api.put(pod);
    let (_, bundle) = ended(run).await;
    let took = begun.elapsed();
    // Without the end of its containers it would wait for its time limit.
    assert!((2..30).contains(&took.as_secs()), "{took:?}");
    let record: Value =
        serde_json::from_slice(&bundle.read("plugins/p/errors/global/error.json").unwrap().unwrap()).unwrap();
    assert_eq!(
        record["error"],
        json!(format!(
            "container c of pod {name} on node n1 ended with exit code 3 and no result arrived; see its log"
        ))
    );
    // The last ten lines of its log, without secrets.
    let expected: Vec<String> = (3..=11).map(|number| format!("line {number}")).collect();
    let expected = format!("{}\nuse [redacted]", expected.join("\n"));
    assert_eq!(record["log"], json!(expected));
}

/// The log is that of the container before its restart. A failure whose log cannot be read has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failure_has_the_end_of_the_log_before_the_restart() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    let names = ["n1", "n2", "n3"];
    for name in names {
        node(&api, name);
    }
    let run = aggregator_of(plugin("p", DriverKind::DaemonSet), &api, folder.path()).await;
    let set = daemon_set(&api).await;
    api.put_previous_log(NAMESPACE, "p-n1", "plugin", "no disk\n\u{1b}[2Jend\n");
    api.put_log(NAMESPACE, "p-n1", "plugin", "starting again\n");
    api.put_previous_log(NAMESPACE, "p-n2", "plugin", "");
    api.fail(
        "GET",
        &format!("/api/v1/namespaces/{NAMESPACE}/pods/p-n3/log"),
        forbidden("sonobuoy", "get", "pods/log", Some(NAMESPACE)),
    );
    for name in names {
        pod(&api, &set, name);
    }
    settle(&api, 3);
    for name in names {
        let mut failing = api.get("pods", Some(NAMESPACE), &format!("p-{name}")).unwrap();
        failing["status"] = json!({"phase": "Running", "containerStatuses": [{"name": "plugin", "image": "i", "imageID": "",
            "ready": false, "restartCount": 9, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 3}}}]});
        api.put(failing);
    }
    let (_, bundle) = ended(run).await;
    let logs = names.map(|name| record_of(&bundle, name)["log"].clone());
    assert_eq!(logs, [json!("no disk\n\u{1b}[2Jend"), Value::Null, Value::Null]);
    // Each failure still has its reason.
    for name in names {
        assert!(error_of(&bundle, name).contains("was restarted 9 times"), "{name}");
    }
}
