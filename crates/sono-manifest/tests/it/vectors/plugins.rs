//! Sonobuoy's own plugins and those of its example repository.

use serde_json::Value;
use sono_manifest::{Definition, DriverKind, Owner, PluginLaunch, Preparation, daemon_set, load, pod, prepare};
use sono_testkit::vectors;
use sono_types::{Config, SessionId, constants};

use crate::yaml_files;

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn real_plugins_load_without_problems_and_are_written_back_completely() {
    let folder = vectors("plugins");
    let files = yaml_files(&folder);
    assert!(files.len() > 20, "{} files", files.len());
    for (file, text) in files {
        let (definition, problems) = load(&file, &text);
        let complaints: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(complaints, Vec::<String>::new());
        let definition = definition.unwrap();
        let again = load(&file, &definition.to_yaml());
        assert_eq!(again, (Some(without_empty_resources(definition)), Vec::new()), "{file}");
    }
}

/// The definition without empty resources, which are omitted in written definitions.
fn without_empty_resources(mut definition: Definition) -> Definition {
    let others = definition
        .pod_spec
        .as_mut()
        .and_then(|pod| pod.get_mut("containers")?.as_array_mut());
    for container in std::iter::once(&mut definition.spec).chain(others.into_iter().flatten()) {
        let fields = container.as_object_mut().unwrap();
        fields.retain(|key, value| key != "resources" || *value != serde_json::json!({}));
    }
    definition
}

/// The plugin's pod or DaemonSet.
fn rendered(definition: &Definition) -> Value {
    let owner = Owner {
        name: "sonobuoy-config-cm".to_owned(),
        uid: "u-1".to_owned(),
    };
    let launch = PluginLaunch {
        definition,
        config: &Config::default(),
        session: &SessionId::from_random([0; 8]),
        namespace: "ns",
        owner: &owner,
        aggregator_url: "https://10.0.0.1:8080",
        fallback_url: None,
        ca_cert: "ca",
        client_cert: "cert",
        client_key: "key",
        deadline: None,
    };
    match definition.driver {
        DriverKind::Job => pod(&launch),
        DriverKind::DaemonSet => daemon_set(&launch),
    }
}

/// Collects the paths at which `whole` lacks a part of `part`.
///
/// Maps and lists of named elements must contain at least the fields and elements of `part`; other lists must be equal.
fn lacks(part: &Value, whole: &Value, path: &str, missing: &mut Vec<String>) {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            for (key, value) in part.iter().filter(|(_, value)| !value.is_null()) {
                match whole.get(key) {
                    Some(found) => lacks(value, found, &format!("{path}.{key}"), missing),
                    None => missing.push(format!("{path}.{key}")),
                }
            }
        }
        (Value::Array(part), Value::Array(whole)) if part.iter().all(|element| element.get("name").is_some()) => {
            for element in part {
                let same =
                    |other: &&Value| other["name"] == element["name"] && other["mountPath"] == element["mountPath"];
                let path = format!("{path}[{}]", element["name"]);
                match whole.iter().find(same) {
                    Some(found) => lacks(element, found, &path, missing),
                    None => missing.push(path),
                }
            }
        }
        (part, whole) if part == whole => {}
        _ => missing.push(path.to_owned()),
    }
}

/// The pod contains everything in the definition, the worker and the results volume.
#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn pods_of_real_plugins_contain_everything_in_the_definition() {
    let folder = vectors("plugins");
    for (file, text) in yaml_files(&folder) {
        let preparation = Preparation {
            config: &Config::default(),
            kubernetes_version: "v1.37.2",
        };
        let definition = prepare(vec![load(&file, &text).0.unwrap()], &preparation).remove(0);
        let object = rendered(&definition);
        let spec = match definition.driver {
            DriverKind::Job => &object["spec"],
            DriverKind::DaemonSet => &object["spec"]["template"]["spec"],
        };
        let mut missing = Vec::new();
        let own = serde_json::json!({ "containers": [definition.spec], "volumes": definition.extra_volumes });
        lacks(&own, spec, "", &mut missing);
        if let Some(own) = &definition.pod_spec {
            lacks(own, spec, "podSpec", &mut missing);
        }
        assert_eq!(missing, Vec::<String>::new(), "{file}");
        let names = |list: &str| -> Vec<&str> {
            let elements = spec[list].as_array().into_iter().flatten();
            elements.filter_map(|element| element["name"].as_str()).collect()
        };
        let containers = names("containers");
        assert_eq!(containers.last(), Some(&constants::WORKER_CONTAINER), "{file}");
        assert_eq!(
            containers
                .iter()
                .filter(|name| **name == definition.spec["name"])
                .count(),
            1,
            "{file}"
        );
        assert_eq!(
            names("volumes").iter().filter(|name| **name == "results").count(),
            1,
            "{file}"
        );
        for container in spec["containers"].as_array().unwrap() {
            let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
            assert!(
                mounts.iter().any(|mount| mount["name"] == "results"),
                "{file}: {}",
                container["name"]
            );
        }
        assert_eq!(
            object["metadata"]["labels"][constants::PLUGIN_LABEL],
            definition.name.as_str(),
            "{file}"
        );
        assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "u-1", "{file}");
    }
}
