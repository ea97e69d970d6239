//! Changes of definitions between the user's file and the plugin's pod (cli §4.1, core §2.6).

use serde_json::{Value, json};
use sono_types::{Config, constants, env};

use crate::{Definition, config_map, containers, pod_spec};

/// Variables that a run sets in every plugin, overriding definitions and flags.
pub const AUTOMATIC_VARIABLES: [&str; 6] = [
    env::SONOBUOY,
    env::SONOBUOY_K8S_VERSION,
    env::SONOBUOY_RESULTS_DIR,
    env::RESULTS_DIR,
    env::SONOBUOY_PROGRESS_PORT,
    env::SONOBUOY_CONFIG_DIR,
];

/// Inputs of [`prepare`].
#[derive(Debug, Clone, Copy)]
pub struct Preparation<'a> {
    /// The run's configuration.
    pub config: &'a Config,
    /// Version of the cluster, passed to plugins.
    pub kubernetes_version: &'a str,
}

/// Prepares definitions for the cluster before they are stored.
///
/// Applies the forced pull policy, `config-map` volumes, the variables and results mount that plugins expect, and the
/// cluster's version in images. The result is sorted by name. Idempotent.
pub fn prepare(mut definitions: Vec<Definition>, preparation: &Preparation<'_>) -> Vec<Definition> {
    let Preparation {
        config,
        kubernetes_version,
    } = *preparation;
    definitions.sort_by(|one, other| one.name.cmp(&other.name));
    let ports = progress_ports(&definitions, &config.progress_updates_port);
    for (definition, port) in definitions.iter_mut().zip(ports) {
        if config.force_image_pull_policy && definition.spec.is_object() {
            definition.spec["imagePullPolicy"] = json!(config.image_pull_policy);
        }
        config_map::mount(definition);
        if let Some(image) = definition.spec.get("image").and_then(Value::as_str) {
            let marker = format!("${}", env::SONOBUOY_K8S_VERSION);
            definition.spec["image"] = json!(image.replace(&marker, kubernetes_version));
        }
        let values = [
            "true",
            kubernetes_version,
            config.results_dir.as_str(),
            config.results_dir.as_str(),
            port.as_str(),
            constants::PLUGIN_CONFIG_DIR,
        ];
        let variables: Vec<(&str, &str)> = AUTOMATIC_VARIABLES.into_iter().zip(values).collect();
        for container in all_containers(definition) {
            containers::mount_results(container, &config.results_dir);
            containers::set_variables(container, &variables);
        }
    }
    definitions
}

/// Ports of the plugins' progress relays.
///
/// Pods on the host's network share its ports, so each such plugin after the first one gets its own port (weakness W-13). The
/// first one and all other plugins use the configured port.
fn progress_ports(definitions: &[Definition], configured: &str) -> Vec<String> {
    let mut ports = configured
        .parse::<u16>()
        .ok()
        .into_iter()
        .flat_map(|first| first..=u16::MAX);
    let on_host = |definition: &Definition| match &definition.pod_spec {
        Some(spec) => pod_spec::is_on_host_network(spec),
        None => pod_spec::is_on_host_network(&pod_spec::default_pod_spec(definition.driver, "")),
    };
    let port = |definition| {
        let own = if on_host(definition) { ports.next() } else { None };
        own.map_or_else(|| configured.to_owned(), |port| port.to_string())
    };
    definitions.iter().map(port).collect()
}

/// Changes results mounts and variables to the configured directory before the aggregator starts a plugin.
///
/// Definitions that use `/tmp/results`, or a literal `$(SONOBUOY_RESULTS_DIR)` as mount path, require this. Init containers
/// are only changed if they mount the results volume.
pub fn reconcile_results_dir(definition: &mut Definition, results_dir: &str) {
    for container in all_containers(definition) {
        containers::mount_results(container, results_dir);
    }
    if let Some(pod_spec) = &mut definition.pod_spec {
        containers::each_mut(pod_spec, "initContainers")
            .filter(|container| containers::mounts(container, constants::RESULTS_VOLUME))
            .for_each(|container| containers::mount_results(container, results_dir));
    }
    let variables = [
        (env::SONOBUOY_RESULTS_DIR, results_dir),
        (env::RESULTS_DIR, results_dir),
    ];
    containers::set_variables(&mut definition.spec, &variables);
}

/// The main container and the containers of the podSpec.
fn all_containers(definition: &mut Definition) -> impl Iterator<Item = &mut Value> {
    let others = definition
        .pod_spec
        .as_mut()
        .map(|pod_spec| containers::each_mut(pod_spec, "containers"));
    std::iter::once(&mut definition.spec).chain(others.into_iter().flatten())
}

#[cfg(test)]
mod tests;
