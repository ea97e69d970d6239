//! Following logs until the run is complete.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{AsyncBufReadExt as _, StreamExt as _};
use jiff::Timestamp;
use sono_kube::{Cluster, Kind, KubeError, LogOptions, Pod, WatchEvent};
use sono_types::{OverallStatus, constants, exit};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    line::{self, Line},
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
/// Connections at the same time.
const AT_ONCE: usize = 256;
/// How long logs may be quiet after the run is complete before following ends.
const QUIET: Duration = Duration::from_millis(500);
/// How long after a log that broke off it is taken up again, and how often in vain.
const PAUSE: Duration = Duration::from_secs(1);
const TRIES: u32 = 60;

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
    let mut complete = false;
    loop {
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
                Some(Ok(WatchEvent::Restarted(found))) => found.iter().for_each(|pod| streams.start(pod)),
                Some(Ok(WatchEvent::Applied(pod))) => streams.start(&pod),
                Some(Ok(WatchEvent::Deleted(_))) => {}
                Some(Err(error)) => tolerate(error, printer)?,
                None => return Ok(exit::SUCCESS),
            },
            event = aggregators.next() => match event {
                Some(Ok(WatchEvent::Restarted(found))) if !found.is_empty() => {
                    complete = following.identity.aggregator(&found).is_some_and(is_over);
                }
                Some(Ok(WatchEvent::Applied(pod))) => complete |= following.identity.includes(&pod) && is_over(&pod),
                // Another pod may take its place.
                Some(Ok(WatchEvent::Restarted(_) | WatchEvent::Deleted(_))) => complete |= is_gone(&streams.following).await,
                None => complete = true,
                Some(Err(error)) => tolerate(error, printer)?,
            },
            () = tokio::time::sleep(QUIET), if complete => return Ok(exit::SUCCESS),
        }
    }
}

fn tolerate(error: KubeError, printer: &Printer) -> Result<(), CliError> {
    if !error.is_unreachable() {
        return Err(error.into());
    }
    printer.note(&format!("connection lost, trying again: {error}"));
    Ok(())
}

async fn is_gone(following: &Following) -> bool {
    let wanted = WhichRun::Created(&following.identity);
    let found = aggregator::find(&following.cluster, &following.namespace, wanted).await;
    found.is_err()
}

fn is_over(pod: &Pod) -> bool {
    let over = [OverallStatus::Complete, OverallStatus::Failed];
    matches!(status_of(pod), Some(Ok(status)) if over.contains(&status.status))
}

/// One task for each container whose log is read.
struct Streams {
    following: Following,
    started: BTreeSet<Source>,
    tasks: JoinSet<Result<(), (Source, KubeError)>>,
    room: Arc<Semaphore>,
    sender: mpsc::Sender<Vec<u8>>,
    lines: mpsc::Receiver<Vec<u8>>,
}

impl Streams {
    fn new(following: Following) -> Self {
        let (sender, lines) = mpsc::channel(QUEUE);
        Self {
            following,
            started: BTreeSet::new(),
            tasks: JoinSet::new(),
            room: Arc::new(Semaphore::new(AT_ONCE)),
            sender,
            lines,
        }
    }

    /// Reads the logs of the pod's containers that have one and are not read yet. One that was started again is another.
    fn start(&mut self, pod: &Pod) {
        if !self.following.identity.may_include(pod) {
            return;
        }
        for source in sources::all(pod).with_log {
            if !self.started.insert(source.clone()) {
                continue;
            }
            let (following, sender, room) = (self.following.clone(), self.sender.clone(), Arc::clone(&self.room));
            self.tasks.spawn(async move {
                // Never closed.
                let _room = room.acquire().await;
                let read = read(&following, &source, &sender).await;
                read.map_err(|error| (source, error))
            });
        }
    }
}

/// Reads one log to its end. Where it breaks off while the container runs, it is taken up at the last line that came:
/// lines have times for that, whether they are shown or not.
async fn read(following: &Following, source: &Source, sender: &mpsc::Sender<Vec<u8>>) -> Result<(), KubeError> {
    let Following {
        cluster,
        namespace,
        options,
        ..
    } = following;
    let mut options = LogOptions {
        follow: true,
        timestamps: true,
        ..options.clone()
    };
    let shown = following.options.timestamps;
    let mut last: Option<Timestamp> = None;
    let mut tries = 0;
    loop {
        if let Some(last) = last {
            options.since_time = Some(last);
            (options.since_seconds, options.tail_lines) = (None, None);
        }
        match cluster
            .pod_logs(namespace, &source.pod, &source.container, &options)
            .await
        {
            Ok(mut log) => {
                tries = 0;
                let mut bytes = Vec::new();
                // A connection that breaks ends the log; what came is printed.
                while log.read_until(b'\n', &mut bytes).await.unwrap_or(0) > 0 {
                    let Line { time, text } = line::split(&bytes);
                    // The server goes by whole seconds.
                    if time.is_none() || last.is_none() || time > last {
                        last = time.or(last);
                        let line = line::with_prefix(source, if shown { &bytes } else { text });
                        if sender.send(line).await.is_err() {
                            return Ok(());
                        }
                    }
                    bytes.clear();
                }
            }
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) if error.is_unreachable() && tries < TRIES => {}
            Err(error) => return Err(error),
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
        match cluster.get(Kind::Pod, Some(namespace), &source.pod).await {
            Ok(Some(pod)) => {
                let pod: Option<Pod> = serde_json::from_value(pod).ok();
                let running = pod.is_some_and(|pod| sources::is_still_running(&pod, source));
                // A log without any new line is asked for again and again: containers may be silent for hours.
                if !running {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(error) if error.is_unreachable() && tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}
