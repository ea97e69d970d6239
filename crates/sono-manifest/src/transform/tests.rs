use super::*;
use crate::{Images, builtin, load};

fn definition(text: &str) -> Definition {
    let (definition, problems) = load("p.yaml", text);
    assert_eq!(problems, []);
    definition.unwrap()
}

const SIDE_CAR: &str = "\
sonobuoy-config: {driver: Job, plugin-name: p}
spec:
  name: main
  image: example.org/p:$SONOBUOY_K8S_VERSION
  env:
  - {name: OUT, value: $(RESULTS_DIR)/out}
  - {name: RESULTS_DIR, value: /elsewhere}
  - {name: HERE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
  volumeMounts: [{name: results, mountPath: $(SONOBUOY_RESULTS_DIR)}]
podSpec:
  containers: [{name: side, image: 'side:$SONOBUOY_K8S_VERSION'}]
  initContainers:
  - {name: first, volumeMounts: [{name: results, mountPath: /tmp/results}]}
  - {name: second}
config-map: {a.txt: text}
";

fn prepared(text: &str, config: &Config) -> Definition {
    let preparation = Preparation {
        config,
        kubernetes_version: "v1.37.2",
    };
    let once = prepare(vec![definition(text)], &preparation);
    assert_eq!(prepare(once.clone(), &preparation), once, "prepare is idempotent");
    once.into_iter().next().unwrap()
}

fn automatic() -> Vec<Value> {
    [
        ("SONOBUOY", "true"),
        ("SONOBUOY_K8S_VERSION", "v1.37.2"),
        ("SONOBUOY_RESULTS_DIR", "/tmp/sonobuoy/results"),
        ("RESULTS_DIR", "/tmp/sonobuoy/results"),
        ("SONOBUOY_PROGRESS_PORT", "8099"),
        ("SONOBUOY_CONFIG_DIR", "/tmp/sonobuoy/config"),
    ]
    .map(|(name, value)| json!({ "name": name, "value": value }))
    .to_vec()
}

#[test]
fn every_container_gets_variables_and_mounts() {
    let config = Config {
        force_image_pull_policy: true,
        ..Config::default()
    };
    let prepared = prepared(SIDE_CAR, &config);
    let own = [
        json!({ "name": "OUT", "value": "$(RESULTS_DIR)/out" }),
        json!({ "name": "HERE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }),
    ];
    let variables = [automatic(), own.to_vec()].concat();
    let config_mount = json!({ "name": "sonobuoy-p-vol", "mountPath": "/tmp/sonobuoy/config" });
    let results_mount = json!({ "name": "results", "mountPath": "/tmp/sonobuoy/results" });
    assert_eq!(
        prepared.spec,
        json!({
            "name": "main",
            "image": "example.org/p:v1.37.2",
            "imagePullPolicy": "IfNotPresent",
            "env": variables,
            "volumeMounts": [results_mount, config_mount],
        })
    );
    assert_eq!(
        prepared.pod_spec,
        Some(json!({
            "containers": [{
                "name": "side",
                "image": "side:$SONOBUOY_K8S_VERSION",
                "env": automatic(),
                "volumeMounts": [config_mount, results_mount],
            }],
            "initContainers": [
                { "name": "first", "volumeMounts": [{ "name": "results", "mountPath": "/tmp/results" }] },
                { "name": "second" },
            ],
        }))
    );
    assert_eq!(
        prepared.extra_volumes,
        [json!({ "name": "sonobuoy-p-vol", "configMap": { "name": "plugin-p-cm" } })]
    );
}

#[test]
fn definitions_are_sorted_and_nothing_else_is_added() {
    let config = Config::default();
    let definitions = ["systemd-logs", "e2e"]
        .map(|name| builtin(name, &Images::default()).unwrap())
        .to_vec();
    let prepared = prepare(
        definitions,
        &Preparation {
            config: &config,
            kubernetes_version: "v1.37.2",
        },
    );
    let names: Vec<&str> = prepared.iter().map(|definition| definition.name.as_str()).collect();
    assert_eq!(names, ["e2e", "systemd-logs"]);
    assert!(prepared.iter().all(|definition| definition.extra_volumes.is_empty()));
    assert_eq!(prepared[0].spec["image"], "registry.k8s.io/conformance:v1.37.2");
}

#[test]
fn all_results_mounts_use_the_configured_directory() {
    let mut definition = definition(SIDE_CAR);
    reconcile_results_dir(&mut definition, "/results");
    let mount = json!([{ "name": "results", "mountPath": "/results" }]);
    assert_eq!(
        definition.spec,
        json!({
            "name": "main",
            "image": "example.org/p:$SONOBUOY_K8S_VERSION",
            "env": [
                { "name": "SONOBUOY_RESULTS_DIR", "value": "/results" },
                { "name": "RESULTS_DIR", "value": "/results" },
                { "name": "OUT", "value": "$(RESULTS_DIR)/out" },
                { "name": "HERE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
            ],
            "volumeMounts": mount,
        })
    );
    assert_eq!(
        definition.pod_spec,
        Some(json!({
            "containers": [{ "name": "side", "image": "side:$SONOBUOY_K8S_VERSION", "volumeMounts": mount }],
            "initContainers": [{ "name": "first", "volumeMounts": mount }, { "name": "second" }],
        }))
    );
}

/// W-13: plugins on the host's network have different ports; the first one and plugins with a network of their own use the
/// configured port.
#[test]
fn plugins_on_the_hosts_network_have_different_ports() {
    let job = "sonobuoy-config: {driver: Job, plugin-name: NAME}\nspec: {name: c}\n";
    let on_host = "sonobuoy-config: {driver: Job, plugin-name: NAME}\nspec: {name: c}\npodSpec: {hostNetwork: true}\n";
    let set = "sonobuoy-config: {driver: DaemonSet, plugin-name: NAME}\nspec: {name: c}\n";
    let apart = "sonobuoy-config: {driver: DaemonSet, plugin-name: NAME}\nspec: {name: c}\npodSpec: {containers: []}\n";
    let ports = |configured: &str| {
        let texts = [("e", apart), ("d", on_host), ("c", set), ("b", job), ("a", set)];
        let given = texts.map(|(name, text)| definition(&text.replace("NAME", name)));
        let config = Config {
            progress_updates_port: configured.to_owned(),
            ..Config::default()
        };
        let preparation = Preparation {
            config: &config,
            kubernetes_version: "v1.37.2",
        };
        let prepared = prepare(given.to_vec(), &preparation);
        assert_eq!(prepare(prepared.clone(), &preparation), prepared);
        let port = |definition: &Definition| {
            let variables = definition.spec["env"].as_array().unwrap().iter();
            let mut ports = variables.filter(|variable| variable["name"] == "SONOBUOY_PROGRESS_PORT");
            ports.next().unwrap()["value"].as_str().unwrap().to_owned()
        };
        prepared.iter().map(port).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ports("8099"), "8099 8099 8100 8101 8099");
    assert_eq!(ports("65534"), "65534 65534 65535 65534 65534");
    assert_eq!(ports("none"), "none none none none none");
}
