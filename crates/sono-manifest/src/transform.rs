//! What a definition goes through before it is stored (cli spec §4.1, steps 9 to 15) and before it runs (core §2.6).

use serde_json::{Value, json};
use sono_types::{Config, constants, env};

use crate::{
    definition::Definition,
    edit::{entries, list, mount, set_env, text, variable},
};

/// What the run adds to its plugins.
#[derive(Debug, Clone, Copy)]
pub struct Preparation<'a> {
    /// The run's configuration.
    pub config: &'a Config,
    /// Version of the cluster, as plugins see it.
    pub kubernetes_version: &'a str,
}

/// The definitions as they are stored: sorted by name, with the run's variables and mounts.
pub fn prepare(mut definitions: Vec<Definition>, preparation: &Preparation<'_>) -> Vec<Definition> {
    definitions.sort_by(|left, right| left.name.cmp(&right.name));
    for definition in &mut definitions {
        prepare_one(definition, preparation);
    }
    definitions
}

fn prepare_one(definition: &mut Definition, preparation: &Preparation<'_>) {
    let Preparation {
        config,
        kubernetes_version,
    } = preparation;
    if config.force_image_pull_policy {
        definition.spec["imagePullPolicy"] = config.image_pull_policy.clone().into();
    }
    if let Some(image) = definition.spec.get("image").and_then(Value::as_str) {
        let image = image.replace(&format!("${}", env::SONOBUOY_K8S_VERSION), kubernetes_version);
        definition.spec["image"] = image.into();
    }
    let has_config = !definition.config_map.is_empty();
    let volume = format!("sonobuoy-{}-vol", definition.name);
    if has_config {
        definition
            .extra_volumes
            .push(json!({ "name": volume, "configMap": { "name": config_map_name(definition) } }));
    }
    let results_dir = config.results_dir.as_str();
    let values = [
        (env::SONOBUOY, "true"),
        (env::SONOBUOY_K8S_VERSION, *kubernetes_version),
        (env::SONOBUOY_RESULTS_DIR, results_dir),
        (env::RESULTS_DIR, results_dir),
        (env::SONOBUOY_PROGRESS_PORT, config.progress_updates_port.as_str()),
        (env::SONOBUOY_CONFIG_DIR, constants::PLUGIN_CONFIG_DIR),
    ];
    for_each_container(definition, |container| {
        if has_config {
            mount(container, &volume, constants::PLUGIN_CONFIG_DIR);
        }
        mount(container, constants::RESULTS_VOLUME, results_dir);
        prepend_env(container, &values);
    });
}

/// The run's variables come first, so that the plugin's own can refer to them as `$(NAME)`; they win over the plugin's
/// of the same name.
fn prepend_env(container: &mut Value, values: &[(&str, &str)]) {
    let ours = |variable: &Value| values.iter().any(|(name, _)| text(variable, "name") == *name);
    let variables = list(container, "env");
    variables.retain(|variable| !ours(variable));
    variables.splice(0..0, values.iter().map(|(name, value)| variable(name, value)));
}

/// Name of the ConfigMap with a plugin's files.
pub(crate) fn config_map_name(definition: &Definition) -> String {
    format!("plugin-{}-cm", definition.name)
}

/// Points every mount of the results volume at the configured directory: older plugins name `/tmp/results`, some a
/// literal `$(SONOBUOY_RESULTS_DIR)`. Init containers only where they mount it themselves.
pub fn reconcile_results_dir(definition: &mut Definition, results_dir: &str) {
    for_each_container(definition, |container| {
        mount(container, constants::RESULTS_VOLUME, results_dir)
    });
    let pod = definition.pod_spec.as_mut();
    for container in pod
        .and_then(|pod| pod.get_mut("initContainers")?.as_array_mut())
        .into_iter()
        .flatten()
    {
        if entries(container, "volumeMounts").any(|mount| text(mount, "name") == constants::RESULTS_VOLUME) {
            mount(container, constants::RESULTS_VOLUME, results_dir);
        }
    }
    for name in [env::SONOBUOY_RESULTS_DIR, env::RESULTS_DIR] {
        set_env(&mut definition.spec, name, variable(name, results_dir));
    }
}

fn for_each_container(definition: &mut Definition, mut work: impl FnMut(&mut Value)) {
    work(&mut definition.spec);
    let pod = definition.pod_spec.as_mut();
    for container in pod
        .and_then(|pod| pod.get_mut("containers")?.as_array_mut())
        .into_iter()
        .flatten()
    {
        work(container);
    }
}
