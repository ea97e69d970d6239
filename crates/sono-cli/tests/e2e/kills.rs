//! Twenty aggregators that are lost during a run, at times chosen by a seed: with their container, their pod or their node.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    harness::{Run, kubectl, kubectl_program, kubernetes, text},
    survival::{AGGREGATOR, SLOW, pods, processes},
};

const ROUNDS: u64 = 20;
/// Maximum time in milliseconds between readiness and loss of the aggregator. The slowest plugin takes longer.
const MAX_LOSS_MILLIS: u64 = 8_000;
/// Plugins with results that are checked.
const PLUGINS: [&str; 3] = ["every-node", "job-junit", "survivor"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// `kill -9`; the container is restarted.
    Container,
    /// Immediate deletion of the pod, as when its node is lost.
    Pod,
    /// Draining of the node.
    Node,
}

/// The drained node; it is uncordoned at the end of the round, also after a failure.
struct Drained(String);

impl Drop for Drained {
    fn drop(&mut self) {
        kubectl(&["uncordon", &self.0]);
    }
}

/// One instance of the aggregator: its pod, and the restart count of its container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Instance {
    pod: String,
    uid: String,
    node: String,
    restarts: i64,
    is_ready: bool,
}

fn instance(run: &Run) -> Option<Instance> {
    let pod = pods(run, AGGREGATOR)
        .into_iter()
        .find(|pod| pod.pointer("/metadata/deletionTimestamp").is_none())?;
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    Some(Instance {
        pod: text(&pod, "/metadata/name"),
        uid: text(&pod, "/metadata/uid"),
        node: text(&pod, "/spec/nodeName"),
        restarts: pod["status"]["containerStatuses"][0]["restartCount"]
            .as_i64()
            .unwrap_or(0),
        is_ready: conditions
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
    })
}

/// Waits for a ready aggregator other than `before`.
fn ready(run: &Run, before: Option<&Instance>) -> Instance {
    let limit = Instant::now() + Duration::from_mins(3);
    loop {
        let is_new =
            |now: &Instance| before.is_none_or(|before| (&now.uid, now.restarts) != (&before.uid, before.restarts));
        if let Some(now) = instance(run).filter(|now| now.is_ready && is_new(now)) {
            return now;
        }
        assert!(
            Instant::now() < limit,
            "no aggregator after {before:?}: {:?}",
            instance(run)
        );
    }
}

fn spawned(program: &mut Command) -> Child {
    program.stdout(Stdio::null()).spawn().expect("it starts")
}

fn lose(run: &Run, loss: Loss, aggregator: &Instance) -> Child {
    match loss {
        Loss::Container => {
            let killed = processes(&aggregator.uid, "sonobuoy");
            let pids = killed.iter().filter_map(|process| process.file_name());
            spawned(Command::new("kill").arg("-9").args(pids))
        }
        Loss::Pod => spawned(Command::new(kubectl_program()).args([
            "-n",
            run.namespace(),
            "delete",
            "pod",
            &aggregator.pod,
            "--force",
            "--grace-period=0",
        ])),
        Loss::Node => spawned(Command::new(kubectl_program()).args([
            "drain",
            &aggregator.node,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--force",
            "--timeout=120s",
        ])),
    }
}

/// Job plugins with a pod on the node, which are lost with it.
fn plugins_on(run: &Run, node: &str) -> Vec<String> {
    let pods = pods(run, "sonobuoy-component=plugin");
    let jobs = pods.iter().filter(|pod| {
        let owner = text(pod, "/metadata/ownerReferences/0/kind");
        owner != "DaemonSet" && text(pod, "/spec/nodeName") == node
    });
    jobs.map(|pod| text(pod, "/metadata/labels/sonobuoy-plugin")).collect()
}

/// Plugin, node and state of every row, sorted.
fn rows(run: &Run) -> Vec<(String, String, String)> {
    let status: Value = run.status();
    let rows = status["plugins"].as_array().cloned().unwrap_or_default();
    let mut rows: Vec<_> = rows
        .iter()
        .map(|row| (text(row, "/plugin"), text(row, "/node"), text(row, "/result-status")))
        .collect();
    rows.sort();
    rows
}

fn round(number: u64) -> Duration {
    let loss = [Loss::Container, Loss::Pod, Loss::Node][usize::try_from(number % 3).expect("small")];
    let moment = Duration::from_millis(number.wrapping_mul(2_654_435_761) % MAX_LOSS_MILLIS);
    // Without a volume, the files of the pod are lost. A killed container's files are preserved in both cases.
    let workload = if loss == Loss::Container && number % 2 == 0 {
        "pod"
    } else {
        "deployment"
    };
    let mut run = Run::detached(
        &format!("kill-{number}"),
        &PLUGINS,
        &["--aggregator-workload", workload],
    );
    let first = ready(&run, None);
    thread::sleep(moment);
    let slow = |run: &Run| -> Vec<String> { pods(run, SLOW).iter().map(|pod| text(pod, "/metadata/uid")).collect() };
    let before = slow(&run);
    let gone = if loss == Loss::Node {
        plugins_on(&run, &first.node)
    } else {
        Vec::new()
    };
    let start = Instant::now();
    let drained = (loss == Loss::Node).then(|| Drained(first.node.clone()));
    let mut work = lose(&run, loss, &first);
    let second = ready(&run, Some(&first));
    let recovery = start.elapsed();
    assert!(work.wait().expect("it ends").success(), "{loss:?}");
    println!(
        "round {number}: {loss:?} of a {workload} after {} ms on {}, ready again on {} after {} ms; plugins there: {gone:?}",
        moment.as_millis(),
        first.node,
        second.node,
        recovery.as_millis()
    );
    if !before.is_empty() && gone.is_empty() {
        assert_eq!(slow(&run), before, "the plugin's pod was replaced");
    }
    run.finish();
    drop(drained);
    let state = |plugin: &str| {
        if gone.iter().any(|gone| gone == plugin) {
            "failed"
        } else {
            "passed"
        }
    };
    let mut expected: Vec<_> = kubernetes::node_names()
        .into_iter()
        .map(|node| ("every-node".to_owned(), node, "passed".to_owned()))
        .collect();
    let global = ["job-junit", "survivor"];
    expected.extend(global.map(|plugin| (plugin.to_owned(), "global".to_owned(), state(plugin).to_owned())));
    assert_eq!(rows(&run), expected, "round {number}");
    if gone.is_empty() {
        assert_eq!(
            run.file("plugins/survivor/results/global/lines.txt"),
            "began\nended\n",
            "it ran twice"
        );
    }
    recovery
}

/// W-1: only results of plugins on the drained node are lost, no result occurs twice, and no plugin runs twice.
#[test]
#[ignore = "takes ten minutes and three nodes: cargo xtask e2e --kills"]
fn nothing_is_lost_in_twenty() {
    assert!(kubernetes::node_names().len() >= 3, "run `cargo xtask e2e --kills`");
    let mut recoveries: Vec<Duration> = (0..ROUNDS).map(round).collect();
    recoveries.sort();
    let at = |percent: usize| recoveries[(recoveries.len() * percent).div_ceil(100) - 1].as_millis();
    println!(
        "{ROUNDS} losses; ready again: median {} ms, 95 % within {} ms, at most {} ms",
        at(50),
        at(95),
        at(100)
    );
}
