//! The pod a plugin gets when it brings no podSpec (core spec §2.5).

use serde_json::{Value, json};
use sono_types::constants;

use crate::definition::DriverKind;

/// The default podSpec of a driver. `service_account` is the run's (Sonobuoy always writes its own: W-32).
pub(crate) fn default_pod_spec(driver: DriverKind, service_account: &str) -> Value {
    let account = if service_account.is_empty() {
        constants::SERVICE_ACCOUNT
    } else {
        service_account
    };
    match driver {
        DriverKind::Job => json!({
            "containers": [],
            "restartPolicy": "Never",
            "serviceAccountName": account,
            "nodeSelector": { "kubernetes.io/os": "linux" },
            "tolerations": [
                { "key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule" },
                { "key": "node-role.kubernetes.io/master", "operator": "Exists", "effect": "NoSchedule" },
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
            "serviceAccountName": account,
            "tolerations": [{ "operator": "Exists" }],
            "volumes": [{ "name": "root", "hostPath": { "path": "/" } }],
        }),
    }
}

/// Whether a podSpec asks for Windows nodes, where Linux' security settings are refused.
pub(crate) fn is_windows(pod: &Value) -> bool {
    pod.pointer("/nodeSelector/kubernetes.io~1os").and_then(Value::as_str) == Some("windows")
}

/// Settings of our own containers that satisfy the `restricted` pod security level.
pub(crate) fn restricted(user: u32) -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "runAsUser": user,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}
