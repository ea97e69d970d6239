//! Tests on a real cluster, which `cargo xtask e2e` starts and passes in `KUBECONFIG`. Every test has its own namespace, so
//! tests run in parallel; the objects of a test are deleted at its end, also after a failure.

mod cut;
mod deploy;
mod harness;
mod kills;
mod namespaces;
mod pairs;
mod registry;
mod rights;
mod scale;
mod suite;
mod survival;
mod trouble;
mod vectors;

use std::collections::BTreeSet;

use harness::{Run, kubernetes, sono, text};
use serde_json::{Value, json};

/// Name and status of every leaf.
fn leaves(item: &Value) -> BTreeSet<(String, String)> {
    match item
        .get("items")
        .and_then(Value::as_array)
        .filter(|items| !items.is_empty())
    {
        Some(items) => items.iter().flat_map(leaves).collect(),
        None => BTreeSet::from([(text(item, "/name"), text(item, "/status"))]),
    }
}

fn pairs(expected: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    expected
        .iter()
        .map(|(name, status)| ((*name).to_owned(), (*status).to_owned()))
        .collect()
}

#[test]
fn a_job_with_a_junit_file() {
    let run = Run::to_the_end("job-junit", &["job-junit"]);
    let tree = run.results("job-junit");
    assert_eq!(text(&tree, "/status"), "passed");
    assert_eq!(
        leaves(&tree),
        pairs(&[("one", "passed"), ("two", "passed"), ("three", "skipped")])
    );
    let status = run.status();
    assert_eq!(text(&status, "/status"), "complete");
    assert_eq!(
        status["plugins"],
        json!([{"plugin": "job-junit", "node": "global", "status": "complete", "result-status": "passed",
            "result-counts": {"passed": 2, "skipped": 1}}])
    );
    let report = sono(&["results", run.archive(), "--plugin", "job-junit"]).success();
    assert_eq!(
        report,
        "Plugin: job-junit\nStatus: passed\nTotal: 3\nPassed: 2\nFailed: 0\nSkipped: 1\n"
    );
}

#[test]
fn a_daemon_set_on_every_node() {
    let run = Run::to_the_end("every-node", &["every-node"]);
    let nodes = kubernetes::node_names();
    let expected: BTreeSet<_> = nodes
        .iter()
        .map(|node| (format!("on-{node}"), "passed".to_owned()))
        .collect();
    assert_eq!(leaves(&run.results("every-node")), expected);
    let rows = run.status()["plugins"].as_array().cloned().unwrap_or_default();
    let reported: BTreeSet<String> = rows.iter().map(|row| text(row, "/node")).collect();
    assert_eq!(reported, nodes.into_iter().collect());
}

#[test]
fn the_built_in_host_check_needs_no_foreign_image() {
    let run = Run::to_the_end("host-check", &["builtin:host-check"]);
    let statuses: BTreeSet<String> = leaves(&run.results("host-check"))
        .into_iter()
        .map(|(_, status)| status)
        .collect();
    assert!(statuses.contains("passed"), "{statuses:?}");
    assert!(
        statuses.is_subset(&["passed", "skipped", "failed"].map(str::to_owned).into()),
        "{statuses:?}"
    );
}

/// The image is sono's. A node without a journal reports that first, and then its files in `/var/log`.
#[test]
fn the_built_in_systemd_logs_needs_no_foreign_image() {
    let run = Run::to_the_end("systemd-logs", &["builtin:systemd-logs"]);
    let nodes = kubernetes::node_names();
    let tree = run.results("systemd-logs");
    let items = tree["items"].as_array().cloned().unwrap_or_default();
    let mut reported: Vec<String> = items.iter().map(|item| text(item, "/name")).collect();
    reported.sort();
    assert_eq!(reported, nodes);
    assert_eq!(leaves(&tree), pairs(&[("systemd_logs", "passed")]));
    for node in nodes {
        let logs = run.file(&format!("plugins/systemd-logs/results/{node}/systemd_logs"));
        let lines: Vec<Value> = logs
            .lines()
            .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
            .collect();
        let is_of_a_journal = |line: &Value| line.get("__REALTIME_TIMESTAMP").is_some();
        if lines.first().is_some_and(is_of_a_journal) {
            continue;
        }
        let (why, files) = lines
            .split_first()
            .expect("a line with the reason of the missing journal");
        assert_eq!(
            (text(why, "/_HOSTNAME"), text(why, "/SYSLOG_IDENTIFIER")),
            (node.clone(), "sono-systemd-logs".to_owned())
        );
        let message = text(why, "/MESSAGE");
        assert!(message.ends_with("; the files of /var/log follow"), "{message}");
        let is_of_a_file =
            |line: &Value| text(line, "/FILE").starts_with("/var/log/") && text(line, "/_HOSTNAME") == node;
        assert!(files.iter().any(is_of_a_file), "{message}, and no line of a file");
    }
}

#[test]
fn a_side_car_takes_the_done_file_and_post_processes() {
    let run = Run::to_the_end("side-car", &["side-car"]);
    assert_eq!(leaves(&run.results("side-car")), pairs(&[("processed.txt", "passed")]));
    assert_eq!(run.file("plugins/side-car/results/global/processed.txt"), "processed\n");
}

#[test]
fn a_plugin_without_a_done_file() {
    let run = Run::to_the_end("no-done", &["no-done"]);
    assert_eq!(run.file("plugins/no-done/results/global/left-behind.txt"), "content\n");
}

#[test]
fn a_done_file_that_names_a_directory() {
    let run = Run::to_the_end("done-directory", &["done-directory"]);
    assert_eq!(run.file("plugins/done-directory/results/global/one.txt"), "one\n");
    assert_eq!(run.file("plugins/done-directory/results/global/deep/two.txt"), "two\n");
}

#[test]
fn a_plugin_that_exits_with_an_error_says_so() {
    let run = Run::to_the_end("exit-three", &["exit-three"]);
    let tree = run.results("exit-three");
    assert_eq!(text(&tree, "/status"), "failed");
    let message = text(&tree, "/items/0/name");
    assert!(
        message.contains("exit code 3") && message.contains("sonobuoy-exit-three-job-"),
        "{message}"
    );
    assert_eq!(text(&run.status(), "/plugins/0/status"), "failed");
}

#[test]
fn an_image_that_cannot_be_pulled_ends_at_the_time_limit_and_is_named_before() {
    let run = Run::start("no-image", &["no-image"], &["--timeout", "15", "--wait"]);
    let output = run.output();
    assert!(output.contains("127.0.0.1:9/there-is-no-such-image:dev"), "{output}");
    let tree = run.results("no-image");
    assert_eq!(text(&tree, "/status"), "failed");
    let why = text(&tree, "/items/0/name");
    assert!(why.contains(" At the end: pod sonobuoy-no-image-job-"), "{why}");
    assert!(why.contains("image 127.0.0.1:9/there-is-no-such-image:dev: "), "{why}");
}

#[test]
fn a_result_that_is_not_there_is_an_error_and_not_a_hang() {
    let run = Run::to_the_end("bad-upload", &["bad-upload"]);
    let tree = run.results("bad-upload");
    assert_eq!(text(&tree, "/status"), "failed");
    let message = text(&tree, "/items/0/name");
    assert!(message.contains("/tmp/sonobuoy/results/nowhere.txt"), "{message}");
}

#[test]
fn progress_reaches_the_status() {
    let run = Run::to_the_end("progress", &["progress"]);
    let mut progress = run.status()["plugins"][0]["progress"].clone();
    progress["timestamp"] = Value::Null;
    assert_eq!(
        progress,
        json!({"name": "progress", "node": "global", "timestamp": null, "msg": "half way", "total": 3, "completed": 2,
            "failures": ["third"]})
    );
}

#[test]
fn groups_start_one_after_the_other() {
    let run = Run::to_the_end("order", &["order-third", "order-first", "order-second"]);
    let started = |name: &str| -> f64 {
        run.file(&format!("plugins/{name}/results/global/started.txt"))
            .trim()
            .parse()
            .expect("seconds since boot")
    };
    assert!(started("order-first") < started("order-second"));
    assert!(started("order-second") < started("order-third"));
}

#[test]
fn logs_show_what_containers_print() {
    let run = Run::to_the_end("logs", &["job-junit"]);
    let logs = sono(&["logs", "-n", run.namespace()]).success();
    assert!(
        logs.lines()
            .any(|line| line.contains("no-exit was specified, sonobuoy is now blocking")),
        "{logs}"
    );
}

#[test]
fn delete_leaves_nothing_behind() {
    let run = Run::to_the_end("delete", &["job-junit", "every-node"]);
    let namespace = run.namespace().to_owned();
    sono(&["delete", "-n", &namespace, "--wait"]).success();
    assert_eq!(kubernetes::leftovers(&namespace), Vec::<String>::new());
    // Deleting again without any objects is not an error.
    sono(&["delete", "-n", &namespace, "--wait"]).success();
}
