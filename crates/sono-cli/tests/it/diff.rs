//! `sono diff`: what changed between two runs.

use std::path::Path;

use serde_json::{Value, json};

use crate::sono;

/// Name, status and failure message of a test.
pub(crate) type Test<'a> = (&'a str, &'a str, &'a str);

fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

/// Writes an extracted archive of a run of the suite with a focus.
pub(crate) fn write_run(directory: &Path, kubernetes: &str, focus: &str, tests: &[Test<'_>]) {
    let items: Vec<Value> = tests
        .iter()
        .map(|(name, status, failure)| match *failure {
            "" => json!({"name": name, "status": status}),
            failure => json!({"name": name, "status": status, "details": {"failure": failure}}),
        })
        .collect();
    let tree = json!({"name": "e2e", "status": "failed", "items": [
        {"name": "junit_01.xml", "status": "failed", "meta": {"file": "results/global/junit_01.xml"}, "items": items}]});
    let yaml = sono_types::yaml::to_string(&tree).unwrap();
    write(directory, "plugins/e2e/sonobuoy_results.yaml", &yaml);
    // The file of Sonobuoy, with its misspelt name.
    let definition = json!({"Definition": {"spec": {"env": [{"name": "E2E_FOCUS", "value": focus}]}}});
    write(directory, "plugins/e2e/defintion.json", &definition.to_string());
    write(directory, "meta/info.json", r#"{"plugins":["e2e"]}"#);
    let version = json!({"major": "1", "gitVersion": kubernetes});
    write(directory, "serverversion.json", &version.to_string());
}

/// Two runs with one change of most classes.
pub(crate) fn write_runs(directory: &Path) {
    write_run(
        &directory.join("a"),
        "v1.36.3",
        "x",
        &[
            ("[It] [sig-node] Pods run [NodeConformance] [Conformance]", "passed", ""),
            ("[It] works", "passed", ""),
            ("[It] is back", "failed", "expected 1"),
            ("[It] waits", "failed", "timed out after 300s"),
            ("[It] is gone", "passed", ""),
            ("[It] is not selected", "skipped", ""),
        ],
    );
    write_run(
        &directory.join("b"),
        "v1.37.2",
        "x",
        &[
            ("[It] [sig-node] Pods run [Conformance] [NodeConformance]", "passed", ""),
            ("[It] works", "failed", "expected 1, got 2"),
            ("[It] is back", "passed", ""),
            ("[It] waits", "failed", "timed out after 12s"),
            ("[It] is new", "passed", ""),
            ("[It] is not selected", "skipped", ""),
        ],
    );
}

const TABLE: &str = "\
1 regression, 1 fixed, 1 new, 1 removed, 1 still failing
Kubernetes v1.36.3 → v1.37.2

regression:
  e2e  [It] works
    expected …, got …

fixed:
  e2e  [It] is back
    expected …

new:
  e2e  [It] is new

removed:
  e2e  [It] is gone
";

#[test]
fn changes_between_two_runs_are_listed_by_class() {
    let directory = tempfile::tempdir().unwrap();
    write_runs(directory.path());
    let found = sono(directory.path(), &["diff", "a", "b"]);
    assert_eq!(
        (found.code, found.stdout.as_str(), found.stderr.as_str()),
        (3, TABLE, "")
    );
    // An archive is read as its directory.
    let file = fs_err::File::create(directory.path().join("b.tar.gz")).unwrap();
    sono_bundle::pack_directory(&directory.path().join("b"), file, &[], 6).unwrap();
    let found = sono(directory.path(), &["diff", "a", "b.tar.gz"]);
    assert_eq!((found.code, found.stdout.as_str()), (3, TABLE));
}

#[test]
fn equal_runs_have_no_differences() {
    let directory = tempfile::tempdir().unwrap();
    write_runs(directory.path());
    let found = sono(directory.path(), &["diff", "a", "a"]);
    assert_eq!(
        (found.code, found.stdout.as_str(), found.stderr.as_str()),
        (0, "no differences, 2 still failing\n", "")
    );
}

#[test]
fn selected_classes_are_shown_and_decide_the_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    write_runs(directory.path());
    let found = sono(
        directory.path(),
        &[
            "diff",
            "a",
            "b",
            "--only",
            "still-failing,fixed",
            "--fail-on",
            "new-failure",
            "-o",
            "markdown",
        ],
    );
    let expected = "\
### Changes

1 regression, 1 fixed, 1 new, 1 removed, 1 still failing

Kubernetes v1.36.3 → v1.37.2

- still-failing: `[It] waits`: timed out after …s

- fixed: `[It] is back`: expected …
";
    assert_eq!((found.code, found.stdout.as_str()), (0, expected));
    let found = sono(directory.path(), &["diff", "a", "b", "--fail-on", "removed"]);
    assert_eq!(found.code, 3);
    let found = sono(directory.path(), &["diff", "a", "b", "--only", "worse"]);
    assert_eq!(found.code, 1);
}

/// Absent tests of a run with another focus are not removed.
#[test]
fn runs_with_another_focus_are_incomparable() {
    let directory = tempfile::tempdir().unwrap();
    write_runs(directory.path());
    write_run(
        &directory.path().join("c"),
        "v1.36.3",
        "y",
        &[("[It] works", "passed", "")],
    );
    let found = sono(directory.path(), &["diff", "a", "c", "-o", "json"]);
    assert_eq!(found.code, 4, "{}", found.stderr);
    let document: Value = serde_json::from_str(&found.stdout).unwrap();
    let changes = document["changes"].as_array().unwrap();
    let shown = |change: &Value| {
        (
            change["change"].clone(),
            change["name"].clone(),
            change["reason"].clone(),
        )
    };
    let expected = |name: &str| (json!("incomparable"), json!(name), json!("another E2E_FOCUS"));
    assert_eq!(
        changes.iter().map(shown).collect::<Vec<_>>(),
        [
            expected("[It] [sig-node] Pods run [NodeConformance] [Conformance]"),
            expected("[It] is back"),
            expected("[It] is gone"),
            expected("[It] waits"),
        ]
    );
    assert_eq!(document["unchanged"], 2);
}

/// Failures that the cluster causes are a class of their own.
#[test]
fn failure_with_a_cause_in_the_cluster_is_infrastructure() {
    let directory = tempfile::tempdir().unwrap();
    let name = "[It] [sig-network] pulls";
    write_run(&directory.path().join("a"), "v1.37.2", "x", &[(name, "passed", "")]);
    write_run(
        &directory.path().join("b"),
        "v1.37.2",
        "x",
        &[(name, "failed", "not ready")],
    );
    let log = "STEP: Collecting events from namespace \"n-1\".\nI1122 19:21:59.9 28 dump.go:53] At 2026-11-22 19:21:58 +0000 UTC - event for p-1: {kubelet node1} Failed: Failed to pull image \"r/x:1\": not found\nI1122 19:21:59.9 28 resource.go:151] POD  NODE   PHASE    GRACE  CONDITIONS\nI1122 19:21:59.9 28 resource.go:158] p-1  node1  Pending         []\n";
    let tree = json!({"name": "e2e", "status": "failed", "items": [
        {"name": "junit_01.xml", "status": "failed", "meta": {"file": "results/global/junit_01.xml"}, "items": [
            {"name": name, "status": "failed", "details": {"failure": "not ready", "system-err": log}}]}]});
    let yaml = sono_types::yaml::to_string(&tree).unwrap();
    write(directory.path(), "b/plugins/e2e/sonobuoy_results.yaml", &yaml);
    let found = sono(directory.path(), &["diff", "a", "b"]);
    let lines: Vec<&str> = found.stdout.lines().take(4).collect();
    assert_eq!(
        (found.code, lines),
        (
            3,
            vec![
                "1 infrastructure failure",
                "",
                "infrastructure:",
                "  e2e  [It] [sig-network] pulls"
            ]
        ),
        "{}",
        found.stdout
    );
}

#[test]
fn wrong_input_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    write_runs(directory.path());
    fs_err::create_dir(directory.path().join("empty")).unwrap();
    write(directory.path(), "broken.tar.gz", "text");
    for other in ["none.tar.gz", "empty", "broken.tar.gz"] {
        for arguments in [["diff", "a", other], ["diff", other, "a"]] {
            let found = sono(directory.path(), &arguments);
            assert_eq!((found.code, found.stdout.as_str()), (1, ""), "{arguments:?}");
            assert!(found.stderr.contains(other), "{}", found.stderr);
        }
    }
    // A damaged result file of one run is an error, not a difference.
    write(directory.path(), "b/plugins/e2e/sonobuoy_results.yaml", "items: [");
    assert_eq!(sono(directory.path(), &["diff", "a", "b"]).code, 1);
}

/// From 1.36 to 1.37, 176 required tests changed the order of their tags, 19 are new, and 3 were removed.
#[test]
fn required_tests_of_two_versions_differ_in_new_and_removed_tests() {
    let directory = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for (run, version) in [("a", "v1.36.3"), ("b", "v1.37.2")] {
        let listed = sono(
            directory.path(),
            &["conformance", "list", "--kubernetes-version", version],
        );
        let tests: Vec<Test<'_>> = listed.stdout.lines().map(|name| (name, "passed", "")).collect();
        write_run(&directory.path().join(run), version, "x", &tests);
        names.push(listed.stdout.clone());
    }
    let has = |list: &str, name: &str| list.lines().any(|line| line == name);
    let (old, new) = (&names[0], &names[1]);
    assert_eq!((old.lines().count(), new.lines().count()), (446, 462));
    let swapped = old.lines().filter(|name| !has(new, name)).count();
    assert_eq!(swapped, 176 + 3);
    let found = sono(directory.path(), &["diff", "a", "b"]);
    assert_eq!(
        (found.code, found.stdout.lines().next()),
        (0, Some("19 new, 3 removed")),
        "{}",
        found.stderr
    );
}
