//! Parses definition files and reports all their problems (core §1.2, §1.3).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, Volume};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sono_types::{PluginName, constants, yaml};

use crate::{
    Definition, DriverKind, PluginAccount, Problem, ResultRedaction, Severity,
    containers::{each, name},
    suggest,
    types::{must_be, path_text, wrong_types},
};

pub(crate) const TOP_LEVEL: &[&str] = &[
    "apiVersion",
    "kind",
    "sonobuoy-config",
    "spec",
    "extra-volumes",
    "podSpec",
    "config-map",
];
pub(crate) const SETTINGS: &[&str] = &[
    "driver",
    "plugin-name",
    "skip-cleanup",
    "result-format",
    "result-files",
    "result-redaction",
    "description",
    "source-url",
    "order",
    "plugin-account",
];
/// Keys without effect that existing definitions contain.
const OLD_SETTINGS: &[&str] = &["result-type", "source_url"];

/// Parses the first document of `text`; `file` names it in messages. Returns no definition if a problem is an error.
pub fn load(file: &str, text: &str) -> (Option<Definition>, Vec<Problem>) {
    let mut reader = Reader {
        file,
        text,
        problems: Vec::new(),
    };
    let definition = match yaml::first_document::<Value>(text) {
        Ok(document) => reader.manifest(document),
        Err(error) => {
            reader.problems.push(Problem {
                file: file.to_owned(),
                position: error.position,
                field: None,
                message: format!("invalid YAML: {}", error.message),
                severity: Severity::Error,
            });
            None
        }
    };
    let mut problems = reader.problems;
    problems.sort_by_key(|problem| problem.position);
    let usable = problems.iter().all(|problem| problem.severity == Severity::Warning);
    (definition.filter(|_| usable), problems)
}

/// Problems of a set of definitions: duplicate names. Each definition is given with its file.
pub fn check_set(definitions: &[(String, Definition)]) -> Vec<Problem> {
    let mut first: BTreeMap<&PluginName, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for (file, definition) in definitions {
        let Some(other) = first.get(&definition.name) else {
            first.insert(&definition.name, file);
            continue;
        };
        problems.push(Problem {
            file: file.clone(),
            position: None,
            field: Some("sonobuoy-config.plugin-name".to_owned()),
            message: format!(
                "plugin names must be unique, got duplicated plugin name '{}' (also in {other})",
                definition.name
            ),
            severity: Severity::Error,
        });
    }
    problems
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, severity: Severity, path: &[String], message: String) {
        self.problems
            .push(Problem::at(self.file, self.text, severity, path, message));
    }

    fn error(&mut self, path: &[&str], message: String) {
        let path: Vec<String> = path.iter().map(|&part| part.to_owned()).collect();
        self.problem(Severity::Error, &path, message);
    }

    fn manifest(&mut self, document: Value) -> Option<Definition> {
        let mut document = match document {
            Value::Object(document) => document,
            Value::Null => {
                self.error(
                    &[],
                    "is empty; a plugin definition requires the keys sonobuoy-config and spec".to_owned(),
                );
                return None;
            }
            other => {
                self.error(&[], must_be("a plugin definition", "a mapping", &other));
                return None;
            }
        };
        // Null is the same as missing, also below.
        document.retain(|_, value| !value.is_null());
        if !self.is_manifest(&document) {
            return None;
        }
        self.unknown_keys(&[], &document, TOP_LEVEL, &[]);

        let settings = match document.remove("sonobuoy-config") {
            Some(Value::Object(mut settings)) => {
                settings.retain(|_, value| !value.is_null());
                Some(settings)
            }
            Some(other) => {
                self.error(&["sonobuoy-config"], must_be("sonobuoy-config", "a mapping", &other));
                None
            }
            None => {
                self.error(
                    &[],
                    "sonobuoy-config is missing: the plugin's name and driver".to_owned(),
                );
                None
            }
        };
        let settings = settings.and_then(|settings| self.settings(&settings));

        let spec = document.remove("spec");
        match &spec {
            None => self.error(&[], "spec is missing: the plugin's container".to_owned()),
            Some(spec) => {
                self.types::<Container>(&["spec"], spec);
                if spec.is_object() && name(spec).is_empty() && !spec.get("name").is_some_and(Value::is_number) {
                    self.error(&["spec"], "spec.name is missing: the name of the container".to_owned());
                }
            }
        }
        let pod_spec = document.remove("podSpec");
        if let Some(pod_spec) = &pod_spec {
            self.types::<PodSpec>(&["podSpec"], pod_spec);
            self.container_names(spec.as_ref(), pod_spec);
        }
        if spec
            .as_ref()
            .is_some_and(|spec| name(spec) == constants::WORKER_CONTAINER)
        {
            let message = format!(
                "spec.name: `{}` is reserved for the worker's container",
                constants::WORKER_CONTAINER
            );
            self.error(&["spec", "name"], message);
        }
        let extra_volumes = self.list(&["extra-volumes"], document.remove("extra-volumes"));
        for (index, volume) in extra_volumes.iter().enumerate() {
            self.types::<Volume>(&["extra-volumes", &index.to_string()], volume);
        }
        let config_map = self.config_map(document.remove("config-map"));
        self.config_map_syntax(&config_map);

        let settings = settings?;
        Some(Definition {
            spec: spec?,
            extra_volumes,
            pod_spec,
            config_map,
            others: unknown(document, TOP_LEVEL),
            ..settings
        })
    }

    /// Checks `apiVersion` and `kind`, which are optional.
    fn is_manifest(&mut self, document: &Map<String, Value>) -> bool {
        let before = self.problems.len();
        for (key, what, expected) in [
            ("apiVersion", "group version", "sonobuoy/v0"),
            ("kind", "kind", "manifest"),
        ] {
            match document.get(key) {
                None => {}
                Some(Value::String(text)) if text.is_empty() || text == expected => {}
                Some(Value::String(text)) => {
                    let message = format!("unrecognised {what} {text}; expected {expected} or no {key}");
                    self.error(&[key], message);
                }
                Some(other) => self.error(&[key], must_be(key, "text", other)),
            }
        }
        self.problems.len() == before
    }

    fn unknown_keys(&mut self, above: &[&str], fields: &Map<String, Value>, known: &[&str], old: &[&str]) {
        for key in fields
            .keys()
            .filter(|key| !known.contains(&key.as_str()) && !old.contains(&key.as_str()))
        {
            let mut path: Vec<String> = above.iter().map(|&part| part.to_owned()).collect();
            path.push(key.clone());
            let message = format!(
                "unknown key `{}` has no effect{}",
                path.join("."),
                suggest::hint(key, known)
            );
            self.problem(Severity::Warning, &path, message);
        }
    }

    /// Parses `sonobuoy-config`. The other parts of the returned definition are empty.
    fn settings(&mut self, settings: &Map<String, Value>) -> Option<Definition> {
        self.unknown_keys(&["sonobuoy-config"], settings, SETTINGS, OLD_SETTINGS);
        let plugin_name = self.plugin_name(settings);
        let driver = self.driver(settings);
        let result_files = self.list(
            &["sonobuoy-config", "result-files"],
            settings.get("result-files").cloned(),
        );
        let definition = Definition {
            result_files: result_files
                .iter()
                .enumerate()
                .map(|(index, file)| {
                    self.text(&["sonobuoy-config", "result-files", &index.to_string()], Some(file))
                        .unwrap_or_default()
                })
                .collect(),
            skip_cleanup: self.scalar(settings, "skip-cleanup", "true or false", Value::as_bool),
            order: self.scalar(settings, "order", "a whole number", Value::as_i64),
            result_format: self.setting(settings, "result-format").unwrap_or_default(),
            result_redaction: self.result_redaction(settings),
            description: self.setting(settings, "description").unwrap_or_default(),
            source_url: self.setting(settings, "source-url").unwrap_or_default(),
            account: self.account(settings),
            name: plugin_name?,
            driver: driver.as_ref()?.0,
            driver_text: driver?.1,
            spec: Value::Null,
            extra_volumes: Vec::new(),
            pod_spec: None,
            config_map: BTreeMap::new(),
            others: Map::new(),
            other_settings: unknown(settings.clone(), SETTINGS),
        };
        Some(definition)
    }

    fn plugin_name(&mut self, settings: &Map<String, Value>) -> Option<PluginName> {
        let field = ["sonobuoy-config", "plugin-name"];
        if !settings.contains_key("plugin-name") {
            self.error(
                &field[..1],
                "sonobuoy-config.plugin-name is missing: the plugin's name".to_owned(),
            );
        }
        let text = self.setting(settings, "plugin-name")?;
        PluginName::parse(&text)
            .map_err(|error| self.error(&field, error.to_string()))
            .ok()
    }

    fn driver(&mut self, settings: &Map<String, Value>) -> Option<(DriverKind, String)> {
        let field = ["sonobuoy-config", "driver"];
        if !settings.contains_key("driver") {
            self.error(
                &field[..1],
                "sonobuoy-config.driver is missing; expected one of Job, DaemonSet".to_owned(),
            );
        }
        let text = self.setting(settings, "driver")?;
        let kind = DriverKind::from_name(&text);
        if kind.is_none() {
            let (names, hint) = (DriverKind::NAMES.join(", "), suggest::hint(&text, &DriverKind::NAMES));
            self.error(
                &field,
                format!("unknown driver `{text}`; expected one of {names}{hint}"),
            );
        }
        kind.map(|kind| (kind, text))
    }

    /// Parses the account. An unknown name is an error, because the intended account has fewer rights.
    fn account(&mut self, settings: &Map<String, Value>) -> Option<PluginAccount> {
        let text = self
            .setting(settings, "plugin-account")
            .filter(|text| !text.is_empty())?;
        let account = PluginAccount::from_name(&text);
        if account.is_none() {
            let (names, hint) = (
                PluginAccount::NAMES.join(", "),
                suggest::hint(&text, &PluginAccount::NAMES),
            );
            let message = format!("unknown plugin-account `{text}`; expected one of {names}{hint}");
            self.error(&["sonobuoy-config", "plugin-account"], message);
        }
        account
    }

    fn result_redaction(&mut self, settings: &Map<String, Value>) -> ResultRedaction {
        const KEY: &str = "result-redaction";
        // A plain `off` is a boolean in YAML 1.1.
        if settings.get(KEY) == Some(&Value::Bool(false)) {
            return ResultRedaction::Off;
        }
        let Some(text) = self.setting(settings, KEY).filter(|text| !text.is_empty()) else {
            return ResultRedaction::default();
        };
        ResultRedaction::from_name(&text).unwrap_or_else(|| {
            let (names, hint) = (
                ResultRedaction::NAMES.join(", "),
                suggest::hint(&text, &ResultRedaction::NAMES),
            );
            let message = format!("unknown {KEY} `{text}`; expected one of {names}{hint}");
            self.error(&["sonobuoy-config", KEY], message);
            ResultRedaction::default()
        })
    }

    fn setting(&mut self, settings: &Map<String, Value>, key: &str) -> Option<String> {
        self.text(&["sonobuoy-config", key], settings.get(key))
    }

    fn scalar<T: Default>(
        &mut self,
        settings: &Map<String, Value>,
        key: &str,
        expected: &str,
        read: fn(&Value) -> Option<T>,
    ) -> T {
        let Some(value) = settings.get(key) else {
            return T::default();
        };
        read(value).unwrap_or_else(|| {
            let field = format!("sonobuoy-config.{key}");
            self.error(&["sonobuoy-config", key], must_be(&field, expected, value));
            T::default()
        })
    }

    fn text(&mut self, path: &[&str], value: Option<&Value>) -> Option<String> {
        match value? {
            Value::String(text) => Some(text.clone()),
            other => {
                let owned: Vec<String> = path.iter().map(|&part| part.to_owned()).collect();
                self.error(path, must_be(&path_text(&owned), "text", other));
                None
            }
        }
    }

    fn list(&mut self, path: &[&str], value: Option<Value>) -> Vec<Value> {
        match value {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(other) => {
                self.error(path, must_be(&path.join("."), "a list", &other));
                Vec::new()
            }
        }
    }

    fn config_map(&mut self, value: Option<Value>) -> BTreeMap<String, String> {
        let entries = match value {
            None => return BTreeMap::new(),
            Some(Value::Object(entries)) => entries,
            Some(other) => {
                self.error(&["config-map"], must_be("config-map", "a mapping", &other));
                return BTreeMap::new();
            }
        };
        entries
            .iter()
            .map(|(key, value)| {
                (
                    key.clone(),
                    self.text(&["config-map", key], Some(value)).unwrap_or_default(),
                )
            })
            .collect()
    }

    /// Checks the syntax of entries that are named like YAML or JSON files.
    fn config_map_syntax(&mut self, entries: &BTreeMap<String, String>) {
        for (key, text) in entries {
            let is_document = [".yml", ".yaml", ".json"].iter().any(|ending| key.ends_with(ending));
            if is_document && let Err(error) = yaml::first_document::<Value>(text) {
                let line = error
                    .position
                    .map_or_else(String::new, |position| format!(" in line {}", position.line));
                let message = format!(
                    "failed to parse value of key {key} in ConfigMap{line}: {}",
                    error.message
                );
                self.error(&["config-map", key], message);
            }
        }
    }

    /// Reports duplicate container names, which Kubernetes rejects.
    fn container_names(&mut self, spec: Option<&Value>, pod_spec: &Value) {
        let mut taken: Vec<(&str, String)> = vec![(constants::WORKER_CONTAINER, "the worker".to_owned())];
        taken.extend(spec.map(|spec| (name(spec), "spec".to_owned())));
        for key in ["containers", "initContainers"] {
            for (index, container) in each(pod_spec, key).enumerate() {
                let own = name(container);
                let index = index.to_string();
                if own.is_empty() {
                    continue;
                }
                if let Some((_, other)) = taken.iter().find(|(other, _)| *other == own) {
                    let message =
                        format!("podSpec.{key}[{index}].name: duplicate container name `{own}`, also used by {other}");
                    self.error(&["podSpec", key, &index, "name"], message);
                }
                taken.push((own, format!("podSpec.{key}[{index}]")));
            }
        }
    }

    fn types<T: DeserializeOwned>(&mut self, above: &[&str], value: &Value) {
        let above: Vec<String> = above.iter().map(|&part| part.to_owned()).collect();
        for wrong in wrong_types::<T>(value) {
            let path = [above.as_slice(), wrong.path.as_slice()].concat();
            self.problem(Severity::Error, &path, wrong.message(&path_text(&path)));
        }
    }
}

/// The fields with unknown keys.
fn unknown(mut fields: Map<String, Value>, known: &[&str]) -> Map<String, Value> {
    fields.retain(|key, _| !known.contains(&key.as_str()));
    fields
}

#[cfg(test)]
mod tests;
