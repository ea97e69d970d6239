//! The summary of a CI job's step.

use std::path::Path;

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{Finished, cluster::aggregator, command, finished};

const PLUGIN: &str = "sonobuoy-config: {driver: Job, plugin-name: mine, result-format: junit}
spec:
  name: c
  image: i
  command: [/bin/sh, -c]
  args:
  - |
    cd $SONOBUOY_RESULTS_DIR
    echo '<testsuite name=\"s\"><testcase name=\"a\"/><testcase name=\"b\"><failure>no `b`</failure></testcase></testsuite>' > j.xml
    echo $SONOBUOY_RESULTS_DIR/j.xml > done
";

fn sono(directory: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
    let output = command(directory)
        .env("PATH", "/usr/bin:/bin")
        .env("GITHUB_STEP_SUMMARY", directory.join("summary.md"))
        .envs(variables.iter().copied())
        .args(arguments)
        .output()
        .unwrap();
    finished(&output)
}

fn summary(directory: &Path) -> String {
    fs_err::read_to_string(directory.join("summary.md")).unwrap()
}

/// The run's identity in the archive's name.
fn run_of(archive: &str) -> &str {
    archive.trim_end_matches(".tar.gz").split_once("_sonobuoy_").unwrap().1
}

#[test]
fn a_run_and_its_results_are_one_section() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs_err::write(path.join("p.yaml"), PLUGIN).unwrap();
    fs_err::write(path.join("summary.md"), "# My job\n").unwrap();
    let ran = sono(path, &[], &["run", "--local", "-p", "p.yaml", "--exit-code"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let archive = ran.stdout.trim();
    let run = run_of(archive);
    let expected = format!(
        "# My job
<!-- sono: {run} -->
## Run failed

run `{run}`, archive `{archive}`

| plugin | result | passed | failed | skipped | other |
| --- | --- | ---: | ---: | ---: | --- |
| mine | failed | 1 | 1 | 0 |  |

### Failures

- mine: `b`
  ```text
  no `b`
  ```
<!-- sono: end of {run} -->
"
    );
    assert_eq!(summary(path), expected);
    assert_eq!(sono(path, &[], &["results", archive]).code, 0);
    assert_eq!(summary(path), expected);
    // Partial results, and Markdown with another destination, are not written to the summary.
    fs_err::remove_file(path.join("summary.md")).unwrap();
    for arguments in [
        &["-p", "mine"][..],
        &["-o", "markdown"],
        &["--mode", "detailed"],
        &["--skip-passed"],
    ] {
        assert_eq!(sono(path, &[], &[&["results", archive], arguments].concat()).code, 0);
    }
    assert!(!path.join("summary.md").exists());
}

#[test]
fn a_summary_that_cannot_be_written_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs_err::write(path.join("p.yaml"), PLUGIN).unwrap();
    let variables = [("GITHUB_STEP_SUMMARY", "nowhere/summary.md")];
    let ran = sono(path, &variables, &["run", "--local", "-p", "p.yaml"]);
    let warnings: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning: "))
        .collect();
    assert_eq!(ran.code, 0);
    assert_eq!(warnings.len(), 1, "{}", ran.stderr);
    assert!(
        warnings[0].starts_with("warning: cannot write the summary `nowhere/summary.md` (GITHUB_STEP_SUMMARY): "),
        "{}",
        warnings[0]
    );
}

#[test]
fn a_local_run_that_does_not_start_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let image_only = "sonobuoy-config: {driver: Job, plugin-name: mine}\nspec: {name: c, image: i}\n";
    fs_err::write(path.join("p.yaml"), image_only).unwrap();
    let ran = sono(path, &[], &["run", "--local", "-p", "p.yaml"]);
    let expected = format!(
        "<!-- sono: local -->\n## No result\n\n```text\n{}```\n<!-- sono: end of local -->\n",
        ran.stderr
    );
    assert_eq!((ran.code, summary(path)), (1, expected));
}

fn waited(status: &Value, directory: &Path, arguments: &[&str]) -> Finished {
    let api = FakeApi::start();
    api.put(aggregator(Some(status), "Running"));
    let kubeconfig = api.write_kubeconfig(directory);
    sono(directory, &[("KUBECONFIG", kubeconfig.to_str().unwrap())], arguments)
}

/// Until the archive is fetched, only the status of a run in a cluster is known.
#[test]
fn a_run_in_a_cluster_is_summarized_by_its_status() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut status = json!({"plugins": [
            {"plugin": "e2e", "node": "global", "status": "complete", "result-status": "failed",
                "result-counts": {"passed": 6, "failed": 1, "skipped": 7065},
                "progress": {"name": "e2e", "node": "global", "timestamp": "2026-01-01T00:00:00Z", "msg": "done", "total": 7,
                    "completed": 6, "failures": ["[sig-node] x"]}},
            {"plugin": "hosts", "node": "n1", "status": "complete", "result-status": "passed", "result-counts": {"passed": 2}},
            {"plugin": "hosts", "node": "n2", "status": "failed", "result-status": "failed", "result-counts": {"failed": 1}}],
        "status": "running", "tar-info": {"name": "", "created": "0001-01-01T00:00:00Z", "sha256": "", "size": 0}});
    let late = waited(&status, path, &["wait", "--wait=100ms", "--exit-code"]);
    let expected = format!(
        "<!-- sono: sonobuoy -->\n## No result\n\n```text\n{}```\n<!-- sono: end of sonobuoy -->\n",
        late.stderr
            .split_once("error: ")
            .map(|(_, text)| format!("error: {text}"))
            .unwrap()
    );
    assert_eq!((late.code, summary(path)), (6, expected));

    status["status"] = "complete".into();
    status["tar-info"] = json!({"name": "202601010000_sonobuoy_4f2a.tar.gz", "created": "2026-01-01T00:00:00Z", "sha256": "ab", "size": 1});
    let done = waited(&status, path, &["wait", "--exit-code"]);
    assert_eq!(
        (done.code, summary(path).as_str()),
        (
            3,
            "<!-- sono: 4f2a -->
## Run failed

run `4f2a`, archive `202601010000_sonobuoy_4f2a.tar.gz`

| plugin | result | passed | failed | skipped | other |
| --- | --- | ---: | ---: | ---: | --- |
| e2e | failed | 6 | 1 | 7065 |  |
| hosts | failed | 2 | 1 | 0 |  |

### Failures

- e2e: `[sig-node] x`
- hosts: `no result from n2`
<!-- sono: end of 4f2a -->
"
        )
    );
}
