//! Translates a plugin's containers to local programs. Pure: reports everything that cannot be translated at once.

use std::collections::BTreeMap;

use serde_json::Value;
use sono_manifest::Definition;
use sono_types::{constants, env};

/// Paths and settings of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its results directory.
    pub results_dir: String,
    /// Directory of its `config-map`.
    pub config_dir: String,
    /// The port of its progress relay.
    pub progress_port: String,
    /// This machine's name.
    pub node: String,
}

/// A container as a local program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The container's name.
    pub name: String,
    /// Program and arguments, with `$(NAME)` expanded.
    pub command: Vec<String>,
    /// Variables added to this process's environment.
    pub env: BTreeMap<String, String>,
    /// Its working directory; that of this process if `None`.
    pub directory: Option<String>,
}

/// The reasons why a plugin requires a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin {plugin} cannot run on this machine: {}", .reasons.join("; "))]
pub struct Unsupported {
    /// The plugin.
    pub plugin: String,
    /// All reasons.
    pub reasons: Vec<String>,
}

/// Translates a plugin's containers to programs, the main one last as in its pod.
pub fn translate(definition: &Definition, place: &Place) -> Result<Vec<Program>, Unsupported> {
    let mut reasons = Vec::new();
    let pod = definition.pod_spec.as_ref();
    if list(pod, "initContainers").next().is_some() {
        reasons.push("it has init containers".to_owned());
    }
    let containers = list(pod, "containers").chain([&definition.spec]);
    let programs = containers
        .map(|container| program(container, place, &mut reasons))
        .collect();
    if reasons.is_empty() {
        Ok(programs)
    } else {
        Err(Unsupported {
            plugin: definition.name.to_string(),
            reasons,
        })
    }
}

fn list<'a>(value: Option<&'a Value>, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .and_then(|value| value.get(key))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn texts(container: &Value, key: &str) -> Vec<String> {
    list(Some(container), key)
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn program(container: &Value, place: &Place, reasons: &mut Vec<String>) -> Program {
    let name = container
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or("plugin")
        .to_owned();
    let mut environment = BTreeMap::new();
    for variable in list(Some(container), "env") {
        let Some(key) = variable.get("name").and_then(Value::as_str) else {
            continue;
        };
        if let Some(source) = variable.get("valueFrom") {
            match source.pointer("/fieldRef/fieldPath").and_then(Value::as_str) {
                Some("spec.nodeName") => {
                    environment.insert(key.to_owned(), place.node.clone());
                }
                _ => reasons.push(format!(
                    "variable {key} of container {name} gets its value from the cluster"
                )),
            }
        } else {
            let value = variable.get("value").and_then(Value::as_str).unwrap_or_default();
            let value = expand(value, &environment);
            environment.insert(key.to_owned(), value);
        }
    }
    if list(Some(container), "envFrom").next().is_some() {
        reasons.push(format!("container {name} gets variables from the cluster (envFrom)"));
    }
    for (key, value) in [
        (env::SONOBUOY, "true"),
        (env::SONOBUOY_RESULTS_DIR, place.results_dir.as_str()),
        (env::RESULTS_DIR, place.results_dir.as_str()),
        (env::SONOBUOY_CONFIG_DIR, place.config_dir.as_str()),
        (env::SONOBUOY_PROGRESS_PORT, place.progress_port.as_str()),
    ] {
        environment.insert(key.to_owned(), value.to_owned());
    }
    for mount in list(Some(container), "volumeMounts") {
        let volume = mount.get("name").and_then(Value::as_str).unwrap_or_default();
        let path = mount.get("mountPath").and_then(Value::as_str).unwrap_or_default();
        // The environment names the local paths of both.
        if volume != constants::RESULTS_VOLUME && path != constants::PLUGIN_CONFIG_DIR {
            reasons.push(format!("container {name} mounts the volume {volume}"));
        }
    }
    let command: Vec<String> = texts(container, "command")
        .into_iter()
        .chain(texts(container, "args"))
        .map(|word| expand(&word, &environment))
        .collect();
    if texts(container, "command").is_empty() {
        let image = container.get("image").and_then(Value::as_str).unwrap_or("no image");
        reasons.push(format!(
            "container {name} has no command of its own, only an image ({image})"
        ));
    }
    let directory = container.get("workingDir").and_then(Value::as_str).map(str::to_owned);
    Program {
        name,
        command,
        env: environment,
        directory,
    }
}

/// Expands `$(NAME)` to an earlier variable and `$$(NAME)` to the text `$(NAME)`. Unknown names are unchanged
/// (Kubernetes API reference, Container.command).
fn expand(text: &str, environment: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(position) = rest.find('$') {
        let (before, from) = rest.split_at(position);
        expanded.push_str(before);
        let after = &from[1..];
        if let Some(escaped) = after.strip_prefix('$') {
            expanded.push('$');
            rest = escaped;
            continue;
        }
        let name = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        if let Some((name, remainder)) = name {
            match environment.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.extend(["$(", name, ")"]),
            }
            rest = remainder;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(spec: Value, pod_spec: Option<Value>) -> Definition {
        Definition {
            spec,
            pod_spec,
            ..crate::host_check(std::path::Path::new("sono"))
        }
    }

    fn place() -> Place {
        Place {
            results_dir: "/w/results".to_owned(),
            config_dir: "/w/config".to_owned(),
            progress_port: "1234".to_owned(),
            node: "here".to_owned(),
        }
    }

    #[test]
    fn container_becomes_a_program() {
        let spec = json!({
            "name": "main", "image": "i", "workingDir": "/tmp",
            "command": ["sh", "-c"], "args": ["echo $(B) $$(B) $(C) $HOME > $(RESULTS_DIR)/x"],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"},
                    {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
            "volumeMounts": [{"name": "results", "mountPath": "/tmp/results"}],
        });
        let text = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(
            translate(&definition(spec, None), &place()),
            Ok(vec![Program {
                name: "main".to_owned(),
                command: vec![
                    "sh".to_owned(),
                    "-c".to_owned(),
                    "echo 12 $(B) $(C) $HOME > /w/results/x".to_owned()
                ],
                env: text(&[
                    ("A", "1"),
                    ("B", "12"),
                    ("N", "here"),
                    ("RESULTS_DIR", "/w/results"),
                    ("SONOBUOY", "true"),
                    ("SONOBUOY_CONFIG_DIR", "/w/config"),
                    ("SONOBUOY_PROGRESS_PORT", "1234"),
                    ("SONOBUOY_RESULTS_DIR", "/w/results"),
                ]),
                directory: Some("/tmp".to_owned()),
            }])
        );
    }

    #[test]
    fn all_reasons_for_a_cluster_are_reported() {
        let spec = json!({
            "name": "main", "image": "conformance", "envFrom": [{}],
            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "volumeMounts": [{"name": "root", "mountPath": "/node"}],
        });
        let error = translate(&definition(spec, Some(json!({"initContainers": [{}]}))), &place()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "plugin host-check cannot run on this machine: it has init containers; variable IP of container main gets its value from the cluster; container main gets variables from the cluster (envFrom); container main mounts the volume root; container main has no command of its own, only an image (conformance)"
        );
    }

    #[test]
    fn sidecars_are_first() {
        let pod_spec = json!({"containers": [{"name": "side", "command": ["true"]}]});
        let programs = translate(
            &definition(json!({"name": "main", "command": ["true"]}), Some(pod_spec)),
            &place(),
        );
        let names: Vec<String> = programs.unwrap().into_iter().map(|program| program.name).collect();
        assert_eq!(names, ["side", "main"]);
    }
}
