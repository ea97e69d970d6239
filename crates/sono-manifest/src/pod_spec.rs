//! Default podSpecs of the drivers, and properties of podSpecs.

use serde_json::{Value, json};

use crate::{Definition, DriverKind};

/// The podSpec of a plugin without one (core §2.5).
pub fn default_pod_spec(driver: DriverKind, service_account: &str) -> Value {
    match driver {
        DriverKind::Job => json!({
            "containers": [],
            "nodeSelector": { "kubernetes.io/os": "linux" },
            "restartPolicy": "Never",
            "serviceAccountName": service_account,
            "tolerations": [
                { "effect": "NoSchedule", "key": "node-role.kubernetes.io/master", "operator": "Exists" },
                { "effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane", "operator": "Exists" },
                { "key": "CriticalAddonsOnly", "operator": "Exists" },
                { "key": "kubernetes.io/e2e-evict-taint-key", "operator": "Exists" },
            ],
        }),
        DriverKind::DaemonSet => json!({
            "containers": [],
            "dnsPolicy": "ClusterFirstWithHostNet",
            "hostIPC": true,
            "hostNetwork": true,
            "hostPID": true,
            "serviceAccountName": service_account,
            "tolerations": [{ "operator": "Exists" }],
            "volumes": [{ "hostPath": { "path": "/" }, "name": "root" }],
        }),
    }
}

/// Whether the pod runs on Windows nodes.
pub(crate) fn is_windows(pod_spec: &Value) -> bool {
    let selected = |label: &str| {
        pod_spec
            .get("nodeSelector")
            .and_then(|selector| selector.get(label))
            .and_then(Value::as_str)
            == Some("windows")
    };
    selected("kubernetes.io/os")
        || selected("beta.kubernetes.io/os")
        || pod_spec.pointer("/os/name").and_then(Value::as_str) == Some("windows")
}

/// Whether the pod shares its node's network.
pub(crate) fn is_on_host_network(pod_spec: &Value) -> bool {
    pod_spec.get("hostNetwork").and_then(Value::as_bool).unwrap_or_default()
}

/// Whether the plugin's pods share their nodes' network, according to its podSpec or its driver's default.
pub fn uses_host_network(definition: &Definition) -> bool {
    match &definition.pod_spec {
        Some(pod_spec) => is_on_host_network(pod_spec),
        None => is_on_host_network(&default_pod_spec(definition.driver, "")),
    }
}

/// The user as which the plugin runs, if the definition has one.
pub(crate) fn user(definition: &Definition) -> Option<i64> {
    let user = |value: Option<&Value>| value?.pointer("/securityContext/runAsUser")?.as_i64();
    user(Some(&definition.spec)).or_else(|| user(definition.pod_spec.as_ref()))
}
