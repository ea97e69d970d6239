//! Objects and plugin with canaries, to test the redaction of an archive.

use serde_json::{Map, Value, json};
use sono_types::{
    Config,
    canary::{LABEL, NAME, Place, SEED_VARIABLE, Seed, all, at, marker},
    constants,
};

use crate::{Definition, DriverKind, Images, PluginAccount, builtin::definition, pod_spec::default_pod_spec};

/// Name of the plugin, of which the pod prints canaries and writes them to its result.
pub const CANARY_PLUGIN: &str = NAME;
/// Kind of the custom resource with canaries.
const CANARY_KIND: &str = "SonoCanary";
const VERSION: &str = "v1";

/// Group of the custom resource in the run's namespace, so that each run has its own.
fn group(namespace: &str) -> String {
    format!("{namespace}.canaries.sono.local")
}

/// Name of the definition of the custom resource.
pub fn canary_definition_name(namespace: &str) -> String {
    format!("sonocanaries.{}", group(namespace))
}

/// Objects with canaries that are created with the run's other objects. `cluster` adds the definition of a custom resource.
pub fn canary_objects(config: &Config, seed: Seed, cluster: bool) -> Vec<Value> {
    let namespace = &config.namespace;
    let metadata = |name: &str| {
        json!({
            "name": name,
            "namespace": namespace,
            "labels": { constants::COMPONENT.0: constants::COMPONENT.1, LABEL: config.uuid },
        })
    };
    let values: Map<String, Value> = all(seed)
        .into_iter()
        .filter(|canary| canary.in_secret)
        .map(|canary| (marker(seed, canary.place), json!(canary.value)))
        .collect();
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(NAME),
        "type": "Opaque",
        "stringData": values,
    });
    let (known, unknown) = at(seed, Place::Annotation);
    let mut metadata_of_map = metadata(NAME);
    metadata_of_map["annotations"] = json!({
        "sono.local/place": marker(seed, Place::Annotation),
        "sono.local/note": format!("connected with {known}"),
        "sono.local/password": unknown,
    });
    let (known, unknown) = at(seed, Place::ConfigMap);
    let map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata_of_map,
        "data": {
            "place": marker(seed, Place::ConfigMap),
            "note": format!("connected with {known}"),
            "application.properties": format!("user=canary\npassword={unknown}\n"),
        },
    });
    let (known, unknown) = at(seed, Place::Event);
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": metadata(NAME),
        "involvedObject": { "apiVersion": "v1", "kind": "ConfigMap", "name": NAME, "namespace": namespace },
        "type": "Normal",
        "reason": "Canary",
        "message": format!("{}: connected with {known}; password={unknown}", marker(seed, Place::Event)),
        "source": { "component": "sono" },
    });
    let mut objects = vec![secret, map, event];
    if cluster {
        objects.push(custom_resource_definition(config));
    }
    objects
}

fn custom_resource_definition(config: &Config) -> Value {
    let namespace = &config.namespace;
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": canary_definition_name(namespace),
            "labels": {
                constants::COMPONENT.0: constants::COMPONENT.1,
                "namespace": namespace,
                LABEL: config.uuid,
            },
        },
        "spec": {
            "group": group(namespace),
            "scope": "Namespaced",
            "names": {
                "kind": CANARY_KIND,
                "listKind": format!("{CANARY_KIND}List"),
                "plural": "sonocanaries",
                "singular": "sonocanary",
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "properties": { "spec": {
                        "type": "object",
                        "properties": {
                            "place": { "type": "string" },
                            "note": { "type": "string" },
                            "password": { "type": "string" },
                        },
                    }},
                }},
            }],
        },
    })
}

/// The custom resource with canaries. Its definition must be served before.
pub fn canary_resource(config: &Config, seed: Seed) -> Value {
    let (known, unknown) = at(seed, Place::CustomResource);
    json!({
        "apiVersion": format!("{}/{VERSION}", group(&config.namespace)),
        "kind": CANARY_KIND,
        "metadata": {
            "name": NAME,
            "namespace": config.namespace,
            "labels": { constants::COMPONENT.0: constants::COMPONENT.1, LABEL: config.uuid },
        },
        "spec": {
            "place": marker(seed, Place::CustomResource),
            "note": format!("connected with {known}"),
            "password": unknown,
        },
    })
}

/// The plugin with canaries in its variables, arguments, log and result.
pub fn canary_plugin(images: &Images, seed: Seed) -> Definition {
    let (known, unknown) = at(seed, Place::Variable);
    let (note, password) = at(seed, Place::Argument);
    let mut container = json!({
        "name": CANARY_PLUGIN,
        "image": images.host_check,
        "command": ["/sonobuoy", "canaries"],
        "args": [marker(seed, Place::Argument), format!("--note={note}"), format!("--password={password}")],
        "env": [
            { "name": SEED_VARIABLE, "value": seed.to_string() },
            { "name": "CANARY_PLACE", "value": marker(seed, Place::Variable) },
            { "name": "CANARY_NOTE", "value": format!("connected with {known}") },
            { "name": "CANARY_PASSWORD", "value": unknown },
        ],
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "readOnlyRootFilesystem": true,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
    });
    if !images.pull_policy.is_empty() {
        container["imagePullPolicy"] = json!(images.pull_policy);
    }
    let pod_spec = default_pod_spec(DriverKind::Job, &images.service_account);
    Definition {
        account: Some(PluginAccount::NoRights),
        ..definition(CANARY_PLUGIN, DriverKind::Job, "raw", container, pod_spec)
    }
}

#[cfg(test)]
mod tests {
    use sono_types::canary::Canary;

    use super::*;

    fn config() -> Config {
        Config {
            namespace: "ns".to_owned(),
            uuid: "7d1f".to_owned(),
            ..Config::default()
        }
    }

    #[test]
    fn objects_and_plugin_contain_the_canaries_of_their_places() {
        let seed = Seed::new(42);
        let objects = canary_objects(&config(), seed, true);
        let resource = canary_resource(&config(), seed);
        let plugin = canary_plugin(&Images::default(), seed);
        let texts = [
            strings(&objects[0]),
            strings(&objects[1]),
            strings(&objects[2]),
            strings(&resource),
            strings(&plugin.spec),
        ];
        for Canary {
            place,
            in_secret,
            value,
        } in all(seed)
        {
            let found: Vec<usize> = (0..texts.len())
                .filter(|index| texts[*index].contains(&value))
                .collect();
            let own = match place {
                Place::ConfigMap | Place::Annotation => vec![1],
                Place::Event => vec![2],
                Place::CustomResource => vec![3],
                Place::Variable | Place::Argument => vec![4],
                _ => vec![],
            };
            let expected = if in_secret { [vec![0], own].concat() } else { own };
            assert_eq!(found, expected, "{place:?}");
        }
    }

    #[test]
    fn objects_have_the_labels_by_which_the_run_is_deleted() {
        for object in canary_objects(&config(), Seed::new(1), true) {
            let labels = &object["metadata"]["labels"];
            assert_eq!(
                (&labels["component"], &labels["sono-canaries"]),
                (&json!("sonobuoy"), &json!("7d1f"))
            );
            let namespace = [&object["metadata"]["namespace"], &labels["namespace"]];
            assert!(namespace.contains(&&json!("ns")), "{object}");
        }
    }

    /// All strings of a value, without the escapes of JSON.
    fn strings(value: &Value) -> String {
        match value {
            Value::String(text) => format!("{text}\n"),
            Value::Array(elements) => elements.iter().map(strings).collect(),
            Value::Object(fields) => fields.values().map(strings).collect(),
            _ => String::new(),
        }
    }
}
