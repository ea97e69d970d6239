//! `results` and `--rerun-failed` on archives of real runs.

use std::process::Stdio;

use serde_json::Value;
use sono_testkit::vectors;

use crate::{
    changes::{definition, variable},
    command, sono,
};

fn results(arguments: &[&str]) -> String {
    let path = vectors("archives/run-quick-k8s-1.37.tar.gz");
    let directory = tempfile::tempdir().unwrap();
    let finished = sono(
        directory.path(),
        &[&["results", path.to_str().unwrap()], arguments].concat(),
    );
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    finished.stdout
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn report_of_a_real_run_is_printed() {
    let text = results(&[]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..11],
        [
            "Plugin: e2e",
            "Status: passed",
            "Total: 3213",
            "Passed: 8",
            "Failed: 0",
            "Skipped: 3205",
            "",
            "Run Details:",
            "API Server version: v1.37.2",
            "Node health: 1/1 (100%)",
            "Pods health: 3/3 (100%)"
        ]
    );
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn the_details_of_a_real_run_are_json_lines() {
    let text = results(&["--plugin", "e2e", "--mode", "detailed"]);
    let passed = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["status"] == "passed")
        .count();
    assert_eq!((text.lines().count(), passed), (3213, 8));
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn the_dump_is_the_stored_tree() {
    let text = results(&["--plugin", "e2e", "--mode", "dump"]);
    let tree: Value = sono_types::yaml::first_document(&text).unwrap();
    assert_eq!(
        (tree["name"].as_str(), tree["status"].as_str()),
        (Some("e2e"), Some("passed"))
    );
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn closed_pipe_is_not_an_error() {
    let path = vectors("archives/run-quick-k8s-1.37.tar.gz");
    let directory = tempfile::tempdir().unwrap();
    let mut child = command(directory.path())
        .args([
            "results",
            path.to_str().unwrap(),
            "--plugin",
            "e2e",
            "--mode",
            "detailed",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
        (Some(0), "")
    );
}

/// BUG 5: `--exit-code` returns the outcome as an exit code.
#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn exit_code_flag_returns_the_outcome() {
    let code = |name: &str, arguments: &[&str]| {
        let path = vectors(&format!("archives/{name}"));
        let directory = tempfile::tempdir().unwrap();
        let finished = sono(
            directory.path(),
            &[&["results", path.to_str().unwrap()], arguments].concat(),
        );
        assert_eq!(finished.stderr, "");
        finished.code
    };
    let failures = "results-4-e2e-failures.tar.gz";
    assert_eq!(code(failures, &["--exit-code", "-p", "e2e"]), 3);
    assert_eq!(code(failures, &["-p", "e2e"]), 0);
    assert_eq!(code("run-quick-k8s-1.37.tar.gz", &["--exit-code"]), 0);
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn failed_tests_run_again() {
    let archive = vectors("archives/results-4-e2e-failures.tar.gz");
    let e2e = definition(&["--rerun-failed", archive.to_str().unwrap()], "e2e");
    let focus = variable(&e2e, "E2E_FOCUS").unwrap();
    assert_eq!(focus.split('|').count(), 4, "{focus}");
    assert!(
        focus.starts_with(r"^(?:Kubernetes e2e suite )?(?:\[Top Level\] )?(?:\[sig-"),
        "{focus}"
    );
    assert!(focus.ends_with(")$"), "{focus}");
    assert_eq!(variable(&e2e, "E2E_SKIP"), None);
}
