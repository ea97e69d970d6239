//! The configuration file.

use crate::{Finished, failure, sono};

fn with_file(text: &str, arguments: &[&str]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("c.json"), text).unwrap();
    sono(directory.path(), &[&["gen", "--config", "c.json"], arguments].concat())
}

/// Values in the file are validated like those of flags, and all problems are reported at once.
#[test]
fn values_of_the_file_are_validated_like_flags() {
    let text = r#"{"AggregatorPermissions": "bogus", "ImagePullPolicy": "alwayz", "SecurityContextMode": "root",
        "NamespacePSAEnforceLevel": "low", "ProgressUpdatesPort": "abc", "Namespace": "A b", "ServiceAccountName": "a_b",
        "PluginAccount": "root", "PluginServiceAccountName": "c_d",
        "AggregatorTolerations": [{"key": "a", "effect": "Never", "operator": "Is"}, {"tolerationSeconds": "3"}],
        "Filters": {"Namespaces": "("}, "Limits": {"PodLogs": {"Namespaces": "("}}}"#;
    let problems = [
        "AggregatorPermissions: unknown aggregator permission: bogus; one of clusterAdmin, clusterRead, namespaceAdmin, minimal",
        "ImagePullPolicy: invalid value `alwayz`; one of Always, IfNotPresent, Never",
        "NamespacePSAEnforceLevel: invalid value `low`; one of privileged, baseline, restricted",
        "SecurityContextMode: invalid value `root`; one of nonroot, none",
        "PluginAccount: invalid value `root`; one of own, shared",
        "Namespace: invalid name `A b`",
        "ServiceAccountName: invalid name `a_b`",
        "PluginServiceAccountName: invalid name `c_d`",
        "AggregatorTolerations[0]: Invalid effect: Never; one of NoSchedule, PreferNoSchedule, NoExecute",
        "AggregatorTolerations[0]: Invalid operator: Is; one of Equal, Exists",
        "AggregatorTolerations[1]: invalid key `tolerationSeconds`; one of key, operator, value, effect",
        "ProgressUpdatesPort: invalid port `abc`: expected a number from 1 to 65535",
        "Filters.Namespaces: invalid regular expression `(`: unclosed group",
        "Limits.PodLogs.Namespaces: invalid regular expression `(`: unclosed group",
    ]
    .map(|problem| format!("  c.json: {problem}\n"));
    let expected = format!(
        "error: the configuration file `c.json` has 14 problems\n{}  hint:  for a valid file: sono gen config; flags override the file\n",
        problems.concat()
    );
    for command in [&["config"][..], &["-p", "host-check"]] {
        assert_eq!(with_file(text, command), failure(&expected));
    }
    // Flags override the file.
    let finished = with_file(
        r#"{"AggregatorPermissions": "bogus", "ImagePullPolicy": "always"}"#,
        &["config", "--aggregator-permissions", "clusterRead"],
    );
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    assert!(
        finished.stdout.contains(r#""ImagePullPolicy":"Always""#),
        "{}",
        finished.stdout
    );
}

/// The aggregator would fail otherwise.
#[test]
fn a_selected_plugin_must_exist() {
    assert_eq!(
        with_file(r#"{"Plugins": [{"name": "nope"}]}"#, &["-p", "host-check"]),
        failure(
            "error: the configuration file `c.json` has a problem\n  c.json: Plugins: unknown plugin `nope`; one of host-check\n  hint:  for a valid file: sono gen config; flags override the file\n"
        )
    );
    assert_eq!(
        with_file(r#"{"Plugins": [{"name": "host-check"}]}"#, &["-p", "host-check"]).code,
        0
    );
}

/// cli §4.1: all plugins are removed before the cluster's version is read.
#[test]
fn plugins_can_be_skipped() {
    let finished = with_file(r#"{"SkipPlugins": true}"#, &[]);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    let documents: Vec<serde_json::Value> = sono_types::yaml::all_documents(&finished.stdout).unwrap();
    let plugins = documents
        .iter()
        .find(|document| document["metadata"]["name"] == "sonobuoy-plugins-cm");
    let stored = plugins.map_or(0, |plugins| plugins["data"].as_object().map_or(0, serde_json::Map::len));
    assert_eq!(stored, 0);
}

/// Errors name the keys as written in the file.
#[test]
fn an_invalid_file_is_reported_with_its_position() {
    let hint = "\n  hint:  for a valid file: sono gen config\n";
    for (text, expected) in [
        ("{\n  \"Namespace\": }", "c.json:2:16: expected value"),
        (
            "{\n  \"UUID\": 5\n}",
            "c.json:2:11: invalid type: integer `5`, expected a string",
        ),
        ("{\"uuid\": 5}", "c.json: invalid type: integer `5`, expected a string"),
    ] {
        assert_eq!(
            with_file(text, &[]),
            failure(&format!(
                "error: cannot use the configuration file `c.json`\n  {expected}{hint}"
            )),
            "{text}"
        );
    }
}
