//! The `config-map` of a definition: its ConfigMap, volume and mounts (core §1.6).

use serde_json::{Value, json};
use sono_types::constants;

use crate::{Definition, containers};

/// Name of the ConfigMap with the plugin's files.
fn object_name(definition: &Definition) -> String {
    format!("plugin-{}-cm", definition.name)
}

/// The ConfigMap with the plugin's files, if it has any.
pub(crate) fn object(definition: &Definition, namespace: &str) -> Option<Value> {
    (!definition.config_map.is_empty()).then(|| {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": object_name(definition), "namespace": namespace },
            "data": definition.config_map,
        })
    })
}

/// Adds the volume with the plugin's files, and mounts it in the main container and in the containers of the podSpec.
pub(crate) fn mount(definition: &mut Definition) {
    if definition.config_map.is_empty() {
        return;
    }
    let volume = format!("sonobuoy-{}-vol", definition.name);
    if !definition
        .extra_volumes
        .iter()
        .any(|given| containers::name(given) == volume)
    {
        let source = json!({ "name": object_name(definition) });
        definition
            .extra_volumes
            .push(json!({ "name": volume, "configMap": source }));
    }
    let mount = |container: &mut Value| {
        if !containers::mounts(container, &volume)
            && let Some(mounts) = containers::list_mut(container, "volumeMounts")
        {
            mounts.push(json!({ "name": volume, "mountPath": constants::PLUGIN_CONFIG_DIR }));
        }
    };
    mount(&mut definition.spec);
    if let Some(pod_spec) = &mut definition.pod_spec {
        containers::each_mut(pod_spec, "containers").for_each(mount);
    }
}
