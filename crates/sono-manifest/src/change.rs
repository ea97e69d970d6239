//! Changes of plugins by flags (cli §3 and §4.1).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{Definition, containers, ginkgo_arguments, secrets};

/// Name of the plugin that the flags for the Kubernetes tests change, built-in or not.
pub const E2E: &str = "e2e";
const EXTRA_ARGS: &str = "E2E_EXTRA_ARGS";
const PROGRESS_FLAG: &str = "--progress-report-url";

/// Changes by plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Images of main containers.
    pub images: BTreeMap<String, String>,
    /// Variables of all containers; `None` removes one.
    pub variables: BTreeMap<String, BTreeMap<String, Option<String>>>,
    /// Files for the plugin's configuration directory.
    pub files: BTreeMap<String, BTreeMap<String, String>>,
    /// Mounts the SSH key of the run's Secret in the plugin e2e.
    pub ssh_key: bool,
    /// Mounts the Docker credentials of this Secret in the plugin e2e.
    pub docker_config: Option<String>,
    /// Makes the plugin e2e write name, time and duration of each test.
    pub verbose_tests: bool,
}

/// Error of changes for a plugin that the run does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown plugin `{plugin}`; plugins of this run: {known}")]
pub struct UnknownPlugin {
    pub plugin: String,
    pub known: String,
}

impl Changes {
    /// Sets a variable of a plugin; `None` removes it.
    pub fn set(&mut self, plugin: &str, variable: &str, value: Option<String>) {
        let variables = self.variables.entry(plugin.to_owned()).or_default();
        variables.insert(variable.to_owned(), value);
    }

    /// Applies all changes.
    ///
    /// # Errors
    ///
    /// Fails for a plugin that is not in `definitions`, unless it is in `may_be_absent`: some flags have defaults for plugins.
    pub fn apply(&self, definitions: &mut [Definition], may_be_absent: &[&str]) -> Result<(), UnknownPlugin> {
        let named = self.images.keys().chain(self.variables.keys()).chain(self.files.keys());
        for plugin in named {
            let is_known = definitions.iter().any(|definition| definition.name.as_str() == plugin);
            if !is_known && !may_be_absent.contains(&plugin.as_str()) {
                let names: Vec<&str> = definitions.iter().map(|definition| definition.name.as_str()).collect();
                return Err(UnknownPlugin {
                    plugin: plugin.clone(),
                    known: names.join(", "),
                });
            }
        }
        for definition in definitions {
            let name = definition.name.as_str().to_owned();
            if let (Some(image), Some(spec)) = (self.images.get(&name), definition.spec.as_object_mut()) {
                spec.insert("image".to_owned(), json!(image));
            }
            for (file, text) in self.files.get(&name).into_iter().flatten() {
                definition.config_map.insert(file.clone(), text.clone());
            }
            if self.ssh_key {
                secrets::mount_ssh_key(definition);
            }
            self.change_variables_of(definition);
            if self.verbose_tests && name == E2E {
                ginkgo_arguments::make_verbose(&mut definition.spec);
            }
            if let Some(secret) = &self.docker_config {
                secrets::mount_docker_config(definition, secret);
            }
        }
        Ok(())
    }

    fn change_variables_of(&self, definition: &mut Definition) {
        let Some(variables) = self.variables.get(definition.name.as_str()) else {
            return;
        };
        let progress = progress_flag(&definition.spec);
        change(&mut definition.spec, variables, progress.as_deref());
        let pod_spec = definition.pod_spec.as_mut();
        for container in pod_spec
            .into_iter()
            .flat_map(|spec| containers::each_mut(spec, "containers"))
        {
            change(container, variables, None);
        }
    }
}

/// Changes variables in place and appends new ones, so that they may refer to earlier ones.
pub fn change_variables(container: &mut Value, variables: &BTreeMap<String, Option<String>>) {
    change(container, variables, None);
}

fn change(container: &mut Value, variables: &BTreeMap<String, Option<String>>, progress: Option<&str>) {
    let Some(list) = containers::list_mut(container, "env") else {
        return;
    };
    for (name, value) in variables {
        let position = list.iter().position(|variable| containers::name(variable) == name);
        let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else {
            if let Some(position) = position {
                list.remove(position);
            }
            continue;
        };
        // One of these arguments makes the tests report progress; a new value must not remove it.
        let value = match progress {
            Some(progress) if name == EXTRA_ARGS && !value.contains(PROGRESS_FLAG) => format!("{progress} {value}"),
            _ => value.to_owned(),
        };
        let variable = json!({ "name": name, "value": value });
        match position {
            Some(position) => list[position] = variable,
            None => list.push(variable),
        }
    }
}

/// The container's argument that makes the tests report progress.
fn progress_flag(container: &Value) -> Option<String> {
    let variable = containers::each(container, "env").find(|variable| containers::name(variable) == EXTRA_ARGS)?;
    let arguments = variable.get("value")?.as_str()?.split_whitespace();
    arguments
        .into_iter()
        .find(|argument| argument.starts_with(PROGRESS_FLAG))
        .map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(name: &str) -> Definition {
        let text = format!(
            "sonobuoy-config: {{driver: Job, plugin-name: {name}}}\n\
             spec: {{name: a, image: old, env: [{{name: ONE, value: '1'}}, {{name: E2E_EXTRA_ARGS, value: '-a {PROGRESS_FLAG}=u'}}]}}\n\
             podSpec: {{containers: [{{name: b, image: side}}]}}\n"
        );
        crate::load("a.yaml", &text).0.unwrap()
    }

    #[test]
    fn variables_images_and_files() {
        let mut changes = Changes::default();
        changes.set("a", "ONE", None);
        changes.set("a", "TWO", Some("2".to_owned()));
        changes.images.insert("a".to_owned(), "new".to_owned());
        changes
            .files
            .entry("a".to_owned())
            .or_default()
            .insert("f".to_owned(), "text".to_owned());
        let mut definitions = [definition("a")];
        changes.apply(&mut definitions, &[]).unwrap();
        let [changed] = definitions;
        assert_eq!(
            changed.spec,
            json!({"name": "a", "image": "new", "env": [
                {"name": "E2E_EXTRA_ARGS", "value": "-a --progress-report-url=u"}, {"name": "TWO", "value": "2"}]})
        );
        assert_eq!(
            changed.pod_spec,
            Some(json!({"containers": [{"name": "b", "image": "side", "env": [{"name": "TWO", "value": "2"}]}]}))
        );
        assert_eq!(
            changed.config_map,
            BTreeMap::from([("f".to_owned(), "text".to_owned())])
        );
    }

    /// B-18: extra arguments for the tests do not disable progress reports.
    #[test]
    fn extra_arguments_preserve_the_progress_flag() {
        let mut changes = Changes::default();
        changes.set("e2e", EXTRA_ARGS, Some("--allowed-not-ready-nodes=1".to_owned()));
        let mut definitions = [definition("e2e")];
        changes.apply(&mut definitions, &[]).unwrap();
        assert_eq!(
            definitions[0].spec["env"][1]["value"],
            "--progress-report-url=u --allowed-not-ready-nodes=1"
        );
    }

    /// B-37: changes for an unknown plugin are an error.
    #[test]
    fn change_of_an_unknown_plugin_fails() {
        let mut changes = Changes::default();
        changes.images.insert("b".to_owned(), "new".to_owned());
        assert_eq!(
            changes.apply(&mut [definition("a")], &[]),
            Err(UnknownPlugin {
                plugin: "b".to_owned(),
                known: "a".to_owned()
            })
        );
        assert_eq!(changes.apply(&mut [definition("a")], &["b"]), Ok(()));
    }
}
