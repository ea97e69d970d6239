//! Manifests written by `gen`, by Sonobuoy, or manually.

use std::{io::IsTerminal as _, path::Path};

use serde_json::Value;
use sono_manifest::{Definition, expected_pod_spec};
use sono_types::{Config, constants, ids::is_label, yaml};

use crate::{aggregator::text, error::CliError, plugin_pod::PluginPod, text_file};

/// Objects of a manifest, with the namespace and id of the run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) objects: Vec<Value>,
    /// Namespace of the run.
    pub(crate) namespace: String,
    /// UUID of the run, if the manifest contains it.
    pub(crate) uuid: Option<String>,
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read(file: &Path) -> Result<String, CliError> {
    let what = || CliError::new(format!("cannot read the manifest `{}`", file.display()));
    if file.as_os_str() != "-" {
        return text_file::read(file).map_err(|error| what().caused_by(&error));
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(CliError::new("standard input is a terminal, not a manifest").hint("sono gen | sono run -f -"));
    }
    text_file::read_from(stdin, u64::MAX)
        .map_err(|error| CliError::new("cannot read the manifest on standard input").caused_by(&error))
}

impl Manifest {
    /// Parses a manifest; `file` is its name in messages. The first namespaced object determines the namespace.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, CliError> {
        let what = || CliError::new(format!("cannot use the manifest `{}`", file.display()));
        let documents = yaml::all_documents(text).map_err(|error| what().caused_by(&error))?;
        let objects: Vec<Value> = documents.into_iter().flat_map(items).collect();
        for (index, object) in objects.iter().enumerate() {
            let missing = ["/apiVersion", "/kind", "/metadata/name"]
                .into_iter()
                .find(|field| self::text(object, field).is_empty());
            if let Some(missing) = missing {
                let field = missing.trim_start_matches('/').replace('/', ".");
                return Err(what().details([format!("object {} has no {field}", index + 1)]));
            }
        }
        if objects.is_empty() {
            return Err(what().details(["the manifest contains no object".to_owned()]));
        }
        let namespaced = objects.iter().map(|object| self::text(object, "/metadata/namespace"));
        let made = objects
            .iter()
            .filter(|object| self::text(object, "/kind") == "Namespace")
            .map(|object| self::text(object, "/metadata/name"));
        let namespace = namespaced.chain(made).find(|namespace| !namespace.is_empty());
        let namespace = namespace.unwrap_or(constants::DEFAULT_NAMESPACE).to_owned();
        // It becomes part of suggested commands.
        if !is_label(&namespace) {
            return Err(what().details([format!("{namespace:?} is not the name of a namespace")]));
        }
        let uuid = objects.iter().find_map(uuid);
        Ok(Self {
            objects,
            namespace,
            uuid,
        })
    }

    /// The pods of the plugins that the manifest's configuration selects. The aggregator reports definitions and
    /// configurations that cannot be used; they have no pods here.
    pub(crate) fn plugin_pods(&self) -> Vec<PluginPod> {
        let data = |name: &str| {
            let is_named =
                |object: &&Value| text(object, "/kind") == "ConfigMap" && text(object, "/metadata/name") == name;
            self.objects
                .iter()
                .find(is_named)
                .and_then(|object| object["data"].as_object())
        };
        let config = data(constants::CONFIG_MAP)
            .and_then(|data| Config::from_json(data.get(constants::CONFIG_MAP_KEY)?.as_str()?).ok());
        let Some(config) = config.filter(|config| !config.skip_plugins) else {
            return Vec::new();
        };
        let is_selected = |definition: &Definition| {
            let selected = config.plugins.as_ref();
            selected.is_none_or(|all| all.iter().any(|one| one.name == definition.name.as_str()))
        };
        let definitions = data(constants::PLUGINS_CONFIG_MAP).into_iter().flatten();
        let definitions = definitions.filter_map(|(file, text)| sono_manifest::load(file, text.as_str()?).0);
        definitions
            .filter(is_selected)
            .map(|definition| PluginPod {
                spec: expected_pod_spec(&config, &definition),
                plugin: definition.name,
                order: definition.order,
            })
            .collect()
    }
}

/// The items of a `List`, as `kubectl get -o yaml` prints it, or the document itself.
fn items(mut document: Value) -> Vec<Value> {
    match document.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if text(&document, "/kind") == "List" => items,
        Some(other) => {
            document["items"] = other;
            vec![document]
        }
        None => vec![document],
    }
}

/// UUID in the run's configuration.
pub(crate) fn uuid(object: &Value) -> Option<String> {
    if text(object, "/metadata/name") != constants::CONFIG_MAP {
        return None;
    }
    let config = object.get("data")?.get(constants::CONFIG_MAP_KEY)?.as_str()?;
    let config: Value = serde_json::from_str(config).ok()?;
    let uuid = config.get("UUID")?.as_str()?;
    (!uuid.is_empty()).then(|| uuid.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(usize, String, Option<String>), String> {
        let manifest = Manifest::parse(Path::new("m.yaml"), text).map_err(|error| error.text())?;
        Ok((manifest.objects.len(), manifest.namespace, manifest.uuid))
    }

    #[test]
    fn namespace_and_uuid_are_those_of_the_objects() {
        let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n---\n\n---\n\
                    apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sonobuoy-config-cm, namespace: mine}\n\
                    data: {config.json: '{\"UUID\":\"u\"}'}\n---\n";
        assert_eq!(parse(text), Ok((2, "mine".to_owned(), Some("u".to_owned()))));
        let made = "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Namespace, metadata: {name: other}}]\n";
        assert_eq!(parse(made), Ok((1, "other".to_owned(), None)));
    }

    #[test]
    fn invalid_manifest_is_rejected() {
        for (text, detail) in [
            ("---\n---\n", "the manifest contains no object"),
            ("a: 1\n", "object 1 has no apiVersion"),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {}\n",
                "object 1 has no metadata.name",
            ),
        ] {
            let expected = format!("error: cannot use the manifest `m.yaml`\n  {detail}\n");
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }
}
