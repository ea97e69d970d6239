//! Waiting for a run: its pods are watched, and the status that the aggregator's pod wears.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::Value;
use sono_kube::{
    Cluster, Kind, KubeError, Pod, WatchEvent, elapsed,
    judge::{self, Policy, Verdict},
};
use sono_types::{OverallStatus, RunStatus, constants, exit, status::plugin_status};

use super::{run::millis, step_summary};
use crate::{
    aggregator::{self, is_aggregator, is_replaced, phase, status_of, succession},
    args::{self, WaitOutput},
    clock::now,
    error::CliError,
    judgement,
    output::{Printer, Tone, text},
    settings::again,
    signals::asked_to_stop,
    view::{counts, screen::Screen, story::Story},
};

/// How long there may be no aggregator where another pod takes its place.
const REPLACED_WITHIN: Duration = Duration::from_mins(1);

/// A run to wait for.
#[derive(Debug)]
pub(super) struct Attach<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) namespace: &'a str,
    pub(super) arguments: &'a args::Cluster,
    pub(super) limit: Duration,
    pub(super) output: WaitOutput,
    pub(super) printer: &'a Printer,
    /// The exit code tells the outcome.
    pub(super) exit_code: bool,
    /// The results are fetched next.
    pub(super) fetches: bool,
    /// When the command began.
    pub(super) started: Instant,
    /// The command began the run, too.
    pub(super) begins: bool,
}

impl Attach<'_> {
    fn again(&self, command: &str) -> String {
        again(command, self.namespace, self.arguments)
    }

    /// A code that is only given when it is asked for.
    fn code(&self, code: u8, otherwise: u8) -> u8 {
        if self.exit_code { code } else { otherwise }
    }
}

/// Waits until the run is complete. Ctrl-C leaves it going.
pub(super) async fn attach(attach: Attach<'_>) -> Result<u8, CliError> {
    let mut screen = Screen::new(attach.printer, attach.output);
    let outcome = follow(&attach, &mut screen).await;
    let status = match &outcome {
        Ok(End::Complete(status)) => Some(status),
        _ => None,
    };
    screen.end(status);
    match (&outcome, status) {
        (_, Some(status)) => step_summary::of_status(status, attach.namespace, attach.printer),
        (Err(error), _) => step_summary::of_error(error, attach.namespace, attach.printer),
        (Ok(_), None) => {}
    }
    let printer = attach.printer;
    match outcome? {
        End::Complete(status) => {
            let verdict = counts::verdict(&status);
            let tone = match verdict.as_str() {
                "passed" => Tone::Good,
                "failed" => Tone::Bad,
                _ => Tone::Plain,
            };
            // Whoever attached later knows how long they waited, which says nothing of the run.
            let took = if attach.begins {
                format!(" in {}", elapsed(attach.started.elapsed()))
            } else {
                String::new()
            };
            printer.note(&text!["run ", tone.paint(verdict), took]);
            if !attach.fetches {
                printer.note(&format!("results: {}", attach.again("retrieve")));
            }
            Ok(attach.code(judgement::of_run(&status), exit::SUCCESS))
        }
        End::Detached(code) => {
            printer.note(&format!(
                "detached: the run goes on; {} attaches again",
                attach.again("wait")
            ));
            Ok(code)
        }
    }
}

#[derive(Debug)]
enum End {
    Complete(RunStatus),
    /// With this exit code.
    Detached(u8),
}

async fn follow(attach: &Attach<'_>, screen: &mut Screen) -> Result<End, CliError> {
    let labels = format!("{}={}", constants::COMPONENT.0, constants::COMPONENT.1);
    let mut events = std::pin::pin!(attach.cluster.watch_pods(attach.namespace, &labels));
    let aggregators = constants::AGGREGATOR_SELECTORS[0];
    let mut makers = std::pin::pin!(attach.cluster.watch(Kind::Deployment, attach.namespace, aggregators));
    let deadline = tokio::time::sleep(attach.limit);
    let mut deadline = std::pin::pin!(deadline);
    let interrupt = asked_to_stop();
    let mut interrupt = std::pin::pin!(interrupt);
    // Time alone makes a difference to what is said about a pod that does not start.
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let begun = now();
    let mut story = Story::new(begun);
    let mut run = Followed::default();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => run.apply(event),
                Some(Err(error)) if error.is_expired() => continue,
                Some(Err(error)) if error.is_passing() => {
                    screen.tell(&[format!("connection troubled, trying again: {error}")], now());
                    continue;
                }
                Some(Err(error)) => return Err(cannot_watch(attach, &error)),
                None => return Err(CliError::new("the watch on the run's pods ended")),
            },
            event = makers.next(), if !matches!(run.maker, Maker::Hidden) => run.apply_maker(event),
            _ = seconds.tick() => {}
            () = &mut deadline => {
                return Err(CliError::new(format!("the run is not complete after {}; it goes on", elapsed(attach.limit)))
                    .hint(format!("{} says how far it is, {} waits again", attach.again("status"), attach.again("wait")))
                    .exit_with(attach.code(exit::TIMED_OUT, exit::FAILURE)));
            }
            interrupted = &mut interrupt => {
                return match interrupted {
                    Ok(code) => Ok(End::Detached(code)),
                    Err(error) => Err(CliError::new("cannot wait for signals").caused_by(&error)),
                };
            }
        }
        if !run.listed {
            continue;
        }
        let time = now();
        run.milestones(attach.started);
        let status = run.status();
        let lines = story.pods(run.pods.values(), time);
        screen.tell(&lines, time);
        screen.tell(&story.uncreated(run.uncreated(), time), time);
        if let Some(status) = &status {
            screen.tell(&story.status(status), time);
            let since = time.duration_since(begun).unsigned_abs();
            screen.show(status, since, &|plugin| story.obstacle(run.pods.values(), plugin, time));
        }
        if let Some(end) = run.end(attach, time) {
            return end.map_err(|error| error.exit_with(attach.code(exit::RUN_FAILED, exit::FAILURE)));
        }
    }
}

fn cannot_watch(attach: &Attach<'_>, error: &KubeError) -> CliError {
    CliError::of_cluster(
        format!("cannot watch the run in namespace `{}`", attach.namespace),
        error,
    )
}

/// What is known of the run.
#[derive(Debug, Default)]
struct Followed {
    pods: BTreeMap<String, Pod>,
    listed: bool,
    seen: bool,
    /// Another pod takes its place.
    replaced: bool,
    maker: Maker,
    /// Since when there is none.
    absent_since: Option<Timestamp>,
    /// It has said something of the run, so it did start.
    reported: bool,
    passed: Milestones,
}

/// What makes the aggregator's pod, and makes it again when it goes.
#[derive(Debug, Default)]
enum Maker {
    #[default]
    Unknown,
    /// It may not be seen.
    Hidden,
    /// There is none: the pod stands alone, or the run goes.
    None,
    There(Value),
}

/// Why there is no aggregator.
#[derive(Debug, PartialEq, Eq)]
enum Gone {
    /// Its pod cannot be created.
    Refused(String),
    Deleted,
    /// There never was one.
    Absent,
}

/// Points in time that the log shows.
#[derive(Debug, Default)]
struct Milestones {
    running: bool,
    status: bool,
    rows: bool,
    result: bool,
    processing: bool,
    complete: bool,
}

impl Followed {
    fn apply(&mut self, event: WatchEvent<Pod>) {
        let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
        match event {
            WatchEvent::Restarted(pods) => {
                self.listed = true;
                self.pods = pods.into_iter().map(|pod| (name(&pod), pod)).collect();
            }
            WatchEvent::Applied(pod) => {
                self.pods.insert(name(&pod), pod);
            }
            WatchEvent::Deleted(pod) => {
                self.pods.remove(&name(&pod));
            }
        }
        if let Some((replaced, reported)) = self
            .aggregator()
            .map(|pod| (is_replaced(pod), status_of(pod).is_some()))
        {
            (self.seen, self.replaced) = (true, replaced);
            self.reported |= reported;
        }
    }

    fn apply_maker(&mut self, event: Option<Result<WatchEvent<Value>, KubeError>>) {
        let there = |maker: Option<Value>| {
            let maker = maker.filter(aggregator::makes_pods);
            maker.map_or(Maker::None, Maker::There)
        };
        match event {
            Some(Ok(WatchEvent::Restarted(found))) => self.maker = there(found.into_iter().next()),
            Some(Ok(WatchEvent::Applied(maker))) => self.maker = there(Some(maker)),
            Some(Ok(WatchEvent::Deleted(_))) => self.maker = Maker::None,
            Some(Err(error)) if error.is_expired() || error.is_passing() => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "cannot see what makes the aggregator's pod");
                self.maker = Maker::Hidden;
            }
            None => self.maker = Maker::Hidden,
        }
    }

    /// Why the aggregator has no pod, where something is in the way.
    fn uncreated(&self) -> Option<String> {
        match &self.maker {
            Maker::There(maker) if self.aggregator().is_none() => aggregator::uncreated(maker),
            _ => None,
        }
    }

    fn aggregator(&self) -> Option<&Pod> {
        self.pods
            .values()
            .filter(|pod| is_aggregator(pod))
            .min_by_key(|pod| succession(pod))
    }

    /// The status as of now; a text that is none counts as none.
    fn status(&self) -> Option<RunStatus> {
        status_of(self.aggregator()?)?.ok()
    }

    fn milestones(&mut self, started: Instant) {
        let Some(pod) = self.aggregator() else { return };
        let running = phase(pod) == "Running";
        let status = self.status();
        let rows = status.as_ref().map(RunStatus::rows).unwrap_or_default();
        let state = status.as_ref().map(|status| &status.status);
        let now = [
            ("aggregator running", running),
            ("first status", status.is_some()),
            ("plugin rows known", !rows.is_empty()),
            (
                "result seen",
                rows.iter().any(|row| row.status != plugin_status::RUNNING),
            ),
            ("post-processing", state == Some(&OverallStatus::PostProcessing)),
            ("complete", state == Some(&OverallStatus::Complete)),
        ];
        let passed = &mut self.passed;
        let before = [
            &mut passed.running,
            &mut passed.status,
            &mut passed.rows,
            &mut passed.result,
            &mut passed.processing,
            &mut passed.complete,
        ];
        for ((what, now), before) in now.into_iter().zip(before) {
            if now && !*before {
                *before = true;
                tracing::debug!(elapsed_ms = millis(started), "{what}");
            }
        }
    }

    /// What it means that there has been no aggregator for this long; nothing as long as one may come.
    fn gone(&self, begins: bool, gone_for: Duration) -> Option<Gone> {
        let is_soon = gone_for < REPLACED_WITHIN;
        match (&self.maker, self.uncreated()) {
            (Maker::Unknown, _) => None,
            (Maker::There(_), why) => why.filter(|_| !is_soon).map(Gone::Refused),
            (Maker::Hidden, _) if is_soon && (self.replaced || begins) => None,
            (Maker::Hidden | Maker::None, _) if self.seen => Some(Gone::Deleted),
            (Maker::Hidden | Maker::None, _) => Some(Gone::Absent),
        }
    }

    fn end(&mut self, attach: &Attach<'_>, time: Timestamp) -> Option<Result<End, CliError>> {
        let absent_since = match self.aggregator() {
            Some(_) => None,
            None => Some(self.absent_since.unwrap_or(time)),
        };
        self.absent_since = absent_since;
        let Some(pod) = self.aggregator() else {
            let gone_for = absent_since.map_or(Duration::ZERO, |since| time.duration_since(since).unsigned_abs());
            let error = match self.gone(attach.begins, gone_for)? {
                Gone::Refused(why) => CliError::new("the aggregator does not run")
                    .details([why])
                    .hint(format!(
                        "{} goes on when that is out of the way; {} removes the run",
                        attach.again("wait"),
                        attach.again("delete")
                    )),
                Gone::Deleted => {
                    CliError::new("the run was deleted while it was waited for: the aggregator's pod is gone")
                }
                Gone::Absent => aggregator::absent(attach.namespace, false),
            };
            return Some(Err(error));
        };
        let status = self.status();
        match status.as_ref().map(|status| &status.status) {
            // The word alone is no proof of an archive (core spec §2.2).
            Some(OverallStatus::Complete) if status.as_ref().is_some_and(|status| status.archive().is_some()) => {
                return status.map(|status| Ok(End::Complete(status)));
            }
            Some(OverallStatus::Failed) => {
                return Some(Err(
                    CliError::new("the run ended without an archive").hint(attach.again("logs -p sonobuoy"))
                ));
            }
            _ => {}
        }
        let hint = format!(
            "{}; {} removes the run",
            attach.again("logs -p sonobuoy"),
            attach.again("delete")
        );
        if phase(pod) == "Succeeded" {
            return Some(Err(
                CliError::new("the aggregator ended before the run was complete").hint(hint)
            ));
        }
        match judge::judge(
            pod,
            time,
            &Policy {
                settle: Duration::ZERO,
                replaced: starts_again(pod),
                restarts: if self.reported { i32::MAX } else { 1 },
                ..Policy::job()
            },
        ) {
            Verdict::Failing { message } => Some(Err(CliError::new("the aggregator does not run")
                .details([message])
                .hint(hint))),
            Verdict::Fine | Verdict::Wait { .. } => None,
        }
    }
}

/// Whether containers that fail are started again. Sonobuoy's are not.
fn starts_again(pod: &Pod) -> bool {
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    policy != Some("Never")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Without an aggregator a run goes on as long as somebody will make it one.
    #[test]
    fn an_aggregator_may_be_away_for_a_while() {
        let (soon, late) = (Duration::from_secs(59), REPLACED_WITHIN);
        let makes = Maker::There(json!({"metadata": {"name": "sonobuoy"}}));
        let refused = Maker::There(json!({"metadata": {}, "status": {"conditions": [
            {"type": "Available", "status": "False", "message": "m"},
            {"type": "ReplicaFailure", "status": "True", "message": "pods \"x\" is forbidden: exceeded quota."}]}}));
        let why = || {
            Some(Gone::Refused(
                "no pod can be created: pods \"x\" is forbidden: exceeded quota".to_owned(),
            ))
        };
        let gone = |maker: Maker, seen, replaced, begins| {
            let run = Followed {
                seen,
                replaced,
                maker,
                ..Followed::default()
            };
            [soon, late].map(|gone_for| run.gone(begins, gone_for))
        };
        assert_eq!(gone(Maker::Unknown, false, false, false), [None, None]);
        assert_eq!(gone(makes, true, true, false), [None, None]);
        assert_eq!(gone(refused, false, false, true), [None, why()]);
        let none = |seen| gone(Maker::None, seen, true, true);
        assert_eq!(none(true), [Some(Gone::Deleted), Some(Gone::Deleted)]);
        assert_eq!(none(false), [Some(Gone::Absent), Some(Gone::Absent)]);
        // Who may not see what makes it can but wait.
        assert_eq!(gone(Maker::Hidden, false, false, true), [None, Some(Gone::Absent)]);
        assert_eq!(gone(Maker::Hidden, true, true, false), [None, Some(Gone::Deleted)]);
        assert_eq!(
            gone(Maker::Hidden, true, false, false),
            [Some(Gone::Deleted), Some(Gone::Deleted)]
        );
    }

    #[test]
    fn a_deployment_that_goes_makes_no_pods() {
        let mut run = Followed::default();
        let going = json!({"metadata": {"deletionTimestamp": "2026-11-23T10:00:00Z"}});
        run.apply_maker(Some(Ok(WatchEvent::Applied(json!({"metadata": {}})))));
        assert!(matches!(run.maker, Maker::There(_)));
        run.apply_maker(Some(Ok(WatchEvent::Applied(going))));
        assert!(matches!(run.maker, Maker::None));
    }
}
