//! A plugin definition (core §1).

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value, json};
use sono_types::{PluginName, ResultFormat, yaml};

use crate::containers;

/// Driver of a plugin.
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

    /// The driver with this name; case-insensitive.
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

/// Service account that a definition requests, with fewer rights than the run may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PluginAccount {
    /// The separate account of plugins, also if other plugins share the aggregator's.
    Own,
    /// An account without rights and without a token.
    NoRights,
}

impl PluginAccount {
    /// Names of all accounts.
    pub(crate) const NAMES: [&str; 2] = ["own", "none"];

    /// The account with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Own, Self::NoRights]
            .into_iter()
            .find(|account| account.as_str() == name)
    }

    /// The account's name in a definition.
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

/// How secrets in a plugin's results are redacted before they are packed. Not in Sonobuoy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ResultRedaction {
    /// Not at all: the archive's report then proves nothing about these results.
    Off,
    /// Known values of Secrets only: names of tests and their messages stay as they are.
    #[default]
    Known,
    /// Also by names and formats of secrets, as in pod logs.
    Full,
}

impl ResultRedaction {
    /// Names of all levels.
    pub(crate) const NAMES: [&str; 3] = ["off", "known", "full"];

    /// The level with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Off, Self::Known, Self::Full]
            .into_iter()
            .find(|level| level.as_str() == name)
    }

    /// The level's name in a definition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Known => "known",
            Self::Full => "full",
        }
    }
}

/// Definition of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Name of the plugin.
    pub name: PluginName,
    /// Driver of the plugin.
    pub driver: DriverKind,
    /// The driver as written in the definition, for the annotation `sonobuoy-driver`.
    pub driver_text: String,
    /// Whether the plugin's pods are not deleted after the run.
    pub skip_cleanup: bool,
    /// The result format as written in the definition.
    pub result_format: String,
    /// Base names of the result files; empty means all files with the format's usual extension.
    pub result_files: Vec<String>,
    /// How secrets in its results are redacted.
    pub result_redaction: ResultRedaction,
    /// Description for users.
    pub description: String,
    /// URL of the plugin's source, for users.
    pub source_url: String,
    /// Plugins start in groups of ascending order.
    pub order: i64,
    /// Account of the plugin's pods, if it has fewer rights than the run gives. Not in Sonobuoy.
    pub account: Option<PluginAccount>,
    /// The main container.
    pub spec: Value,
    /// Additional volumes of the pod.
    pub extra_volumes: Vec<Value>,
    /// PodSpec that completely replaces the driver's default.
    pub pod_spec: Option<Value>,
    /// Files by name, stored in a ConfigMap and mounted in the plugin's containers.
    pub config_map: BTreeMap<String, String>,
    /// Unknown top-level keys.
    pub others: Map<String, Value>,
    /// Unknown keys of `sonobuoy-config`.
    pub other_settings: Map<String, Value>,
}

impl Definition {
    /// Format of the result files.
    pub fn format(&self) -> ResultFormat {
        ResultFormat::from_name(&self.result_format)
    }

    /// The definition as a JSON object, as in `Definition` of `definition.json`. Empty settings are omitted, required ones
    /// always present.
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
        set(
            "result-redaction",
            self.result_redaction != ResultRedaction::default(),
            json!(self.result_redaction.as_str()),
        );
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

    /// The definition as YAML with sorted keys, as stored in the plugins' ConfigMap. Empty `resources` of containers are
    /// omitted, as in `gen`.
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
    fn driver_names_are_case_insensitive() {
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
    new: true
sonobuoy-config:
  description: words
  driver: dAEMONset
  order: -2
  plugin-account: none
  plugin-name: full
  result-files:
  - a.xml
  result-format: e2e
  result-redaction: full
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
    fn result_redaction_is_a_word_or_off() {
        let read = |value: &str| {
            let text = format!("sonobuoy-config: {{driver: Job, plugin-name: p, {value}}}\nspec: {{name: c}}\n");
            let (definition, problems) = load("p.yaml", &text);
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            (definition.map(|definition| definition.result_redaction), problems)
        };
        // A plain `off` is a boolean in YAML 1.1.
        for (text, level) in [
            ("order: 0", ResultRedaction::Known),
            ("result-redaction: known", ResultRedaction::Known),
            ("result-redaction: full", ResultRedaction::Full),
            ("result-redaction: off", ResultRedaction::Off),
            ("result-redaction: 'off'", ResultRedaction::Off),
            ("result-redaction: ''", ResultRedaction::Known),
        ] {
            assert_eq!(read(text), (Some(level), Vec::new()), "{text}");
        }
        assert_eq!(
            read("result-redaction: ful"),
            (
                None,
                vec![
                    "p.yaml:1:66   unknown result-redaction `ful`; expected one of off, known, full (did you mean full?)".to_owned()
                ]
            )
        );
        let off = "sonobuoy-config: {driver: Job, plugin-name: p, result-redaction: off}\nspec: {name: c}\n";
        let written = load("p.yaml", off).0.unwrap().to_yaml();
        assert_eq!(
            load("p.yaml", &written).0.unwrap().result_redaction,
            ResultRedaction::Off
        );
    }

    #[test]
    fn unknown_keys_are_preserved() {
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
    fn a_written_definition_has_required_keys_and_no_empty_ones() {
        let text = "sonobuoy-config: {driver: Job, plugin-name: one, order: 0}\nspec: {name: c, resources: {}}\npodSpec: {nodeSelector: {a: b}}\n";
        let definition = load("one.yaml", text).0.unwrap();
        assert_eq!(
            definition.to_yaml(),
            "podSpec:\n  containers: []\n  nodeSelector:\n    a: b\nsonobuoy-config:\n  driver: Job\n  plugin-name: one\nspec:\n  name: c\n"
        );
    }
}
