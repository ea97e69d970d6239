//! Nodes and DaemonSet pods as in large clusters, with labels, images and managed fields.

use serde_json::{Value, json};

use crate::bench::queries::managed_fields;

/// Number of images in a node's status, the kubelet's default.
const IMAGES: usize = 50;
/// Number of labels that clouds and operators add to a node.
const LABELS: usize = 30;

/// A node of about `bytes` bytes.
pub(super) fn node(name: &str, time: &str, bytes: usize) -> Value {
    let images: Vec<Value> = (0..IMAGES)
        .map(|number| {
            let digest = format!("{number:064x}");
            json!({"names": [format!("registry.example/team/app-{number}@sha256:{digest}"), format!("registry.example/team/app-{number}:1.2.3")],
                "sizeBytes": 123_456_789 + number})
        })
        .collect();
    let condition = |kind: &str, status: &str| {
        json!({"type": kind, "status": status, "reason": "KubeletHasSufficient", "message": "kubelet has sufficient resources available",
            "lastHeartbeatTime": time, "lastTransitionTime": time})
    };
    let mut labels =
        json!({"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name});
    for number in 0..LABELS {
        labels[format!("feature.node.kubernetes.io/cpu-{number:02}")] = format!("value-{number}").into();
    }
    let resources = json!({"cpu": "64", "memory": "263747124Ki", "pods": "110", "ephemeral-storage": "101430960Ki", "hugepages-2Mi": "0"});
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDR": "10.1.2.0/24", "providerID": format!("cloud:///zone/{name}")},
        "status": {
            "capacity": resources, "allocatable": resources,
            "conditions": [condition("MemoryPressure", "False"), condition("DiskPressure", "False"),
                condition("PIDPressure", "False"), condition("Ready", "True")],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": name}],
            "images": images,
        },
    });
    filled(node, bytes)
}

/// Lifecycle stage of a pod.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    Created,
    Bound,
    Running,
}

/// The DaemonSet's pod for a node, of about `bytes` bytes.
pub(super) fn pod(set: &Value, node: &str, time: &str, stage: Stage, bytes: usize) -> Value {
    let mut spec = set["spec"]["template"]["spec"].clone();
    spec["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]}}});
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": time});
    let status = match stage {
        Stage::Created => json!({"phase": "Pending"}),
        Stage::Bound => json!({"phase": "Pending", "conditions": [condition("PodScheduled")]}),
        Stage::Running => {
            let containers = spec["containers"].as_array().into_iter().flatten();
            let statuses: Vec<Value> = containers.map(|container| running(container, time)).collect();
            let kinds = [
                "PodReadyToStartContainers",
                "Initialized",
                "Ready",
                "ContainersReady",
                "PodScheduled",
            ];
            json!({"phase": "Running", "startTime": time, "podIP": "10.1.2.3", "qosClass": "BestEffort",
                "conditions": kinds.map(condition), "containerStatuses": statuses})
        }
    };
    if !matches!(stage, Stage::Created) {
        spec["nodeName"] = node.into();
    }
    let set_name = set["metadata"]["name"].as_str().unwrap_or_default();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{set_name}-{node}"),
            "namespace": set["metadata"]["namespace"],
            "labels": set["spec"]["template"]["metadata"]["labels"],
            "creationTimestamp": time,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": set_name, "uid": set["metadata"]["uid"],
                "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": spec,
        "status": status,
    });
    filled(pod, bytes)
}

fn running(container: &Value, time: &str) -> Value {
    json!({"name": container["name"], "image": container["image"], "ready": true, "started": true, "restartCount": 0,
        "imageID": format!("registry.example/app@sha256:{}", "0123456789abcdef".repeat(4)),
        "containerID": format!("containerd://{}", "0123456789abcdef".repeat(4)),
        "state": {"running": {"startedAt": time}}, "lastState": {}})
}

/// Adds managed fields and a filler annotation, which stands for additions of webhooks and operators.
fn filled(mut object: Value, bytes: usize) -> Value {
    object["metadata"]["managedFields"] = managed_fields(&object);
    let missing = bytes.saturating_sub(object.to_string().len());
    if missing > 0 {
        object["metadata"]["annotations"] = json!({"example.org/filler": "x".repeat(missing)});
    }
    object
}

/// The DaemonSet with the controller's counts in its status.
pub(super) fn with_status(set: &Value, desired: usize, current: usize) -> Value {
    let mut set = set.clone();
    set["metadata"]["generation"] = 1.into();
    set["status"] = json!({"observedGeneration": 1, "desiredNumberScheduled": desired, "currentNumberScheduled": current,
        "numberReady": 0, "numberMisscheduled": 0});
    set
}

/// Label of the nodes of this benchmark.
pub(super) const NODE_LABEL: &str = "sono.local/bench-node";

/// A node without a machine, for a real API server.
pub(super) fn bare_node(name: &str) -> Value {
    let resources = json!({"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux", "kubernetes.io/hostname": name, NODE_LABEL: "true"}},
        // Prevents other pods from being scheduled here, where they would stay pending.
        "spec": {"taints": [{"key": NODE_LABEL, "value": "true", "effect": "NoSchedule"}]},
        "status": {
            "capacity": resources, "allocatable": resources,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Fake", "message": "this node has no kubelet"}],
        },
    })
}

/// A plugin with a grace period of zero, so that deleting its namespace does not wait for its pods.
pub(super) fn plugin(name: &str, image: &str) -> Value {
    json!({
        "sonobuoy-config": {"driver": "DaemonSet", "plugin-name": name, "result-format": "raw"},
        "podSpec": {"containers": [], "terminationGracePeriodSeconds": 0, "tolerations": [{"operator": "Exists"}]},
        "spec": {"name": "plugin", "image": image, "command": ["/bin/sh", "-c", "exec sleep 100000"]},
    })
}

#[cfg(test)]
mod tests {
    use sono_types::constants;

    use super::*;

    #[test]
    fn objects_have_requested_size() {
        let set = json!({"metadata": {"name": "s", "namespace": "ns", "uid": "u"}, "spec": {"template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": constants::WORKER_CONTAINER, "image": "i"}]}}}});
        let time = "2026-11-23T00:00:00Z";
        for object in [
            node("n", time, 25_000),
            pod(&set, "n", time, Stage::Created, 25_000),
            pod(&set, "n", time, Stage::Running, 25_000),
        ] {
            let bytes = object.to_string().len();
            assert!((25_000..25_100).contains(&bytes), "{bytes}");
        }
    }
}
