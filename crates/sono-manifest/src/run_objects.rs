//! Objects that the command line creates to start a run (cli §5).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sono_types::{Config, constants, env, yaml};

use crate::{
    Definition, account, config_map,
    rbac::{self, Permissions},
    results_volume::{ResultsVolume, workload},
    runner_role::aggregator_policy,
    security,
    sizes::Sizes,
};

/// Label of namespaces created for a run. `delete` deletes only these.
pub const CREATED_BY: (&str, &str) = ("app.kubernetes.io/created-by", "sono");

/// Labels and taints of control plane nodes; the second one is from before Kubernetes 1.24.
const CONTROL_PLANE: [&str; 2] = [
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
];

/// Inputs of a run's objects.
#[derive(Debug, Clone, Copy)]
pub struct RunObjects<'a> {
    /// The run's configuration.
    pub config: &'a Config,
    /// The [prepared](crate::prepare) plugins in the order in which they are stored.
    pub definitions: &'a [Definition],
    /// Image of the aggregator.
    pub aggregator_image: &'a str,
    /// Whether to create roles and bindings.
    pub rbac: bool,
    /// Log level of the aggregator: `error`, `warn`, `info`, `debug`, `trace`.
    pub log_level: &'a str,
    /// Volume for results. Without it, results are in the aggregator's pod and are lost with it.
    pub results_volume: Option<&'a ResultsVolume>,
    /// Limits of the aggregator's memory and disk.
    pub sizes: &'a Sizes,
    /// Whether a network policy allows only plugin pods to connect to the workers' port. Policies cannot select pods with
    /// `hostNetwork`, so no plugin may use it.
    pub network_policy: bool,
}

/// The run's objects in the order of their creation.
pub fn run_objects(run: &RunObjects<'_>) -> Vec<Value> {
    let config = run.config;
    let mut objects = Vec::new();
    if Permissions::of(config) == Permissions::ClusterAdmin {
        objects.push(namespace(config));
    }
    if !config.existing_service_account {
        objects.push(service_account(config, &config.service_account_name));
    }
    let of_plugins = account::created(config, run.definitions);
    objects.extend(of_plugins.iter().map(|account| {
        let mut object = service_account(config, account.name);
        if !account.can_read {
            object["automountServiceAccountToken"] = json!(false);
        }
        object
    }));
    if run.rbac {
        objects.extend(rbac::objects(config));
        objects.extend(
            of_plugins
                .iter()
                .flat_map(|account| rbac::plugin_objects(config, *account)),
        );
    }
    let settings = BTreeMap::from([(constants::CONFIG_MAP_KEY.to_owned(), config.to_json())]);
    objects.push(stored(config, constants::CONFIG_MAP, &settings));
    let numbered = |(number, definition): (usize, &Definition)| {
        (
            format!("plugin-{number}.yaml"),
            definition.to_yaml().trim_end().to_owned(),
        )
    };
    let plugins = run.definitions.iter().enumerate().map(numbered).collect();
    objects.push(stored(config, constants::PLUGINS_CONFIG_MAP, &plugins));
    let mut definitions: Vec<&Definition> = run.definitions.iter().collect();
    definitions.sort_by_key(|definition| &definition.name);
    objects.extend(
        definitions
            .iter()
            .filter_map(|definition| config_map::object(definition, &config.namespace)),
    );
    let pod = aggregator(run);
    let volume = run.results_volume;
    objects.extend(volume.and_then(|volume| volume.claim(config)));
    if volume.is_some() || config.aggregator_workload == constants::WORKLOAD_DEPLOYMENT {
        objects.push(workload(pod, volume));
    } else {
        objects.push(pod);
    }
    objects.push(service(config));
    if run.network_policy {
        objects.push(aggregator_policy(config));
    }
    objects
}

/// Objects as one YAML text with sorted keys, each followed by a line `---`.
pub fn to_manifest(objects: &[Value]) -> String {
    objects
        .iter()
        .map(|object| yaml::to_string(object).expect("JSON values can be written as YAML") + "---\n")
        .collect()
}

fn namespace(config: &Config) -> Value {
    let mut labels = Map::new();
    labels.insert(CREATED_BY.0.to_owned(), json!(CREATED_BY.1));
    if !config.namespace_psa_enforce_level.is_empty() {
        labels.insert(
            "pod-security.kubernetes.io/enforce".to_owned(),
            json!(config.namespace_psa_enforce_level),
        );
    }
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": config.namespace, "labels": labels },
    })
}

fn service_account(config: &Config, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": name,
            "namespace": config.namespace,
            "labels": { constants::COMPONENT.0: constants::COMPONENT.1 },
        },
    })
}

fn stored(config: &Config, name: &str, data: &BTreeMap<String, String>) -> Value {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": config.namespace,
            "labels": { constants::COMPONENT.0: constants::COMPONENT.1 },
        },
    });
    if !data.is_empty() {
        object["data"] = json!(data);
    }
    object
}

fn aggregator(run: &RunObjects<'_>) -> Value {
    let config = run.config;
    let mut tolerations = vec![json!({ "key": "kubernetes.io/e2e-evict-taint-key", "operator": "Exists" })];
    tolerations.extend(CONTROL_PLANE.map(|key| json!({ "key": key, "operator": "Exists", "effect": "NoSchedule" })));
    tolerations.extend(config.aggregator_tolerations.iter().map(toleration));
    let mut spec = json!({
        "affinity": { "nodeAffinity": avoid_control_plane() },
        "containers": [aggregator_container(run)],
        // Restarted on the same volume, it resumes the run.
        "restartPolicy": "OnFailure",
        "serviceAccountName": config.service_account_name,
        "terminationGracePeriodSeconds": 10,
        "tolerations": tolerations,
        "volumes": [
            { "name": "sonobuoy-config-volume", "configMap": { "name": constants::CONFIG_MAP } },
            { "name": "sonobuoy-plugins-volume", "configMap": { "name": constants::PLUGINS_CONFIG_MAP } },
            { "name": "output-volume", "emptyDir": run.sizes.volume() },
        ],
    });
    if !config.image_pull_secrets.is_empty() {
        spec["imagePullSecrets"] = json!([{ "name": config.image_pull_secrets }]);
    }
    if security::is_enabled(config) {
        spec["securityContext"] = json!({ "fsGroup": 2000, "runAsGroup": 3000, "runAsUser": 1000 });
    }
    // The run's results are in this pod until they are retrieved.
    let mut annotations = json!({ constants::SAFE_TO_EVICT: "false" });
    for (name, value) in &config.custom_annotations {
        annotations[name] = json!(value);
    }
    // Distinguishes this pod from one of the previous run.
    if !config.uuid.is_empty() {
        annotations[constants::RUN_ANNOTATION] = json!(config.uuid);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": constants::AGGREGATOR_POD,
            "namespace": config.namespace,
            "labels": {
                constants::COMPONENT.0: constants::COMPONENT.1,
                constants::COMPONENT_LABEL: "aggregator",
                constants::TIER.0: constants::TIER.1,
            },
            "annotations": annotations,
        },
        "spec": spec,
    })
}

/// Prefers nodes outside the control plane.
fn avoid_control_plane() -> Value {
    let expressions = CONTROL_PLANE.map(|key| json!({ "key": key, "operator": "DoesNotExist" }));
    json!({ "preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "preference": { "matchExpressions": expressions },
    }] })
}

fn aggregator_container(run: &RunObjects<'_>) -> Value {
    let config = run.config;
    let (level, verbosity) = log_level(run.log_level);
    let mut container = json!({
        "name": constants::AGGREGATOR_CONTAINER,
        "image": run.aggregator_image,
        "command": ["/sonobuoy"],
        "args": [
            "aggregator",
            "--no-exit",
            format!("--level={level}"),
            format!("-v={verbosity}"),
            "--alsologtostderr",
        ],
        "env": [
            { "name": env::SONOBUOY_ADVERTISE_IP, "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
            { "name": env::NODE_NAME, "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
        ],
        // The pod is ready as soon as workers can connect.
        "readinessProbe": {
            "tcpSocket": { "port": config.server.bind_port },
            "initialDelaySeconds": 0,
            "periodSeconds": 1,
            "failureThreshold": 3,
        },
        "resources": run.sizes.resources(),
        "volumeMounts": [
            { "name": "sonobuoy-config-volume", "mountPath": "/etc/sonobuoy" },
            { "name": "sonobuoy-plugins-volume", "mountPath": constants::PLUGINS_DIR },
            { "name": "output-volume", "mountPath": constants::AGGREGATOR_DIR },
        ],
    });
    if !config.image_pull_policy.is_empty() {
        container["imagePullPolicy"] = json!(config.image_pull_policy);
    }
    if security::is_enabled(config) {
        container["securityContext"] = security::container();
    }
    container
}

/// Values of `--level` and `-v` for a log level.
fn log_level(level: &str) -> (&str, u8) {
    match level {
        "panic" => (level, 0),
        "fatal" => (level, 1),
        "error" => (level, 2),
        "warn" | "warning" => ("warn", 3),
        "debug" => (level, 5),
        "trace" => (level, 6),
        _ => ("info", 4),
    }
}

/// Converts a toleration of the configuration, which holds only texts; `tolerationSeconds` becomes a number.
fn toleration(fields: &BTreeMap<String, String>) -> Value {
    fields
        .iter()
        .map(|(key, value)| match value.parse::<i64>() {
            Ok(seconds) if key == "tolerationSeconds" => (key.clone(), json!(seconds)),
            _ => (key.clone(), json!(value)),
        })
        .collect::<Map<String, Value>>()
        .into()
}

fn service(config: &Config) -> Value {
    let component = json!({ constants::COMPONENT_LABEL: "aggregator" });
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": constants::AGGREGATOR_SERVICE,
            "namespace": config.namespace,
            "labels": { constants::COMPONENT.0: constants::COMPONENT.1, constants::COMPONENT_LABEL: "aggregator" },
        },
        "spec": {
            "ports": [{
                "port": constants::AGGREGATOR_PORT,
                "protocol": "TCP",
                "targetPort": config.server.bind_port,
            }],
            // Workers may connect before the readiness probe has succeeded.
            "publishNotReadyAddresses": true,
            "selector": component,
            "type": "ClusterIP",
        },
    })
}

#[cfg(test)]
mod tests;
