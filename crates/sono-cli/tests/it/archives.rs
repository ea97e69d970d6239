//! `results` on archives of real runs, and on what is none.

use std::{path::PathBuf, process::Stdio};

use serde_json::Value;

use crate::{command, failure, sono};

/// The archives of `../shared/vectors`, where they are.
fn archive(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SONO_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors")),
        PathBuf::from,
    );
    let path = root.join("archives").join(name);
    if path.is_file() {
        return Some(path);
    }
    #[expect(clippy::print_stderr, reason = "a test that does not run must say so")]
    {
        eprintln!("not tested: {} is not there", path.display());
    }
    None
}

fn results(arguments: &[&str]) -> Option<String> {
    let path = archive("run-quick-k8s-1.37.tar.gz")?;
    let directory = tempfile::tempdir().ok()?;
    let said = sono(
        directory.path(),
        &[&["results", path.to_string_lossy().as_ref()], arguments].concat(),
    );
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    Some(said.stdout)
}

#[test]
fn the_report_of_a_real_run() {
    let Some(text) = results(&[]) else { return };
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
fn the_details_of_a_real_run_are_json_lines() {
    let Some(text) = results(&["--plugin", "e2e", "--mode", "detailed"]) else {
        return;
    };
    let passed = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["status"] == "passed")
        .count();
    assert_eq!((text.lines().count(), passed), (3213, 8));
}

#[test]
fn the_dump_is_the_stored_tree() {
    let Some(text) = results(&["--plugin", "e2e", "--mode", "dump"]) else {
        return;
    };
    let tree: Value = sono_types::yaml::first_document(&text).unwrap();
    assert_eq!(
        (tree["name"].as_str(), tree["status"].as_str()),
        (Some("e2e"), Some("passed"))
    );
}

#[test]
fn who_stops_reading_has_seen_enough() {
    let Some(path) = archive("run-quick-k8s-1.37.tar.gz") else {
        return;
    };
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

#[test]
fn what_is_no_archive_is_named() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        sono(directory.path(), &["results", "none.tar.gz"]),
        failure("error: no such file or directory: none.tar.gz\n")
    );
    fs_err::create_dir(directory.path().join("empty")).unwrap();
    assert_eq!(
        sono(directory.path(), &["results", "empty", "-p", "x"]),
        failure("error: cannot read `empty`\n  failed to find file \"plugins/x/sonobuoy_results.yaml\" in archive\n")
    );
}

/// B-5: scripts that ask for it get the outcome as an exit code.
#[test]
fn the_exit_code_tells_the_outcome_when_asked_for() {
    let code = |name: &str, arguments: &[&str]| {
        let path = archive(name)?;
        let directory = tempfile::tempdir().ok()?;
        let said = sono(
            directory.path(),
            &[&["results", path.to_string_lossy().as_ref()], arguments].concat(),
        );
        assert_eq!(said.stderr, "");
        Some(said.code)
    };
    let Some(failed) = code("results-4-e2e-failures.tar.gz", &["--exit-code", "-p", "e2e"]) else {
        return;
    };
    assert_eq!(failed, 3);
    assert_eq!(code("results-4-e2e-failures.tar.gz", &["-p", "e2e"]), Some(0));
    assert_eq!(code("run-quick-k8s-1.37.tar.gz", &["--exit-code"]), Some(0));
}
