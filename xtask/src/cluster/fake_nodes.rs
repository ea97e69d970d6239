//! Node objects without a machine: enough to expect a result from each.

use serde_json::{Value, json};

/// Keeps ordinary pods, which would stay Pending there for ever, off; a DaemonSet that tolerates everything is put there.
const TAINT: &str = "sono.local/fake";

pub(crate) fn list(count: u16) -> Value {
    let items: Vec<_> = (1..=count).map(node).collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

fn node(number: u16) -> Value {
    let name = format!("fake{number:04}");
    let resources = json!({ "cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "sono.local/fake": "true",
            },
        },
        "spec": { "taints": [{ "key": TAINT, "value": "true", "effect": "NoSchedule" }] },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [{
                "type": "Ready",
                "status": "True",
                "reason": "Fake",
                "message": "no kubelet behind this node",
            }],
        },
    })
}
