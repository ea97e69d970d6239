//! A plugin definition (core spec §1).

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value, json};
use sono_types::{PluginName, ResultFormat, yaml};

use crate::containers;

/// How a plugin is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DriverKind {
    /// One pod, one result for the whole cluster.
    Job,
    /// One pod and one result for each node.
    DaemonSet,
}

impl DriverKind {
    /// Names of all drivers.
    pub(crate) const NAMES: [&str; 2] = ["Job", "DaemonSet"];

    /// The driver of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Job, Self::DaemonSet]
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }

    /// The driver's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Job => "Job",
            Self::DaemonSet => "DaemonSet",
        }
    }
}

/// The account that a definition asks for, which is less than the run's plugins may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PluginAccount {
    /// The plugins' own, where the others share the aggregator's.
    Own,
    /// One without rights, and without a token.
    NoRights,
}

impl PluginAccount {
    /// Names of all of them.
    pub(crate) const NAMES: [&str; 2] = ["own", "none"];

    /// The account of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Own, Self::NoRights]
            .into_iter()
            .find(|account| account.as_str() == name)
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::NoRights => "none",
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// One plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// What it is called everywhere.
    pub name: PluginName,
    /// How it is run.
    pub driver: DriverKind,
    /// The driver as it was written, which is what the annotation `sonobuoy-driver` shows.
    pub driver_text: String,
    /// Its pods stay after the run.
    pub skip_cleanup: bool,
    /// The result format as it was written.
    pub result_format: String,
    /// Base names of the files to read results from; empty means those with the format's usual extension.
    pub result_files: Vec<String>,
    /// What it does, for people.
    pub description: String,
    /// Where it comes from, for people.
    pub source_url: String,
    /// Plugins start in groups of ascending order.
    pub order: i64,
    /// The account that its pods run as, where that is less than the run gives. sono's own.
    pub account: Option<PluginAccount>,
    /// The main container.
    pub spec: Value,
    /// Volumes added to the pod's.
    pub extra_volumes: Vec<Value>,
    /// Replaces the driver's default podSpec as a whole.
    pub pod_spec: Option<Value>,
    /// Files that the command line makes a ConfigMap of, mounted in the plugin's containers.
    pub config_map: BTreeMap<String, String>,
    /// Keys beside `sonobuoy-config` and `spec` that nobody here knows.
    pub others: Map<String, Value>,
    /// The same within `sonobuoy-config`.
    pub other_settings: Map<String, Value>,
}

impl Definition {
    /// How its result files are read.
    pub fn format(&self) -> ResultFormat {
        ResultFormat::from_name(&self.result_format)
    }

    /// The definition as a JSON object, the shape of `Definition` in `definition.json`: empty settings are left out,
    /// and what must be there always is.
    pub fn to_json(&self) -> Value {
        let mut settings = self.other_settings.clone();
        settings.insert("driver".to_owned(), json!(self.driver_text));
        settings.insert("plugin-name".to_owned(), json!(self.name));
        let mut set = |key: &str, is_set: bool, value: Value| {
            if is_set {
                settings.insert(key.to_owned(), value);
            }
        };
        set("skip-cleanup", self.skip_cleanup, json!(true));
        set(
            "result-format",
            !self.result_format.is_empty(),
            json!(self.result_format),
        );
        set("result-files", !self.result_files.is_empty(), json!(self.result_files));
        set("description", !self.description.is_empty(), json!(self.description));
        set("source-url", !self.source_url.is_empty(), json!(self.source_url));
        set("order", self.order != 0, json!(self.order));
        let account = self.account.map(PluginAccount::as_str);
        set("plugin-account", account.is_some(), json!(account));

        let mut manifest = self.others.clone();
        manifest.insert("sonobuoy-config".to_owned(), Value::Object(settings));
        manifest.insert("spec".to_owned(), self.spec.clone());
        if !self.extra_volumes.is_empty() {
            manifest.insert("extra-volumes".to_owned(), json!(self.extra_volumes));
        }
        if let Some(pod_spec) = &self.pod_spec {
            let mut pod_spec = pod_spec.clone();
            containers::list_mut(&mut pod_spec, "containers");
            manifest.insert("podSpec".to_owned(), pod_spec);
        }
        if !self.config_map.is_empty() {
            manifest.insert("config-map".to_owned(), json!(self.config_map));
        }
        Value::Object(manifest)
    }

    /// The definition as YAML with sorted keys, the form that the plugins' ConfigMap holds. Empty `resources` of
    /// containers are left out, as `gen` does.
    pub fn to_yaml(&self) -> String {
        let mut manifest = self.to_json();
        if let Some(container) = manifest.get_mut("spec") {
            drop_empty_resources(container);
        }
        if let Some(pod_spec) = manifest.get_mut("podSpec") {
            for key in ["containers", "initContainers"] {
                containers::each_mut(pod_spec, key).for_each(drop_empty_resources);
            }
        }
        yaml::to_string(&manifest).expect("JSON values can be written as YAML")
    }
}

fn drop_empty_resources(container: &mut Value) {
    if let Value::Object(fields) = container
        && fields
            .get("resources")
            .and_then(Value::as_object)
            .is_some_and(Map::is_empty)
    {
        fields.remove("resources");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    #[test]
    fn drivers_are_named_in_any_case() {
        assert_eq!(DriverKind::from_name("daemonset"), Some(DriverKind::DaemonSet));
        assert_eq!(DriverKind::from_name("JOB"), Some(DriverKind::Job));
        assert_eq!(DriverKind::from_name(""), None);
    }

    const ALL: &str = "\
config-map:
  a.yaml: |
    on: 'yes'
extra-volumes:
- emptyDir: {}
  name: extra
podSpec:
  containers: []
  futureField:
    kept: true
sonobuoy-config:
  description: words
  driver: dAEMONset
  order: -2
  plugin-account: none
  plugin-name: full
  result-files:
  - a.xml
  result-format: e2e
  skip-cleanup: true
  source-url: https://example.org/full.yaml
spec:
  command:
  - sh
  - -c
  - |
    one
      two
  image: example.org/full:1
  name: main
";

    #[test]
    fn a_definition_is_written_as_it_was_read() {
        let (definition, problems) = load("full.yaml", ALL);
        assert_eq!(problems, []);
        let definition = definition.unwrap();
        assert_eq!(definition.to_yaml(), ALL);
        assert_eq!(definition.format(), ResultFormat::Junit);
        assert_eq!(definition.driver, DriverKind::DaemonSet);
    }

    #[test]
    fn what_nobody_knows_is_kept() {
        let text = "future:\n  a: 1\nsonobuoy-config:\n  colour: red\n  driver: Job\n  plugin-name: one\n  source_url: u\nspec:\n  name: c\n";
        let (definition, problems) = load("one.yaml", text);
        assert_eq!(definition.unwrap().to_yaml(), text);
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected = [
            "one.yaml:2:3   unknown key `future` has no effect",
            "one.yaml:4:11   unknown key `sonobuoy-config.colour` has no effect",
        ];
        assert_eq!(problems, expected);
    }

    #[test]
    fn a_written_definition_has_what_readers_expect_and_nothing_empty() {
        let text = "sonobuoy-config: {driver: Job, plugin-name: one, order: 0}\nspec: {name: c, resources: {}}\npodSpec: {nodeSelector: {a: b}}\n";
        let definition = load("one.yaml", text).0.unwrap();
        assert_eq!(
            definition.to_yaml(),
            "podSpec:\n  containers: []\n  nodeSelector:\n    a: b\nsonobuoy-config:\n  driver: Job\n  plugin-name: one\nspec:\n  name: c\n"
        );
    }
}
