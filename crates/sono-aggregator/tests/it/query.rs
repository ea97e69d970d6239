//! `/sonobuoy query`, as a process.

use std::process::Command;

use serde_json::{Value, json};
use sono_testkit::{FakeApi, forbidden};

/// Exit code, standard error, and the rows of `query-time.json` as `name outcome`.
fn run(api: &FakeApi, config: &str) -> (Option<i32>, String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    fs_err::write(&path, config).unwrap();
    let out = folder.path().join("out");
    let output = Command::new(env!("CARGO_BIN_EXE_sono-aggregator"))
        .args(["query", "--kubeconfig"])
        .arg(api.write_kubeconfig(folder.path()))
        .arg("-o")
        .arg(&out)
        .env("SONOBUOY_CONFIG", &path)
        .output()
        .unwrap();
    let times = fs_err::read_to_string(out.join("meta/query-time.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&times).unwrap();
    let rows = rows
        .iter()
        .map(|row| {
            format!(
                "{} {}",
                row["queryobj"].as_str().unwrap(),
                row["outcome"].as_str().unwrap()
            )
        })
        .collect();
    (output.status.code(), String::from_utf8(output.stderr).unwrap(), rows)
}

#[test]
fn query_reports_missing_resources_and_stores_the_others() {
    let api = FakeApi::start();
    api.put(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "default"}}));
    let config = r#"{"Resources":["services","nodes","serverversion"],"Filters":{"Namespaces":"^default$"}}"#;
    let (code, _, rows) = run(&api, config);
    assert_eq!(
        (code, rows),
        (
            Some(0),
            [
                "Nodes complete",
                "serverversion complete",
                "nodes complete",
                "services complete"
            ]
            .map(str::to_owned)
            .to_vec()
        )
    );
    api.fail("GET", "/api/v1/nodes", forbidden("me", "list", "nodes", None));
    let (code, stderr, rows) = run(&api, config);
    assert_eq!(
        (code, rows),
        (
            Some(1),
            [
                "Nodes failed",
                "serverversion complete",
                "nodes failed",
                "services complete"
            ]
            .map(str::to_owned)
            .to_vec()
        )
    );
    let expected = "Nodes: forbidden: user \\\"me\\\" cannot list resource \\\"nodes\\\" at the cluster scope (and 1 more for this reason)";
    assert!(
        stderr.contains(expected) || stderr.contains(&expected.replace('\\', "")),
        "{stderr}"
    );
}
