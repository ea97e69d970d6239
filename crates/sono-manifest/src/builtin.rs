//! Built-in plugins: those of Sonobuoy (cli §6.3, §6.4) and `host-check`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sono_types::{PluginName, constants, env};

use crate::{Definition, DriverKind, Mode, PluginAccount, ResultRedaction, Selection, pod_spec::default_pod_spec};

/// Names of the built-in plugins.
pub const BUILTIN_NAMES: [&str; 3] = ["e2e", "host-check", "systemd-logs"];

/// Images and other settings of the built-in plugins that the run defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Image with `/sonobuoy host-check`.
    pub host_check: String,
    /// Kubernetes' conformance tests; `$SONOBUOY_K8S_VERSION` is replaced by the cluster's version.
    pub conformance: String,
    /// sono's image, or Sonobuoy's, which has the same command and variables.
    pub systemd_logs: String,
    /// Pull policy of all images; empty uses the default of Kubernetes.
    pub pull_policy: String,
    /// Service account of the plugins' pods.
    pub service_account: String,
    /// Port of the worker's progress relay.
    pub progress_port: String,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            host_check: constants::AGGREGATOR_IMAGE.to_owned(),
            conformance: format!("registry.k8s.io/conformance:${}", env::SONOBUOY_K8S_VERSION),
            systemd_logs: constants::SYSTEMD_LOGS_IMAGE.to_owned(),
            pull_policy: "IfNotPresent".to_owned(),
            service_account: constants::SERVICE_ACCOUNT.to_owned(),
            progress_port: constants::PROGRESS_PORT.to_owned(),
        }
    }
}

/// The built-in plugin with this name.
pub fn builtin(name: &str, images: &Images) -> Option<Definition> {
    match name {
        "e2e" => Some(e2e(images)),
        "host-check" => Some(host_check(images)),
        "systemd-logs" => Some(systemd_logs(images)),
        _ => None,
    }
}

pub(crate) fn definition(
    name: &str,
    driver: DriverKind,
    result_format: &str,
    spec: Value,
    pod_spec: Value,
) -> Definition {
    Definition {
        name: PluginName::parse(name).expect("names of built-in plugins are valid"),
        driver,
        driver_text: driver.to_string(),
        skip_cleanup: false,
        result_format: result_format.to_owned(),
        result_files: Vec::new(),
        result_redaction: ResultRedaction::default(),
        description: String::new(),
        source_url: String::new(),
        order: 0,
        account: None,
        spec,
        extra_volumes: Vec::new(),
        pod_spec: Some(pod_spec),
        config_map: BTreeMap::new(),
        others: serde_json::Map::new(),
        other_settings: serde_json::Map::new(),
    }
}

fn container(name: &str, image: &str, images: &Images, rest: Value) -> Value {
    let mut container = rest;
    container["name"] = json!(name);
    container["image"] = json!(image);
    if !images.pull_policy.is_empty() {
        container["imagePullPolicy"] = json!(images.pull_policy);
    }
    container
}

/// The conformance tests of [`Mode::DEFAULT`].
fn e2e(images: &Images) -> Definition {
    let progress = format!(
        "--progress-report-url=http://localhost:{}/progress",
        images.progress_port
    );
    let Selection { focus, skip, parallel } = Mode::DEFAULT.selection();
    let spec = json!({
        "command": ["/run_e2e.sh"],
        "env": [
            { "name": "E2E_FOCUS", "value": focus },
            { "name": "E2E_SKIP", "value": skip },
            { "name": "E2E_PARALLEL", "value": parallel },
            { "name": "E2E_USE_GO_RUNNER", "value": "true" },
            { "name": "E2E_EXTRA_ARGS", "value": progress },
        ],
    });
    let pod_spec = default_pod_spec(DriverKind::Job, &images.service_account);
    definition(
        "e2e",
        DriverKind::Job,
        "junit",
        container("e2e", &images.conformance, images, spec),
        pod_spec,
    )
}

fn systemd_logs(images: &Images) -> Definition {
    // The text is part of Sonobuoy's manifests, with which users compare.
    let script = "/get_systemd_logs.sh; while true; do echo \"Plugin is complete. Sleeping indefinitely to avoid container exit and automatic restarts from Kubernetes\"; sleep 3600; done";
    let spec = json!({
        "command": ["/bin/sh", "-c", script],
        "env": [
            { "name": "CHROOT_DIR", "value": "/node" },
            { "name": env::NODE_NAME, "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
        ],
        "securityContext": { "privileged": true },
        "volumeMounts": [{ "name": "root", "mountPath": "/node" }],
    });
    let mut pod_spec = default_pod_spec(DriverKind::DaemonSet, &images.service_account);
    pod_spec["nodeSelector"] = json!({ "kubernetes.io/os": "linux" });
    let spec = container("systemd-logs", &images.systemd_logs, images, spec);
    Definition {
        account: Some(PluginAccount::NoRights),
        ..definition("systemd-logs", DriverKind::DaemonSet, "raw", spec, pod_spec)
    }
}

/// Checks kernel, memory, disks, time, limits and DNS of every node. It reads the node's files as root without any
/// capability and with a read-only mount.
fn host_check(images: &Images) -> Definition {
    let spec = json!({
        "command": ["/sonobuoy", "host-check", "--stay"],
        "env": [
            { "name": env::SONO_HOST_ROOT, "value": "/host" },
            { "name": env::NODE_NAME, "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
        ],
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "readOnlyRootFilesystem": true,
            "runAsUser": 0,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "volumeMounts": [{ "name": "host", "mountPath": "/host", "readOnly": true }],
    });
    let pod_spec = json!({
        "containers": [],
        // Resolve names like the node does.
        "dnsPolicy": "Default",
        "hostNetwork": true,
        "nodeSelector": { "kubernetes.io/os": "linux" },
        "serviceAccountName": images.service_account,
        "tolerations": [{ "operator": "Exists" }],
        "volumes": [{ "name": "host", "hostPath": { "path": "/" } }],
    });
    let mut definition = definition(
        "host-check",
        DriverKind::DaemonSet,
        "manual",
        container("host-check", &images.host_check, images, spec),
        pod_spec,
    );
    "Kernel, memory, disks, time, limits and DNS of every node".clone_into(&mut definition.description);
    definition.account = Some(PluginAccount::NoRights);
    definition
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    #[test]
    fn built_in_plugins_are_valid_and_use_the_settings_of_the_run() {
        let images = Images {
            host_check: "h:1".to_owned(),
            conformance: "c:1".to_owned(),
            systemd_logs: "s:1".to_owned(),
            pull_policy: "Never".to_owned(),
            service_account: "me".to_owned(),
            progress_port: "9".to_owned(),
        };
        for (name, image) in BUILTIN_NAMES.iter().zip(["c:1", "h:1", "s:1"]) {
            let definition = builtin(name, &images).unwrap();
            assert_eq!(
                load(name, &definition.to_yaml()),
                (Some(definition.clone()), Vec::new())
            );
            let pod_spec = definition.pod_spec.unwrap();
            let found = (
                &definition.spec["image"],
                &definition.spec["imagePullPolicy"],
                &pod_spec["serviceAccountName"],
            );
            assert_eq!(found, (&json!(image), &json!("Never"), &json!("me")), "{name}");
        }
        let e2e = builtin("e2e", &images).unwrap().spec.to_string();
        assert!(
            e2e.contains("--progress-report-url=http://localhost:9/progress"),
            "{e2e}"
        );
        assert_eq!(builtin("other", &images), None);
    }
}
