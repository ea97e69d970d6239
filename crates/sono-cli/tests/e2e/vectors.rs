//! Unchanged definitions written for Sonobuoy, with replacements for their images (`deploy/images/stand-ins`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sono_testkit::vectors;

use crate::{
    harness::{Run, kubernetes, text},
    leaves, pairs,
};

/// A plugin argument for a definition in the test vectors.
fn stored(name: &str) -> String {
    format!("builtin:{}", vectors(&format!("plugins/{name}.yaml")).display())
}

#[test]
#[ignore = "requires the test vectors: cargo xtask e2e"]
fn definitions_of_others_run_unchanged() {
    // Two more files have the same names and a separate run below.
    let files = [
        "ds-junit-passing-tar",
        "ds-manual",
        "ds-raw-passing-tar",
        "examples_cmd-runner_cmdrunner",
        "examples_progress-reporter_progress",
        "job-junit-passing-singlefile",
        "job-junit-singlefile-configmap",
        "job-manual",
        "job-manual-directory",
        "job-raw-singlefile",
        "manual-with-arbitrary-details",
    ];
    let plugins = files.map(stored);
    let plugins: Vec<&str> = plugins.iter().map(String::as_str).collect();
    let run = Run::to_the_end("definitions", &plugins);

    let manual = BTreeSet::from(["one", "three"].map(|name| (name.to_owned(), "passed".to_owned())));
    let manual: BTreeSet<_> = manual
        .into_iter()
        .chain(pairs(&[("two", "failed"), ("four", "custom-status")]))
        .collect();
    assert_eq!(leaves(&run.results("job-manual")), manual);
    assert_eq!(leaves(&run.results("job-manual-directory")), manual);
    assert_eq!(leaves(&run.results("ds-manual")), manual);

    let nodes = kubernetes::node_names().len();
    let status = run.status();
    let rows = status["plugins"].as_array().cloned().unwrap_or_default();
    let mut seen: BTreeMap<String, Vec<(String, serde_json::Value)>> = BTreeMap::new();
    for row in &rows {
        // The roll-up of custom statuses depends on compatibility, but it is never a pass.
        let status = text(row, "/result-status");
        let status = if status == "passed" {
            status
        } else {
            "not passed".to_owned()
        };
        let row_seen = (status, row["result-counts"].clone());
        seen.entry(text(row, "/plugin")).or_default().push(row_seen);
    }
    let one = |status: &str, counts: serde_json::Value| vec![(status.to_owned(), counts)];
    let each = |status: &str, counts: serde_json::Value| vec![(status.to_owned(), counts); nodes];
    let custom = json!({"custom-status": 1, "failed": 1, "passed": 2});
    let expected = BTreeMap::from(
        [
            ("cmd-runner", one("passed", json!({"passed": 2}))),
            (
                "ds-junit-passing-tar",
                each("not passed", json!({"failed": 1, "passed": 2})),
            ),
            ("ds-manual", each("not passed", custom.clone())),
            ("ds-raw-passing-tar", each("passed", json!({"passed": 2}))),
            ("job-junit-passing-singlefile", one("passed", json!({"passed": 3}))),
            ("job-junit-singlefile-configmap", one("passed", json!({"passed": 3}))),
            ("job-manual", one("not passed", custom.clone())),
            ("job-manual-directory", one("not passed", custom)),
            ("job-raw-passing-singlefile", one("passed", json!({"passed": 1}))),
            ("manual-with-arbitrary-details", one("passed", json!({"passed": 1}))),
            ("progress", one("passed", json!({"passed": 1}))),
        ]
        .map(|(name, rows)| (name.to_owned(), rows)),
    );
    assert_eq!(seen, expected);

    let details = run.results("manual-with-arbitrary-details");
    let number_and_list = details
        .pointer("/items/0/details/nested")
        .or_else(|| details.pointer("/items/0/items/0/details/nested"));
    assert_eq!(
        number_and_list,
        Some(&json!({"number": 3, "list": ["a", "b"]})),
        "{details}"
    );
}

#[test]
#[ignore = "requires the test vectors: cargo xtask e2e"]
fn definitions_of_others_without_a_done_file() {
    let files = ["ds-manual-no-done", "job-manual-no-done"];
    let plugins = files.map(stored);
    let plugins: Vec<&str> = plugins.iter().map(String::as_str).collect();
    let run = Run::to_the_end("definitions-no-done", &plugins);
    assert_eq!(
        leaves(&run.results("ds-manual")),
        pairs(&[("one", "passed"), ("two", "failed")])
    );
    assert_eq!(
        leaves(&run.results("job-manual")),
        pairs(&[
            ("one", "passed"),
            ("two", "failed"),
            ("three", "passed"),
            ("four", "custom-status")
        ])
    );
}
