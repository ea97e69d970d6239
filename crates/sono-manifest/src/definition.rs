//! One plugin as its author defines it (core spec §1).

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value, json};
use sono_types::{PluginName, ResultFormat, yaml};

/// What runs a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DriverKind {
    /// One pod, one result for the whole cluster.
    Job,
    /// A pod and a result for each node.
    DaemonSet,
}

impl DriverKind {
    /// All of them, as they are written.
    pub(crate) const NAMES: [&str; 2] = ["Job", "DaemonSet"];

    /// The driver of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Job, Self::DaemonSet]
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Job => "Job",
            Self::DaemonSet => "DaemonSet",
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its identity in URLs, labels, paths and object names.
    pub name: PluginName,
    /// What runs it.
    pub driver: DriverKind,
    /// The driver as it was written.
    pub driver_text: String,
    /// Its objects stay after the run.
    pub skip_cleanup: bool,
    /// `result-format` as it was written; empty means raw.
    pub result_format: String,
    /// Base names of the files to read; empty means those that fit the format.
    pub result_files: Vec<String>,
    /// Free text.
    pub description: String,
    /// Where it comes from.
    pub source_url: String,
    /// Launch group, ascending.
    pub order: i64,
    /// The main container (core/v1 Container).
    pub spec: Value,
    /// More volumes (core/v1 Volume).
    pub extra_volumes: Vec<Value>,
    /// Replaces the driver's default pod (core/v1 PodSpec).
    pub pod_spec: Option<Value>,
    /// File names and contents, mounted at `/tmp/sonobuoy/config`.
    pub config_map: BTreeMap<String, String>,
}

impl Definition {
    /// How its files are read.
    pub fn format(&self) -> ResultFormat {
        ResultFormat::from_name(&self.result_format)
    }

    /// The definition as JSON, with the keys that Sonobuoy writes (core spec §1.2, Encoding).
    pub fn to_json(&self) -> Value {
        let mut config = Map::new();
        config.insert("driver".to_owned(), self.driver_text.clone().into());
        config.insert("plugin-name".to_owned(), self.name.as_str().into());
        for (key, text) in [
            ("result-format", &self.result_format),
            ("description", &self.description),
            ("source-url", &self.source_url),
        ] {
            if !text.is_empty() {
                config.insert(key.to_owned(), text.clone().into());
            }
        }
        if self.skip_cleanup {
            config.insert("skip-cleanup".to_owned(), true.into());
        }
        if !self.result_files.is_empty() {
            config.insert("result-files".to_owned(), json!(self.result_files));
        }
        if self.order != 0 {
            config.insert("order".to_owned(), self.order.into());
        }
        let mut spec = self.spec.clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.entry("name").or_insert_with(|| "".into());
        }
        let mut document = Map::new();
        document.insert("sonobuoy-config".to_owned(), Value::Object(config));
        document.insert("spec".to_owned(), spec);
        if !self.extra_volumes.is_empty() {
            document.insert("extra-volumes".to_owned(), Value::Array(self.extra_volumes.clone()));
        }
        if let Some(mut pod_spec) = self.pod_spec.clone() {
            if let Some(pod_spec) = pod_spec.as_object_mut() {
                pod_spec.entry("containers").or_insert_with(|| json!([]));
            }
            document.insert("podSpec".to_owned(), pod_spec);
        }
        if !self.config_map.is_empty() {
            document.insert("config-map".to_owned(), json!(self.config_map));
        }
        Value::Object(document)
    }

    /// The definition as YAML, keys sorted at every level.
    pub fn to_yaml(&self) -> String {
        yaml::to_string(&self.to_json()).expect("a JSON value is always YAML")
    }
}
