//! Whole runs on this machine: real processes, TLS on loopback, and an archive.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::{Value, json};
use sono_bundle::Bundle;
use sono_local::{FinishedRun, LocalError, Options, RunLog, run, system_clock};
use sono_manifest::{Definition, DriverKind};
use sono_types::{Config, PluginName, RunStatus, status::plugin_status};
use tokio::sync::watch;

fn plugin(name: &str, format: &str, script: &str) -> Definition {
    Definition {
        name: PluginName::parse(name).unwrap(),
        driver: DriverKind::Job,
        driver_text: "Job".to_owned(),
        result_format: format.to_owned(),
        spec: json!({"name": "plugin", "command": ["sh", "-c", script]}),
        ..sono_local::host_check(Path::new("unused"))
    }
}

async fn run_plugins(definitions: Vec<Definition>) -> (Result<FinishedRun, LocalError>, tempfile::TempDir) {
    let output = tempfile::tempdir().unwrap();
    let options = Options {
        definitions,
        config: Config::default(),
        output: output.path().to_path_buf(),
        statuses: watch::channel(RunStatus::default()).0,
        log: RunLog::new(system_clock()),
        clock: system_clock(),
        observer: None,
    };
    let outcome = tokio::time::timeout(Duration::from_mins(1), run(options, std::future::pending())).await;
    (outcome.expect("within a minute"), output)
}

fn file(finished: &FinishedRun, name: &str) -> Option<String> {
    let bytes = Bundle::open(&finished.archive).unwrap().read(name).unwrap();
    bytes.map(|bytes| String::from_utf8(bytes).unwrap())
}

fn statuses(finished: &FinishedRun) -> BTreeMap<&str, (&str, &str)> {
    let rows = finished.status.rows().iter();
    rows.map(|row| (row.plugin.as_str(), (row.status.as_str(), row.result_status.as_str())))
        .collect()
}

#[tokio::test]
async fn all_ways_of_reporting_work() {
    let (outcome, _output) = run_plugins(vec![
        plugin(
            "file",
            "junit",
            "echo '<testsuite name=\"s\"><testcase name=\"a\"/></testsuite>' > $RESULTS_DIR/j.xml; echo $RESULTS_DIR/j.xml > $RESULTS_DIR/done",
        ),
        plugin(
            "folder",
            "raw",
            "mkdir -p $RESULTS_DIR/o/p; echo x > $RESULTS_DIR/o/p/x.txt; echo $RESULTS_DIR/o > $RESULTS_DIR/done",
        ),
        plugin("no-done", "raw", "echo left > $SONOBUOY_RESULTS_DIR/left.txt"),
        plugin("failing", "raw", "echo out of luck; exit 3"),
        plugin(
            "failing-with-result",
            "raw",
            "echo r > $RESULTS_DIR/r.txt; echo $RESULTS_DIR/r.txt > $RESULTS_DIR/done; exit 1",
        ),
    ])
    .await;
    let finished = outcome.unwrap();
    assert_eq!(
        statuses(&finished),
        BTreeMap::from([
            ("failing", (plugin_status::FAILED, "failed")),
            ("failing-with-result", (plugin_status::COMPLETE, "passed")),
            ("file", (plugin_status::COMPLETE, "passed")),
            ("folder", (plugin_status::COMPLETE, "passed")),
            ("no-done", (plugin_status::COMPLETE, "passed")),
        ])
    );
    assert_eq!(
        file(&finished, "plugins/folder/results/global/p/x.txt").as_deref(),
        Some("x\n")
    );
    assert_eq!(
        file(&finished, "plugins/no-done/results/global/left.txt").as_deref(),
        Some("left\n")
    );
    let error: Value =
        serde_json::from_str(&file(&finished, "plugins/failing/errors/global/error.json").unwrap()).unwrap();
    assert_eq!(
        error,
        json!({"error": "program plugin of plugin failing ended without a result (exit status: 3); its last output: out of luck"})
    );
    assert_eq!(
        file(&finished, "podlogs/local/failing/logs/plugin.txt").as_deref(),
        Some("out of luck\n")
    );
}

/// The archive contains a plugin's definition without secrets, like that of its pod.
#[tokio::test]
async fn archive_has_no_secrets_of_plugins() {
    let mut definition = plugin("p", "raw", "printf %s $API_TOKEN > $RESULTS_DIR/done-with.txt");
    definition.spec["env"] = json!([{"name": "API_TOKEN", "value": "hunter2"}, {"name": "MODE", "value": "fast"}]);
    let (outcome, _output) = run_plugins(vec![definition]).await;
    let finished = outcome.unwrap();
    let described: Value = serde_json::from_str(&file(&finished, "plugins/p/definition.json").unwrap()).unwrap();
    assert_eq!(
        described["Definition"]["spec"]["env"],
        json!([{"name": "API_TOKEN", "value": "[redacted]"}, {"name": "MODE", "value": "fast"}])
    );
    let counted: Value = serde_json::from_str(&file(&finished, "meta/redactions.json").unwrap()).unwrap();
    let row = json!({"kind": "PluginDefinition", "path": "Definition.spec.env[].value", "reason": "name", "count": 1});
    assert!(counted["redactions"].as_array().unwrap().contains(&row), "{counted}");
    // Output of the plugin itself is not redacted.
    assert_eq!(
        file(&finished, "plugins/p/results/global/done-with.txt").as_deref(),
        Some("hunter2")
    );
}

#[tokio::test]
async fn sidecar_can_remove_the_done_file() {
    let mut definition = plugin(
        "p",
        "raw",
        "echo raw > $RESULTS_DIR/raw.txt; echo $RESULTS_DIR/raw.txt > $RESULTS_DIR/done",
    );
    definition.spec["env"] = json!([{"name": "SONOBUOY_DONE_FILE_DELAY", "value": "2s"}]);
    let side = "until [ -s $RESULTS_DIR/done ]; do sleep 0.05; done; rm $RESULTS_DIR/done; echo new > $RESULTS_DIR/new.txt; echo $RESULTS_DIR/new.txt > $RESULTS_DIR/done";
    definition.pod_spec = Some(json!({"containers": [{"name": "side", "command": ["sh", "-c", side]}]}));
    let (outcome, _output) = run_plugins(vec![definition]).await;
    let finished = outcome.unwrap();
    assert_eq!(
        file(&finished, "plugins/p/results/global/new.txt").as_deref(),
        Some("new\n")
    );
}

#[tokio::test]
async fn processes_of_a_plugin_end_with_the_run() {
    let mut definition = plugin(
        "stays",
        "raw",
        "sleep 600 & echo $! > $RESULTS_DIR/pid; echo $RESULTS_DIR/pid > $RESULTS_DIR/done; wait",
    );
    definition.driver = DriverKind::DaemonSet;
    let (outcome, _output) = run_plugins(vec![definition]).await;
    let finished = outcome.unwrap();
    let node = finished.status.rows()[0].node.clone();
    let pid = file(&finished, &format!("plugins/stays/results/{node}/pid")).unwrap();
    let alive = || {
        let status = fs_err::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
        !status.is_empty() && !status.contains("State:\tZ")
    };
    let gone = async {
        while alive() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .expect("the process has ended");
}

#[tokio::test]
async fn missing_program_is_named() {
    let mut definition = plugin("p", "raw", "");
    definition.spec["command"] = json!(["/there/is/no/such/program"]);
    let (outcome, _output) = run_plugins(vec![definition]).await;
    let finished = outcome.unwrap();
    let error: Value = serde_json::from_str(&file(&finished, "plugins/p/errors/global/error.json").unwrap()).unwrap();
    let message = error["error"].as_str().unwrap();
    assert!(
        message.starts_with("error running plugin p: cannot start \"/there/is/no/such/program\" of plugin p: "),
        "{message}"
    );
}

#[tokio::test]
async fn plugin_that_requires_a_cluster_is_not_started() {
    let mut definition = plugin("p", "raw", "");
    definition.spec["volumeMounts"] = json!([{"name": "root", "mountPath": "/node"}]);
    let (outcome, output) = run_plugins(vec![definition]).await;
    assert_eq!(
        outcome.unwrap_err().to_string(),
        "plugin p cannot run on this machine: container plugin mounts the volume root"
    );
    assert_eq!(fs_err::read_dir(output.path()).unwrap().count(), 0);
}
