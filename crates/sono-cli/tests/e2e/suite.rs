//! The real Kubernetes suite with the built-in plugin `e2e`, configured only with flags.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    time::Instant,
};

use serde_json::Value;

use crate::harness::{Run, sono};

/// Volumes of ConfigMaps, Secrets and similar: 45 short tests that require only the node.
const VOLUMES: &str = "(Secrets|ConfigMap|Downward API volume|EmptyDir volumes|Projected configMap|Projected secret) should (be consumable from pods in volume|provide|set mode|support \\(root|set DefaultMode).*\\[NodeConformance\\]";

/// Serial tests that take seconds.
const SERIAL: &str = "Namespaces should (patch a Namespace|apply an update to a Namespace)";

/// Number of leaves by status, according to `results`.
fn counted(run: &Run) -> BTreeMap<String, usize> {
    let text = sono(&["results", run.archive(), "-p", "e2e", "-o", "json"]).success();
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let plugin = &document["plugins"][0];
    assert_eq!(plugin["name"], "e2e");
    let mut counts = BTreeMap::new();
    for leaf in plugin["items"].as_array().expect("leaves") {
        let status = leaf["status"].as_str().expect("a status");
        *counts.entry(status.to_owned()).or_default() += 1;
    }
    counts
}

/// Number of tests by status, according to the suite's JUnit file.
fn reported(run: &Run) -> BTreeMap<String, usize> {
    let junit = run.file("plugins/e2e/results/global/junit_01.xml");
    let mut counts = BTreeMap::new();
    for case in junit.split("<testcase ").skip(1) {
        let head = case.split('>').next().unwrap_or_default();
        let status = [
            "passed",
            "failed",
            "skipped",
            "timedout",
            "panicked",
            "interrupted",
            "aborted",
        ]
        .into_iter()
        .find(|status| head.contains(&format!("status=\"{status}\"")))
        .unwrap_or_else(|| panic!("unknown status: {head}"));
        let status = if matches!(status, "passed" | "skipped") {
            status
        } else {
            "failed"
        };
        *counts.entry(status.to_owned()).or_default() += 1;
    }
    counts
}

/// Names of the tests that passed.
fn passed(run: &Run) -> Vec<String> {
    let text = sono(&[
        "results",
        run.archive(),
        "-p",
        "e2e",
        "-o",
        "json",
        "--status",
        "passed",
        "--name",
        "\\[It\\]",
    ])
    .success();
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let leaves = document["plugins"][0]["items"].as_array().cloned().unwrap_or_default();
    let name = |leaf: &Value| leaf["name"].as_str().expect("a name").to_owned();
    leaves.iter().map(name).collect()
}

#[test]
#[ignore = "needs the suite's images: cargo xtask e2e --conformance"]
fn the_quick_mode_passes() {
    let run = Run::start("quick", &[], &["--mode", "quick", "--wait"]);
    assert!(run.output().contains("run passed in"), "{}", run.output());
    assert_eq!(counted(&run), reported(&run));
    assert_eq!(passed(&run).len(), 1, "{:?}", passed(&run));
}

/// The suite posts progress only with an argument and from a single process.
#[test]
#[ignore = "needs the suite's images: cargo xtask e2e --conformance"]
fn forty_five_tests_show_how_far_they_are() {
    let flags = [
        "--e2e-focus",
        VOLUMES,
        "--e2e-skip",
        "",
        "--plugin-env",
        "e2e.E2E_EXTRA_GINKGO_ARGS=--procs=8",
        "--wait=10",
    ];
    let run = Run::start("focus", &["builtin:e2e"], &flags);
    let output = run.output();
    assert!(output.contains("run passed in"), "{output}");
    let steps = output
        .lines()
        .filter(|line| line.contains(" e2e: ") && line.ends_with(" of 45 tests passed"));
    assert!(steps.count() >= 3, "{output}");
    assert_eq!(counted(&run), reported(&run));
    assert_eq!(passed(&run).len(), 45);
}

/// Any number of processes runs the same tests; several are faster. One test is serial, which `true` would skip.
#[test]
#[ignore = "needs the suite's images: cargo xtask e2e --conformance"]
fn same_tests_run_in_any_number_of_processes() {
    let focus = format!("{VOLUMES}|{SERIAL}");
    let tests = |name: &str, processes: &str| {
        let begun = Instant::now();
        let flags = [
            "--e2e-focus",
            &focus,
            "--e2e-skip",
            "",
            "--e2e-parallel",
            processes,
            "--wait=20",
        ];
        let run = Run::start(name, &["builtin:e2e"], &flags);
        let took = begun.elapsed();
        assert!(run.output().contains("run passed in"), "{}", run.output());
        assert_eq!(counted(&run), reported(&run));
        let mut names = passed(&run);
        names.sort();
        // Unlike the output of macros, this is not captured.
        writeln!(
            io::stderr(),
            "{processes} processes: {} tests in {} s",
            names.len(),
            took.as_secs()
        )
        .expect("standard error is open");
        (names, took)
    };
    let (one, alone) = tests("one", "1");
    assert!(one.len() > 40, "{}: {one:#?}", one.len());
    assert!(one.iter().any(|name| name.contains("[Serial]")), "{one:#?}");
    let (four, together) = tests("four", "4");
    let (auto, _) = tests("auto", "auto");
    assert_eq!((&four, &auto), (&one, &one));
    assert!(together < alone, "{together:?} with 4, {alone:?} with 1");
}

/// Reruns exactly the three failed tests of an archive.
#[test]
#[ignore = "needs the suite's images: cargo xtask e2e --conformance"]
fn failed_tests_are_run_again() {
    const FAILED: [&str; 3] = [
        "[It] [sig-node] ConfigMap should run through a ConfigMap lifecycle [Conformance]",
        "[It] [sig-node] Lease lease API should be available [Conformance]",
        "[It] [sig-node] Secrets should patch a secret [Conformance]",
    ];
    let directory = archive_of_failures(&FAILED);
    let archive = directory.path().display().to_string();
    let run = Run::start("again", &["builtin:e2e"], &["--rerun-failed", &archive, "--wait"]);
    assert_eq!(counted(&run), reported(&run));
    let mut names = passed(&run);
    names.sort();
    assert_eq!(names, FAILED);
}

/// 57 test names of Kubernetes 1.37 are prefixes of others. This is a dry run: the suite lists the selected tests.
#[test]
#[ignore = "needs the suite's images: cargo xtask e2e --conformance"]
fn failed_tests_are_selected_without_those_whose_names_begin_alike() {
    const FAILED: [&str; 3] = [
        "[It] [sig-auth] SelfSubjectReview testing SSR in different API groups authentication/v1",
        "[It] [sig-cli] Kubectl client Simple pod should support exec",
        "[It] [sig-network] Conntrack should be able to preserve UDP traffic when server pod cycles for a ClusterIP service",
    ];
    let directory = archive_of_failures(&FAILED);
    let archive = directory.path().display().to_string();
    let flags = [
        "--rerun-failed",
        &archive,
        "--plugin-env",
        "e2e.E2E_DRYRUN=true",
        "--wait",
    ];
    let run = Run::start("whole", &["builtin:e2e"], &flags);
    let mut names = passed(&run);
    names.sort();
    assert_eq!(names, FAILED);
}

/// An archive, as a directory, in which the plugin e2e has these failures.
fn archive_of_failures(names: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let leaves: String = names
        .iter()
        .map(|name| format!("- name: '{name}'\n  status: failed\n"))
        .collect();
    let tree = format!("name: e2e\nstatus: failed\nmeta:\n  type: summary\nitems:\n{leaves}");
    for (file, text) in [
        ("meta/info.json", r#"{"plugins":["e2e"]}"#),
        ("plugins/e2e/sonobuoy_results.yaml", &tree),
    ] {
        let path = directory.path().join(file);
        fs_err::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs_err::write(path, text).expect("a file");
    }
    directory
}
