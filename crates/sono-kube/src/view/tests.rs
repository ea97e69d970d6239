use serde_json::{Value, json};

use super::*;
use crate::Pod;

const TIME: &str = "2026-11-22T10:00:00Z";
const LATER: &str = "2026-11-22T10:01:00Z";

/// A DaemonSet's pod with everything that a view holds, and much that it does not.
fn whole() -> Value {
    let condition =
        |kind: &str, status: &str, at: &str| json!({"type": kind, "status": status, "lastTransitionTime": at});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p-x", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 1,
            "creationTimestamp": TIME, "deletionTimestamp": null, "labels": {"a": "b"}, "annotations": null,
            "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}]},
        "spec": {
            "nodeName": "n", "restartPolicy": "Never", "serviceAccountName": "s",
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]}}},
            "initContainers": [{"name": "first", "image": "example.org/first:1"}],
            "containers": [{"name": "main", "image": "example.org/main:1", "env": [{"name": "A", "value": "secret"}]}, {"name": "late"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
        "status": {
            "phase": "Pending", "reason": "R", "message": "m", "startTime": TIME, "podIP": "10.0.0.1",
            "conditions": [condition("Initialized", "True", LATER), condition("PodScheduled", "True", TIME)],
            "initContainerStatuses": [{"name": "first", "image": "x", "imageID": "", "ready": false, "restartCount": 2,
                "state": {"running": {"startedAt": TIME}},
                "lastState": {"terminated": {"exitCode": 3, "reason": "Error", "message": "no", "finishedAt": TIME}}}],
            "containerStatuses": [
                {"name": "main", "image": "sha256:1", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"waiting": {"reason": "PodInitializing"}}},
                {"name": "injected", "image": "sha256:2", "imageID": "", "ready": false, "restartCount": 0, "state": {},
                    "lastState": {}}],
        },
    })
}

fn read(pod: &Value, strings: &mut StringPool) -> PodView {
    PodView::of(&serde_json::from_value(pod.clone()).unwrap(), strings)
}

#[test]
fn pod_view_holds_what_verdicts_need() {
    let view = read(&whole(), &mut StringPool::default());
    assert_eq!(
        view.to_json(),
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p-x", "uid": "u", "creationTimestamp": TIME},
            "spec": {"nodeName": "n", "restartPolicy": "Never", "containers": [{"name": "main"}, {"name": "late"}]},
            "status": {
                "phase": "Pending", "reason": "R", "message": "m", "startTime": TIME,
                "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": TIME}],
                "initContainerStatuses": [{"name": "first", "image": "example.org/first:1", "restartCount": 2,
                    "state": {"running": {}},
                    "lastState": {"terminated": {"exitCode": 3, "reason": "Error", "message": "no", "finishedAt": TIME}}}],
                "containerStatuses": [
                    {"name": "main", "image": "example.org/main:1", "restartCount": 0,
                        "state": {"waiting": {"reason": "PodInitializing"}}},
                    {"name": "injected", "image": "sha256:2", "restartCount": 0}],
            },
        })
    );
    assert_eq!(view.changed, LATER.parse().ok());
    assert_eq!(view.container_names().collect::<Vec<_>>(), ["main", "late", "injected"]);
}

#[test]
fn pod_view_of_a_whole_pod_is_the_same() {
    let sparse = [
        json!({}),
        json!({"metadata": null, "spec": null, "status": null}),
        json!({"metadata": {"name": "p", "deletionTimestamp": TIME},
            "spec": {"containers": null, "nodeName": ""}, "status": {"conditions": null, "containerStatuses": null}}),
        json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [
            {"name": "c", "state": {"terminated": {"exitCode": 1, "reason": "OOMKilled", "finishedAt": TIME}}}]}}),
    ];
    for pod in sparse.into_iter().chain([whole()]) {
        let of_whole: Pod = serde_json::from_value(pod.clone()).unwrap_or_default();
        assert_eq!(
            read(&pod, &mut StringPool::default()),
            PodView::from(&of_whole),
            "{pod}"
        );
    }
}

#[test]
fn pod_views_share_what_repeats() {
    let mut strings = StringPool::default();
    let (first, second) = (read(&whole(), &mut strings), read(&whole(), &mut strings));
    for (one, other) in [
        (&first.phase, &second.phase),
        (&first.containers[0].name, &second.containers[0].name),
        (&first.containers[0].image, &second.containers[0].image),
        (&first.conditions[0].kind, &second.conditions[0].kind),
    ] {
        assert!(Text::ptr_eq(one, other), "{one}");
    }
}

#[test]
fn texts_that_never_repeat_are_not_all_held() {
    let mut strings = StringPool::default();
    let held = |strings: &mut StringPool, text: &str| std::sync::Arc::strong_count(&strings.get(text));
    assert_eq!(held(&mut strings, "a"), 2);
    assert_eq!(held(&mut strings, &"long".repeat(100)), 1);
    for number in 0..5000 {
        strings.get(&number.to_string());
    }
    let first = strings.get("0");
    assert!(!Text::ptr_eq(&first, &strings.get("1")));
    assert_eq!(std::sync::Arc::strong_count(&first), 2);
}

#[test]
fn long_messages_are_cut() {
    let message = "é".repeat(5000);
    let pod = json!({"metadata": {"name": "p"}, "status": {"message": message}});
    let view = read(&pod, &mut StringPool::default());
    assert_eq!(view.message.as_deref(), Some("é".repeat(512).as_str()));
    let event: EventView = serde_json::from_value(json!({"message": message})).unwrap();
    assert_eq!(event.message.len(), 1024);
}

#[test]
fn event_view_has_the_latest_of_its_times() {
    let event = |times: Value| {
        let mut event = times;
        event["involvedObject"] = json!({"uid": "u", "name": "p"});
        event["reason"] = "FailedMount".into();
        let view: EventView = serde_json::from_value(event).unwrap();
        assert_eq!((view.about.as_str(), view.reason.as_str()), ("u", "FailedMount"));
        view.at.map(|at| at.to_string())
    };
    let created = json!({"creationTimestamp": TIME});
    let said = |time: &str| Some(time.to_owned());
    assert_eq!(event(json!({"metadata": created})), said(TIME));
    assert_eq!(event(json!({"metadata": created, "lastTimestamp": LATER})), said(LATER));
    assert_eq!(
        event(json!({"metadata": created, "lastTimestamp": null, "eventTime": ""})),
        said(TIME)
    );
    assert_eq!(
        event(json!({"series": {"lastObservedTime": LATER}, "eventTime": TIME})),
        said(LATER)
    );
    assert_eq!(event(json!({"lastTimestamp": "some day"})), None);
}

#[test]
fn node_view_is_unready_only_where_its_condition_says_so() {
    let since = |status: Value| {
        let node: NodeView = serde_json::from_value(json!({"metadata": {"name": "n"}, "status": status})).unwrap();
        node.unready_since.map(|since| since.to_string())
    };
    let ready = |status: &str| {
        json!({"conditions": [{"type": "MemoryPressure", "status": "False"},
        {"type": "Ready", "status": status, "lastTransitionTime": TIME}]})
    };
    assert_eq!(since(ready("Unknown")), Some(TIME.to_owned()));
    assert_eq!(since(ready("False")), Some(TIME.to_owned()));
    for other in [ready("True"), json!(null), json!({}), json!({"conditions": null})] {
        assert_eq!(since(other.clone()), None, "{other}");
    }
}
