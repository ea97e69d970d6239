//! Reading definitions: every problem of a file at once, with its place.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sono_types::{PluginName, yaml};

use crate::definition::{Definition, DriverKind};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The plugin cannot run.
    Error,
    /// It can, but probably not as meant.
    Warning,
}

/// What is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: String,
    /// Where in it.
    pub place: Option<yaml::Place>,
    /// Path of the field.
    pub field: Option<String>,
    /// What.
    pub message: String,
    /// How bad.
    pub severity: Severity,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(place) = self.place {
            write!(formatter, ":{place}")?;
        }
        write!(formatter, "  {}", self.message)
    }
}

const TOP_KEYS: &[&str] = &[
    "sonobuoy-config",
    "spec",
    "extra-volumes",
    "podSpec",
    "config-map",
    "apiVersion",
    "kind",
];
/// `result-type` is long gone and `source_url` a common slip; both are ignored by everybody.
const CONFIG_KEYS: &[&str] = &[
    "driver",
    "plugin-name",
    "skip-cleanup",
    "result-format",
    "result-files",
    "description",
    "source-url",
    "order",
    "result-type",
    "source_url",
];
const FORMATS: &[&str] = &["", "raw", "junit", "e2e", "gojson", "manual"];

/// Reads one definition. `file` is only for messages. There is a definition only where there is no error.
pub fn load(file: &str, text: &str) -> (Option<Definition>, Vec<Problem>) {
    let mut reader = Reader {
        file,
        text,
        problems: Vec::new(),
    };
    let document: Value = match yaml::first_document(text) {
        Ok(document) => document,
        Err(error) => {
            let problem = Problem {
                file: file.to_owned(),
                place: error.place,
                field: None,
                message: format!("couldn't decode yaml for plugin definition: {}", error.message),
                severity: Severity::Error,
            };
            return (None, vec![problem]);
        }
    };
    let definition = reader.definition(&document);
    let failed = reader
        .problems
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    (definition.filter(|_| !failed), reader.problems)
}

/// Problems of definitions taken together: two of one name.
pub fn check_set(definitions: &[(String, Definition)]) -> Vec<Problem> {
    let mut seen: BTreeMap<&PluginName, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for (file, definition) in definitions {
        if let Some(first) = seen.insert(&definition.name, file) {
            problems.push(Problem {
                file: file.clone(),
                place: None,
                field: Some("sonobuoy-config.plugin-name".to_owned()),
                message: format!(
                    "plugin names must be unique, got duplicated plugin name '{}' (also in {first})",
                    definition.name
                ),
                severity: Severity::Error,
            });
        }
    }
    problems
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, severity: Severity, path: &[&str], message: String) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            place: yaml::locate(self.text, path),
            field: (!path.is_empty()).then(|| path.join(".")),
            message,
            severity,
        });
    }

    fn error(&mut self, path: &[&str], message: impl Into<String>) {
        self.problem(Severity::Error, path, message.into());
    }

    fn definition(&mut self, document: &Value) -> Option<Definition> {
        let empty = Map::new();
        let document = match document {
            Value::Object(document) => document,
            Value::Null => &empty,
            other => {
                self.error(&[], format!("a plugin definition is a map, not {}", kind(other)));
                return None;
            }
        };
        self.version(document);
        self.unknown(document, TOP_KEYS, None);
        let config = self.map(document, "sonobuoy-config");
        let spec = self.map(document, "spec");
        self.unknown(&config, CONFIG_KEYS, Some("sonobuoy-config"));
        let name = self.name(&config);
        let driver = self.driver(&config);
        let text = |reader: &mut Self, key: &str| reader.string(&config, "sonobuoy-config", key).unwrap_or_default();
        let result_format = text(self, "result-format");
        if !FORMATS.contains(&result_format.as_str()) {
            let message = format!(
                "unknown result-format `{result_format}` is read as raw; one of {}",
                FORMATS[1..].join(", ")
            );
            self.problem(Severity::Warning, &["sonobuoy-config", "result-format"], message);
        }
        let (description, source_url) = (text(self, "description"), text(self, "source-url"));
        let skip_cleanup = match config.get("skip-cleanup") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(skip)) => *skip,
            Some(other) => {
                self.wrong(&["sonobuoy-config", "skip-cleanup"], "true or false", other);
                false
            }
        };
        let order = match config.get("order") {
            None | Some(Value::Null) => 0,
            Some(Value::Number(order)) if order.as_i64().is_some() => order.as_i64().unwrap_or_default(),
            Some(other) => {
                self.wrong(&["sonobuoy-config", "order"], "a whole number", other);
                0
            }
        };
        let result_files = self.result_files(&config);
        let extra_volumes = match document.get("extra-volumes") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(volumes)) => volumes.clone(),
            Some(other) => {
                self.wrong(&["extra-volumes"], "a list", other);
                Vec::new()
            }
        };
        let pod_spec = match document.get("podSpec") {
            None | Some(Value::Null) => None,
            Some(pod_spec @ Value::Object(_)) => Some(pod_spec.clone()),
            Some(other) => {
                self.wrong(&["podSpec"], "a map", other);
                None
            }
        };
        let config_map = self.config_map(document);
        self.container(&spec, &["spec"]);
        for (index, container) in pod_spec
            .iter()
            .flat_map(|pod| crate::edit::entries(pod, "containers"))
            .enumerate()
        {
            if let Value::Object(container) = container {
                self.container(container, &["podSpec", "containers", &index.to_string()]);
            }
        }
        let (driver, driver_text) = driver?;
        Some(Definition {
            name: name?,
            driver,
            driver_text,
            skip_cleanup,
            result_format,
            result_files,
            description,
            source_url,
            order,
            spec: Value::Object(spec),
            extra_volumes,
            pod_spec,
            config_map,
        })
    }

    /// `apiVersion` and `kind` are optional; what is given must be ours (core spec §1.2).
    fn version(&mut self, document: &Map<String, Value>) {
        if let Some(version) = document
            .get("apiVersion")
            .filter(|version| version.as_str() != Some("sonobuoy/v0"))
        {
            let version = version.as_str().map_or_else(|| version.to_string(), str::to_owned);
            self.error(&["apiVersion"], format!("unrecognised group version {version}"));
        }
        if let Some(kind) = document.get("kind").filter(|kind| kind.as_str() != Some("manifest")) {
            let kind = kind.as_str().map_or_else(|| kind.to_string(), str::to_owned);
            self.error(&["kind"], format!("unrecognised kind {kind}"));
        }
    }

    fn unknown(&mut self, map: &Map<String, Value>, known: &[&str], parent: Option<&str>) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let path: Vec<&str> = parent.into_iter().chain([key.as_str()]).collect();
            let hint = did_you_mean(key, known);
            self.problem(
                Severity::Warning,
                &path,
                format!("unknown key `{key}` is ignored{hint}"),
            );
        }
    }

    fn map(&mut self, document: &Map<String, Value>, key: &str) -> Map<String, Value> {
        match document.get(key) {
            Some(Value::Object(map)) => map.clone(),
            None | Some(Value::Null) => Map::new(),
            Some(other) => {
                self.wrong(&[key], "a map", other);
                Map::new()
            }
        }
    }

    fn string(&mut self, map: &Map<String, Value>, parent: &str, key: &str) -> Option<String> {
        match map.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => {
                self.wrong(&[parent, key], "text", other);
                None
            }
        }
    }

    fn name(&mut self, config: &Map<String, Value>) -> Option<PluginName> {
        let path = ["sonobuoy-config", "plugin-name"];
        let before = self.problems.len();
        let text = self.string(config, path[0], path[1]);
        if self.problems.len() > before {
            return None;
        }
        match text.as_deref() {
            None | Some("") => {
                self.error(&path, "sonobuoy-config.plugin-name is missing: the name of the plugin");
                None
            }
            Some(text) => PluginName::parse(text)
                .map_err(|error| self.error(&path, error.to_string()))
                .ok(),
        }
    }

    fn driver(&mut self, config: &Map<String, Value>) -> Option<(DriverKind, String)> {
        let path = ["sonobuoy-config", "driver"];
        let before = self.problems.len();
        let text = self.string(config, path[0], path[1]);
        if self.problems.len() > before {
            return None;
        }
        let text = text.unwrap_or_default();
        if text.is_empty() {
            self.error(&path, "sonobuoy-config.driver is missing: one of Job, DaemonSet");
            return None;
        }
        let driver = DriverKind::from_name(&text);
        if driver.is_none() {
            let hint = did_you_mean(&text, &DriverKind::NAMES);
            self.error(&path, format!("unknown driver `{text}`; one of Job, DaemonSet{hint}"));
        }
        driver.map(|driver| (driver, text))
    }

    fn result_files(&mut self, config: &Map<String, Value>) -> Vec<String> {
        let path = ["sonobuoy-config", "result-files"];
        let files = match config.get(path[1]) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(files)) => files,
            Some(other) => {
                self.wrong(&path, "a list", other);
                return Vec::new();
            }
        };
        let mut names = Vec::new();
        for (index, file) in files.iter().enumerate() {
            match file.as_str() {
                Some(name) => names.push(name.to_owned()),
                None => self.wrong(&[path[0], path[1], &index.to_string()], "text", file),
            }
        }
        names
    }

    fn config_map(&mut self, document: &Map<String, Value>) -> BTreeMap<String, String> {
        let mut contents = BTreeMap::new();
        for (key, value) in self.map(document, "config-map") {
            let Value::String(content) = value else {
                self.wrong(&["config-map", &key], "text", &value);
                continue;
            };
            let structured = [".yml", ".yaml", ".json"].iter().any(|ending| key.ends_with(ending));
            if structured && let Err(error) = yaml::all_documents(&content) {
                self.error(
                    &["config-map", &key],
                    format!("failed to parse value of key {key} in ConfigMap: {}", error.message),
                );
            }
            contents.insert(key, content);
        }
        contents
    }

    /// What the API server would refuse only once the run has started.
    fn container(&mut self, container: &Map<String, Value>, path: &[&str]) {
        if container
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .is_empty()
        {
            let field = path.join(".");
            self.error(
                &[path, &["name"]].concat(),
                format!("{field}.name is missing: the name of the container"),
            );
        }
        for (index, variable) in container
            .get("env")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            let index = index.to_string();
            if let Some(value) = variable
                .get("value")
                .filter(|value| !value.is_string() && !value.is_null())
            {
                self.wrong(&[path, &["env", &index, "value"]].concat(), "text (in quotes)", value);
            }
        }
    }

    fn wrong(&mut self, path: &[&str], wanted: &str, got: &Value) {
        let field = path.join(".");
        self.error(path, format!("{field} must be {wanted}, not {}", kind(got)));
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(_) => "text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

/// ` (did you mean X?)` where one of the known words is at most two letters away.
fn did_you_mean(word: &str, known: &[&str]) -> String {
    let close = known
        .iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    close.map_or_else(String::new, |(_, candidate)| format!(" (did you mean {candidate}?)"))
}

/// How many letters must change to get from one word to the other (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, letter) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        load("p.yaml", text).1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_definition_is_read_whole() {
        let text = "sonobuoy-config:\n  driver: daemonset\n  plugin-name: p\n  result-format: junit\n  result-files: [a.xml]\n  order: -3\n  skip-cleanup: true\n  description: d\n  source-url: u\nspec:\n  name: c\n  odd: kept\nextra-volumes:\n- name: v\npodSpec:\n  strange: true\nconfig-map:\n  a.json: '{}'\n---\nlater: ignored\n";
        let (definition, problems) = load("p.yaml", text);
        assert_eq!(problems, []);
        assert_eq!(
            definition,
            Some(Definition {
                name: PluginName::parse("p").unwrap(),
                driver: DriverKind::DaemonSet,
                driver_text: "daemonset".to_owned(),
                skip_cleanup: true,
                result_format: "junit".to_owned(),
                result_files: vec!["a.xml".to_owned()],
                description: "d".to_owned(),
                source_url: "u".to_owned(),
                order: -3,
                spec: serde_json::json!({"name": "c", "odd": "kept"}),
                extra_volumes: vec![serde_json::json!({"name": "v"})],
                pod_spec: Some(serde_json::json!({"strange": true})),
                config_map: BTreeMap::from([("a.json".to_owned(), "{}".to_owned())]),
            })
        );
    }

    #[test]
    fn a_definition_written_reads_back() {
        for name in crate::BUILTIN_NAMES {
            let definition = crate::builtin(name, &crate::Images::default()).unwrap();
            let (read, problems) = load("p.yaml", &definition.to_yaml());
            assert_eq!(problems, []);
            let read = read.unwrap();
            assert_eq!(read.to_json(), definition.to_json());
        }
    }

    #[test]
    fn every_problem_has_its_place() {
        let text = "sonobuoy-config:\n  driver: Deamonset\n  plugin-name: My_Plugin\n  order: '1'\n  colour: red\nspec:\n  env:\n  - name: A\n    value: 5\n";
        assert_eq!(
            messages(text),
            [
                "p.yaml:5:11  unknown key `colour` is ignored",
                "p.yaml:3:16  invalid plugin name \"My_Plugin\"; name must only include lowercase alphanumeric values '.' or '-'. This is due to Kubernetes requiring various values to follow RFC 1123 for valid subdomain names",
                "p.yaml:2:11  unknown driver `Deamonset`; one of Job, DaemonSet (did you mean DaemonSet?)",
                "p.yaml:4:10  sonobuoy-config.order must be a whole number, not text",
                "p.yaml:7:3  spec.name is missing: the name of the container",
                "p.yaml:9:12  spec.env.0.value must be text (in quotes), not the number 5",
            ]
        );
    }

    #[test]
    fn text_that_is_no_yaml_names_the_place() {
        let problems = messages("sonobuoy-config:\n  driver: [Job\nspec:\n");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("p.yaml:3:"), "{problems:?}");
        assert!(
            problems[0].contains("couldn't decode yaml for plugin definition: "),
            "{problems:?}"
        );
    }

    #[test]
    fn two_plugins_of_one_name_are_refused() {
        let definition = crate::builtin("e2e", &crate::Images::default()).unwrap();
        let set = [
            ("a.yaml".to_owned(), definition.clone()),
            ("b.yaml".to_owned(), definition),
        ];
        let problems: Vec<String> = check_set(&set).iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            ["b.yaml  plugin names must be unique, got duplicated plugin name 'e2e' (also in a.yaml)"]
        );
    }

    #[test]
    fn versions_are_ours_or_none() {
        let rest = "sonobuoy-config: {driver: Job, plugin-name: p}\nspec: {name: c}\n";
        assert_eq!(messages(rest), Vec::<String>::new());
        assert_eq!(
            messages(&format!("apiVersion: sonobuoy/v0\nkind: manifest\n{rest}")),
            Vec::<String>::new()
        );
        assert_eq!(
            messages(&format!("apiVersion: v1\nkind: Pod\n{rest}")),
            [
                "p.yaml:1:13  unrecognised group version v1",
                "p.yaml:2:7  unrecognised kind Pod"
            ]
        );
    }
}
