use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use sono_types::{PluginStatus, ProgressUpdate, RunStatus, Target};

use super::*;
use crate::ResultSummary;

/// A run whose effects are shown without records, which have their own tests.
struct Shown(Run);

impl Shown {
    fn new(plans: Vec<PluginPlan>) -> Self {
        Self(Run::new(plans, RunPolicy::default()))
    }

    fn handle(&mut self, at: Timestamp, event: Event) -> Vec<Effect> {
        acts(self.0.handle(at, event))
    }

    fn finish(&mut self, at: Timestamp, ticket: &Ticket, outcome: UploadOutcome) -> Vec<Effect> {
        acts(self.0.finish(at, ticket, outcome))
    }
}

impl Deref for Shown {
    type Target = Run;
    fn deref(&self) -> &Run {
        &self.0
    }
}

impl DerefMut for Shown {
    fn deref_mut(&mut self) -> &mut Run {
        &mut self.0
    }
}

fn acts(effects: Vec<Effect>) -> Vec<Effect> {
    let acts = effects.into_iter();
    acts.filter(|effect| !matches!(effect, Effect::Record(_) | Effect::Progressed))
        .collect()
}

fn name(text: &str) -> PluginName {
    PluginName::parse(text).unwrap()
}

fn key(plugin: &str, target: &str) -> ResultKey {
    ResultKey::new(name(plugin), Target::parse(target).unwrap())
}

fn plan(plugin: &str, order: i64, targets: &[&str]) -> PluginPlan {
    PluginPlan {
        plugin: name(plugin),
        order,
        expected: targets.iter().map(|target| key(plugin, target)).collect(),
        timeout: Some(Duration::from_secs(10)),
        discovers_targets: false,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn store(run: &mut Shown, second: i64, key: &ResultKey) -> Vec<Effect> {
    let ticket = run.begin(key).unwrap();
    assert_eq!(run.request_commit(&ticket), CommitDecision::Granted);
    run.finish(at(second), &ticket, UploadOutcome::Stored(Stored::InPlace))
}

fn launch(plugin: &str, deadline: i64) -> Effect {
    Effect::Launch {
        plugin: name(plugin),
        deadline: Some(at(deadline)),
    }
}

/// W-25: collecting ends in `post-processing` whether or not something failed.
#[test]
fn group_starts_once_the_previous_one_is_settled() {
    let mut run = Shown::new(vec![
        plan("late", 1, &["global"]),
        plan("b", 0, &["n1"]),
        plan("a", 0, &["global"]),
    ]);
    assert_eq!(
        run.handle(at(0), Event::Start),
        [launch("a", 10), launch("b", 10), Effect::Publish]
    );
    assert_eq!(
        store(&mut run, 1, &key("a", "global")),
        [Effect::StopMonitor(name("a")), Effect::Publish]
    );
    let failure = Failure::new("gone");
    assert_eq!(
        run.handle(
            at(2),
            Event::Failed {
                key: key("b", "n1"),
                failure: failure.clone()
            }
        ),
        [
            Effect::RecordError {
                key: key("b", "n1"),
                failure
            },
            Effect::StopMonitor(name("b")),
            launch("late", 12),
            Effect::Publish
        ]
    );
    assert_eq!(
        store(&mut run, 3, &key("late", "global")),
        [Effect::StopMonitor(name("late")), Effect::Publish, Effect::Finish]
    );
    assert_eq!(run.status().status, OverallStatus::PostProcessing);
    assert_eq!(run.next_deadline(), None);
}

#[test]
fn time_limits_count_from_the_plugins_own_launch() {
    let mut run = Shown::new(vec![plan("p", 0, &["n1", "n2"])]);
    run.handle(at(5), Event::Start);
    assert_eq!(run.next_deadline(), Some(at(15)));
    store(&mut run, 6, &key("p", "n1"));
    assert_eq!(run.handle(at(14), Event::Tick), []);
    assert_eq!(
        run.handle(at(15), Event::Tick),
        [
            Effect::RecordError {
                key: key("p", "n2"),
                failure: Failure::new(TIMEOUT_MESSAGE)
            },
            Effect::StopMonitor(name("p")),
            Effect::Publish,
            Effect::Finish
        ]
    );
    assert!(run.timed_out());
}

#[test]
fn time_limit_error_contains_the_last_known_state() {
    let mut run = Shown::new(vec![plan("p", 0, &["n1"])]);
    run.handle(at(0), Event::Start);
    let seen = vec![(key("p", "n1"), "pod p on node n1 was still running".to_owned())];
    assert_eq!(run.handle(at(9), Event::LastSeen(seen)), []);
    assert_eq!(
        run.handle(at(10), Event::Tick).first(),
        Some(&Effect::RecordError {
            key: key("p", "n1"),
            failure: Failure::new(format!(
                "{TIMEOUT_MESSAGE} At the end: pod p on node n1 was still running."
            ))
        })
    );
}

/// W-7: a failed launch fails the results of all nodes at once.
#[test]
fn launch_failure_fails_every_expected_result() {
    let mut run = Shown::new(vec![plan("p", 0, &["n1", "n2"])]);
    run.handle(at(0), Event::Start);
    let failure = Failure::new("quota");
    assert_eq!(
        run.handle(
            at(1),
            Event::LaunchFailed {
                plugin: name("p"),
                failure: failure.clone()
            }
        ),
        [
            Effect::RecordError {
                key: key("p", "n1"),
                failure: failure.clone()
            },
            Effect::RecordError {
                key: key("p", "n2"),
                failure
            },
            Effect::StopMonitor(name("p")),
            Effect::Publish,
            Effect::Finish
        ]
    );
}

#[test]
fn good_result_replaces_an_error_while_others_are_pending() {
    let mut run = Shown::new(vec![plan("p", 0, &["n1", "n2"])]);
    run.handle(at(0), Event::Start);
    run.handle(
        at(1),
        Event::Failed {
            key: key("p", "n1"),
            failure: Failure::new("x"),
        },
    );
    store(&mut run, 2, &key("p", "n1"));
    assert_eq!(run.stored(), [key("p", "n1")]);
    run.handle(
        at(3),
        Event::Failed {
            key: key("p", "n1"),
            failure: Failure::new("late"),
        },
    );
    assert_eq!(run.stored(), [key("p", "n1")]);
}

#[test]
fn result_being_uploaded_takes_precedence_over_a_finding() {
    let failed = || Event::Failed {
        key: key("p", "n1"),
        failure: Failure::new("exit code 1"),
    };
    let mut run = Shown::new(vec![plan("p", 0, &["n1"])]);
    run.handle(at(0), Event::Start);
    let ticket = run.begin(&key("p", "n1")).unwrap();
    assert_eq!(run.handle(at(1), failed()), []);
    assert_eq!(run.request_commit(&ticket), CommitDecision::Granted);
    run.finish(at(2), &ticket, UploadOutcome::Stored(Stored::InPlace));
    assert_eq!(run.stored(), [key("p", "n1")]);

    let mut run = Shown::new(vec![plan("p", 0, &["n1"])]);
    run.handle(at(0), Event::Start);
    let ticket = run.begin(&key("p", "n1")).unwrap();
    assert_eq!(run.handle(at(1), failed()), []);
    assert_eq!(
        run.finish(at(2), &ticket, UploadOutcome::Aborted).first(),
        Some(&Effect::RecordError {
            key: key("p", "n1"),
            failure: Failure::new("exit code 1")
        })
    );

    let mut run = Shown::new(vec![plan("p", 0, &["n1"])]);
    run.handle(at(0), Event::Start);
    let _still_sending = run.begin(&key("p", "n1")).unwrap();
    assert_eq!(
        run.handle(at(10), Event::Tick).first(),
        Some(&Effect::RecordError {
            key: key("p", "n1"),
            failure: Failure::new(TIMEOUT_MESSAGE)
        })
    );
}

#[test]
fn result_being_committed_is_not_timed_out() {
    let mut run = Shown::new(vec![plan("p", 0, &["n1"])]);
    run.handle(at(0), Event::Start);
    let ticket = run.begin(&key("p", "n1")).unwrap();
    assert_eq!(run.request_commit(&ticket), CommitDecision::Granted);
    assert_eq!(run.handle(at(10), Event::Tick), []);
    assert_eq!(run.next_deadline(), Some(at(11)));
    run.finish(at(11), &ticket, UploadOutcome::Stored(Stored::InPlace));
    assert_eq!(run.stored(), [key("p", "n1")]);
}

#[test]
fn result_after_the_end_of_collection_is_refused() {
    let mut run = Shown::new(vec![plan("p", 0, &["n1"])]);
    run.handle(at(0), Event::Start);
    let late = run.begin(&key("p", "n1")).unwrap();
    run.handle(at(10), Event::Tick);
    assert_eq!(run.request_commit(&late), CommitDecision::TooLate);
    assert_eq!(run.begin(&key("p", "n1")), Err(Refusal::TooLate(key("p", "n1"))));
    assert_eq!(run.begin(&key("q", "n1")), Err(Refusal::Unexpected("q/n1".to_owned())));
}

#[test]
fn stored_result_is_already_received_while_the_archive_is_written() {
    let mut run = Shown::new(vec![plan("p", 0, &["n1", "n2"])]);
    run.handle(at(0), Event::Start);
    let (stored, second) = (run.begin(&key("p", "n1")).unwrap(), run.begin(&key("p", "n1")).unwrap());
    assert_eq!(run.request_commit(&stored), CommitDecision::Granted);
    run.finish(at(1), &stored, UploadOutcome::Stored(Stored::InPlace));
    run.handle(at(10), Event::Tick);
    assert_eq!(run.request_commit(&second), CommitDecision::AlreadyReceived);
    assert_eq!(
        run.begin(&key("p", "n1")),
        Err(Refusal::AlreadyReceived(key("p", "n1")))
    );
    assert_eq!(run.begin(&key("p", "n2")), Err(Refusal::TooLate(key("p", "n2"))));
}

/// If the disk hangs during a commit, the plugin's time limit still ends the wait.
#[test]
fn commit_that_hangs_is_timed_out() {
    let mut run = Shown::new(vec![plan("p", 0, &["n1"])]);
    run.handle(at(0), Event::Start);
    let ticket = run.begin(&key("p", "n1")).unwrap();
    assert_eq!(run.request_commit(&ticket), CommitDecision::Granted);
    let mut now = at(0);
    while let Some(next) = run.next_deadline() {
        assert!(next > now);
        now = next;
        run.handle(now, Event::Tick);
    }
    assert_eq!(now, at(10 + MAX_COMMIT_EXTENSION.as_secs()));
    assert_eq!(run.status().status, OverallStatus::PostProcessing);
}

#[test]
fn stop_on_failure_starts_no_further_plugins() {
    let plans = || {
        vec![
            plan("a", 0, &["n1", "n2"]),
            plan("concurrent", 0, &["global"]),
            plan("later", 1, &["n1"]),
        ]
    };
    let fail = |run: &mut Shown| {
        run.handle(at(0), Event::Start);
        let failure = Failure::new("x");
        run.handle(
            at(1),
            Event::LaunchFailed {
                plugin: name("a"),
                failure,
            },
        );
        store(run, 2, &key("concurrent", "global"))
    };
    let mut going_on = Shown::new(plans());
    assert_eq!(fail(&mut going_on).last(), Some(&Effect::Publish));
    assert_eq!(going_on.next_deadline(), Some(at(12)));
    let policy = RunPolicy {
        stop_on_failure: true,
        ..RunPolicy::default()
    };
    let mut stopping = Shown(Run::new(plans(), policy));
    assert_eq!(
        fail(&mut stopping),
        [Effect::StopMonitor(name("concurrent")), Effect::Publish, Effect::Finish]
    );
    let rows: Vec<String> = stopping
        .status()
        .rows()
        .iter()
        .map(|row| format!("{}/{} {}", row.plugin, row.node, row.status))
        .collect();
    // The concurrent plugin could end; only plugins that were not started failed.
    assert_eq!(
        rows,
        [
            "a/n1 failed",
            "a/n2 failed",
            "concurrent/global complete",
            "later/n1 failed"
        ]
    );
}

#[test]
fn plugins_without_nodes_are_settled_at_once() {
    let mut run = Shown::new(vec![plan("none", 0, &[]), plan("p", 1, &["global"])]);
    assert_eq!(run.handle(at(0), Event::Start), [launch("p", 10), Effect::Publish]);
    let mut nothing = Shown::new(Vec::new());
    assert_eq!(nothing.handle(at(0), Event::Start), [Effect::Publish, Effect::Finish]);
}

#[test]
fn status_contains_all_fields() {
    let mut run = Shown::new(vec![plan("p", 0, &["n1", "n2"])]);
    run.handle(at(0), Event::Start);
    store(&mut run, 1, &key("p", "n1"));
    let update = ProgressUpdate {
        msg: "half".to_owned(),
        ..ProgressUpdate::default()
    };
    run.handle(
        at(2),
        Event::Progress {
            key: key("p", "n2"),
            update: update.clone(),
        },
    );
    run.handle(
        at(3),
        Event::Failed {
            key: key("p", "n2"),
            failure: Failure::new("x"),
        },
    );
    let counts = BTreeMap::from([("passed".to_owned(), 2)]);
    run.handle(
        at(4),
        Event::Summarized(vec![ResultSummary {
            key: key("p", "n1"),
            status: "passed".to_owned(),
            counts: counts.clone(),
        }]),
    );
    let archive = TarInfo {
        name: "a.tar.gz".to_owned(),
        created: at(5),
        sha256: "ab".to_owned(),
        size: 7,
    };
    assert!(matches!(
        run.handle(at(5), Event::Packed(archive.clone()))[..],
        [Effect::Commit(Record::Sealed { .. })]
    ));
    let row = |node: &str, status: &str| PluginStatus {
        plugin: "p".to_owned(),
        node: node.to_owned(),
        status: status.to_owned(),
        ..PluginStatus::default()
    };
    assert_eq!(
        run.status(),
        RunStatus {
            plugins: Some(vec![
                PluginStatus {
                    result_status: "passed".to_owned(),
                    result_counts: Some(counts),
                    ..row("n1", "complete")
                },
                PluginStatus {
                    progress: Some(update.into()),
                    error: "x".to_owned(),
                    ..row("n2", "failed")
                },
            ]),
            status: OverallStatus::Complete,
            tarball: archive,
            left_out: Vec::new(),
            withheld: String::new(),
        }
    );
}

/// Results whose post-processing ended an earlier process are not read again; after a regular stop they are.
#[test]
fn plugin_whose_processing_ended_the_process_is_known_after_replay() {
    let plans = vec![
        plan("a", 0, &["global"]),
        plan("b", 0, &["global"]),
        plan("c", 0, &["global"]),
    ];
    let processing = |plugin: &str| Record::Processing { plugin: name(plugin) };
    let processed = |plugins: &[&str]| Record::Processed {
        plugins: plugins.iter().map(|plugin| name(plugin)).collect(),
    };
    let unprocessed = |records: &[Record]| -> Vec<String> {
        let run = Run::recover(plans.clone(), RunPolicy::default(), records);
        run.unprocessed().iter().map(ToString::to_string).collect()
    };
    assert_eq!(unprocessed(&[Record::Finishing]), [""; 0]);
    let killed = [Record::Finishing, processing("a"), processed(&["a"]), processing("b")];
    assert_eq!(unprocessed(&killed), ["b"]);
    // The next process continued, and ended with another plugin.
    let again = [
        killed.as_slice(),
        &[processing("a"), processed(&["a"]), processing("c")],
    ]
    .concat();
    assert_eq!(unprocessed(&again), ["b", "c"]);
    let stopped = [killed.as_slice(), &[processed(&["a", "b", "c"])]].concat();
    assert_eq!(unprocessed(&stopped), [""; 0]);
}

fn discovered(plugin: &str, target: &str) -> Event {
    let key = key(plugin, target);
    Event::TargetDiscovered { key }
}

fn rows(run: &Run) -> Vec<(String, String)> {
    let rows = run.status().plugins.unwrap_or_default().into_iter();
    rows.map(|row| (row.node, row.status)).collect()
}

fn row(node: &str, status: &str) -> (String, String) {
    (node.to_owned(), status.to_owned())
}

/// W-52: the result of a node that joins is expected, shown, and accepted once.
#[test]
fn a_node_that_joins_is_expected() {
    let mut run = Shown::new(vec![plan("p", 0, &["n1"]), plan("q", 1, &["global"])]);
    assert_eq!(run.handle(at(0), discovered("p", "n2")), [], "nothing has started");
    run.handle(at(0), Event::Start);
    assert_eq!(run.begin(&key("p", "n2")), Err(Refusal::Unexpected("p/n2".to_owned())));
    assert_eq!(run.handle(at(1), discovered("p", "n2")), [Effect::Publish]);
    assert_eq!(run.handle(at(1), discovered("p", "n2")), [], "a second time");
    assert_eq!(
        rows(&run),
        [row("n1", "running"), row("n2", "running"), row("global", "running")]
    );
    assert_eq!(
        store(&mut run, 2, &key("p", "n1")),
        [Effect::Publish],
        "n2 is still to come"
    );
    let next = store(&mut run, 3, &key("p", "n2"));
    assert_eq!(next, [Effect::StopMonitor(name("p")), launch("q", 13), Effect::Publish]);
    assert_eq!(run.handle(at(4), discovered("p", "n3")), [], "its plugin has ended");
}

fn discovering(plugin: &str, order: i64) -> PluginPlan {
    PluginPlan {
        discovers_targets: true,
        ..plan(plugin, order, &[])
    }
}

/// W-14: without a list of nodes a plugin starts anyway, and its end is known once its targets are.
#[test]
fn plugin_with_target_discovery_expects_discovered_targets() {
    let mut run = Shown::new(vec![discovering("p", 0), plan("q", 1, &["global"])]);
    assert_eq!(run.handle(at(0), Event::Start), [launch("p", 10), Effect::Publish]);
    assert_eq!(run.handle(at(1), discovered("p", "n1")), [Effect::Publish]);
    assert_eq!(
        store(&mut run, 2, &key("p", "n1")),
        [Effect::Publish],
        "there may be more"
    );
    let plugin = name("p");
    let next = run.handle(at(3), Event::DiscoveryEnded { plugin });
    assert_eq!(next, [Effect::StopMonitor(name("p")), launch("q", 13), Effect::Publish]);
}

/// W-14: if no target was discovered, one error represents the plugin.
#[test]
fn plugin_without_discovered_targets_ends_with_one_error() {
    for (event, said) in [
        (Event::Tick, TIMEOUT_MESSAGE),
        (
            Event::LaunchFailed {
                plugin: name("p"),
                failure: Failure::new("no"),
            },
            "no",
        ),
    ] {
        let mut run = Shown::new(vec![discovering("p", 0)]);
        run.handle(at(0), Event::Start);
        let effects = run.handle(at(10), event);
        let error = Effect::RecordError {
            key: key("p", "global"),
            failure: Failure::new(said),
        };
        assert_eq!(
            effects,
            [error, Effect::StopMonitor(name("p")), Effect::Publish, Effect::Finish]
        );
        assert_eq!(rows(&run), [row("global", "failed")]);
    }
}

/// W-14, W-7: a plugin with target discovery that is no longer started has an error, too.
#[test]
fn plugin_with_target_discovery_that_is_not_started_fails() {
    let policy = RunPolicy {
        stop_on_failure: true,
        ..RunPolicy::default()
    };
    let mut run = Shown(Run::new(vec![plan("a", 0, &["global"]), discovering("p", 1)], policy));
    run.handle(at(0), Event::Start);
    let failure = Failure::new("f");
    run.handle(
        at(1),
        Event::Failed {
            key: key("a", "global"),
            failure,
        },
    );
    assert_eq!(rows(&run), [row("global", "failed"), row("global", "failed")]);
    assert_eq!(run.status().status, OverallStatus::PostProcessing);
}

#[test]
fn long_error_is_recorded_in_part_and_written_whole() {
    let mut run = Run::new(vec![plan("p", 0, &["n1", "n2"])], RunPolicy::default());
    run.handle(at(0), Event::Start);
    let ticket = run.begin(&key("p", "n1")).unwrap();
    let failure = Failure::new("x".repeat(64 << 10));
    let effects = run.finish(at(1), &ticket, UploadOutcome::Reported(failure.message.clone()));
    let (key, in_record) = (key("p", "n1"), failure.for_record());
    assert!(in_record.message.len() <= 8 << 10);
    assert!(effects.contains(&Effect::Record(Record::Failed {
        key: key.clone(),
        failure: in_record
    })));
    assert!(effects.contains(&Effect::RecordError { key, failure }));
}

/// The status names nodes that a plugin leaves out, until a result is expected from them.
#[test]
fn nodes_left_out_are_in_the_status_until_they_join() {
    let plugin = PluginName::parse("p").unwrap();
    let mut run = Run::new(vec![plan("p", 0, &["n1"])], RunPolicy::default());
    let nodes = ["n2", "n3"].map(str::to_owned).to_vec();
    run.leave_out([(plugin, [("taint a:NoSchedule".to_owned(), nodes)].into())].into());
    let shown = |run: &Run| {
        run.status()
            .left_out
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&run), ["n2, n3: taint a:NoSchedule"]);
    run.handle(Timestamp::UNIX_EPOCH, Event::Start);
    run.handle(Timestamp::UNIX_EPOCH, discovered("p", "n2"));
    assert_eq!(shown(&run), ["n3: taint a:NoSchedule"]);
}

/// An archive is not published before it is recorded, and workers retain results until then.
#[test]
fn archive_is_published_only_after_its_record() {
    let archive = TarInfo {
        name: "a.tar.gz".to_owned(),
        size: 7,
        ..TarInfo::default()
    };
    let committed = |checkpointed, committed| {
        let policy = RunPolicy {
            checkpointed,
            ..RunPolicy::default()
        };
        let mut run = Run::new(Vec::new(), policy);
        assert_eq!(run.phase(), Phase::Starting);
        run.handle(at(0), Event::Start);
        assert_eq!(run.phase(), Phase::Finishing, "there is nothing to wait for");
        let sealed = run.handle(at(1), Event::Packed(archive.clone()));
        let status = run.status();
        assert_eq!(sealed, [Effect::Commit(Record::Sealed { status: status.clone() })]);
        assert_eq!(run.phase(), Phase::Sealed);
        (status, run.handle(at(2), Event::Committed(committed)))
    };
    let (status, last) = committed(false, Ok(()));
    let (serve, show) = (Effect::Serve(archive.clone()), Effect::Show(status));
    assert_eq!(last, [serve.clone(), show.clone(), Effect::RemoveResults, Effect::End]);
    let reason = NotRecorded::Ended;
    let kept = Effect::KeepResults(reason.clone());
    assert_eq!(
        committed(true, Err(reason)).1,
        [Effect::Release, serve, show, kept, Effect::End]
    );
}

#[test]
fn run_without_an_archive_is_failed_and_says_so_last() {
    let mut run = Run::new(Vec::new(), RunPolicy::default());
    run.handle(at(0), Event::Start);
    let last = run.handle(at(1), Event::Broken);
    assert_eq!(run.phase(), Phase::Failed);
    assert_eq!(run.status().status, OverallStatus::Failed);
    assert_eq!(last, [Effect::Flush, Effect::Show(run.status()), Effect::End]);
}
