//! Following logs until the run is complete.

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
    reader::{FOLLOWED, Reader, Shared},
    sources::{self, Source},
};
use crate::{
    aggregator::{self, WhichRun, status_of},
    error::CliError,
    identity::Identity,
    output::Printer,
};

/// Lines that wait to be printed.
const QUEUE: usize = 1024;
/// How long containers may write after the run is complete.
const QUIET: Duration = Duration::from_millis(500);
/// How long reading the rest of all logs may take then.
const REST: Duration = Duration::from_mins(1);

/// What is followed.
#[derive(Debug, Clone)]
pub(super) struct Following {
    pub(super) cluster: Cluster,
    pub(super) namespace: String,
    /// Whose pods.
    pub(super) identity: Identity,
    /// Which pods.
    pub(super) selector: String,
    pub(super) options: LogOptions,
}

/// Follows what is there and what comes, until the run is complete.
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
    let mut turns_announced = false;
    let mut complete: Option<Instant> = None;
    let now_complete = |complete: &mut Option<Instant>| {
        complete.get_or_insert_with(Instant::now);
    };
    while !streams.are_read() {
        let deadline = complete.unwrap_or_else(Instant::now) + if streams.finishes() { REST } else { QUIET };
        tokio::select! {
            // What is there is printed before it is asked whether that was all.
            biased;
            Some(line) = streams.lines.recv() => {
                printer.log(&line)?;
                if printer.is_broken() {
                    return Ok(exit::SUCCESS);
                }
            }
            Some(ended) = streams.tasks.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err((source, error))) => printer.note(&format!("{source}: no more of its log: {error}")),
                Err(error) => return Err(CliError::new("reading a log broke").caused_by(&error)),
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
                Some(Err(error)) => tolerate(error, printer)?,
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
                // Another pod may take its place.
                Some(Ok(WatchEvent::Restarted(_) | WatchEvent::Deleted(_))) => {
                    if is_gone(&following).await {
                        now_complete(&mut complete);
                    }
                }
                None => now_complete(&mut complete),
                Some(Err(error)) => tolerate(error, printer)?,
            },
            () = tokio::time::sleep_until(deadline), if complete.is_some() => {
                if streams.finishes() {
                    let left = streams.tasks.len();
                    printer.note(&format!("warning: {left} logs were not read to their end: the server does not answer"));
                    return Ok(exit::SUCCESS);
                }
                streams.finish();
            }
        }
        if !turns_announced && streams.take_turns() {
            turns_announced = true;
            printer.note(&format!(
                "more than {FOLLOWED} logs: the others are read in turns, and their lines may be some seconds late"
            ));
        }
    }
    Ok(exit::SUCCESS)
}

fn tolerate(error: KubeError, printer: &Printer) -> Result<(), CliError> {
    if error.is_expired() {
        return Ok(());
    }
    if !error.is_transient() {
        return Err(error.into());
    }
    printer.note(&format!("connection troubled, trying again: {error}"));
    Ok(())
}

/// Whether the run has no aggregator any more. A server that does not answer says nothing of that.
async fn is_gone(following: &Following) -> bool {
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
    let is_there = |pods: Vec<Value>| {
        let mut pods = pods.into_iter().filter_map(|pod| serde_json::from_value(pod).ok());
        pods.any(|pod: Pod| identity.includes(&pod))
    };
    listed.is_ok_and(|pods| !is_there(pods))
}

fn is_over(pod: &Pod) -> bool {
    let over = [OverallStatus::Complete, OverallStatus::Failed];
    matches!(status_of(pod), Some(Ok(status)) if over.contains(&status.status))
}

/// One task for each container whose log is read.
struct Streams {
    shared: Shared,
    started: BTreeSet<Source>,
    /// The first pods have come: later ones are read from their beginning.
    listed: bool,
    tasks: JoinSet<Result<(), (Source, KubeError)>>,
    lines: mpsc::Receiver<Vec<u8>>,
    finish: watch::Sender<bool>,
}

impl Streams {
    fn new(following: Following) -> Self {
        let (sender, lines) = mpsc::channel(QUEUE);
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

    /// Reads the logs of the pod's containers that have one and are not read yet. One that was started again is another.
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

    /// What the logs hold now is read, and no more.
    fn finish(&mut self) {
        self.finish.send_replace(true);
    }

    fn finishes(&self) -> bool {
        *self.finish.borrow()
    }

    /// Everything is read and printed.
    fn are_read(&self) -> bool {
        self.finishes() && self.tasks.is_empty() && self.lines.is_empty()
    }

    fn take_turns(&self) -> bool {
        self.shared.takes_turns.load(Ordering::Relaxed)
    }
}
