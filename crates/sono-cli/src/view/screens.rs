//! Screens of a run with 1, 3 and 100 nodes on terminals of 80 and 120 columns, as files in `screens`. After a change,
//! `SONO_UPDATE_SCREENS=1 cargo test -p sono-cli --lib screens` writes them again; read the difference as an operator.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use sono_kube::{FailedOutput, stuck::Explanation};
use sono_results::{Failure, Health, Summary};
use sono_types::RunStatus;

use super::{
    archive::{self, Overview, PluginOverview},
    counts,
    failed_log::FailedLog,
    obstacles::Obstacle,
    overview,
    progress_log::ProgressLog,
    screen::Bars,
};
use crate::output::{FakeTerminal, Printer, Stack};

const WIDTHS: [u16; 2] = [80, 120];
const NODES: [usize; 3] = [1, 3, 100];
const NOW: Timestamp = Timestamp::UNIX_EPOCH;
/// End of the log of a failed container.
const LOG: [&str; 2] = ["reading /etc/frobnicator", "cannot find the frobnicator"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Blocked,
    Failed,
    Complete,
}

const STATES: [State; 4] = [State::Running, State::Blocked, State::Failed, State::Complete];

/// Compares a file with the current screens.
fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("src/view/screens/{name}.txt"));
    if std::env::var_os("SONO_UPDATE_SCREENS").is_some() {
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
        return;
    }
    let expected = fs_err::read_to_string(&path).unwrap();
    assert!(
        text == expected,
        "{name}.txt differs; SONO_UPDATE_SCREENS=1 writes it again. Now:\n{text}"
    );
}

/// Screens under their titles.
fn screens(widths: &[Option<u16>], states: &[State], show: &dyn Fn(State, usize, Option<u16>) -> String) -> String {
    let mut text = String::new();
    for state in states {
        for nodes in NODES {
            for width in widths {
                let columns = width.map(|width| format!(", {width} columns")).unwrap_or_default();
                let s = if nodes == 1 { "" } else { "s" };
                let screen = show(*state, nodes, *width);
                let screen: Vec<&str> = screen.lines().map(str::trim_end).collect();
                let title = format!("{state:?}, {nodes} node{s}{columns}").to_lowercase();
                write!(text, "=== {title}\n{}\n\n", screen.join("\n")).unwrap();
            }
        }
    }
    text
}

fn node(number: usize) -> String {
    format!("node{number}")
}

fn lost(number: usize) -> String {
    format!(
        "container plugin of pod sonobuoy-kube-bench-daemon-set-0f{number:04} on node {} ended with exit code 1 and no result \
         arrived; see its log",
        node(number)
    )
}

/// The plugins e2e on the cluster and kube-bench on each node.
fn status(state: State, nodes: usize) -> RunStatus {
    let progress = json!({"name": "e2e", "node": "global", "timestamp": "2026-01-01T00:00:00Z", "total": 414,
        "completed": 229, "failures": ["[sig-network] Proxy version v1 should proxy through a service and a pod",
            "[sig-node] Secrets should be consumable via the environment"]});
    let row = |node: &str, status: &str, result: &str, counts: Value| {
        json!({"plugin": "kube-bench", "node": node,
        "status": status, "result-status": result, "result-counts": counts})
    };
    let suite = |status: &str, result: &str, counts: Value| {
        json!({"plugin": "e2e", "node": "global", "status": status,
        "result-status": result, "result-counts": counts})
    };
    let mut rows = Vec::new();
    let none = Value::Null;
    rows.push(match state {
        State::Running => {
            let mut row = suite("running", "", none.clone());
            row["progress"] = progress;
            row
        }
        State::Blocked => suite("running", "", none.clone()),
        State::Failed => {
            let mut row = suite(
                "complete",
                "failed",
                json!({"passed": 412, "failed": 2, "skipped": 2799}),
            );
            row["progress"] = progress;
            row
        }
        State::Complete => suite("complete", "passed", json!({"passed": 414, "skipped": 2799})),
    });
    for number in 1..=nodes {
        let name = node(number);
        rows.push(match state {
            State::Running if number * 3 <= nodes * 2 => row(&name, "complete", "", none.clone()),
            State::Running | State::Blocked => row(&name, "running", "", none.clone()),
            State::Failed if number * 3 <= nodes => row(&name, "complete", "passed", json!({"passed": 3})),
            State::Failed => {
                let mut row = row(&name, "failed", "failed", json!({"failed": 1}));
                row["error"] = lost(number).into();
                row
            }
            State::Complete => row(&name, "complete", "passed", json!({"passed": 3})),
        });
    }
    let overall = match state {
        State::Running | State::Blocked => "running",
        State::Failed | State::Complete => "complete",
    };
    serde_json::from_value(json!({"status": overall, "plugins": rows})).unwrap()
}

fn obstacles(state: State, nodes: usize) -> Vec<Obstacle> {
    let obstacle = |plugin: &str, node: Option<String>, reason: &str, message: String, pending| Obstacle {
        plugin: Some(plugin.to_owned()),
        node,
        pending,
        failed_pod: (!pending).then(|| "pod".to_owned()),
        why: Explanation::new(reason, message, None),
    };
    match state {
        State::Blocked => {
            let message = "image registry.example.org/kube-bench:0.9: not found (ErrImagePull)";
            let pull = |number| {
                obstacle(
                    "kube-bench",
                    Some(node(number)),
                    "ErrImagePull",
                    message.to_owned(),
                    true,
                )
            };
            let unscheduled =
                "cannot be scheduled: 0/3 nodes are available: 3 node(s) were unschedulable (Unschedulable)";
            let suite = obstacle("e2e", None, "Unschedulable", unscheduled.to_owned(), true);
            std::iter::once(suite).chain((1..=nodes).map(pull)).collect()
        }
        // The last node fails.
        State::Running => {
            let message = "container plugin ended with exit code 1".to_owned();
            vec![obstacle("kube-bench", Some(node(nodes)), "Error", message, false)]
        }
        State::Failed | State::Complete => Vec::new(),
    }
}

fn logs(obstacles: &[Obstacle]) -> Vec<FailedLog> {
    let failed = obstacles.iter().filter(|obstacle| obstacle.failed_pod.is_some());
    let log = |obstacle| {
        let output = FailedOutput {
            container: "plugin".to_owned(),
            previous: false,
            lines: LOG.map(str::to_owned).to_vec(),
        };
        FailedLog::new(obstacle, output, &|command| format!("sono {command}"))
    };
    failed.map(log).collect()
}

#[test]
fn status_is_readable() {
    let show = |state: State, nodes: usize, width: Option<u16>| {
        let (status, obstacles) = (status(state, nodes), obstacles(state, nodes));
        let lines = overview::lines(&status, &obstacles, false, NOW);
        let table = overview::table_within(&lines, width.map(usize::from));
        let logs: Vec<String> = logs(&obstacles).iter().flat_map(FailedLog::lines).collect();
        format!("{}\n{}", table.plain(), logs.join("\n"))
    };
    check("status", &screens(&WIDTHS.map(Some), &STATES, &show));
}

#[test]
fn progress_on_a_terminal_is_readable() {
    let show = |state: State, nodes: usize, width: Option<u16>| {
        let terminal = FakeTerminal::new(width.unwrap());
        let mut bars = Bars::on(Printer::for_this_process(), Stack::on(&terminal));
        let (status, obstacles) = (status(state, nodes), obstacles(state, nodes));
        let mut log = ProgressLog::new(NOW);
        let later = NOW + Duration::from_secs(72);
        bars.log(&log.status(&status));
        log.obstacles(&obstacles, NOW);
        bars.log(&log.obstacles(&obstacles, later));
        bars.show(&status, Duration::from_secs(72), &|plugin| {
            let of_plugin = obstacles
                .iter()
                .find(|obstacle| obstacle.plugin.as_deref() == Some(plugin));
            of_plugin.map(|obstacle| obstacle.why.text(later))
        });
        terminal.text()
    };
    check("wait-terminal", &screens(&WIDTHS.map(Some), &STATES, &show));
}

#[test]
fn progress_in_a_log_is_readable() {
    let show = |state: State, nodes: usize, _: Option<u16>| {
        let (status, obstacles) = (status(state, nodes), obstacles(state, nodes));
        let mut log = ProgressLog::new(NOW);
        log.obstacles(&obstacles, NOW);
        let changes = log.status(&status);
        let waits = log.obstacles(&obstacles, NOW + Duration::from_secs(72));
        let lines = changes.into_iter().chain(waits).map(|change| change.text);
        let logs = logs(&obstacles);
        let lines: Vec<String> = lines.chain(logs.iter().flat_map(FailedLog::lines)).collect();
        let verdict =
            (status.status == sono_types::OverallStatus::Complete).then(|| format!("run {}", counts::verdict(&status)));
        lines.into_iter().chain(verdict).collect::<Vec<_>>().join("\n")
    };
    check("wait-log", &screens(&[None], &STATES, &show));
}

fn plugin(summary: &Summary) -> PluginOverview<'_> {
    PluginOverview {
        name: &summary.name,
        status: &summary.status,
        summary,
        listed: &[],
    }
}

#[test]
fn results_are_readable() {
    let show = |state: State, nodes: usize, _: Option<u16>| {
        let is_failed = state == State::Failed;
        let failure = |name: &str, lines: &[&str], file: String| Failure {
            name: name.to_owned(),
            message_first_lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            file: Some(file),
            ..Failure::default()
        };
        let tests = [
            failure(
                "[sig-network] Proxy version v1 should proxy through a service and a pod",
                &["timed out waiting for the condition", "test/e2e/network/proxy.go:271"],
                "results/global/junit.xml".to_owned(),
            ),
            failure(
                "[sig-node] Secrets should be consumable via the environment",
                &[],
                "results/global/junit.xml".to_owned(),
            ),
        ];
        let first = nodes / 3 + 1;
        let lost =
            (first..=nodes).map(|number| failure(&lost(number), &LOG, format!("errors/{}/error.json", node(number))));
        let count = |number: usize| u64::try_from(number).unwrap();
        let word = if is_failed { "failed" } else { "passed" };
        let suite = Summary {
            name: "e2e".to_owned(),
            status: word.to_owned(),
            passed: if is_failed { 412 } else { 414 },
            failed: if is_failed { 2 } else { 0 },
            skipped: 2799,
            failures: if is_failed { tests.to_vec() } else { Vec::new() },
            ..Summary::default()
        };
        let bench = Summary {
            name: "kube-bench".to_owned(),
            status: word.to_owned(),
            passed: 3 * count(if is_failed { first - 1 } else { nodes }),
            failed: if is_failed { count(nodes + 1 - first) } else { 0 },
            failures: if is_failed { lost.collect() } else { Vec::new() },
            ..Summary::default()
        };
        let health: Health = serde_json::from_value(json!({"api_version": "v1.37.2",
            "node_health": {"total_nodes": nodes, "healthy_nodes": nodes},
            "pod_health": {"total_nodes": 41, "healthy_nodes": 41}, "error_summary": {}}))
        .unwrap();
        let overview = Overview {
            run: Some("4f2a7c1b-6d0e-4b8e-9c55-1f0f3a2b7d11"),
            status: word,
            plugins: [&suite, &bench].map(plugin).into(),
            health: Some(&health),
            archive: Some("a.tar.gz"),
            marks: None,
        };
        archive::table(&overview, true).plain().into_owned()
    };
    check("results", &screens(&[None], &[State::Failed, State::Complete], &show));
}
