//! Nodes that join and leave while a DaemonSet plugin runs, nodes that cannot be listed, volumes that cannot be mounted:
//! against a fake API, with the test as controller and kubelet.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use sono_aggregator::{FinishedRun, RunError};
use sono_bundle::Bundle;
use sono_manifest::DriverKind;
use sono_testkit::{FakeApi, forbidden};
use sono_types::{OverallStatus, constants};

use crate::{
    archive,
    backend::{plugin, within},
    put,
    taken_up::{Aggregator, NAMESPACE, aggregator_of, aggregator_with, api, config, status, worker_of},
};

const SET: &str = "sonobuoy-p-daemon-set-0909090909090909";
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn node(api: &FakeApi, name: &str) {
    api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}));
}

/// The plugin's DaemonSet, once it exists.
pub(crate) async fn daemon_set(api: &FakeApi) -> Value {
    api.wait_for("daemonsets", Some(NAMESPACE), SET, LIMIT, |set| set.is_some())
        .await
        .unwrap();
    api.get("daemonsets", Some(NAMESPACE), SET).unwrap()
}

/// The controller makes a pod for this node.
pub(crate) fn pod(api: &FakeApi, set: &Value, node: &str) {
    let mut metadata = json!({"name": format!("p-{node}"), "namespace": NAMESPACE, "uid": format!("uid-{node}")});
    metadata["labels"] = set["spec"]["template"]["metadata"]["labels"].clone();
    api.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"nodeName": node, "containers": []}, "status": {"phase": "Running"}}));
}

/// The controller reports that it has all desired pods.
pub(crate) fn settle(api: &FakeApi, desired: usize) {
    let mut set = api.get("daemonsets", Some(NAMESPACE), SET).unwrap();
    set["metadata"]["generation"] = json!(1);
    set["status"] =
        json!({"observedGeneration": 1, "desiredNumberScheduled": desired, "currentNumberScheduled": desired});
    api.put(set);
}

/// Waits until the status has these rows.
async fn rows(api: &FakeApi, wanted: &[(&str, &str)]) {
    let shown = |pod: Option<&Value>| {
        let text = pod.and_then(|pod| pod["metadata"]["annotations"][constants::STATUS_ANNOTATION].as_str());
        let Some(text) = text else { return false };
        let status: sono_types::RunStatus = serde_json::from_str(text).unwrap();
        let rows = status.rows();
        rows.iter()
            .map(|row| (row.node.as_str(), row.status.as_str()))
            .eq(wanted.iter().copied())
    };
    let waited = api
        .wait_for("pods", Some(NAMESPACE), constants::AGGREGATOR_POD, LIMIT, shown)
        .await;
    assert!(waited.is_some(), "{wanted:?} is not {:?}", status(api).rows());
}

/// A DaemonSet plugin on `n1` and `n2`, with all its pods.
async fn on_two_nodes(api: &FakeApi, folder: &Path) -> (Aggregator, Value) {
    for name in ["n1", "n2"] {
        node(api, name);
    }
    let run = aggregator_of(plugin("p", DriverKind::DaemonSet), api, folder).await;
    let set = daemon_set(api).await;
    for name in ["n1", "n2"] {
        pod(api, &set, name);
    }
    settle(api, 2);
    (run, set)
}

pub(crate) async fn upload(api: &FakeApi, aggregator: &Aggregator, set: &Value, node: &str) -> u16 {
    let worker = worker_of(api, &set["spec"]["template"]["spec"]);
    let url = format!("https://{}/api/v1/results/by-node/{node}/p", aggregator.address);
    put(&worker, &url, &[], node.to_owned()).await.0
}

pub(crate) async fn ended(aggregator: Aggregator) -> (FinishedRun, Bundle) {
    let finished = within(aggregator.outcome).await.unwrap().unwrap();
    assert_eq!(finished.status.status, OverallStatus::Complete);
    let bundle = Bundle::open(&finished.archive).unwrap();
    (finished, bundle)
}

pub(crate) fn record_of(bundle: &Bundle, node: &str) -> Value {
    let file = bundle.read(&format!("plugins/p/errors/{node}/error.json")).unwrap();
    serde_json::from_slice(&file.unwrap()).unwrap()
}

pub(crate) fn error_of(bundle: &Bundle, node: &str) -> String {
    record_of(bundle, node)["error"].as_str().unwrap().to_owned()
}

/// The error of a time limit names the last state of each node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_limit_error_names_the_last_state_of_each_node() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    for name in ["n1", "n2", "n3"] {
        node(&api, name);
    }
    let mut config = config();
    config.server.timeout_seconds = 6;
    let run = aggregator_with(plugin("p", DriverKind::DaemonSet), config, &api, folder.path()).await;
    let set = daemon_set(&api).await;
    for name in ["n1", "n2"] {
        pod(&api, &set, name);
    }
    let mut pulling = api.get("pods", Some(NAMESPACE), "p-n2").unwrap();
    pulling["spec"]["containers"] = json!([{"name": "plugin", "image": "example.org/p:1"}]);
    pulling["status"] = json!({"phase": "Pending", "containerStatuses": [{"name": "plugin", "image": "", "imageID": "",
        "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}]});
    api.put(pulling);

    let (_, bundle) = ended(run).await;
    let seen = |node: &str| {
        let error = error_of(&bundle, node);
        error.strip_prefix(constants::TIMEOUT_MESSAGE).map(str::to_owned)
    };
    assert_eq!(
        seen("n1").as_deref(),
        Some(" At the end: pod p-n1 on node n1 was still running.")
    );
    assert_eq!(
        seen("n2").as_deref(),
        Some(" At the end: pod p-n2 on node n2: image example.org/p:1: not found (ErrImagePull).")
    );
    assert_eq!(
        seen("n3").as_deref(),
        Some(" At the end: node n3 had no pod of the plugin.")
    );
}

/// W-52: the result of a node that joins is expected and accepted; a node that leaves has an error result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_join_and_leave_during_a_run_have_results() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    let (run, set) = on_two_nodes(&api, folder.path()).await;
    rows(&api, &[("n1", "running"), ("n2", "running")]).await;

    node(&api, "n3");
    pod(&api, &set, "n3");
    rows(&api, &[("n1", "running"), ("n2", "running"), ("n3", "running")]).await;
    assert_eq!(upload(&api, &run, &set, "n3").await, 200);

    api.remove("nodes", None, "n2").unwrap();
    api.remove("pods", Some(NAMESPACE), "p-n2").unwrap();
    settle(&api, 2);
    rows(&api, &[("n1", "running"), ("n2", "failed"), ("n3", "complete")]).await;
    assert_eq!(upload(&api, &run, &set, "n1").await, 200);

    let (_, bundle) = ended(run).await;
    assert_eq!(
        error_of(&bundle, "n2"),
        "node n2 left the cluster before it sent a result of plugin p; run again when the node is back"
    );
    assert_eq!(
        bundle.read("plugins/p/results/n3/result").unwrap().as_deref(),
        Some(b"n3".as_slice())
    );
    assert_eq!(
        bundle.read("meta/joined-nodes.json").unwrap().as_deref(),
        Some(br#"{"p":["n3"]}"#.as_slice())
    );
}

/// W-14: without the right to list nodes, the expected results are discovered from the DaemonSet's pods.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_cannot_be_listed_are_discovered() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    api.fail("GET", "/api/v1/nodes", forbidden("sonobuoy", "list", "nodes", None));
    let run = aggregator_of(plugin("p", DriverKind::DaemonSet), &api, folder.path()).await;
    let set = daemon_set(&api).await;
    pod(&api, &set, "n1");
    rows(&api, &[("n1", "running")]).await;
    assert_eq!(upload(&api, &run, &set, "n1").await, 200);
    rows(&api, &[("n1", "complete")]).await;
    pod(&api, &set, "n2");
    rows(&api, &[("n1", "complete"), ("n2", "running")]).await;
    settle(&api, 2);
    assert_eq!(upload(&api, &run, &set, "n2").await, 200);
    let (_, bundle) = ended(run).await;
    for node in ["n1", "n2"] {
        let result = bundle.read(&format!("plugins/p/results/{node}/result")).unwrap();
        assert_eq!(result.as_deref(), Some(node.as_bytes()));
    }
}

/// W-8: a volume that cannot be mounted is an error after some minutes, with the kubelet's own words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volume_that_cannot_be_mounted_is_an_error_with_its_name() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    node(&api, "n1");
    let run = aggregator_of(plugin("p", DriverKind::DaemonSet), &api, folder.path()).await;
    let set = daemon_set(&api).await;
    let now = sono_aggregator::system_clock()();
    let before = now - jiff::SignedDuration::from_mins(4);
    let event = |name: &str, uid: &str, reason: &str, message: &str| {
        api.put(
            json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": NAMESPACE},
            "involvedObject": {"kind": "Pod", "uid": uid}, "reason": reason, "message": message,
            "lastTimestamp": now.to_string()}),
        );
    };
    event("e1", "another", "FailedMount", "not this one");
    event("e2", "uid-n1", "Pulling", "nor this");
    event(
        "e3",
        "uid-n1",
        "FailedMount",
        "MountVolume.SetUp failed for volume \"c\" : configmap \"c\" not found",
    );
    let mut metadata = json!({"name": "p-n1", "namespace": NAMESPACE, "uid": "uid-n1"});
    metadata["labels"] = set["spec"]["template"]["metadata"]["labels"].clone();
    let waiting = json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ContainerCreating"}}});
    api.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"phase": "Pending", "containerStatuses": [waiting], "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": before.to_string()}]}}));
    let (_, bundle) = ended(run).await;
    let said = error_of(&bundle, "n1");
    let (begin, end) = (
        "pod p-n1 on node n1 has no containers after 4m",
        ", because a volume cannot be mounted: MountVolume.SetUp failed for volume \"c\" : configmap \"c\" not found (FailedMount); correct the plugin's volumes, or create the missing objects",
    );
    assert!(said.starts_with(begin) && said.ends_with(end), "{said}");
}

/// W-8: pods that the controller is not allowed to create (a quota, a pod security level, a webhook) end their plugin,
/// with the API server's own words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_cannot_be_created_fail_the_plugin() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    node(&api, "n1");
    let now = sono_aggregator::system_clock()();
    // Events are queried at most twice a minute: the relevant one must exist before the first query.
    api.create_at(now);
    let run = aggregator_of(plugin("p", DriverKind::DaemonSet), &api, folder.path()).await;
    let mut set = daemon_set(&api).await;
    api.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": NAMESPACE},
        "involvedObject": {"kind": "DaemonSet", "uid": "uid-set"}, "reason": "FailedCreate",
        "message": "Error creating: pods \"p-\" is forbidden: exceeded quota: pods.", "lastTimestamp": now.to_string()}));
    set["metadata"]["uid"] = json!("uid-set");
    set["metadata"]["creationTimestamp"] = json!((now - jiff::SignedDuration::from_mins(4)).to_string());
    set["metadata"]["generation"] = json!(1);
    set["status"] = json!({"observedGeneration": 1, "desiredNumberScheduled": 1, "currentNumberScheduled": 0});
    api.put(set);
    let (_, bundle) = ended(run).await;
    assert_eq!(
        error_of(&bundle, "n1"),
        "the pod of plugin p for node n1 cannot be created: Error creating: pods \"p-\" is forbidden: exceeded quota: pods; change the plugin's definition, or the policy that refuses it"
    );
}

/// A run with the `restricted` level names plugin and field at once, and starts the other plugins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_refused_by_the_pod_security_level_fails_at_once() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    node(&api, "n1");
    let config = sono_types::Config {
        namespace_psa_enforce_level: "restricted".to_owned(),
        ..config()
    };
    let mut fitting = plugin("p", DriverKind::DaemonSet);
    fitting.spec = json!({"name": "c", "securityContext": {"allowPrivilegeEscalation": false, "runAsNonRoot": true,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}});
    fitting.pod_spec = Some(json!({"containers": []}));
    let run = aggregator_with(fitting, config.clone(), &api, folder.path()).await;
    let set = daemon_set(&api).await;
    assert_eq!(upload(&api, &run, &set, "n1").await, 200);
    ended(run).await;

    let folder = tempfile::tempdir().unwrap();
    let mut other = plugin("p", DriverKind::DaemonSet);
    other.pod_spec = Some(json!({"containers": [], "hostPID": true}));
    other.spec["securityContext"] = json!({"allowPrivilegeEscalation": false, "runAsNonRoot": true,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}});
    let run = aggregator_with(other, config, &api, folder.path()).await;
    let (_, bundle) = ended(run).await;
    assert_eq!(
        error_of(&bundle, "n1"),
        "error running plugin p: the namespace enforces the pod security level restricted, which plugin p violates: podSpec.hostPID must not be set; change its definition, or run with --namespace-psa-enforce-level privileged"
    );
}

/// W-1: small results are stored in the journal, and their files are not synced. Files that a power loss removed or cut, here one of
/// each, are restored when the run is resumed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_results_are_restored_from_the_journal() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    for name in ["n1", "n2", "n3"] {
        node(&api, name);
    }
    let definition = || plugin("p", DriverKind::DaemonSet);
    let first = aggregator_of(definition(), &api, folder.path()).await;
    let set = daemon_set(&api).await;
    assert_eq!(upload(&api, &first, &set, "n1").await, 200);
    let worker = worker_of(&api, &set["spec"]["template"]["spec"]);
    let url = format!("https://{}/api/v1/results/by-node/n2/p", first.address);
    let packed = archive(&[("deep/file.txt", "whole")]);
    let gzip = [("Content-Type", "application/gzip")];
    assert_eq!(put(&worker, &url, &gzip, packed).await.0, 200);
    // Larger than the limit of bodies in the journal.
    let url = format!("https://{}/api/v1/results/by-node/n3/p", first.address);
    let large = "x".repeat(64 << 10);
    let journal = folder.path().join("results/.sono-journal-run");
    let before = fs_err::metadata(&journal).unwrap().len();
    assert!(before > 0);
    first.stop.send(()).unwrap();
    assert!(matches!(within(first.outcome).await.unwrap(), Err(RunError::Stopped)));

    let results = folder.path().join("results/run/plugins/p/results");
    fs_err::remove_dir_all(results.join("n1")).unwrap();
    fs_err::write(results.join("n2/deep/file.txt"), "wh").unwrap();
    let second = aggregator_of(definition(), &api, folder.path()).await;
    let url = url.replace(&first.address.to_string(), &second.address.to_string());
    assert_eq!(put(&worker, &url, &[], large.clone()).await.0, 200);
    let (_, bundle) = ended(second).await;
    let read = |path: &str| String::from_utf8(bundle.read(&format!("plugins/p/results/{path}")).unwrap().unwrap());
    assert_eq!(read("n1/result").unwrap(), "n1");
    assert_eq!(read("n2/deep/file.txt").unwrap(), "whole");
    assert_eq!(read("n3/result").unwrap(), large);
    let journal = fs_err::read_to_string(&journal).unwrap();
    assert_eq!(journal.matches("\"Kept\"").count(), 2);
    assert_eq!(journal.matches("\"Stored\"").count(), 1);
}

/// W-8: the pods of a DaemonSet stay on a node that is switched off, and the control plane only marks them as not ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_is_switched_off_has_an_error_result() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    let (run, set) = on_two_nodes(&api, folder.path()).await;
    assert_eq!(upload(&api, &run, &set, "n1").await, 200);
    let since = sono_aggregator::system_clock()() - jiff::SignedDuration::from_mins(10);
    let ready = |status: &str| json!([{"type": "Ready", "status": status, "lastTransitionTime": since.to_string()}]);
    let mut off = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n2"}});
    off["status"]["conditions"] = ready("Unknown");
    api.put(off);
    let mut left = api.get("pods", Some(NAMESPACE), "p-n2").unwrap();
    left["status"]["conditions"] = ready("False");
    left["status"]["containerStatuses"] = json!([{"name": "plugin", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"running": {}}}]);
    api.put(left);
    let (_, bundle) = ended(run).await;
    let expected = format!(
        "pod p-n2 on node n2: the node has not responded since {since}; bring the node back, or run again without it"
    );
    assert_eq!(error_of(&bundle, "n2"), expected);
}

/// Manifests of old Sonobuoys label the aggregator's pod in another way (core §2.10).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pod_of_an_old_manifest_is_found() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    let mut old = api.get("pods", Some(NAMESPACE), constants::AGGREGATOR_POD).unwrap();
    old["metadata"]["labels"] = json!({"run": "sonobuoy-master"});
    api.put(old);
    node(&api, "n1");
    let run = aggregator_of(plugin("p", DriverKind::DaemonSet), &api, folder.path()).await;
    let set = daemon_set(&api).await;
    pod(&api, &set, "n1");
    settle(&api, 1);
    assert_eq!(upload(&api, &run, &set, "n1").await, 200);
    ended(run).await;
}

/// Watches return parts of pods, to bound memory; a failed pod is fetched in full. If that is impossible, the record says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_pod_is_recorded_whole_or_as_it_was_watched() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    for name in ["n1", "n2", "n3"] {
        node(&api, name);
    }
    let run = aggregator_of(plugin("p", DriverKind::DaemonSet), &api, folder.path()).await;
    let set = daemon_set(&api).await;
    let path = |node: &str| format!("/api/v1/namespaces/{NAMESPACE}/pods/p-{node}");
    let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
        "message": "pods \"p-n2\" not found", "details": {"name": "p-n2", "kind": "pods"}});
    api.fail("GET", &path("n2"), gone);
    api.fail(
        "GET",
        &path("n3"),
        forbidden("sonobuoy", "get", "pods", Some(NAMESPACE)),
    );
    let status = json!({"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{"name": "plugin", "image": "i", "imageID": "",
        "ready": false, "restartCount": 9, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 3}}}]});
    for name in ["n1", "n2", "n3"] {
        pod(&api, &set, name);
        let mut failing = api.get("pods", Some(NAMESPACE), &format!("p-{name}")).unwrap();
        failing["metadata"]["annotations"] = json!({"a": "b"});
        failing["status"] = status.clone();
        api.put(failing);
    }
    settle(&api, 3);
    let (_, bundle) = ended(run).await;
    let whole = record_of(&bundle, "n1");
    assert_eq!(
        whole.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["error", "pod"],
        "{whole}"
    );
    assert_eq!(
        (&whole["pod"]["metadata"]["annotations"], &whole["pod"]["status"]),
        (&json!({"a": "b"}), &status)
    );
    for (name, why) in [
        ("n2", "the pod no longer exists"),
        (
            "n3",
            "the pod cannot be read: forbidden: user \"sonobuoy\" cannot get resource \"pods\" in namespace \"sonobuoy\"",
        ),
    ] {
        let created =
            api.get("pods", Some(NAMESPACE), &format!("p-{name}")).unwrap()["metadata"]["creationTimestamp"].clone();
        assert_eq!(
            record_of(&bundle, name),
            json!({
                "error": format!("container plugin of pod p-{name} on node {name} was restarted 9 times, most recently with exit code 3; see its log"),
                "pod": {
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": format!("p-{name}"), "uid": format!("uid-{name}"), "creationTimestamp": created},
                    "spec": {"nodeName": name},
                    "status": {"phase": "Running", "containerStatuses": [{"name": "plugin", "image": "i", "restartCount": 9,
                        "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 3}}}]},
                },
                "podIncomplete": format!("{why}; only the watched fields are shown"),
            })
        );
    }
}
