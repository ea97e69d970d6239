//! Lines of `run --wait` and `wait` without a terminal.

use serde_json::{Value, json};

use super::*;

fn texts(log: &mut ProgressLog, next: &RunStatus) -> Vec<String> {
    log.status(next).into_iter().map(|change| change.text).collect()
}

fn status(value: Value) -> RunStatus {
    serde_json::from_value(value).unwrap()
}

#[test]
fn each_change_is_reported_once() {
    let mut log = ProgressLog::new(Timestamp::UNIX_EPOCH);
    let running = json!({"status": "running", "plugins": [
        {"plugin": "e2e", "node": "global", "status": "running"},
        {"plugin": "logs", "node": "n1", "status": "running"},
        {"plugin": "logs", "node": "n2", "status": "running"}]});
    assert_eq!(
        texts(&mut log, &status(running.clone())),
        ["e2e started", "logs started on 2 nodes"]
    );
    assert_eq!(texts(&mut log, &status(running.clone())), Vec::<String>::new());
    let mut later = running;
    later["plugins"][0]["progress"] = json!({"name": "e2e", "node": "global",
        "timestamp": "2026-01-01T00:00:00Z", "total": 414, "completed": 3, "failures": ["[sig] a"]});
    later["plugins"][1]["status"] = "complete".into();
    assert_eq!(
        texts(&mut log, &status(later.clone())),
        ["e2e has 414 tests", "e2e failed test: [sig] a"]
    );
    later["plugins"][0]["progress"]["completed"] = 40.into();
    assert_eq!(texts(&mut log, &status(later.clone())), Vec::<String>::new());
    later["plugins"][0]["progress"]["completed"] = 41.into();
    assert_eq!(
        texts(&mut log, &status(later.clone())),
        ["e2e: 41 of 414 tests passed, 1 failed"]
    );
    later["plugins"][0]["progress"]["completed"] = 43.into();
    assert_eq!(texts(&mut log, &status(later.clone())), Vec::<String>::new());
    for row in 0..3 {
        later["plugins"][row]["status"] = "complete".into();
    }
    later["plugins"][2]["status"] = "failed".into();
    later["plugins"][2]["error"] = "pod p on n2 was evicted: low on memory".into();
    later["status"] = "post-processing".into();
    assert_eq!(
        texts(&mut log, &status(later.clone())),
        [
            "e2e has sent its results",
            "no result of logs from n2: pod p on n2 was evicted: low on memory",
            "logs has sent its results from 1 of 2 nodes",
            "all plugins are done; the aggregator is packing the results"
        ]
    );
    for row in 0..3 {
        later["plugins"][row]["result-status"] = "passed".into();
        later["plugins"][row]["result-counts"] = json!({"passed": 1});
    }
    later["status"] = "complete".into();
    assert_eq!(
        texts(&mut log, &status(later)),
        ["e2e passed: 1 passed", "logs passed: 2 passed"]
    );
}

#[test]
fn skipped_nodes_are_named_when_the_plugin_starts() {
    let mut log = ProgressLog::new(Timestamp::UNIX_EPOCH);
    let left_out = json!([{"plugin": "p", "count": 1, "nodes": ["node2"], "reason": "taint bad=yes:NoSchedule"},
        {"plugin": "q", "count": 2, "nodes": ["node1", "node2"], "reason": "taint a:NoExecute"}]);
    let mut run = json!({"status": "running", "left-out": left_out,
        "plugins": [{"plugin": "p", "node": "node1", "status": "running"}]});
    assert_eq!(
        texts(&mut log, &status(run.clone())),
        [
            "p started on 1 of 2 nodes; not on node2: taint bad=yes:NoSchedule",
            "q runs on 0 of 2 nodes; not on node1, node2: taint a:NoExecute"
        ]
    );
    assert_eq!(texts(&mut log, &status(run.clone())), Vec::<String>::new());
    run["plugins"][0]["status"] = "complete".into();
    assert_eq!(
        texts(&mut log, &status(run)),
        ["p has sent its results from 1 of 2 nodes"]
    );
}

#[test]
fn results_are_attributed_to_nodes_that_sent_one() {
    let row = |node: &str, state: &str| json!({"plugin": "p", "node": node, "status": state});
    let last = |rows: Value| {
        let mut log = ProgressLog::new(Timestamp::UNIX_EPOCH);
        let lines = texts(&mut log, &status(json!({"status": "running", "plugins": rows})));
        lines.last().unwrap().clone()
    };
    assert_eq!(
        last(json!([row("n1", "complete"), row("n2", "complete")])),
        "p has sent its results from 2 nodes"
    );
    assert_eq!(
        last(json!([row("n1", "complete"), row("n2", "failed")])),
        "p has sent its results from 1 of 2 nodes"
    );
    assert_eq!(
        last(json!([row("n1", "failed"), row("n2", "failed")])),
        "no result of p from n1, n2"
    );
    assert_eq!(last(json!([row("global", "failed")])), "no result of p");
    // Rows of a large cluster are folded.
    assert_eq!(
        last(json!([
            row("(9900 nodes)", "complete"),
            row("(99 nodes)", "failed"),
            row("n1", "failed")
        ])),
        "p has sent its results from 9900 of 10000 nodes"
    );
    assert_eq!(
        last(json!([row("(9900 nodes)", "failed")])),
        "no result of p from (9900 nodes)"
    );
}

#[test]
fn lasting_obstacle_is_reported_once() {
    let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let mut log = ProgressLog::new(start);
    let obstacle = Obstacle {
        plugin: Some("bench".to_owned()),
        node: Some("n1".to_owned()),
        pending: true,
        failed_pod: None,
        why: sono_kube::stuck::Explanation::new("ErrImagePull", "image i:1: not found", Some(start)),
    };
    let mut changes_at = |seconds: i64| log.obstacles(std::slice::from_ref(&obstacle), at(start, seconds));
    assert_eq!(changes_at(1), []);
    assert_eq!(changes_at(3), [Change::notice("bench on n1: image i:1: not found")]);
    assert_eq!(changes_at(4), []);
}

fn at(start: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(start.as_second() + seconds).unwrap()
}

#[test]
fn waiting_is_reported_after_two_seconds() {
    let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let mut log = ProgressLog::new(start);
    let mut changes_at = |seconds: i64| log.pods([].into_iter(), at(start, seconds));
    assert_eq!(changes_at(1), []);
    assert_eq!(
        changes_at(2),
        [Change::step("waiting for the aggregator's pod to start")]
    );
    assert_eq!(changes_at(3), []);
}

fn aggregator(uid: &str, node: &str, restarts: i32, more: &Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": format!("sonobuoy-{uid}"), "uid": uid, "labels": {"sonobuoy-component": "aggregator"}},
        "spec": {"nodeName": node, "containers": [{"name": "kube-sonobuoy", "image": "i:1"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "kube-sonobuoy", "image": "", "imageID": "",
            "ready": true, "restartCount": restarts, "state": {"running": {"startedAt": "2026-11-22T09:59:30Z"}}}]}
    });
    pod["metadata"]
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap_or_default());
    serde_json::from_value(pod).unwrap()
}

/// A new process is one line, and what it reports again is not repeated.
#[test]
fn replaced_aggregator_is_one_change() {
    let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let mut log = ProgressLog::new(now);
    let mut seen = |pods: &[Pod]| -> Vec<Change> { log.pods(pods.iter(), now) };
    let first = aggregator("1", "node1", 0, &json!({}));
    assert_eq!(
        seen(std::slice::from_ref(&first)),
        [Change::step("aggregator running on node1")]
    );
    assert_eq!(seen(&[first]), []);
    let again = aggregator("1", "node1", 1, &json!({}));
    assert_eq!(
        seen(&[again]),
        [Change::notice("aggregator restarted, continuing on node1")]
    );
    let deleted = json!({"deletionTimestamp": "2026-11-22T10:00:00Z"});
    let both = [
        aggregator("1", "node1", 1, &deleted),
        aggregator("2", "node2", 0, &json!({})),
    ];
    assert_eq!(
        seen(&both),
        [Change::notice("aggregator replaced, continuing on node2")]
    );
    assert_eq!(seen(&both), []);

    let rows =
        |state: &str| status(json!({"status": "running", "plugins": [{"plugin": "p", "node": "n1", "status": state}]}));
    assert_eq!(
        texts(&mut log, &rows("complete")),
        ["p started on 1 node", "p has sent its results from 1 node"]
    );
    assert_eq!(texts(&mut log, &RunStatus::default()), Vec::<String>::new());
    assert_eq!(texts(&mut log, &rows("complete")), Vec::<String>::new());
}

#[test]
fn changes_before_the_command_carry_their_own_time() {
    let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let mut log = ProgressLog::attached(now);
    let times = |changes: Vec<Change>| changes.into_iter().map(|change| change.time).collect::<Vec<_>>();
    let pod = aggregator("1", "node1", 0, &json!({}));
    assert_eq!(
        times(log.pods([&pod].into_iter(), now)),
        [ChangeTime::At("2026-11-22T09:59:30Z".parse().unwrap())]
    );
    let row = |state: &str| {
        status(json!({"status": "running", "plugins": [{"plugin": "p", "node": "global", "status": state}]}))
    };
    assert_eq!(times(log.status(&row("running"))), [ChangeTime::Earlier]);
    assert_eq!(times(log.status(&row("complete"))), [ChangeTime::Now]);
}

/// 100 nodes with one reason are one line.
#[test]
fn equal_reasons_of_many_nodes_are_one_change() {
    let rows: Vec<Value> = (1..=100)
        .map(|number| {
            json!({"plugin": "p", "node": format!("node{number}"), "status": "failed",
                "error": format!("the pod of plugin p for node node{number} cannot be created: pods \"sonobuoy-p-{number}x\" is forbidden")})
        })
        .collect();
    let mut log = ProgressLog::new(Timestamp::UNIX_EPOCH);
    assert_eq!(
        texts(&mut log, &status(json!({"status": "running", "plugins": rows}))),
        [
            "p started on 100 nodes",
            "no result of p from node1, node2 and 98 more: the pod of plugin p for node node1 cannot be created: pods \"sonobuoy-p-1x\" is forbidden"
        ]
    );
}
