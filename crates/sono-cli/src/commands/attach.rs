//! Waits for a run by watching its pods and the status annotation of the aggregator's pod.

mod followed;
#[cfg(test)]
mod model;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt as _, stream::FuturesUnordered};
use sono_kube::{Cluster, Kind, KubeError, elapsed};
use sono_types::{OverallStatus, RunStatus, constants, exit, status::plugin_status};

use self::followed::{End, FollowedRun};
use super::{obstacles, run::millis, step_summary};
use crate::{
    aggregator::{self, phase},
    args::{self, WaitOutput},
    clock::now,
    error::CliError,
    identity::Identity,
    judgement,
    output::{Printer, Tone, text},
    settings::command_hint,
    signals::termination,
    view::{
        counts,
        failed_log::FailedLog,
        obstacles::{Obstacle, sentences},
        progress_log::{Change, ProgressLog},
        screen::Screen,
    },
};

/// A run to wait for.
#[derive(Debug)]
pub(super) struct Attach<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) namespace: &'a str,
    /// Identity of the run; the namespace may contain several.
    pub(super) run: Identity,
    pub(super) arguments: &'a args::Cluster,
    pub(super) limit: Duration,
    pub(super) output: WaitOutput,
    pub(super) printer: &'a Printer,
    /// Whether the exit code depends on the outcome.
    pub(super) exit_code: bool,
    /// Whether the results are retrieved next.
    pub(super) fetches: bool,
    /// Start of the command.
    pub(super) started: Instant,
    /// Whether this command started the run.
    pub(super) starts_run: bool,
}

impl Attach<'_> {
    fn command_hint(&self, command: &str) -> String {
        command_hint(command, self.namespace, self.arguments)
    }

    /// `code` with `--exit-code`, else `otherwise`.
    fn code(&self, code: u8, otherwise: u8) -> u8 {
        if self.exit_code { code } else { otherwise }
    }

    /// Outcome of the run, or an error for a run without a result.
    async fn outcome(&self, end: End) -> Result<Outcome, CliError> {
        let removes = format!("to delete the run: {}", self.command_hint("delete"));
        let logs = self.command_hint("logs -p sonobuoy");
        Err(match end {
            End::Complete(status) => return Ok(Outcome::Complete(status)),
            End::NoArchive { withheld } if withheld.is_empty() => {
                CliError::new("the run ended without an archive").hint(logs)
            }
            End::NoArchive { withheld } => CliError::new("the run ended without an archive")
                .details([format!("cause: the archive is withheld: {withheld}")])
                .hint(format!("{logs}; to accept less, start it without --require-redaction")),
            End::Stopped => {
                CliError::new("the aggregator ended before the run was complete").hint(format!("{logs}; {removes}"))
            }
            End::Broken { why, is_created } => {
                CliError::new("the aggregator is not running")
                    .details([why])
                    .hint(if is_created {
                        format!("{logs}; {removes}")
                    } else {
                        let wait = self.command_hint("wait");
                        format!("after fixing the problem: {wait}; {removes}")
                    })
            }
            End::Deleted => {
                CliError::new("the run was deleted while waiting for it: the aggregator's pod no longer exists").hint(
                    format!("to remove remaining objects: {}", self.command_hint("delete --wait")),
                )
            }
            End::Absent => aggregator::absence(self.cluster, self.namespace).await,
        })
    }
}

/// Waits until the run is complete. Ctrl-C detaches; the run continues.
pub(super) async fn attach(attach: Attach<'_>) -> Result<u8, CliError> {
    let mut screen = Screen::new(attach.printer, attach.output);
    let mut logs = Vec::new();
    let outcome = follow(&attach, &mut screen, &mut logs).await;
    let status = match &outcome {
        Ok(Outcome::Complete(status)) => Some(&**status),
        _ => None,
    };
    screen.end(status);
    match (&outcome, status) {
        (_, Some(status)) => step_summary::of_status(status, &logs, attach.namespace, attach.printer),
        (Err(error), _) => step_summary::of_error(error, &logs, attach.namespace, attach.printer),
        (Ok(_), None) => {}
    }
    let printer = attach.printer;
    match outcome? {
        Outcome::Complete(status) => {
            let verdict = counts::verdict(&status);
            let tone = match verdict.as_str() {
                "passed" => Tone::Good,
                "failed" => Tone::Bad,
                _ => Tone::Plain,
            };
            // The duration is known only if this command started the run.
            let took = if attach.starts_run {
                format!(" in {}", elapsed(attach.started.elapsed()))
            } else {
                String::new()
            };
            printer.note(&text!["run ", tone.paint(verdict), took]);
            if !attach.fetches {
                printer.note(&format!("results: {}", attach.command_hint("retrieve")));
            }
            Ok(attach.code(judgement::of_run(&status), exit::SUCCESS))
        }
        Outcome::Detached(code) => {
            printer.note(&detached(attach.fetches, &|command| attach.command_hint(command)));
            Ok(code)
        }
    }
}

/// Message for an interrupted wait, with the commands for the remaining steps.
fn detached(fetches: bool, command_hint: &dyn Fn(&str) -> String) -> String {
    let [wait, retrieve, delete] = ["wait", "retrieve", "delete --wait"].map(command_hint);
    if fetches {
        format!(
            "detached: the run continues; to retrieve its archive and delete the run: \
             {wait} && {retrieve} && {delete}"
        )
    } else {
        format!("detached: the run continues; to attach again: {wait}")
    }
}

/// End of the wait.
#[derive(Debug)]
enum Outcome {
    Complete(Box<RunStatus>),
    /// Interrupted, with this exit code.
    Detached(u8),
}

/// Follows the run. Adds the ends of the logs of failed containers to `logs`.
async fn follow(attach: &Attach<'_>, screen: &mut Screen, logs: &mut Vec<FailedLog>) -> Result<Outcome, CliError> {
    let labels = format!("{}={}", constants::COMPONENT.0, constants::COMPONENT.1);
    let mut events = std::pin::pin!(attach.cluster.watch_pods(attach.namespace, &labels));
    let aggregators = constants::AGGREGATOR_SELECTORS[0];
    let mut workloads = std::pin::pin!(attach.cluster.watch(Kind::Deployment, attach.namespace, aggregators));
    let deadline = tokio::time::sleep(attach.limit);
    let mut deadline = std::pin::pin!(deadline);
    let interrupt = termination();
    let mut interrupt = std::pin::pin!(interrupt);
    // Obstacles are reported after a delay, even without an event.
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let begun = now();
    let mut progress = if attach.starts_run {
        ProgressLog::new(begun)
    } else {
        ProgressLog::attached(begun)
    };
    let mut run = FollowedRun::new(attach.run.clone());
    let mut passed = Milestones::default();
    let mut refused: Vec<Obstacle> = Vec::new();
    let mut refusals = std::pin::pin!(refusals(attach));
    let mut obstacles: Vec<Obstacle> = Vec::new();
    let mut outputs = FuturesUnordered::new();
    let mut read = BTreeSet::new();
    loop {
        // Watches and timers are polled by reference: no event is lost to another branch.
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => run.apply(event),
                Some(Err(error)) if error.is_expired() => continue,
                Some(Err(error)) if error.is_transient() => {
                    screen.log(&[Change::notice(format!("connection interrupted, retrying: {error}"))], now());
                    continue;
                }
                Some(Err(error)) => return Err(cannot_watch(attach, &error)),
                None => return Err(CliError::new("the watch on the run's pods ended unexpectedly")),
            },
            event = workloads.next(), if run.watches_workload() => run.apply_workload(event),
            Some(found) = refusals.next(), if run.lacks_pods() => refused = found,
            Some(log) = outputs.next(), if !outputs.is_empty() => {
                let log: Option<FailedLog> = log;
                let lines = log.iter().flat_map(FailedLog::lines);
                screen.log(&lines.map(Change::notice).collect::<Vec<_>>(), now());
                logs.extend(log);
            }
            _ = seconds.tick() => {}
            () = &mut deadline => {
                return Err(CliError::new(format!("the run is not complete after {}; it continues", elapsed(attach.limit)))
                    .details(sentences(&obstacles, now()))
                    .hint(format!("to see its progress: {}; to wait again: {}", attach.command_hint("status"), attach.command_hint("wait")))
                    .exit_with(attach.code(exit::TIMED_OUT, exit::FAILURE)));
            }
            interrupted = &mut interrupt => {
                return match interrupted {
                    Ok(code) => Ok(Outcome::Detached(code)),
                    Err(error) => Err(CliError::new("cannot wait for signals").caused_by(&error)),
                };
            }
        }
        if !run.is_listed() {
            continue;
        }
        let time = now();
        passed.note(&run, attach.started);
        screen.log(&progress.pods(run.pods(), time), time);
        if !run.lacks_pods() {
            refused.clear();
        }
        let pods = run.pods().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        obstacles = obstacles::of_pods(pods, time);
        obstacles.extend(run.uncreated().map(obstacles::of_uncreated));
        obstacles.extend(refused.iter().cloned());
        screen.log(&progress.obstacles(&obstacles, time), time);
        for obstacle in progress.lasting(&obstacles, time) {
            if obstacle.failed_pod.is_some() && read.len() < MAX_OUTPUTS && read.insert(obstacle.key()) {
                outputs.push(output_of(attach, obstacle.clone()));
            }
        }
        if let Some(status) = &run.status() {
            screen.log(&progress.status(status), time);
            let since = time.duration_since(begun).unsigned_abs();
            let lasting = progress.lasting(&obstacles, time);
            screen.show(status, since, &|plugin| {
                let of_plugin = lasting
                    .iter()
                    .find(|obstacle| obstacle.plugin.as_deref() == Some(plugin));
                of_plugin.map(|obstacle| obstacle.why.text(time))
            });
        }
        if let Some(end) = run.end(attach.starts_run, time) {
            let outcome = attach.outcome(end).await;
            return outcome.map_err(|error| error.exit_with(attach.code(exit::RUN_FAILED, exit::FAILURE)));
        }
    }
}

/// Maximum number of failed containers with a log.
const MAX_OUTPUTS: usize = 10;

/// The end of the log of a failed container.
async fn output_of(attach: &Attach<'_>, obstacle: Obstacle) -> Option<FailedLog> {
    let found = obstacles::output(attach.cluster, attach.namespace, &obstacle).await?;
    Some(FailedLog::new(&obstacle, found, &|command| {
        attach.command_hint(command)
    }))
}

/// Interval of polling for pods that cannot be created, which only Events explain.
const REFUSALS_INTERVAL: Duration = Duration::from_secs(1);

/// Obstacles of pods that cannot be created, each time that the stream is polled.
fn refusals(attach: &Attach<'_>) -> impl Stream<Item = Vec<Obstacle>> {
    futures::stream::unfold((), move |()| async move {
        tokio::time::sleep(REFUSALS_INTERVAL).await;
        Some((obstacles::refused(attach.cluster, attach.namespace).await, ()))
    })
}

fn cannot_watch(attach: &Attach<'_>, error: &KubeError) -> CliError {
    CliError::of_cluster(
        format!("cannot watch the run in namespace `{}`", attach.namespace),
        error,
    )
}

/// Milestones of the run, for the debug log.
#[derive(Debug, Default)]
struct Milestones {
    running: bool,
    status: bool,
    rows: bool,
    result: bool,
    processing: bool,
    complete: bool,
}

impl Milestones {
    fn note(&mut self, run: &FollowedRun, started: Instant) {
        let Some(pod) = run.aggregator() else { return };
        let running = phase(pod) == "Running";
        let status = run.status();
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
        let before = [
            &mut self.running,
            &mut self.status,
            &mut self.rows,
            &mut self.result,
            &mut self.processing,
            &mut self.complete,
        ];
        for ((what, now), before) in now.into_iter().zip(before) {
            if now && !*before {
                *before = true;
                tracing::debug!(elapsed_ms = millis(started), "{what}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_wait_names_the_remaining_steps() {
        let hint = |command: &str| format!("sono {command} -n x");
        assert_eq!(
            detached(false, &hint),
            "detached: the run continues; to attach again: sono wait -n x"
        );
        assert_eq!(
            detached(true, &hint),
            "detached: the run continues; to retrieve its archive and delete the run: \
             sono wait -n x && sono retrieve -n x && sono delete --wait -n x"
        );
    }
}
