//! Properties for any order of events: no result is accepted twice or unexpectedly, all are settled, and the journal restores them.

use std::time::Duration;

use proptest::prelude::*;
use sono_types::{ProgressUpdate, Target};

use super::*;

/// One action on a run. Numbers select among the existing items.
#[derive(Debug, Clone)]
enum Step {
    Begin(usize),
    BeginUnexpected,
    RequestCommit(usize),
    Finish(usize, u8),
    Fail(usize),
    Launched(usize),
    LaunchFailed(usize),
    Join(usize, usize),
    DiscoveryEnded(usize),
    Progress(usize),
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<usize>().prop_map(Step::Begin),
        1 => Just(Step::BeginUnexpected),
        4 => any::<usize>().prop_map(Step::RequestCommit),
        4 => (any::<usize>(), 0_u8..5).prop_map(|(slot, outcome)| Step::Finish(slot, outcome)),
        2 => any::<usize>().prop_map(Step::Fail),
        2 => any::<usize>().prop_map(Step::Launched),
        1 => any::<usize>().prop_map(Step::LaunchFailed),
        1 => (any::<usize>(), 0_usize..6).prop_map(|(plugin, node)| Step::Join(plugin, node)),
        1 => any::<usize>().prop_map(Step::DiscoveryEnded),
        1 => any::<usize>().prop_map(Step::Progress),
        1 => Just(Step::Tick),
    ];
    prop::collection::vec(step, 0..60)
}

fn plans() -> impl Strategy<Value = Vec<PluginPlan>> {
    prop::collection::vec((0_i64..3, 0_usize..4, prop::bool::weighted(0.3)), 1..5).prop_map(|plugins| {
        let plan = |(index, (order, nodes, discovers_targets)): (usize, (i64, usize, bool))| {
            let plugin = PluginName::parse(&format!("p{index}")).unwrap();
            let key = |node| ResultKey::new(plugin.clone(), Target::parse(&format!("n{node}")).unwrap());
            PluginPlan {
                expected: (0..nodes).map(key).collect(),
                plugin,
                order,
                timeout: Some(Duration::from_secs(10)),
                discovers_targets,
            }
        };
        plugins.into_iter().enumerate().map(plan).collect()
    })
}

/// The model: the state according to the effects so far.
#[derive(Default)]
struct Observed {
    records: Vec<Record>,
    states: BTreeMap<ResultKey, &'static str>,
    launched: BTreeSet<PluginName>,
    /// Results that were discovered while the run was in progress.
    discovered: BTreeSet<ResultKey>,
    discovery_ended: BTreeSet<PluginName>,
    finished: usize,
}

impl Observed {
    /// Whether all expected results of the plugins selected by `wanted` are settled, and no further ones can follow.
    fn settled(&self, plans: &[PluginPlan], wanted: impl Fn(&PluginPlan) -> bool) -> bool {
        plans.iter().filter(|plan| wanted(plan)).all(|plan| {
            let discovered = self.discovered.iter().filter(|key| key.plugin == plan.plugin);
            let mut all = plan.expected.iter().chain(discovered);
            (!plan.discovers_targets || self.discovery_ended.contains(&plan.plugin))
                && all.all(|key| self.states.contains_key(key))
        })
    }

    fn expects(&self, plans: &[PluginPlan], key: &ResultKey) -> bool {
        self.discovered.contains(key) || plans.iter().any(|plan| plan.expected.contains(key))
    }

    fn take(&mut self, effects: Vec<Effect>, plans: &[PluginPlan]) {
        for effect in effects {
            match effect {
                Effect::Record(record) => {
                    let change = match &record {
                        Record::Stored { key } => Some((key, "stored")),
                        Record::Failed { key, .. } => Some((key, "failed")),
                        _ => None,
                    };
                    if let Some((key, state)) = change {
                        assert_eq!(self.finished, 0, "{key} after the end");
                        assert!(self.expects(plans, key), "{key} unexpected");
                        let before = self.states.insert(key.clone(), state);
                        assert!(
                            matches!((before, state), (None, _) | (Some("failed"), "stored")),
                            "{key} {before:?} {state}"
                        );
                    }
                    match &record {
                        Record::TargetDiscovered { key } => {
                            assert_eq!(self.finished, 0, "{key} after the end");
                            assert!(!self.expects(plans, key), "{key} expected twice");
                            self.discovered.insert(key.clone());
                        }
                        Record::DiscoveryEnded { plugin } => {
                            assert!(self.discovery_ended.insert(plugin.clone()), "discovery ended twice");
                        }
                        _ => {}
                    }
                    self.records.push(record);
                }
                Effect::Launch { plugin, .. } => {
                    let order = plans.iter().find(|plan| plan.plugin == plugin).unwrap().order;
                    assert!(self.settled(plans, |plan| plan.order < order), "{plugin} started early");
                    assert!(self.launched.insert(plugin), "launched twice");
                }
                Effect::Finish => {
                    self.finished += 1;
                    assert!(self.settled(plans, |_| true), "not settled");
                }
                Effect::Progressed
                | Effect::Watch { .. }
                | Effect::StopMonitor(_)
                | Effect::RecordError { .. }
                | Effect::Publish => {}
                last @ (Effect::Commit(_)
                | Effect::Flush
                | Effect::Release
                | Effect::Serve(_)
                | Effect::Show(_)
                | Effect::RemoveResults
                | Effect::KeepResults(_)
                | Effect::End) => panic!("{last:?} before the archive is made"),
            }
        }
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pick<T>(list: &[T], number: usize) -> Option<&T> {
    (!list.is_empty()).then(|| &list[number % list.len()])
}

fn outcome(number: u8) -> UploadOutcome {
    match number {
        0 => UploadOutcome::Stored(Stored::InPlace),
        1 => UploadOutcome::Refused("r".to_owned()),
        2 => UploadOutcome::Reported("e".to_owned()),
        3 => UploadOutcome::Aborted,
        _ => UploadOutcome::Unstored("d".to_owned()),
    }
}

/// Lets time pass until all results are settled.
fn let_time_pass(run: &mut Run, observed: &mut Observed, plans: &[PluginPlan]) {
    for _ in 0..2_000 {
        let Some(next) = run.next_deadline() else { return };
        observed.take(run.handle(next, Event::Tick), plans);
    }
    panic!("a deadline that does not pass");
}

proptest! {
    #[test]
    fn run_of_any_events_stores_results_once_and_settles_all(
        plans in plans(), steps in steps(), stop_on_failure: bool, tickets_end: bool, cut: prop::sample::Index,
    ) {
        let policy = RunPolicy { stop_on_failure, store_tries: 2, checkpointed: false };
        let mut keys: Vec<ResultKey> = plans.iter().flat_map(|plan| plan.expected.clone()).collect();
        let names: Vec<PluginName> = plans.iter().map(|plan| plan.plugin.clone()).collect();
        let mut run = Run::new(plans.clone(), policy.clone());
        let mut observed = Observed::default();
        let mut tickets: Vec<(Ticket, bool)> = Vec::new();
        observed.take(run.handle(at(0), Event::Start), &plans);
        for (second, step) in steps.into_iter().enumerate() {
            let now = at(i64::try_from(second / 4).unwrap());
            let effects = match step {
                Step::Begin(number) => {
                    if let Some(key) = pick(&keys, number) {
                        let stored = observed.states.get(key) == Some(&"stored") || observed.finished > 0;
                        match run.begin(key) {
                            Ok(ticket) => { prop_assert!(!stored); tickets.push((ticket, false)); }
                            Err(refusal) => {
                                prop_assert!(stored);
                                let is_in = observed.states.get(key) == Some(&"stored");
                                let expected = if is_in { Refusal::AlreadyReceived(key.clone()) } else { Refusal::TooLate(key.clone()) };
                                prop_assert_eq!(refusal, expected);
                            }
                        }
                    }
                    Vec::new()
                }
                Step::BeginUnexpected => {
                    let key = ResultKey::new(PluginName::parse("other").unwrap(), Target::Global);
                    prop_assert_eq!(run.begin(&key), Err(Refusal::Unexpected("other/global".to_owned())));
                    Vec::new()
                }
                Step::RequestCommit(number) => {
                    if !tickets.is_empty() {
                        let slot = number % tickets.len();
                        tickets[slot].1 |= run.request_commit(&tickets[slot].0) == CommitDecision::Granted;
                    }
                    Vec::new()
                }
                Step::Finish(number, how) if !tickets.is_empty() => {
                    let (ticket, granted) = tickets.remove(number % tickets.len());
                    // Only the holder of the commit stores a result, and nothing is accepted after the end.
                    let how = outcome(how);
                    let how = if how == UploadOutcome::Stored(Stored::InPlace) && (!granted || observed.finished > 0) { UploadOutcome::Aborted } else { how };
                    if observed.finished > 0 { Vec::new() } else { run.finish(now, &ticket, how) }
                }
                Step::Finish(..) => Vec::new(),
                Step::Fail(number) => match pick(&keys, number) {
                    Some(key) => run.handle(now, Event::Failed { key: key.clone(), failure: Failure::new("f") }),
                    None => Vec::new(),
                },
                Step::Launched(number) => {
                    let plugin = pick(&names, number).unwrap().clone();
                    if observed.launched.contains(&plugin) { run.handle(now, Event::Launched { plugin }) } else { Vec::new() }
                }
                Step::LaunchFailed(number) => {
                    let plugin = pick(&names, number).unwrap().clone();
                    if observed.launched.contains(&plugin) {
                        run.handle(now, Event::LaunchFailed { plugin, failure: Failure::new("l") })
                    } else {
                        Vec::new()
                    }
                }
                Step::Join(number, node) => {
                    let plugin = pick(&names, number).unwrap().clone();
                    let key = ResultKey::new(plugin, Target::parse(&format!("n{node}")).unwrap());
                    let effects = run.handle(now, Event::TargetDiscovered { key: key.clone() });
                    if effects.contains(&Effect::Record(Record::TargetDiscovered { key: key.clone() })) {
                        keys.push(key);
                    }
                    effects
                }
                Step::DiscoveryEnded(number) => {
                    let plugin = pick(&names, number).unwrap().clone();
                    if observed.launched.contains(&plugin) { run.handle(now, Event::DiscoveryEnded { plugin }) } else { Vec::new() }
                }
                Step::Progress(number) => match pick(&keys, number) {
                    Some(key) => run.handle(now, Event::Progress {
                        key: key.clone(),
                        update: ProgressUpdate { append_completed: 1, ..ProgressUpdate::default() },
                    }),
                    None => Vec::new(),
                },
                Step::Tick => run.handle(now, Event::Tick),
            };
            observed.take(effects, &plans);
            let mut again = Run::recover(plans.clone(), policy.clone(), &observed.records);
            for (key, update) in run.progress().updates() {
                again.restore_progress(key.clone(), ProgressUpdate::clone(update));
            }
            prop_assert_eq!(again.status(), run.status());
        }
        if tickets_end {
            for (ticket, _) in tickets.drain(..) {
                observed.take(run.finish(at(100), &ticket, UploadOutcome::Aborted), &plans);
            }
        }
        // Time limits settle everything even if requests never end or disks hang.
        let_time_pass(&mut run, &mut observed, &plans);
        prop_assert_eq!(observed.finished, 1);
        prop_assert_eq!(run.status().status, OverallStatus::PostProcessing);

        // Killed at any point: the state on disk is restored, no plugin is started twice, and the run ends.
        let kept = &observed.records[..cut.index(observed.records.len() + 1)];
        let mut again = Run::recover(plans.clone(), policy, kept);
        let mut resumed = Observed::default();
        for record in kept {
            resumed.take(vec![Effect::Record(record.clone())], &plans);
        }
        let before = resumed.states.clone();
        let created: BTreeSet<&PluginName> = kept.iter().filter_map(|record| match record {
            Record::Launched { plugin } => Some(plugin),
            _ => None,
        }).collect();
        resumed.take(again.resume(at(101)), &plans);
        prop_assert!(!resumed.launched.iter().any(|plugin| created.contains(plugin)), "started twice");
        let_time_pass(&mut again, &mut resumed, &plans);
        prop_assert_eq!(resumed.finished, 1);
        for (key, state) in before {
            prop_assert_eq!(resumed.states[&key], state);
        }
    }
}
