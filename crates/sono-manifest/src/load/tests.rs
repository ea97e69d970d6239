use super::*;
use crate::{Images, builtin};

fn messages(text: &str) -> Vec<String> {
    load("p.yaml", text).1.iter().map(ToString::to_string).collect()
}

#[test]
fn every_problem_is_reported_with_its_position() {
    let text = "\
sonobuoy-config:
  driver: Deamonset
  plugin-name: My_Plugin
  order: '1'
  skip-cleanup: maybe
  result-files: [a.xml, 5]
  colour: red
  descripton: x
spec:
  env:
  - name: A
    value: 5
extra-volumes: {}
podSpec:
  containers:
  - name: sonobuoy-worker
  - name: twice
  initContainers:
  - name: twice
    image: 7
config-map:
  a.txt: 1
  b.yaml: 'a: ['
";
    assert_eq!(
        messages(text),
        [
            "p.yaml:2:11   unknown driver `Deamonset`; expected one of Job, DaemonSet (did you mean DaemonSet?)",
            "p.yaml:3:16   invalid plugin name \"My_Plugin\"; name must only include lowercase alphanumeric values '.' or '-'. This is due to Kubernetes requiring various values to follow RFC 1123 for valid subdomain names",
            "p.yaml:4:10   sonobuoy-config.order must be a whole number, not the text \"1\"",
            "p.yaml:5:17   sonobuoy-config.skip-cleanup must be true or false, not the text \"maybe\"",
            "p.yaml:6:25   sonobuoy-config.result-files[1] must be text, not the number 5; write it in quotes",
            "p.yaml:7:11   unknown key `sonobuoy-config.colour` has no effect",
            "p.yaml:8:15   unknown key `sonobuoy-config.descripton` has no effect (did you mean description?)",
            "p.yaml:10:3   spec.name is missing: the name of the container",
            "p.yaml:12:12   spec.env[0].value must be text, not the number 5; write it in quotes",
            "p.yaml:13:16   extra-volumes must be a list, not a mapping",
            "p.yaml:16:11   podSpec.containers[0].name: duplicate container name `sonobuoy-worker`, also used by the worker",
            "p.yaml:19:11   podSpec.initContainers[0].name: duplicate container name `twice`, also used by podSpec.containers[1]",
            "p.yaml:20:12   podSpec.initContainers[0].image must be text, not the number 7; write it in quotes",
            "p.yaml:22:10   config-map.a.txt must be text, not the number 1; write it in quotes",
            "p.yaml:23:11   failed to parse value of key b.yaml in ConfigMap in line 1: unclosed bracket '['",
        ]
    );
    assert_eq!(load("p.yaml", text).0, None);
}

#[test]
fn a_problem_has_its_field_and_severity() {
    let (definition, problems) = load(
        "p.yaml",
        "sonobuoy-config: {driver: Job, plugin-name: p, Order: 1}\nspec: {name: c}\n",
    );
    assert!(definition.is_some(), "a warning does not prevent loading");
    assert_eq!(
        problems,
        [Problem {
            file: "p.yaml".to_owned(),
            position: yaml::locate(
                "sonobuoy-config: {driver: Job, plugin-name: p, Order: 1}",
                &["sonobuoy-config", "Order"]
            ),
            field: Some("sonobuoy-config.Order".to_owned()),
            message: "unknown key `sonobuoy-config.Order` has no effect (did you mean order?)".to_owned(),
            severity: Severity::Warning,
        }]
    );
}

#[test]
fn invalid_yaml_is_reported_with_its_position() {
    let (definition, problems) = load("p.yaml", "sonobuoy-config:\n  driver: [Job\nspec: {}\n");
    assert_eq!(definition, None);
    let message = "invalid YAML: illegal placement of ':' indicator".to_owned();
    let position = Some(yaml::Position { line: 3, column: 5 });
    let file = "p.yaml".to_owned();
    assert_eq!(
        problems,
        [Problem {
            file,
            position,
            field: None,
            message,
            severity: Severity::Error
        }]
    );
}

#[test]
fn missing_parts_are_named() {
    assert_eq!(
        messages(""),
        ["p.yaml:1:1   is empty; a plugin definition requires the keys sonobuoy-config and spec"]
    );
    assert_eq!(
        messages("- a\n"),
        ["p.yaml:1:1   a plugin definition must be a mapping, not a list"]
    );
    assert_eq!(
        messages("podSpec: {}\n"),
        [
            "p.yaml:1:1   sonobuoy-config is missing: the plugin's name and driver",
            "p.yaml:1:1   spec is missing: the plugin's container",
        ]
    );
    assert_eq!(
        messages("sonobuoy-config: {}\nspec: []\n"),
        [
            "p.yaml:1:18   sonobuoy-config.plugin-name is missing: the plugin's name",
            "p.yaml:1:18   sonobuoy-config.driver is missing; expected one of Job, DaemonSet",
            "p.yaml:2:7   spec must be a mapping (Container), not a list",
        ]
    );
    assert_eq!(
        messages("sonobuoy-config: {driver: '', plugin-name: ''}\nspec: {name: sonobuoy-worker}\n"),
        [
            "p.yaml:1:27   unknown driver ``; expected one of Job, DaemonSet",
            "p.yaml:1:44   invalid plugin name \"\"; name must only include lowercase alphanumeric values '.' or '-'. This is due to Kubernetes requiring various values to follow RFC 1123 for valid subdomain names",
            "p.yaml:2:14   spec.name: `sonobuoy-worker` is reserved for the worker's container",
        ]
    );
}

const GOOD: &str = "sonobuoy-config: {driver: Job, plugin-name: p}\nspec: {name: c}\n";

#[test]
fn api_version_and_kind_are_checked() {
    for good in [
        "",
        "apiVersion: sonobuoy/v0\nkind: manifest\n",
        "apiVersion: ''\nkind: null\n",
    ] {
        assert_eq!(messages(&format!("{good}{GOOD}")), Vec::<String>::new(), "{good}");
    }
    assert_eq!(
        messages(&format!("apiVersion: v1\nkind: container\nmetadata: {{}}\n{GOOD}")),
        [
            "p.yaml:1:13   unrecognised group version v1; expected sonobuoy/v0 or no apiVersion",
            "p.yaml:2:7   unrecognised kind container; expected manifest or no kind",
        ]
    );
}

#[test]
fn definitions_are_parsed_like_by_kubernetes_tools() {
    let text = "\
sonobuoy-config:
  driver: job
  plugin-name: p
  skip-cleanup: yes
  result-type: old
  source_url: https://example.org
  order: 010
spec:
  name: c
  stdin: on
  future: {field: [1]}
extra-volumes:
- name: v
  configMap: {defaultMode: 0644}
podSpec:
config-map: null
---
sonobuoy-config: {driver: Other}
";
    let (definition, problems) = load("p.yaml", text);
    assert_eq!(problems, []);
    assert_eq!(
        definition,
        Some(Definition {
            name: PluginName::parse("p").unwrap(),
            driver: DriverKind::Job,
            driver_text: "job".to_owned(),
            skip_cleanup: true,
            result_format: String::new(),
            result_files: Vec::new(),
            result_redaction: ResultRedaction::Known,
            description: String::new(),
            source_url: String::new(),
            order: 8,
            account: None,
            spec: serde_json::json!({ "name": "c", "stdin": true, "future": { "field": [1] } }),
            extra_volumes: vec![serde_json::json!({ "name": "v", "configMap": { "defaultMode": 420 } })],
            pod_spec: None,
            config_map: BTreeMap::new(),
            others: serde_json::Map::new(),
            other_settings: serde_json::from_value(
                serde_json::json!({"result-type": "old", "source_url": "https://example.org"})
            )
            .unwrap(),
        })
    );
}

#[test]
fn duplicate_plugin_names_are_rejected() {
    let definition = |name| builtin(name, &Images::default()).unwrap();
    let set = [("a.yaml", "e2e"), ("b.yaml", "host-check"), ("c.yaml", "e2e")]
        .map(|(file, name)| (file.to_owned(), definition(name)));
    let problems: Vec<String> = check_set(&set).iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["c.yaml   plugin names must be unique, got duplicated plugin name 'e2e' (also in a.yaml)"]
    );
}

/// Core §1.2: scalars are those of YAML 1.1, as in Kubernetes' tools.
#[test]
fn scalars_are_parsed_like_by_kubernetes_tools() {
    let read = |key: &str, value: &str| {
        let text = format!("sonobuoy-config: {{driver: Job, plugin-name: p, {key}: {value}}}\nspec: {{name: c}}\n");
        load("p.yaml", &text).0
    };
    for word in ["true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"] {
        assert_eq!(
            read("skip-cleanup", word).map(|read| read.skip_cleanup),
            Some(true),
            "{word}"
        );
    }
    for word in ["false", "no", "No", "NO", "off", "Off", "OFF", "n", "N"] {
        assert_eq!(
            read("skip-cleanup", word).map(|read| read.skip_cleanup),
            Some(false),
            "{word}"
        );
    }
    assert_eq!(read("skip-cleanup", "'true'"), None, "a text");
    for (number, value) in [
        ("10", 10),
        ("010", 8),
        ("0o10", 8),
        ("0x10", 16),
        ("0b10", 2),
        ("1_000", 1000),
        ("-1", -1),
    ] {
        assert_eq!(read("order", number).map(|read| read.order), Some(value), "{number}");
    }
    for text in ["12:30", "2001-01-01", "1.2.3", "~user"] {
        assert_eq!(
            read("description", text).map(|read| read.description).as_deref(),
            Some(text)
        );
    }
}
