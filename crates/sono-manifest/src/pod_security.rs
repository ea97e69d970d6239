//! Checks pods against the levels of the Kubernetes pod security standards before they are created.
//!
//! The API server rejects a DaemonSet's pods one by one, which is only visible in Events.

use serde_json::Value;
use sono_types::PluginName;

use crate::containers::{each, name};

/// Kinds of volumes that the level allows.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Capabilities that the level `baseline` allows to add.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Why a level refuses the pods of a plugin. `None` if it admits them, or is not known.
pub fn pod_security_misfit(level: &str, plugin: &PluginName, pod_spec: &Value) -> Option<String> {
    let found = match level {
        "restricted" => restricted_violations(pod_spec),
        "baseline" => baseline_violations(pod_spec),
        _ => Vec::new(),
    };
    (!found.is_empty()).then(|| {
        format!(
            "the namespace enforces the pod security level {level}, which plugin {plugin} violates: {}",
            found.join("; ")
        )
    })
}

/// Violations of the level `baseline` that plugins have, one message per field. Profiles, sysctls and SELinux are not checked.
fn baseline_violations(pod_spec: &Value) -> Vec<String> {
    let mut found = host_namespaces(pod_spec);
    for volume in each(pod_spec, "volumes").filter(|volume| volume.get("hostPath").is_some()) {
        found.push(format!("volume {} must not be of kind hostPath", name(volume)));
    }
    for container in ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| each(pod_spec, list))
    {
        let context = container.get("securityContext").unwrap_or(&Value::Null);
        let path = format!("container {}: securityContext", name(container));
        if context.get("privileged").and_then(Value::as_bool) == Some(true) {
            found.push(format!("{path}.privileged must not be true"));
        }
        found.extend(host_ports(container));
        let added = context.get("capabilities").map(|all| each(all, "add"));
        let mut added = added.into_iter().flatten().filter_map(Value::as_str);
        if let Some(capability) = added.find(|added| !BASELINE_CAPABILITIES.contains(added)) {
            found.push(format!("{path}.capabilities.add must not contain {capability}"));
        }
    }
    found
}

fn host_namespaces(pod_spec: &Value) -> Vec<String> {
    let fields = ["hostNetwork", "hostPID", "hostIPC"].into_iter();
    fields
        .filter(|field| pod_spec.get(field).and_then(Value::as_bool) == Some(true))
        .map(|field| format!("podSpec.{field} must not be set"))
        .collect()
}

fn host_ports(container: &Value) -> Option<String> {
    let is_set = |port: &Value| port.get("hostPort").and_then(Value::as_i64).unwrap_or_default() != 0;
    each(container, "ports")
        .any(is_set)
        .then(|| format!("container {}: ports must not have a hostPort", name(container)))
}

/// Violations of the level `restricted`, one message per field. Pods for Windows are exempt from rules specific to Linux.
fn restricted_violations(pod_spec: &Value) -> Vec<String> {
    let mut found = host_namespaces(pod_spec);
    for volume in each(pod_spec, "volumes") {
        let kinds = volume.as_object().into_iter().flat_map(|fields| fields.keys());
        for kind in kinds.filter(|kind| *kind != "name" && !VOLUMES.contains(&kind.as_str())) {
            found.push(format!("volume {} must not be of kind {kind}", name(volume)));
        }
    }
    let of_pod = pod_spec.get("securityContext").unwrap_or(&Value::Null);
    user(of_pod, "podSpec.securityContext", &mut found);
    let on_linux = pod_spec.pointer("/os/name").and_then(Value::as_str) != Some("windows");
    for list in ["initContainers", "containers"] {
        for container in each(pod_spec, list) {
            of_container(container, of_pod, on_linux, &mut found);
        }
    }
    found
}

fn user(context: &Value, path: &str, found: &mut Vec<String>) {
    if context.get("runAsUser").and_then(Value::as_i64) == Some(0) {
        found.push(format!("{path}.runAsUser must not be 0"));
    }
    if context.get("runAsNonRoot").and_then(Value::as_bool) == Some(false) {
        found.push(format!("{path}.runAsNonRoot must not be false"));
    }
}

fn of_container(container: &Value, of_pod: &Value, on_linux: bool, found: &mut Vec<String>) {
    let context = container.get("securityContext").unwrap_or(&Value::Null);
    let path = format!("container {}: securityContext", name(container));
    let flag = |context: &Value, field: &str| context.get(field).and_then(Value::as_bool);
    user(context, &path, found);
    if flag(context, "privileged") == Some(true) {
        found.push(format!("{path}.privileged must not be true"));
    }
    if flag(context, "runAsNonRoot")
        .or_else(|| flag(of_pod, "runAsNonRoot"))
        .is_none()
    {
        found.push(format!("{path}.runAsNonRoot must be true"));
    }
    found.extend(host_ports(container));
    if !on_linux {
        return;
    }
    if flag(context, "allowPrivilegeEscalation") != Some(false) {
        found.push(format!("{path}.allowPrivilegeEscalation must be false"));
    }
    let capabilities = |field: &str| {
        let list = context.get("capabilities").map(|all| each(all, field));
        list.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>()
    };
    if !capabilities("drop").contains(&"ALL") {
        found.push(format!("{path}.capabilities.drop must contain ALL"));
    }
    if capabilities("add").iter().any(|added| *added != "NET_BIND_SERVICE") {
        found.push(format!("{path}.capabilities.add must contain only NET_BIND_SERVICE"));
    }
    let profile = |context: &Value| {
        let kind = context.pointer("/seccompProfile/type").and_then(Value::as_str);
        kind.map(|kind| matches!(kind, "RuntimeDefault" | "Localhost"))
    };
    if profile(context).or_else(|| profile(of_pod)) != Some(true) {
        found.push(format!(
            "{path}.seccompProfile.type must be RuntimeDefault or Localhost"
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn own_containers_are_allowed() {
        let spec = json!({ "containers": [{ "name": "w", "securityContext": crate::security::container() }],
            "volumes": [{ "name": "results", "emptyDir": {} }, { "name": "c", "configMap": { "name": "x" } }] });
        assert_eq!(restricted_violations(&spec), Vec::<String>::new());
    }

    #[test]
    fn every_violating_field_is_named() {
        let spec = json!({
            "hostNetwork": true,
            "hostPID": false,
            "volumes": [{ "name": "root", "hostPath": { "path": "/" } }],
            "securityContext": { "runAsUser": 0, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "c",
                "ports": [{ "hostPort": 0 }, { "hostPort": 80 }],
                "securityContext": { "privileged": true, "capabilities": { "add": ["NET_ADMIN"] } },
            }],
        });
        assert_eq!(
            restricted_violations(&spec),
            [
                "podSpec.hostNetwork must not be set",
                "volume root must not be of kind hostPath",
                "podSpec.securityContext.runAsUser must not be 0",
                "container c: securityContext.privileged must not be true",
                "container c: securityContext.runAsNonRoot must be true",
                "container c: ports must not have a hostPort",
                "container c: securityContext.allowPrivilegeEscalation must be false",
                "container c: securityContext.capabilities.drop must contain ALL",
                "container c: securityContext.capabilities.add must contain only NET_BIND_SERVICE",
            ]
        );
    }

    #[test]
    fn misfit_names_level_and_plugin() {
        let spec = json!({ "hostPID": true, "volumes": [{ "name": "root", "hostPath": {} }, { "name": "nfs", "nfs": {} }],
            "containers": [{ "name": "c", "ports": [{ "hostPort": 80 }],
                "securityContext": { "privileged": true, "capabilities": { "add": ["CHOWN", "SYS_ADMIN"] } } }] });
        let plugin: PluginName = "p".parse().unwrap();
        assert_eq!(
            pod_security_misfit("baseline", &plugin, &spec).as_deref(),
            Some(
                "the namespace enforces the pod security level baseline, which plugin p violates: \
                 podSpec.hostPID must not be set; volume root must not be of kind hostPath; \
                 container c: securityContext.privileged must not be true; \
                 container c: ports must not have a hostPort; \
                 container c: securityContext.capabilities.add must not contain SYS_ADMIN"
            )
        );
        for level in ["privileged", "", "later"] {
            assert_eq!(pod_security_misfit(level, &plugin, &spec), None, "{level}");
        }
        assert_eq!(
            pod_security_misfit("baseline", &plugin, &json!({ "containers": [{}] })),
            None
        );
    }

    #[test]
    fn windows_has_no_capabilities_to_drop() {
        let spec = json!({ "os": { "name": "windows" }, "securityContext": { "runAsNonRoot": true },
            "containers": [{ "name": "c" }] });
        assert_eq!(restricted_violations(&spec), Vec::<String>::new());
    }
}
