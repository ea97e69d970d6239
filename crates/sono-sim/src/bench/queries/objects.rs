//! Pods as from a Deployment, of realistic size: about 5 KB as the API server sends them.

use serde_json::{Value, json};

/// Number of namespaces: more than the aggregator lists one by one.
pub(super) const NAMESPACES: usize = 20;
/// Label of the benchmark's namespaces.
pub(super) const LABEL: &str = "sono.local/bench";
pub(super) const CONTAINER: &str = "main";

pub(super) fn namespace_name(pod: usize) -> String {
    format!("sono-bench-{:02}", pod % NAMESPACES)
}

pub(super) fn pod_name(number: usize) -> String {
    format!("app-{:04}-7d9c6b5f4-{number:05}", number / 50)
}

pub(super) fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {LABEL: "true"}}})
}

/// A pod without its status, bound to a node.
pub(super) fn pod(number: usize, node: &str) -> Value {
    let app = format!("app-{:04}", number / 50);
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": 8080}, "periodSeconds": 10, "timeoutSeconds": 3});
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(number),
            "namespace": namespace_name(number),
            "labels": {"app.kubernetes.io/name": app, "app.kubernetes.io/part-of": "bench", "pod-template-hash": "7d9c6b5f4", LABEL: "true"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "checksum/config": "0123456789abcdef".repeat(4)},
        },
        "spec": {
            "nodeName": node,
            // The pod has no kubelet that would stop it.
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "containers": [{
                "name": CONTAINER,
                "image": "registry.example/team/app:1.2.3",
                "args": ["--listen=:8080", "--metrics=:9090", "--log-format=json"],
                "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
                "env": [
                    variable("LOG_LEVEL", "info"), variable("DATABASE_HOST", "database.bench.svc.cluster.local"),
                    variable("DATABASE_PASSWORD", "not a secret"), variable("FEATURES", "a,b,c,d"),
                    field("POD_NAME", "metadata.name"), field("POD_IP", "status.podIP"),
                ],
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"memory": "128Mi"}},
                "livenessProbe": probe("/healthz"),
                "readinessProbe": probe("/readyz"),
                "volumeMounts": [{"name": "config", "mountPath": "/etc/app", "readOnly": true}, {"name": "scratch", "mountPath": "/tmp"}],
                "securityContext": {"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}},
            }],
            "volumes": [{"name": "config", "configMap": {"name": "config"}}, {"name": "scratch", "emptyDir": {}}],
        },
    })
}

/// The status that a kubelet would report.
pub(super) fn status(number: usize) -> Value {
    let time = "2026-11-23T00:00:00Z";
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": time});
    let conditions = [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]
    .map(condition);
    let address = format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
    json!({
        "phase": "Running",
        "startTime": time,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "qosClass": "Burstable",
        "conditions": conditions,
        "containerStatuses": [{
            "name": CONTAINER, "ready": true, "started": true, "restartCount": 0,
            "image": "registry.example/team/app:1.2.3",
            "imageID": format!("registry.example/team/app@sha256:{}", "0123456789abcdef".repeat(4)),
            "containerID": format!("containerd://{number:064x}"),
            "state": {"running": {"startedAt": time}}, "lastState": {},
        }],
    })
}
