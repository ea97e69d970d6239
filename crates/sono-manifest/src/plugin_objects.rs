//! What the aggregator creates for one plugin (core spec §2.5; deviations in `DEVIATIONS.md`).

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sono_types::{Config, SessionId, constants, env};

use crate::{
    definition::{Definition, DriverKind},
    edit::{entries, list, set_env, text, variable},
    pod_defaults::{default_pod_spec, is_windows, restricted},
};

/// The user of our own containers.
const NONROOT: u32 = 65532;

/// What owns everything of a run: a ConfigMap, so that a replaced aggregator pod does not take its plugins along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// One plugin about to be started.
#[derive(Clone, Copy)]
pub struct PluginLaunch<'a> {
    /// The plugin.
    pub definition: &'a Definition,
    /// The run's configuration.
    pub config: &'a Config,
    /// What tells its objects from others.
    pub session: &'a SessionId,
    /// Where it runs.
    pub namespace: &'a str,
    /// What owns it.
    pub owner: &'a Owner,
    /// Where the worker uploads to.
    pub aggregator_url: &'a str,
    /// A second address of the same server.
    pub fallback_url: Option<&'a str>,
    /// PEM of the run's CA.
    pub ca_cert: &'a str,
    /// PEM of the plugin's certificate.
    pub client_cert: &'a str,
    /// SEC1 PEM of its key.
    pub client_key: &'a str,
    /// When the worker gives up.
    pub deadline: Option<Timestamp>,
}

impl std::fmt::Debug for PluginLaunch<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PluginLaunch")
            .field("plugin", &self.definition.name)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// Name of the pod or DaemonSet.
pub fn object_name(definition: &Definition, session: &SessionId) -> String {
    let kind = match definition.driver {
        DriverKind::Job => "job",
        DriverKind::DaemonSet => "daemon-set",
    };
    format!("sonobuoy-{}-{kind}-{session}", definition.name)
}

/// Name of the TLS secret.
pub fn secret_name(definition: &Definition, session: &SessionId) -> String {
    format!("sonobuoy-plugin-{}-{session}", definition.name)
}

/// The worker's certificate and key.
pub fn secret(launch: &PluginLaunch<'_>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": secret_name(launch.definition, launch.session),
            "namespace": launch.namespace,
            "labels": labels(launch),
            "ownerReferences": owners(launch),
        },
        "stringData": { "tls.crt": launch.client_cert, "tls.key": launch.client_key },
    })
}

/// The pod of a Job plugin.
pub fn pod(launch: &PluginLaunch<'_>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": object_name(launch.definition, launch.session),
            "namespace": launch.namespace,
            "labels": labels(launch),
            "annotations": annotations(launch, true),
            "ownerReferences": owners(launch),
        },
        "spec": pod_spec(launch),
    })
}

/// The DaemonSet of a DaemonSet plugin.
pub fn daemon_set(launch: &PluginLaunch<'_>) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": object_name(launch.definition, launch.session),
            "namespace": launch.namespace,
            "labels": labels(launch),
            "annotations": annotations(launch, true),
            "ownerReferences": owners(launch),
        },
        "spec": {
            "selector": { "matchLabels": { constants::RUN_LABEL: launch.session } },
            "template": {
                "metadata": { "labels": labels(launch), "annotations": annotations(launch, false) },
                "spec": pod_spec(launch),
            },
        },
    })
}

fn labels(launch: &PluginLaunch<'_>) -> Value {
    json!({
        constants::COMPONENT.0: constants::COMPONENT.1,
        constants::COMPONENT_LABEL: "plugin",
        constants::PLUGIN_LABEL: launch.definition.name,
        constants::RUN_LABEL: launch.session,
        constants::TIER.0: constants::TIER.1,
    })
}

/// The pod template of a DaemonSet only has the user's own annotations.
fn annotations(launch: &PluginLaunch<'_>, with_ours: bool) -> Value {
    let mut annotations = Map::new();
    if with_ours {
        annotations.insert(
            constants::DRIVER_ANNOTATION.to_owned(),
            launch.definition.driver_text.clone().into(),
        );
        annotations.insert(
            constants::PLUGIN_LABEL.to_owned(),
            launch.definition.name.as_str().into(),
        );
    }
    for (key, value) in &launch.config.custom_annotations {
        annotations.insert(key.clone(), value.clone().into());
    }
    Value::Object(annotations)
}

fn owners(launch: &PluginLaunch<'_>) -> Value {
    json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": launch.owner.name, "uid": launch.owner.uid }])
}

fn pod_spec(launch: &PluginLaunch<'_>) -> Value {
    let definition = launch.definition;
    let account = &launch.config.service_account_name;
    let mut pod = definition
        .pod_spec
        .clone()
        .unwrap_or_else(|| default_pod_spec(definition.driver, account));
    let worker = worker(launch, &pod);
    list(&mut pod, "containers").extend([definition.spec.clone(), worker]);
    if !launch.config.image_pull_secrets.is_empty() {
        list(&mut pod, "imagePullSecrets").push(json!({ "name": launch.config.image_pull_secrets }));
    }
    let volumes = list(&mut pod, "volumes");
    volumes.push(json!({ "name": constants::RESULTS_VOLUME, "emptyDir": {} }));
    volumes.extend(definition.extra_volumes.iter().cloned());
    pod
}

fn worker(launch: &PluginLaunch<'_>, pod: &Value) -> Value {
    let definition = launch.definition;
    let (command, arguments) = match definition.driver {
        DriverKind::Job => (
            json!(["/sonobuoy"]),
            json!(["worker", "global", "--level=trace", "-v=6", "--logtostderr"]),
        ),
        DriverKind::DaemonSet => (
            json!([
                "/sonobuoy",
                "worker",
                "single-node",
                "--level=trace",
                "-v=6",
                "--logtostderr",
                "--sleep=-1"
            ]),
            json!([]),
        ),
    };
    let mut worker = json!({
        "name": constants::WORKER_CONTAINER,
        "image": launch.config.worker_image,
        "imagePullPolicy": launch.config.image_pull_policy,
        "command": command,
        "args": arguments,
        "env": environment(launch, pod),
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
        "volumeMounts": [{ "name": constants::RESULTS_VOLUME, "mountPath": launch.config.results_dir }],
    });
    if !is_windows(pod) {
        worker["securityContext"] = restricted(NONROOT);
    }
    worker
}

/// The plugin's variables in their order, then the worker's own, which win.
fn environment(launch: &PluginLaunch<'_>, pod: &Value) -> Value {
    let definition = launch.definition;
    let mut container = json!({ "env": entries(&definition.spec, "env").cloned().collect::<Vec<Value>>() });
    let own = entries(&definition.spec, "env").any(|entry| text(entry, "name") == env::SONOBUOY_DONE_FILE_DELAY);
    let shares =
        |other: &Value| entries(other, "volumeMounts").any(|mount| text(mount, "name") == constants::RESULTS_VOLUME);
    // The delay lets a side-car take the done file away; where no other container sees it, it is only lost time.
    if !own && !entries(pod, "containers").any(shares) {
        set_env(
            &mut container,
            env::SONOBUOY_DONE_FILE_DELAY,
            variable(env::SONOBUOY_DONE_FILE_DELAY, "0s"),
        );
    }
    let secret = secret_name(definition, launch.session);
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let key = |key: &str| json!({ "secretKeyRef": { "name": secret, "key": key } });
    let results_dir = launch.config.results_dir.as_str();
    for (name, source) in [
        (env::NODE_NAME, field("spec.nodeName")),
        (env::SONOBUOY_NS, field("metadata.namespace")),
        (env::SONOBUOY_PLUGIN_POD, field("metadata.name")),
        (env::CLIENT_CERT, key("tls.crt")),
        (env::CLIENT_KEY, key("tls.key")),
    ] {
        set_env(&mut container, name, json!({ "name": name, "valueFrom": source }));
    }
    let deadline = launch.deadline.map(|deadline| deadline.to_string());
    let values = [
        (env::RESULTS_DIR, Some(results_dir)),
        (env::SONOBUOY_RESULTS_DIR, Some(results_dir)),
        (env::RESULT_TYPE, Some(definition.name.as_str())),
        (env::AGGREGATOR_URL, Some(launch.aggregator_url)),
        (env::SONO_AGGREGATOR_FALLBACK_URL, launch.fallback_url),
        (env::SONO_DEADLINE, deadline.as_deref()),
        (env::CA_CERT, Some(launch.ca_cert)),
        (
            env::SONOBUOY_PROGRESS_PORT,
            Some(launch.config.progress_updates_port.as_str()),
        ),
        (env::SONOBUOY_DIR, Some(constants::AGGREGATOR_DIR)),
        (env::SONOBUOY_WORKER_CONTAINER, Some(constants::WORKER_CONTAINER)),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            set_env(&mut container, name, variable(name, value));
        }
    }
    container["env"].take()
}
