use serde_json::{Value, json};

use super::*;
use crate::{EventView, NodeView};

const NOW: &str = "2026-11-22T10:10:00Z";

fn view(pod: Value) -> PodView {
    PodView::from(&serde_json::from_value::<crate::Pod>(pod).unwrap())
}

fn verdict(at: &str, pod: Value, policy: &Policy) -> String {
    match judge(&view(pod), at.parse().unwrap(), policy) {
        Verdict::Fine => "fine".to_owned(),
        Verdict::Wait { until, reason } => format!("wait until {until}: {reason}"),
        Verdict::Failing { message } => format!("failing: {message}"),
    }
}

fn job(at: &str, status: &Value) -> String {
    verdict(at, pod(status), &Policy::job())
}

fn daemon_set(at: &str, status: &Value) -> String {
    verdict(at, pod(status), &Policy::daemon_set())
}

fn pod(status: &Value) -> Value {
    json!({
        "metadata": {"name": "p"},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "example.org/c:1"}]},
        "status": status,
    })
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"phase": "Pending", "startTime": "2026-11-22T10:00:00Z", "containerStatuses": [
        container(&json!({"waiting": {"reason": reason, "message": message}}))]})
}

fn terminated(code: i32, reason: &str) -> Value {
    json!({"phase": "Running", "startTime": "2026-11-22T10:00:00Z", "containerStatuses": [
        container(&json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": NOW}}))]})
}

fn container(state: &Value) -> Value {
    json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

#[test]
fn a_pod_on_its_way_is_fine() {
    assert_eq!(job(NOW, &json!({"phase": "Pending"})), "fine");
    assert_eq!(job(NOW, &waiting("ContainerCreating", "")), "fine");
    assert_eq!(
        job(
            NOW,
            &json!({"phase": "Running", "containerStatuses": [container(&json!({"running": {}}))]})
        ),
        "fine"
    );
}

#[test]
fn unschedulable_pod_waits_for_an_autoscaler() {
    let status = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "lastTransitionTime": "2026-11-22T10:00:00Z",
        "message": "0/1 nodes are available: 1 Insufficient cpu."}]});
    let why = "pod p cannot be scheduled: 0/1 nodes are available: 1 Insufficient cpu; free resources on a node, or change the plugin's node selector, tolerations or requests";
    let mut unscheduled = pod(&status);
    unscheduled["spec"].as_object_mut().unwrap().remove("nodeName");
    let judged = |at| verdict(at, unscheduled.clone(), &Policy::job());
    assert_eq!(
        judged("2026-11-22T10:04:59Z"),
        format!("wait until 2026-11-22T10:05:00Z: {why}")
    );
    assert_eq!(judged("2026-11-22T10:05:00Z"), format!("failing: {why}"));
}

/// BUG 47: a plugin does not wait for its time limit when its image does not exist.
#[test]
fn an_image_that_cannot_be_pulled_fails_with_the_registrys_reason() {
    let status = || {
        waiting(
            "ImagePullBackOff",
            "Back-off pulling image \"example.org/c:1\": ErrImagePull: example.org/c:1: not found",
        )
    };
    let why = "image example.org/c:1 of container c of pod p on node n: not found (ImagePullBackOff for 5m); correct the image name, load the image onto the node, or provide pull credentials";
    assert_eq!(
        job("2026-11-22T10:01:00Z", &status()),
        format!("wait until 2026-11-22T10:05:00Z: {why}")
    );
    assert_eq!(job("2026-11-22T10:05:00Z", &status()), format!("failing: {why}"));
}

#[test]
fn a_container_that_cannot_be_made_fails_soon() {
    assert_eq!(
        job(
            "2026-11-22T10:00:30Z",
            &waiting("CreateContainerConfigError", "configmap \"x\" not found")
        ),
        "failing: container c of pod p on node n cannot be started: configmap \"x\" not found (CreateContainerConfigError); correct the plugin's definition"
    );
    assert_eq!(
        job("2026-11-22T10:00:30Z", &waiting("InvalidImageName", "")),
        "failing: container c of pod p on node n has an invalid image name, example.org/c:1; correct it"
    );
    assert_eq!(
        job("2026-11-22T10:00:30Z", &waiting("ErrImageNeverPull", "")),
        "failing: image example.org/c:1 of container c of pod p on node n is not on the node and its pull policy is Never; load the image, or use another pull policy"
    );
}

#[test]
fn an_error_exit_leaves_the_worker_time_to_upload() {
    let why = "container c of pod p on node n ended with exit code 3 and no result arrived; see its log";
    assert_eq!(
        job(NOW, &terminated(3, "Error")),
        format!("wait until 2026-11-22T10:10:10Z: {why}")
    );
    assert_eq!(
        job("2026-11-22T10:10:10Z", &terminated(3, "Error")),
        format!("failing: {why}")
    );
    assert_eq!(
        job("2026-11-22T10:10:10Z", &terminated(137, "OOMKilled")),
        "failing: container c of pod p on node n ended with exit code 137 (OOMKilled) and no result arrived; raise its memory limit"
    );
}

/// W-35: a container that may still deliver a result gets time to do so; a container of the plugin as long as with
/// Sonobuoy.
#[test]
fn error_exit_limit_depends_on_running_containers() {
    let other = |name: &str, state: Value| {
        let mut other = container(&state);
        other["name"] = name.into();
        other
    };
    let (runs, ended) = (
        json!({"running": {}}),
        json!({"terminated": {"exitCode": 0, "finishedAt": "2026-11-22T10:12:00Z"}}),
    );
    let until = |side_car: &Value, worker: &Value| {
        let mut status = terminated(1, "Error");
        let statuses = status["containerStatuses"].as_array_mut().unwrap();
        statuses.push(other("side-car", side_car.clone()));
        statuses.push(other("sonobuoy-worker", worker.clone()));
        job(NOW, &status).split(": ").next().unwrap().to_owned()
    };
    assert_eq!(until(&runs, &runs), "wait until 2026-11-22T10:15:00Z");
    // Counted from the end of the last container that could have reported a result.
    assert_eq!(until(&ended, &runs), "wait until 2026-11-22T10:13:00Z");
    assert_eq!(until(&ended, &ended), "wait until 2026-11-22T10:12:10Z");
}

#[test]
fn a_helper_that_ends_well_is_fine_however_long_ago() {
    assert_eq!(job("2026-11-22T11:00:00Z", &terminated(0, "Completed")), "fine");
}

#[test]
fn containers_of_a_daemon_set_are_started_again() {
    assert_eq!(daemon_set("2026-11-22T11:00:00Z", &terminated(3, "Error")), "fine");
    let mut status = waiting("CrashLoopBackOff", "back-off 40s");
    status["containerStatuses"][0]["restartCount"] = 2.into();
    assert_eq!(daemon_set(NOW, &status), "fine");
    status["containerStatuses"][0]["restartCount"] = 3.into();
    status["containerStatuses"][0]["lastState"] = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
    assert_eq!(
        daemon_set(NOW, &status),
        "failing: container c of pod p on node n was restarted 3 times, most recently with exit code 1; see its log"
    );
    status["containerStatuses"][0]["lastState"] = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    assert_eq!(
        daemon_set(NOW, &status),
        "failing: container c of pod p on node n was restarted 3 times, most recently with exit code 137 (OOMKilled); raise its memory limit"
    );
}

/// W-8: the control plane marks the DaemonSet pods of a node that is switched off as not ready, and nothing else.
#[test]
fn unresponsive_node_is_recognised_by_its_condition() {
    let status = |ready: &str| {
        json!({"phase": "Running", "containerStatuses": [container(&json!({"running": {}}))],
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": NOW}]})
    };
    let read = |status: Value| view(pod(&status));
    let now: Timestamp = NOW.parse().unwrap();
    assert_eq!(not_ready_since(&read(status("False"))), Some(now));
    assert_eq!(not_ready_since(&read(status("True"))), None);
    let ended = json!({"conditions": status("False")["conditions"], "containerStatuses": terminated(0, "")["containerStatuses"]});
    assert_eq!(not_ready_since(&read(ended)), None);
    let node = |ready: &str| -> NodeView {
        let condition = json!({"type": "Ready", "status": ready, "lastTransitionTime": NOW});
        serde_json::from_value(json!({"metadata": {"name": "n"}, "status": {"conditions": [condition]}})).unwrap()
    };
    let judged = |ready: &str| unresponsive(&read(status("False")), &node(ready), &Policy::daemon_set());
    assert_eq!(judged("True"), None);
    let due = "2026-11-22T10:15:00Z".parse().unwrap();
    let why = "pod p on node n: the node has not responded since 2026-11-22T10:10:00Z; bring the node back, or run again without it";
    for ready in ["Unknown", "False"] {
        assert_eq!(judged(ready), Some((due, why.to_owned())));
    }
}

#[test]
fn an_eviction_is_named() {
    let status = json!({"phase": "Failed", "reason": "Evicted", "startTime": "2026-11-22T10:00:00Z",
        "message": "The node was low on resource: memory. "});
    let why = "pod p on node n was terminated by Kubernetes (Evicted: The node was low on resource: memory); free resources on the node or set resource requests in the plugin's definition, and run again";
    assert_eq!(job(NOW, &status), format!("failing: {why}"));
    assert_eq!(
        daemon_set("2026-11-22T10:00:30Z", &status),
        format!("wait until 2026-11-22T10:01:00Z: {why}")
    );
}

#[test]
fn a_deleted_pod_has_its_grace_period() {
    let mut deleted = pod(&json!({"phase": "Running"}));
    deleted["metadata"]["deletionTimestamp"] = NOW.into();
    let why = "pod p on node n was deleted before it sent a result; run again";
    let judged = |at, policy: Policy| verdict(at, deleted.clone(), &policy);
    assert_eq!(
        judged("2026-11-22T10:09:00Z", Policy::job()),
        format!("wait until 2026-11-22T10:10:00Z: {why}")
    );
    assert_eq!(judged(NOW, Policy::job()), format!("failing: {why}"));
    assert_eq!(judged(NOW, Policy::daemon_set()), "fine");
}

#[test]
fn a_lost_node_is_named() {
    let mut lost = pod(&json!({"phase": "Running", "reason": "NodeLost"}));
    lost["metadata"]["deletionTimestamp"] = "2026-11-22T10:00:00Z".into();
    assert_eq!(
        verdict("2026-11-22T10:01:00Z", lost, &Policy::daemon_set()),
        "failing: pod p on node n: the node no longer responds; bring the node back, or run again without it"
    );
}

#[test]
fn ending_well_without_a_result_is_a_failure_of_a_bare_pod() {
    let mut status = terminated(0, "Completed");
    status["phase"] = "Succeeded".into();
    assert_eq!(
        job("2026-11-22T10:10:10Z", &status),
        "failing: all containers of pod p on node n ended without an error, but no result arrived; the plugin must write its done file before it ends"
    );
}

#[test]
fn init_containers_count() {
    let status = json!({"phase": "Pending", "startTime": "2026-11-22T10:00:00Z", "initContainerStatuses": [
        container(&json!({"terminated": {"exitCode": 2, "reason": "Error", "finishedAt": "2026-11-22T10:01:00Z"}}))]});
    assert_eq!(
        job(NOW, &status),
        "failing: init container c of pod p on node n ended with exit code 2 and no result arrived; see its log"
    );
}

fn unmounted_at(now: &str, status: &Value, events: &[(&str, &str, &str, &str)]) -> Option<String> {
    let mut pod = pod(status);
    pod["metadata"]["uid"] = json!("u-1");
    let event = |(uid, reason, message, time): &(&str, &str, &str, &str)| json!({"involvedObject": {"uid": uid}, "reason": reason, "message": message, "lastTimestamp": time});
    let events: Vec<EventView> = events
        .iter()
        .map(event)
        .map(|event| serde_json::from_value(event).unwrap())
        .collect();
    mount_failure(&view(pod), &events, now.parse().unwrap())
}

/// W-8: a volume that cannot be mounted shows only in Events. Events that are old, or about other pods or things, are
/// ignored.
#[test]
fn unmounted_volume_is_found_in_events() {
    let scheduled = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-22T10:05:00Z"});
    let mut status = waiting("ContainerCreating", "");
    status["conditions"] = json!([scheduled]);
    let good = ("u-1", "FailedMount", "no such configmap", "2026-11-22T10:09:00Z");
    let said = "pod p on node n has no containers after 5m, because a volume cannot be mounted: no such configmap (FailedMount); correct the plugin's volumes, or create the missing objects";
    assert_eq!(unmounted_at(NOW, &status, &[good]).as_deref(), Some(said));
    let older = ("u-1", "FailedAttachVolume", "not yet", "2026-11-22T10:08:00Z");
    assert_eq!(unmounted_at(NOW, &status, &[good, older]).as_deref(), Some(said));
    let useless = [
        ("u-2", "FailedMount", "another pod's", "2026-11-22T10:09:00Z"),
        ("u-1", "Pulling", "an image", "2026-11-22T10:09:00Z"),
        ("u-1", "FailedMount", "long over", "2026-11-22T10:04:59Z"),
        ("u-1", "FailedMount", "some day", ""),
    ];
    assert_eq!(unmounted_at(NOW, &status, &useless), None);
}

#[test]
fn only_pods_without_containers_wait_for_volumes() {
    let since = |status: &Value| no_containers_since(&view(pod(status)));
    let scheduled = json!([{"type": "PodScheduled", "status": "True", "lastTransitionTime": NOW}]);
    let with = |mut status: Value| {
        status["conditions"] = scheduled.clone();
        since(&status)
    };
    let now = NOW.parse().ok();
    assert_eq!(
        with(json!({"phase": "Pending"})),
        now,
        "the kubelet has not reported yet"
    );
    assert_eq!(with(waiting("PodInitializing", "")), now);
    assert_eq!(since(&waiting("ContainerCreating", "")), None, "it has no node");
    assert_eq!(
        with(waiting("ErrImagePull", "")),
        None,
        "volumes are mounted before images are pulled"
    );
    assert_eq!(with(terminated(1, "Error")), None);
}
