//! Accounts and limits of aggregator and plugins, tested with the output of `gen`.

use serde_json::{Value, json};

use super::{
    failure,
    objects::{objects, of_kind, template},
    sono,
};

/// The run's stored configuration.
fn stored(objects: &[Value]) -> Value {
    let config = objects
        .iter()
        .find(|object| object["metadata"]["name"] == "sonobuoy-config-cm");
    serde_json::from_str(config.unwrap()["data"]["config.json"].as_str().unwrap()).unwrap()
}

fn accounts(objects: &[Value]) -> Vec<&str> {
    let accounts = of_kind(objects, "ServiceAccount").into_iter();
    accounts
        .map(|account| account["metadata"]["name"].as_str().unwrap())
        .collect()
}

/// The mode determines the account of plugins, and a flag overrides it; host-check never needs rights.
#[test]
fn plugins_have_the_account_of_the_mode() {
    let aggregators = "sonobuoy-serviceaccount";
    for (flags, expected, account) in [
        (&[][..], &[aggregators, "sonobuoy-no-rights"][..], "shared"),
        (
            &["--plugin-account=own"],
            &[aggregators, "sonobuoy-plugins", "sonobuoy-no-rights"],
            "own",
        ),
        (
            &["--aggregator-permissions=clusterRead"],
            &[aggregators, "sonobuoy-plugins", "sonobuoy-no-rights"],
            "own",
        ),
        (
            &["--aggregator-permissions=namespaceAdmin"],
            &[aggregators, "sonobuoy-plugins", "sonobuoy-no-rights"],
            "own",
        ),
        (
            &["--aggregator-permissions=minimal"],
            &[aggregators, "sonobuoy-no-rights"],
            "own",
        ),
        (
            &["--aggregator-permissions=minimal", "--plugin-account=Shared"],
            &[aggregators, "sonobuoy-no-rights"],
            "shared",
        ),
        (
            &[
                "--existing-service-account",
                "--plugin-service-account=mine",
                "--aggregator-permissions=minimal",
            ],
            &[],
            "own",
        ),
        (&["--existing-service-account"], &[], "shared"),
    ] {
        let objects = objects(flags);
        assert_eq!(accounts(&objects), expected, "{flags:?}");
        assert_eq!(stored(&objects)["PluginAccount"], account, "{flags:?}");
    }
}

#[test]
fn shared_rights_beyond_the_mode_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let generate = |flags: &[&str]| sono(directory.path(), &[&["gen", "-p", "host-check"], flags].concat());
    let finished = generate(&[
        "--aggregator-permissions=minimal",
        "--existing-service-account",
        "--service-account-name=me",
    ]);
    let expected = "plugins use the aggregator's service account `me` with all its permissions; to use another: --plugin-service-account NAME\n";
    assert_eq!((finished.code, finished.stderr.as_str()), (0, expected));
    let documents = sono_types::yaml::all_documents(&finished.stdout).unwrap();
    assert_eq!(stored(&documents)["PluginAccount"], "shared");
    assert_eq!(
        generate(&["--plugin-service-account=mine"]),
        failure(
            "error: cannot use service account `mine` for plugins: the run creates its own accounts\n  hint:  add --existing-service-account, or omit --plugin-service-account\n"
        )
    );
    assert_eq!(
        generate(&["--plugin-account=own", "--existing-service-account"]),
        failure(
            "error: cannot create a service account for plugins: with --existing-service-account the run creates none\n  hint:  use an existing one: --plugin-service-account NAME\n"
        )
    );
}

/// The aggregator does not fill its node's disk or memory, and rejects results before the kubelet evicts it.
#[test]
fn limits_of_the_aggregator_are_set() {
    let limits = |flags: &[&str]| {
        let objects = objects(flags);
        let spec = &template(&objects)["spec"];
        let volumes = spec["volumes"].as_array().unwrap();
        let results = volumes.iter().find(|volume| volume["name"] == "output-volume").unwrap();
        (
            spec["containers"][0]["resources"]
                .get("limits")
                .cloned()
                .unwrap_or_default(),
            results.get("emptyDir").cloned().unwrap_or_default(),
            stored(&objects)
                .pointer("/UploadLimits/MaxTotalBytes")
                .and_then(Value::as_u64),
        )
    };
    let memory = |size: &str| json!({ "memory": size });
    let nine_tenths = |bytes: u64| Some(bytes / 10 * 9);
    assert_eq!(
        limits(&[]),
        (memory("1Gi"), json!({ "sizeLimit": "20Gi" }), nine_tenths(20 << 30))
    );
    assert_eq!(
        limits(&["--aggregator-memory=512Mi", "--results-size-limit=5G"]),
        (
            memory("512Mi"),
            json!({ "sizeLimit": "5G" }),
            nine_tenths(5_000_000_000)
        )
    );
    assert_eq!(
        limits(&["--aggregator-memory=0", "--results-size-limit=0"]),
        (Value::Null, json!({}), None)
    );
    assert_eq!(
        limits(&["--results-volume=1Ti"]),
        (memory("1Gi"), Value::Null, nine_tenths(1 << 40))
    );
    assert_eq!(
        limits(&["--results-volume-claim=mine"]),
        (memory("1Gi"), Value::Null, None)
    );
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("c.json");
    fs_err::write(&config, r#"{"UploadLimits":{"MaxTotalBytes":5}}"#).unwrap();
    let (_, _, total) = limits(&["--config", config.to_str().unwrap()]);
    assert_eq!(total, Some(5));
}

#[test]
fn a_network_policy_is_rejected_for_plugins_with_host_network() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = directory.path().join("p.yaml");
    let generate = |driver: &str, pod_spec: &str| {
        let text =
            format!("sonobuoy-config: {{driver: {driver}, plugin-name: p}}\nspec: {{name: c, image: i}}\n{pod_spec}");
        fs_err::write(&plugin, text).unwrap();
        sono(
            directory.path(),
            &["gen", "--network-policy", "-p", plugin.to_str().unwrap()],
        )
    };
    let refused = failure(
        "error: cannot create a NetworkPolicy for plugin `p`: its pods use the host network, which a NetworkPolicy cannot select, so their results would be blocked\n  hint:  omit --network-policy, or select other plugins with --plugin\n",
    );
    // The default podSpec of DaemonSets uses the host's network.
    assert_eq!(generate("DaemonSet", ""), refused);
    assert_eq!(
        generate("Job", "podSpec: {hostNetwork: true, restartPolicy: Never}\n"),
        refused
    );
    for finished in [
        generate("Job", ""),
        generate("DaemonSet", "podSpec: {tolerations: []}\n"),
    ] {
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
        let documents = sono_types::yaml::all_documents(&finished.stdout).unwrap();
        assert_eq!(of_kind(&documents, "NetworkPolicy").len(), 1);
    }
}
