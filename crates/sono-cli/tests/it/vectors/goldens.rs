//! Compares the output of `gen` and `modes` with Sonobuoy's; `sono-manifest` compares complete manifests. Not compared:
//! `manual-custom-plugin` and `plugin-configmaps`, because their plugins have no driver and are invalid here.

use serde_json::{Value, json};
use sono_testkit::vectors;
use sono_types::yaml;

use crate::sono;

fn golden(name: &str) -> String {
    fs_err::read_to_string(vectors(&format!("gen/{name}.golden"))).unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let finished = sono(directory.path(), arguments);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    finished.stdout
}

/// Keys and values of the configuration. Only image, version and the rate of API requests differ.
#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn the_configuration_is_compatible_with_scripts() {
    let golden = golden("gen-config-no-uuid");
    let mut expected: Value = serde_json::from_str(&golden).unwrap();
    let mut ours: Value = serde_json::from_str(&printed(&["gen", "config"])).unwrap();
    for key in ["Version", "WorkerImage", "QPS", "Burst", "UUID"] {
        assert!(expected.as_object_mut().unwrap().remove(key).is_some(), "{key}");
        assert!(ours.as_object_mut().unwrap().remove(key).is_some(), "{key}");
    }
    assert_eq!(ours, expected);
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn the_plugin_e2e_is_compatible_with_scripts() {
    let golden = golden("gen-plugin-e2e");
    let expected: Value = yaml::first_document(&golden).unwrap();
    let version = ["--kubernetes-version", "v123.456.789"];
    let text = printed(&[&["gen", "plugin", "e2e"], &version[..]].concat());
    let mut ours: Value = yaml::first_document(&text).unwrap();
    // Control plane nodes of current releases have another taint.
    let control_plane =
        json!({"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane", "operator": "Exists"});
    let tolerations = ours["podSpec"]["tolerations"].as_array_mut().unwrap();
    let before = tolerations.len();
    tolerations.retain(|toleration| *toleration != control_plane);
    assert_eq!(tolerations.len(), before - 1);
    // The order of variables is preserved.
    let variables = ours["spec"]["env"].as_array_mut().unwrap();
    variables.sort_by_key(|variable| variable["name"].as_str().unwrap().to_lowercase());
    assert_eq!(ours, expected);
}

/// Names and tests of the modes; their descriptions differ.
#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn the_modes_are_compatible_with_scripts() {
    let golden = golden("modes");
    let facts = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with("Description: "));
        lines.map(|line| line.trim_end().to_owned()).collect()
    };
    assert_eq!(facts(&printed(&["modes"])), facts(&golden));
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn node_labels_of_the_aggregator_are_preferred() {
    let golden = golden("single-node-selector");
    let selector = |manifest: &str| {
        let objects: Vec<Value> = yaml::all_documents(manifest).unwrap();
        let pod = objects.into_iter().find(|object| object["kind"] == "Pod").unwrap();
        pod["spec"]["nodeSelector"].clone()
    };
    let ours = printed(&[
        "gen",
        "-p",
        "host-check",
        "--aggregator-node-selector",
        "foo:bar",
        "--aggregator-workload=pod",
        "--kubernetes-version",
        "v1.37.2",
    ]);
    assert_eq!(selector(&ours), selector(&golden));
}
