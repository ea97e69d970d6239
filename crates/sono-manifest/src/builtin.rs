//! The plugins that come with the program.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sono_types::{PluginName, constants, env};

use crate::{
    definition::{Definition, DriverKind},
    pod_defaults::default_pod_spec,
};

/// Names of the built-in plugins.
pub const BUILTIN_NAMES: [&str; 3] = ["host-check", "e2e", "systemd-logs"];

/// Images of the built-in plugins, and how they are pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Holds `/sonobuoy host-check`: the aggregator's.
    pub host_check: String,
    /// The conformance image; `$SONOBUOY_K8S_VERSION` is replaced.
    pub conformance: String,
    /// Collects the journal of a node.
    pub systemd_logs: String,
    /// `imagePullPolicy`.
    pub pull_policy: String,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            host_check: constants::AGGREGATOR_IMAGE.to_owned(),
            conformance: format!("registry.k8s.io/conformance:${}", env::SONOBUOY_K8S_VERSION),
            systemd_logs: "sonobuoy/systemd-logs:v0.4".to_owned(),
            pull_policy: "IfNotPresent".to_owned(),
        }
    }
}

/// The built-in plugin of that name.
pub fn builtin(name: &str, images: &Images) -> Option<Definition> {
    match name {
        "host-check" => Some(host_check(images)),
        "e2e" => Some(e2e(images)),
        "systemd-logs" => Some(systemd_logs(images)),
        _ => None,
    }
}

fn definition(name: &str, driver: DriverKind, format: &str, spec: Value, pod_spec: Value) -> Definition {
    Definition {
        name: PluginName::parse(name).expect("built-in names are valid"),
        driver,
        driver_text: driver.to_string(),
        skip_cleanup: false,
        result_format: format.to_owned(),
        result_files: Vec::new(),
        description: String::new(),
        source_url: String::new(),
        order: 0,
        spec,
        extra_volumes: Vec::new(),
        pod_spec: Some(pod_spec),
        config_map: BTreeMap::new(),
    }
}

/// Looks at the machine below each node: nothing is written there, and no privilege is needed but to read.
fn host_check(images: &Images) -> Definition {
    let spec = json!({
        "name": "host-check",
        "image": images.host_check,
        "imagePullPolicy": images.pull_policy,
        "command": ["/sonobuoy", "host-check", "--stay"],
        "env": [
            { "name": env::NODE_NAME, "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
            { "name": "SONO_HOST_ROOT", "value": "/host" },
        ],
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "readOnlyRootFilesystem": true,
            "runAsUser": 0,
        },
        "volumeMounts": [{ "name": "root", "mountPath": "/host", "readOnly": true }],
    });
    let pod = json!({
        "containers": [],
        "dnsPolicy": "Default",
        "nodeSelector": { "kubernetes.io/os": "linux" },
        "serviceAccountName": constants::SERVICE_ACCOUNT,
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{ "operator": "Exists" }],
        "volumes": [{ "name": "root", "hostPath": { "path": "/" } }],
    });
    Definition {
        description: "Kernel, memory, disks, time, limits and DNS of every node".to_owned(),
        ..definition("host-check", DriverKind::DaemonSet, "manual", spec, pod)
    }
}

/// The conformance suite, in its default mode `non-disruptive-conformance` (cli spec §6.3).
fn e2e(images: &Images) -> Definition {
    let progress = format!(
        "--progress-report-url=http://localhost:{}/progress",
        constants::PROGRESS_PORT
    );
    let value = |name: &str, value: &str| json!({ "name": name, "value": value });
    let spec = json!({
        "name": "e2e",
        "image": images.conformance,
        "imagePullPolicy": images.pull_policy,
        "command": ["/run_e2e.sh"],
        "env": [
            value("E2E_EXTRA_ARGS", &progress),
            value("E2E_FOCUS", r"\[Conformance\]"),
            value("E2E_PARALLEL", "false"),
            value("E2E_SKIP", r"\[Disruptive\]|NoExecuteTaintManager"),
            value("E2E_USE_GO_RUNNER", "true"),
        ],
    });
    definition(
        "e2e",
        DriverKind::Job,
        "junit",
        spec,
        default_pod_spec(DriverKind::Job, ""),
    )
}

/// The journal of every node (cli spec §6.4).
fn systemd_logs(images: &Images) -> Definition {
    let script = "/get_systemd_logs.sh; while true; do echo \"Plugin is complete. Sleeping indefinitely to avoid container exit and automatic restarts from Kubernetes\"; sleep 3600; done";
    let spec = json!({
        "name": "systemd-logs",
        "image": images.systemd_logs,
        "imagePullPolicy": images.pull_policy,
        "command": ["/bin/sh", "-c", script],
        "env": [
            { "name": "CHROOT_DIR", "value": "/node" },
            { "name": env::NODE_NAME, "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
        ],
        "securityContext": { "privileged": true },
        "volumeMounts": [{ "name": "root", "mountPath": "/node" }],
    });
    let mut pod = default_pod_spec(DriverKind::DaemonSet, "");
    pod["nodeSelector"] = json!({ "kubernetes.io/os": "linux" });
    definition("systemd-logs", DriverKind::DaemonSet, "raw", spec, pod)
}
