//! Objects that the aggregator creates for a plugin (core §2.5).

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use sono_types::{Config, PluginName, SessionId, constants, env};

use crate::{
    Definition, DriverKind, account, containers,
    pod_spec::{self, default_pod_spec},
    security,
};

/// Owner of the plugin's objects: a ConfigMap of the run.
///
/// The aggregator's pod cannot be the owner, because plugins must survive its replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Name of the ConfigMap.
    pub name: String,
    /// UID of the ConfigMap.
    pub uid: String,
}

/// Inputs of a plugin's objects.
#[derive(Clone, Copy)]
pub struct PluginLaunch<'a> {
    /// The plugin.
    pub definition: &'a Definition,
    /// The run's configuration.
    pub config: &'a Config,
    /// Identifies the objects of this plugin and run.
    pub session: &'a SessionId,
    /// Namespace of the run.
    pub namespace: &'a str,
    /// Owner of the objects.
    pub owner: &'a Owner,
    /// Address of the aggregator for the worker, `https://host:port`.
    pub aggregator_url: &'a str,
    /// A second address of the aggregator.
    pub fallback_url: Option<&'a str>,
    /// PEM of the run's CA.
    pub ca_cert: &'a str,
    /// PEM of the worker's certificate.
    pub client_cert: &'a str,
    /// SEC1 PEM of the worker's key.
    pub client_key: &'a str,
    /// Time at which the worker gives up.
    pub deadline: Option<Timestamp>,
}

impl std::fmt::Debug for PluginLaunch<'_> {
    /// Omits the key.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PluginLaunch")
            .field("plugin", &self.definition.name)
            .field("session", &self.session)
            .field("namespace", &self.namespace)
            .field("owner", &self.owner)
            .field("aggregator_url", &self.aggregator_url)
            .field("fallback_url", &self.fallback_url)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Name of the plugin's pod or DaemonSet.
pub fn object_name(definition: &Definition, session: &SessionId) -> String {
    let kind = match definition.driver {
        DriverKind::Job => "job",
        DriverKind::DaemonSet => "daemon-set",
    };
    format!("sonobuoy-{}-{kind}-{session}", definition.name)
}

/// Name of the secret with the worker's certificate.
pub fn secret_name(definition: &Definition, session: &SessionId) -> String {
    format!("sonobuoy-plugin-{}-{session}", definition.name)
}

/// The Secret with the worker's certificate and key.
pub fn secret(launch: &PluginLaunch<'_>) -> Value {
    let pem = |text: &str| ByteString(text.as_bytes().to_vec());
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret_name(launch.definition, launch.session),
            "namespace": launch.namespace,
            "labels": labels(&launch.definition.name, launch.session),
            "ownerReferences": owners(launch.owner),
        },
        "type": "kubernetes.io/tls",
        "data": { "tls.crt": pem(launch.client_cert), "tls.key": pem(launch.client_key) },
    })
}

/// The Secret with the run's checkpoint, for an aggregator that replaces a lost one.
pub fn run_secret(owner: &Owner, namespace: &str, content: &[u8]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": constants::RUN_SECRET,
            "namespace": namespace,
            "labels": { constants::COMPONENT.0: constants::COMPONENT.1 },
            "ownerReferences": owners(owner),
        },
        "type": "Opaque",
        "data": { constants::RUN_SECRET_KEY: ByteString(content.to_vec()) },
    })
}

/// The pod of a plugin with driver Job. It prefers other nodes than the aggregator's, because tests may disrupt a node.
pub fn pod(launch: &PluginLaunch<'_>) -> Value {
    let mut metadata = metadata(launch);
    metadata["annotations"] = annotations(launch, {
        let mut own = metadata["annotations"].take();
        own[constants::SAFE_TO_EVICT] = json!("false");
        own
    });
    let mut spec = complete_pod_spec(launch);
    avoid_aggregator_node(&mut spec);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
    })
}

/// Adds a preferred anti-affinity to the aggregator, unless the definition has a pod anti-affinity.
fn avoid_aggregator_node(spec: &mut Value) {
    let Some(spec) = spec.as_object_mut() else { return };
    let affinity = spec.entry("affinity").or_insert_with(|| json!({}));
    if affinity.is_null() {
        *affinity = json!({});
    }
    if let Some(affinity) = affinity.as_object_mut() {
        affinity.entry("podAntiAffinity").or_insert_with(|| {
            json!({ "preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": 100,
                "podAffinityTerm": {
                    "labelSelector": { "matchLabels": { constants::COMPONENT_LABEL: "aggregator" } },
                    "topologyKey": "kubernetes.io/hostname",
                },
            }] })
        });
    }
}

/// Annotations `own`, overridden by those of the configuration.
fn annotations(launch: &PluginLaunch<'_>, own: Value) -> Value {
    let mut annotations = own;
    for (name, value) in &launch.config.custom_annotations {
        annotations[name] = json!(value);
    }
    annotations
}

/// The DaemonSet of a plugin with driver DaemonSet.
pub fn daemon_set(launch: &PluginLaunch<'_>) -> Value {
    let template = json!({
        "labels": labels(&launch.definition.name, launch.session),
        "annotations": annotations(launch, json!({ constants::SAFE_TO_EVICT: "false" })),
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata(launch),
        "spec": {
            "selector": { "matchLabels": { constants::RUN_LABEL: launch.session } },
            "template": { "metadata": template, "spec": complete_pod_spec(launch) },
        },
    })
}

fn metadata(launch: &PluginLaunch<'_>) -> Value {
    let definition = launch.definition;
    let own = json!({
        constants::DRIVER_ANNOTATION: definition.driver_text,
        constants::PLUGIN_LABEL: definition.name,
    });
    json!({
        "name": object_name(definition, launch.session),
        "namespace": launch.namespace,
        "labels": labels(&definition.name, launch.session),
        "annotations": annotations(launch, own),
        "ownerReferences": owners(launch.owner),
    })
}

fn labels(plugin: &PluginName, session: &SessionId) -> Value {
    json!({
        constants::COMPONENT.0: constants::COMPONENT.1,
        constants::COMPONENT_LABEL: "plugin",
        constants::PLUGIN_LABEL: plugin,
        constants::RUN_LABEL: session,
        constants::TIER.0: constants::TIER.1,
    })
}

fn owners(owner: &Owner) -> Value {
    json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": owner.name, "uid": owner.uid }])
}

/// The podSpec of the pods of a plugin, before addresses and certificates of its run are known.
pub fn expected_pod_spec(config: &Config, definition: &Definition) -> Value {
    let session = SessionId::from_random([0; 8]);
    let owner = Owner {
        name: String::new(),
        uid: String::new(),
    };
    complete_pod_spec(&PluginLaunch {
        definition,
        config,
        session: &session,
        namespace: &config.namespace,
        owner: &owner,
        aggregator_url: "",
        fallback_url: None,
        ca_cert: "",
        client_cert: "",
        client_key: "",
        deadline: None,
    })
}

fn complete_pod_spec(launch: &PluginLaunch<'_>) -> Value {
    let (definition, config) = (launch.definition, launch.config);
    let mut spec = definition
        .pod_spec
        .clone()
        .unwrap_or_else(|| default_pod_spec(definition.driver, &config.service_account_name));
    account::apply(config, definition, &mut spec);
    let worker = worker(launch, &spec);
    if let Some(containers) = containers::list_mut(&mut spec, "containers") {
        containers.push(definition.spec.clone());
        containers.iter_mut().for_each(containers::mount_legacy_results);
        containers.push(worker);
    }
    containers::each_mut(&mut spec, "initContainers").for_each(containers::mount_legacy_results);
    if !config.image_pull_secrets.is_empty()
        && let Some(secrets) = containers::list_mut(&mut spec, "imagePullSecrets")
    {
        secrets.push(json!({ "name": config.image_pull_secrets }));
    }
    if let Some(volumes) = containers::list_mut(&mut spec, "volumes") {
        volumes.push(json!({ "name": constants::RESULTS_VOLUME, "emptyDir": {} }));
        volumes.extend(definition.extra_volumes.iter().cloned());
    }
    spec
}

fn worker(launch: &PluginLaunch<'_>, pod_spec: &Value) -> Value {
    let (definition, config) = (launch.definition, launch.config);
    let (command, args): (&[&str], &[&str]) = match definition.driver {
        DriverKind::Job => (
            &["/sonobuoy"],
            &["worker", "global", "--level=trace", "-v=6", "--logtostderr"],
        ),
        DriverKind::DaemonSet => (
            &[
                "/sonobuoy",
                "worker",
                "single-node",
                "--level=trace",
                "-v=6",
                "--logtostderr",
                "--sleep=-1",
            ],
            &[],
        ),
    };
    let mut worker = json!({
        "name": constants::WORKER_CONTAINER,
        "image": config.worker_image,
        "command": command,
        "args": args,
        "env": worker_variables(launch, pod_spec),
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
        "volumeMounts": [{ "name": constants::RESULTS_VOLUME, "mountPath": config.results_dir }],
    });
    if !config.image_pull_policy.is_empty() {
        worker["imagePullPolicy"] = json!(config.image_pull_policy);
    }
    if security::is_enabled(config) && !pod_spec::is_windows(pod_spec) {
        let mut context = security::container();
        // The worker must read the plugin's files. Those of root are usually readable by all users.
        let user = pod_spec::user(definition).filter(|user| *user != 0);
        context["runAsUser"] = json!(user.unwrap_or(security::WORKER_USER));
        worker["securityContext"] = context;
    }
    worker
}

/// Variables of the worker: those of the plugin in their order, such as `SONOBUOY_DONE_FILE_DELAY`, and the worker's own,
/// which take precedence.
fn worker_variables(launch: &PluginLaunch<'_>, pod_spec: &Value) -> Vec<Value> {
    let own = own_variables(launch);
    let mut variables: Vec<Value> = containers::each(&launch.definition.spec, "env")
        .filter(|given| {
            !own.iter()
                .any(|variable| containers::name(variable) == containers::name(given))
        })
        .cloned()
        .collect();
    let has_delay = variables
        .iter()
        .any(|given| containers::name(given) == env::SONOBUOY_DONE_FILE_DELAY);
    variables.extend(own);
    if !has_delay && !shares_results(pod_spec) {
        variables.push(json!({ "name": env::SONOBUOY_DONE_FILE_DELAY, "value": "0s" }));
    }
    variables
}

fn own_variables(launch: &PluginLaunch<'_>) -> Vec<Value> {
    let (definition, config) = (launch.definition, launch.config);
    let secret = secret_name(definition, launch.session);
    let text = |name: &str, value: &str| json!({ "name": name, "value": value });
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let key = |name: &str, key: &str| json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } });
    let mut variables = vec![
        field(env::NODE_NAME, "spec.nodeName"),
        text(env::RESULTS_DIR, &config.results_dir),
        text(env::SONOBUOY_RESULTS_DIR, &config.results_dir),
        text(env::RESULT_TYPE, definition.name.as_str()),
        text(env::AGGREGATOR_URL, launch.aggregator_url),
        text(env::CA_CERT, launch.ca_cert),
        key(env::CLIENT_CERT, "tls.crt"),
        key(env::CLIENT_KEY, "tls.key"),
        text(env::SONOBUOY_PROGRESS_PORT, progress_port(launch)),
        text(env::SONOBUOY_DIR, constants::AGGREGATOR_DIR),
        field(env::SONOBUOY_NS, "metadata.namespace"),
        field(env::SONOBUOY_PLUGIN_POD, "metadata.name"),
        text(env::SONOBUOY_WORKER_CONTAINER, constants::WORKER_CONTAINER),
    ];
    if !config.uuid.is_empty() {
        variables.push(text(env::SONO_RUN_ID, &config.uuid));
    }
    if let Some(url) = launch.fallback_url {
        variables.push(text(env::SONO_AGGREGATOR_FALLBACK_URL, url));
    }
    if let Some(deadline) = launch.deadline {
        variables.push(text(env::SONO_DEADLINE, &deadline.to_string()));
    }
    variables
}

/// Port of the worker's progress relay, as set in the plugin's variables by [`prepare`](crate::prepare).
fn progress_port<'a>(launch: &PluginLaunch<'a>) -> &'a str {
    let port = containers::each(&launch.definition.spec, "env")
        .filter(|variable| containers::name(variable) == env::SONOBUOY_PROGRESS_PORT)
        .find_map(|variable| variable.get("value")?.as_str())
        .filter(|port| port.parse::<u16>().is_ok());
    port.unwrap_or(&launch.config.progress_updates_port)
}

/// Whether a container other than the main one can replace the done file. Init containers that end before the main
/// container starts cannot.
fn shares_results(pod_spec: &Value) -> bool {
    let mounts = |container: &Value| containers::mounts(container, constants::RESULTS_VOLUME);
    let is_sidecar = |container: &Value| container.get("restartPolicy").and_then(Value::as_str) == Some("Always");
    containers::each(pod_spec, "containers").any(mounts)
        || containers::each(pod_spec, "initContainers").any(|container| is_sidecar(container) && mounts(container))
}

#[cfg(test)]
mod tests;
