//! What the command line creates for a run (cli spec §5; deviations in `DEVIATIONS.md`).

use serde_json::{Map, Value, json};
use sono_types::{Config, constants, env, yaml};

use crate::{definition::Definition, pod_defaults::restricted, transform::config_map_name};

/// Label of a namespace that a run created; `delete` removes no other.
pub const CREATED_BY: (&str, &str) = ("app.kubernetes.io/created-by", "sono");

/// A run to be created.
#[derive(Debug, Clone, Copy)]
pub struct RunObjects<'a> {
    /// Its configuration.
    pub config: &'a Config,
    /// Its plugins, prepared.
    pub definitions: &'a [Definition],
    /// Image of the aggregator.
    pub aggregator_image: &'a str,
    /// Whether to create roles and bindings.
    pub rbac: bool,
    /// The aggregator's log level.
    pub log_level: &'a str,
}

/// The objects, in the order in which they must be created.
pub fn run_objects(run: &RunObjects<'_>) -> Vec<Value> {
    let config = run.config;
    let mut objects = Vec::new();
    if config.aggregator_permissions == "clusterAdmin" {
        objects.push(namespace(config));
    }
    if !config.existing_service_account {
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(config, &config.service_account_name),
        }));
    }
    if run.rbac {
        objects.extend(rbac(config));
    }
    objects.push(config_map(
        config,
        constants::CONFIG_MAP,
        &json!({ constants::CONFIG_MAP_KEY: config.to_json() }),
    ));
    let definitions = run.definitions.iter().enumerate();
    let plugins: Map<String, Value> = definitions
        .map(|(index, definition)| (format!("plugin-{index}.yaml"), definition.to_yaml().trim().into()))
        .collect();
    objects.push(config_map(
        config,
        constants::PLUGINS_CONFIG_MAP,
        &Value::Object(plugins),
    ));
    for definition in run
        .definitions
        .iter()
        .filter(|definition| !definition.config_map.is_empty())
    {
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": config_map_name(definition), "namespace": config.namespace },
            "data": definition.config_map,
        }));
    }
    objects.push(aggregator(run));
    objects.push(service(config));
    objects
}

fn metadata(config: &Config, name: &str) -> Value {
    json!({
        "name": name,
        "namespace": config.namespace,
        "labels": { constants::COMPONENT.0: constants::COMPONENT.1 },
    })
}

fn config_map(config: &Config, name: &str, data: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(config, name), "data": data })
}

fn namespace(config: &Config) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": config.namespace,
            "labels": {
                CREATED_BY.0: CREATED_BY.1,
                "pod-security.kubernetes.io/enforce": config.namespace_psa_enforce_level,
            },
        },
    })
}

/// Roles and bindings for the permission mode. The subject is the configured account (Sonobuoy always names its own).
fn rbac(config: &Config) -> Vec<Value> {
    let namespace = config.namespace.as_str();
    let (role, binding) = ("Role", "RoleBinding");
    let everything = |verbs: Value| json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": verbs });
    let urls = json!({ "nonResourceURLs": ["/metrics", "/logs", "/logs/*"], "verbs": ["get"] });
    let of_cluster = |verbs: Value| {
        let name = format!("{}-{namespace}", constants::SERVICE_ACCOUNT);
        grant(
            config,
            &format!("Cluster{role}"),
            &format!("Cluster{binding}"),
            &name,
            json!([everything(verbs), urls]),
        )
    };
    let of_namespace = || {
        let name = format!("{}-sonobuoy", constants::SERVICE_ACCOUNT);
        grant(config, role, binding, &name, json!([everything(json!(["*"]))]))
    };
    match config.aggregator_permissions.as_str() {
        "clusterAdmin" => of_cluster(json!(["*"])).to_vec(),
        "clusterRead" => [of_cluster(json!(["get", "list", "watch"])), of_namespace()].concat(),
        _ => of_namespace().to_vec(),
    }
}

/// A binding and its role, the binding first as Sonobuoy has it.
fn grant(config: &Config, role: &str, binding: &str, name: &str, rules: Value) -> [Value; 2] {
    let group = "rbac.authorization.k8s.io";
    let mut metadata = json!({
        "name": name,
        "labels": { constants::COMPONENT.0: constants::COMPONENT.1, "namespace": config.namespace },
    });
    if role == "Role" {
        metadata["namespace"] = config.namespace.clone().into();
    }
    let subject =
        json!({ "kind": "ServiceAccount", "name": config.service_account_name, "namespace": config.namespace });
    [
        json!({
            "apiVersion": format!("{group}/v1"),
            "kind": binding,
            "metadata": metadata,
            "roleRef": { "apiGroup": group, "kind": role, "name": name },
            "subjects": [subject],
        }),
        json!({ "apiVersion": format!("{group}/v1"), "kind": role, "metadata": metadata, "rules": rules }),
    ]
}

fn aggregator(run: &RunObjects<'_>) -> Value {
    let config = run.config;
    let levels = ["panic", "fatal", "error", "warn", "info", "debug", "trace"];
    let verbosity = levels.iter().position(|level| *level == run.log_level).unwrap_or(4);
    let mut annotations = Map::new();
    annotations.insert(
        "cluster-autoscaler.kubernetes.io/safe-to-evict".to_owned(),
        "false".into(),
    );
    for (key, value) in &config.custom_annotations {
        annotations.insert(key.clone(), value.clone().into());
    }
    let mut tolerations = vec![json!({ "key": "kubernetes.io/e2e-evict-taint-key", "operator": "Exists" })];
    tolerations.extend(config.aggregator_tolerations.iter().map(|toleration| json!(toleration)));
    let hardened = config.security_context_mode != "none";
    let mut container = json!({
        "name": constants::AGGREGATOR_CONTAINER,
        "image": run.aggregator_image,
        "imagePullPolicy": config.image_pull_policy,
        "command": ["/sonobuoy"],
        "args": [
            "aggregator",
            "--no-exit",
            format!("--level={}", run.log_level),
            format!("-v={verbosity}"),
            "--alsologtostderr",
        ],
        "env": [{
            "name": env::SONOBUOY_ADVERTISE_IP,
            "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } },
        }],
        // Ready means that workers can connect.
        "readinessProbe": { "tcpSocket": { "port": config.server.bind_port }, "periodSeconds": 1 },
        "resources": { "requests": { "cpu": "50m", "memory": "64Mi" } },
        "volumeMounts": [
            { "name": "sonobuoy-config-volume", "mountPath": "/etc/sonobuoy" },
            { "name": "sonobuoy-plugins-volume", "mountPath": constants::PLUGINS_DIR },
            { "name": "output-volume", "mountPath": constants::AGGREGATOR_DIR },
        ],
    });
    let mut spec = json!({
        "restartPolicy": "Never",
        "serviceAccountName": config.service_account_name,
        "terminationGracePeriodSeconds": 10,
        "tolerations": tolerations,
        "volumes": [
            { "name": "sonobuoy-config-volume", "configMap": { "name": constants::CONFIG_MAP } },
            { "name": "sonobuoy-plugins-volume", "configMap": { "name": constants::PLUGINS_CONFIG_MAP } },
            { "name": "output-volume", "emptyDir": {} },
        ],
    });
    if hardened {
        container["securityContext"] = restricted(1000);
        spec["securityContext"] = json!({ "runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000 });
    }
    if !config.image_pull_secrets.is_empty() {
        spec["imagePullSecrets"] = json!([{ "name": config.image_pull_secrets }]);
    }
    spec["containers"] = json!([container]);
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

fn service(config: &Config) -> Value {
    let mut metadata = metadata(config, constants::AGGREGATOR_SERVICE);
    metadata["labels"][constants::COMPONENT_LABEL] = "aggregator".into();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "ClusterIP",
            "selector": { constants::COMPONENT_LABEL: "aggregator" },
            // A plugin may be done before the kubelet has looked whether the aggregator is ready.
            "publishNotReadyAddresses": true,
            "ports": [{
                "port": constants::AGGREGATOR_PORT,
                "protocol": "TCP",
                "targetPort": config.server.bind_port,
            }],
        },
    })
}

/// The objects as `gen` prints them: a `---` after each document, keys sorted (cli spec §4.3).
pub fn to_manifest(objects: &[Value]) -> String {
    let document = |object: &Value| yaml::to_string(object).expect("a JSON value is always YAML");
    objects
        .iter()
        .map(|object| format!("{}\n---\n", document(object).trim_end()))
        .collect()
}
