//! Consecutive runs in one existing namespace, as in CI jobs. Each one ends with the verdict and the
//! archive of its own run. `SONO_E2E_PAIRS` is the number of pairs.

use std::{path::Path, time::Instant};

use crate::{
    harness::{Finished, plugin, sono_in},
    namespaces::Namespace,
};

fn pairs() -> usize {
    let number = std::env::var("SONO_E2E_PAIRS").ok();
    number.map_or(4, |number| number.parse().expect("SONO_E2E_PAIRS is a number"))
}

/// Runs `run` in the namespace, alternating between both workloads of the aggregator.
fn run(directory: &Path, namespace: &str, definition: &str, pair: usize, flags: &[&str]) -> Finished {
    let workload = ["deployment", "pod"][pair % 2];
    let file = plugin(definition);
    let own = [
        "run",
        "-n",
        namespace,
        "-p",
        &file,
        "--aggregator-permissions",
        "namespaceAdmin",
        "--aggregator-workload",
        workload,
        "--exit-code",
    ];
    sono_in(directory, &[&own, flags].concat())
}

#[test]
fn run_after_a_deletion_that_was_not_waited_for_ends_with_its_own_verdict() {
    let name = "e2e-pairs";
    let _namespace = Namespace::new(name);
    let directory = tempfile::tempdir().expect("a directory");
    let delete = || sono_in(directory.path(), &["delete", "-n", name]).success();
    for pair in 0..pairs() {
        let began = Instant::now();
        for (definition, code) in [("job-junit", 0), ("exit-three", 3)] {
            let finished = run(directory.path(), name, definition, pair, &["--wait=5"]);
            assert_eq!(
                finished.code(),
                Some(code),
                "pair {pair}, {definition}: {}",
                finished.stderr()
            );
            // The following commands use the same run.
            let status = sono_in(directory.path(), &["status", "-n", name, "--exit-code"]);
            assert_eq!(
                (status.code(), status.run_id()),
                (Some(code), finished.run_id()),
                "pair {pair}"
            );
            delete();
        }
        println!("pair {pair}: ok in {:?}", began.elapsed());
    }
}

#[test]
fn rm_fetches_the_archive_of_its_own_run() {
    let name = "e2e-rm-pairs";
    let _namespace = Namespace::new(name);
    for pair in 0..pairs() {
        let began = Instant::now();
        for (definition, code) in [("job-junit", 0), ("exit-three", 3)] {
            let directory = tempfile::tempdir().expect("a directory");
            let finished = run(directory.path(), name, definition, pair, &["--rm"]);
            assert_eq!(
                finished.code(),
                Some(code),
                "pair {pair}, {definition}: {}",
                finished.stderr()
            );
            let id = finished.run_id().expect("run names its run");
            let archive = finished.stdout();
            assert!(
                archive.trim().ends_with(&format!("_sonobuoy_{id}.tar.gz")),
                "{archive} of run {id}"
            );
            let left = crate::harness::kubectl(&[
                "-n",
                name,
                "get",
                "pods,services,configmaps,deployments,daemonsets",
                "-l",
                "component=sonobuoy",
                "-o",
                "name",
            ]);
            assert_eq!(left, "", "pair {pair}");
        }
        println!("pair {pair}: ok in {:?}", began.elapsed());
    }
}

/// In a namespace created by the run, the next run can start immediately.
#[test]
fn rm_waits_until_its_own_namespace_is_deleted() {
    let file = plugin("job-junit");
    let directory = tempfile::tempdir().expect("a directory");
    for _ in 0..2 {
        sono_in(directory.path(), &["run", "-n", "e2e-rm-own", "-p", &file, "--rm"]).success();
    }
}

/// The next run waits for the deletion of its own namespace.
#[test]
fn run_waits_for_the_deletion_of_its_own_namespace() {
    let directory = tempfile::tempdir().expect("a directory");
    for (definition, code) in [("job-junit", 0), ("exit-three", 3)] {
        let file = plugin(definition);
        let flags = ["run", "-n", "e2e-own-pairs", "-p", &file, "--wait=5", "--exit-code"];
        let said = sono_in(directory.path(), &flags);
        assert_eq!(said.code(), Some(code), "{definition}: {}", said.stderr());
        sono_in(directory.path(), &["delete", "-n", "e2e-own-pairs"]).success();
    }
    sono_in(directory.path(), &["delete", "-n", "e2e-own-pairs", "--wait"]).success();
}

/// A worker without a result exits, and the aggregator records the failure ten seconds later.
#[test]
fn container_that_failed_without_a_result_is_judged_within_half_a_minute() {
    let name = "e2e-judged";
    let _namespace = Namespace::new(name);
    let directory = tempfile::tempdir().expect("a directory");
    let began = Instant::now();
    let finished = run(directory.path(), name, "exit-three", 0, &["--wait=5"]);
    assert_eq!(finished.code(), Some(3), "{}", finished.stderr());
    let took = began.elapsed().as_secs();
    assert!(took < 30, "it took {took} s: {}", finished.stderr());
    sono_in(directory.path(), &["delete", "-n", name, "--wait"]).success();
}
