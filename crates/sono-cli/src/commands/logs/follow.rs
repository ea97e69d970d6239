//! Follows logs until the run is complete.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use futures::StreamExt as _;
use serde_json::Value;
use sono_kube::{Cluster, Kind, KubeError, LogOptions, Pod, WatchEvent};
use sono_types::{OverallStatus, constants, exit};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    reader::{MAX_FOLLOWED, Reader, Shared},
    sources::{self, Source},
};
use crate::{
    aggregator::{self, WhichRun, status_of},
    error::CliError,
    identity::Identity,
    output::Printer,
    view::words::counted,
};

/// Maximum number of lines that wait to be printed.
const QUEUE_LINES: usize = 1024;
/// Time for containers to write after the run is complete.
const QUIET_PERIOD: Duration = Duration::from_millis(500);
/// Time limit for reading the rest of all logs.
const DRAIN_TIMEOUT: Duration = Duration::from_mins(1);

/// Run and pods to follow.
#[derive(Debug, Clone)]
pub(super) struct Following {
    pub(super) cluster: Cluster,
    pub(super) namespace: String,
    /// Run that the pods belong to.
    pub(super) identity: Identity,
    /// Label selector of the pods.
    pub(super) selector: String,
    pub(super) options: LogOptions,
}

/// Follows existing and new containers until the run is complete.
pub(super) async fn follow(following: Following, printer: &Printer) -> Result<u8, CliError> {
    let Following {
        cluster,
        namespace,
        selector,
        ..
    } = &following;
    let mut pods = std::pin::pin!(cluster.watch_pods(namespace, selector));
    let component = format!("{}=aggregator", constants::COMPONENT_LABEL);
    let mut aggregators = std::pin::pin!(cluster.watch_pods(namespace, &component));
    let mut streams = Streams::new(following.clone());
    let mut polling_announced = false;
    let mut complete: Option<Instant> = None;
    let now_complete = |complete: &mut Option<Instant>| {
        complete.get_or_insert_with(Instant::now);
    };
    while !streams.is_drained() {
        let deadline = complete.unwrap_or_else(Instant::now)
            + if streams.finishes() {
                DRAIN_TIMEOUT
            } else {
                QUIET_PERIOD
            };
        // Queue, tasks and watches are polled by reference: what the other branches would have returned is returned by the next turn.
        tokio::select! {
            // Print received lines before checking for the end.
            biased;
            Some(line) = streams.lines.recv() => {
                printer.log(&line)?;
                if printer.is_broken() {
                    return Ok(exit::SUCCESS);
                }
            }
            Some(ended) = streams.tasks.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err((source, error))) => printer.note(&format!("{source}: cannot continue reading its log: {error}")),
                Err(error) => return Err(CliError::new("reading a log failed").caused_by(&error)),
            },
            event = pods.next() => match event {
                Some(Ok(WatchEvent::Restarted(found))) => {
                    for pod in &found {
                         streams.start(pod);
                     }
                    streams.listed = true;
                }
                Some(Ok(WatchEvent::Applied(pod))) => streams.start(&pod),
                Some(Ok(WatchEvent::Deleted(_))) => {}
                Some(Err(error)) => note_retry(error, printer)?,
                None => return Ok(exit::SUCCESS),
            },
            event = aggregators.next() => match event {
                Some(Ok(WatchEvent::Restarted(found))) if !found.is_empty() => {
                    if following.identity.aggregator(&found).is_some_and(is_over) {
                        now_complete(&mut complete);
                    }
                }
                Some(Ok(WatchEvent::Applied(pod))) => {
                    if following.identity.includes(&pod) && is_over(&pod) {
                        now_complete(&mut complete);
                    }
                }
                // The pod may be replaced.
                Some(Ok(WatchEvent::Restarted(_) | WatchEvent::Deleted(_))) => {
                    if is_aggregator_gone(&following).await {
                        now_complete(&mut complete);
                    }
                }
                None => now_complete(&mut complete),
                Some(Err(error)) => note_retry(error, printer)?,
            },
            () = tokio::time::sleep_until(deadline), if complete.is_some() => {
                if streams.finishes() {
                    let left = streams.tasks.len();
                    let logs = counted(left as u64, "log");
                    printer.note(&format!("warning: cannot read {logs} completely: the server does not respond"));
                    return Ok(exit::SUCCESS);
                }
                streams.finish();
            }
        }
        if !polling_announced && streams.is_polling() {
            polling_announced = true;
            printer.note(&format!(
                "more than {MAX_FOLLOWED} logs: the others are polled, and their lines may be delayed by a few seconds"
            ));
        }
    }
    Ok(exit::SUCCESS)
}

fn note_retry(error: KubeError, printer: &Printer) -> Result<(), CliError> {
    if error.is_expired() {
        return Ok(());
    }
    if !error.is_transient() {
        return Err(error.into());
    }
    printer.note(&format!("connection interrupted, retrying: {error}"));
    Ok(())
}

/// Whether the run no longer has an aggregator. `false` if the server does not respond.
async fn is_aggregator_gone(following: &Following) -> bool {
    let Following {
        cluster,
        namespace,
        identity,
        ..
    } = following;
    if aggregator::find(cluster, namespace, WhichRun::Created(identity))
        .await
        .is_ok()
    {
        return false;
    }
    let component = format!("{}=aggregator", constants::COMPONENT_LABEL);
    let listed = cluster.list(Kind::Pod, Some(namespace), &component).await;
    let exists = |pods: Vec<Value>| {
        let mut pods = pods.into_iter().filter_map(|pod| serde_json::from_value(pod).ok());
        pods.any(|pod: Pod| identity.includes(&pod))
    };
    listed.is_ok_and(|pods| !exists(pods))
}

fn is_over(pod: &Pod) -> bool {
    let over = [OverallStatus::Complete, OverallStatus::Failed];
    matches!(status_of(pod), Some(Ok(status)) if over.contains(&status.status))
}

/// One task per container.
struct Streams {
    shared: Shared,
    started: BTreeSet<Source>,
    /// Whether the initial pods were listed. Logs of later pods are read from their start.
    listed: bool,
    tasks: JoinSet<Result<(), (Source, KubeError)>>,
    lines: mpsc::Receiver<Vec<u8>>,
    finish: watch::Sender<bool>,
}

impl Streams {
    fn new(following: Following) -> Self {
        let (sender, lines) = mpsc::channel(QUEUE_LINES);
        let (finish, finishes) = watch::channel(false);
        Self {
            shared: Shared::new(following, sender, finishes),
            started: BTreeSet::new(),
            listed: false,
            tasks: JoinSet::new(),
            lines,
            finish,
        }
    }

    /// Starts reading new logs of a pod. A restarted container has a new log.
    fn start(&mut self, pod: &Pod) {
        if !self.shared.following.identity.may_include(pod) {
            return;
        }
        for source in sources::all(pod).with_log {
            if !self.started.insert(source.clone()) {
                continue;
            }
            let options = self.shared.following.options.clone();
            let options = if self.listed {
                LogOptions {
                    tail_lines: None,
                    since_seconds: None,
                    ..options
                }
            } else {
                options
            };
            self.tasks
                .spawn(Reader::new(self.shared.clone(), source, options).run());
        }
    }

    /// Reads the current content of all logs, then stops.
    fn finish(&mut self) {
        self.finish.send_replace(true);
    }

    fn finishes(&self) -> bool {
        *self.finish.borrow()
    }

    /// Whether all logs are read and printed.
    fn is_drained(&self) -> bool {
        self.finishes() && self.tasks.is_empty() && self.lines.is_empty()
    }

    fn is_polling(&self) -> bool {
        self.shared.is_polling.load(Ordering::Relaxed)
    }
}
