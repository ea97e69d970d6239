//! `sono logs`: whole lines, each with its container in front.

use std::collections::{BTreeMap, BTreeSet};

use futures::{AsyncBufReadExt as _, StreamExt as _};
use sono_kube::{Cluster, KubeError, LogOptions, Pod, WatchEvent, stuck};
use sono_types::{OverallStatus, constants, exit};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    aggregator::{self, status_of},
    args,
    clock::now,
    error::CliError,
    output::Printer,
    settings::connect,
};

/// Lines that wait to be printed.
const QUEUE: usize = 1024;
/// How long logs may be quiet after the run is complete before following ends.
const QUIET: std::time::Duration = std::time::Duration::from_millis(500);

pub(super) async fn logs(arguments: args::Logs, printer: &Printer) -> Result<u8, CliError> {
    let args::Logs {
        place: args::Place { namespace, cluster },
        plugin,
        follow,
    } = arguments;
    let cluster = connect(&cluster).await?;
    let selector = match plugin.as_deref() {
        None => String::new(),
        Some(constants::HEALTH_PLUGIN) => format!("{}=aggregator", constants::COMPONENT_LABEL),
        Some(plugin) => format!("{}={plugin}", constants::PLUGIN_LABEL),
    };
    let mut streams = Streams::new(&cluster, &namespace, follow);
    if follow {
        aggregator::expect(&cluster, &namespace).await?;
        return follow_all(&cluster, &namespace, &selector, streams, printer).await;
    }
    let pods = cluster.list(sono_kube::Kind::Pod, Some(&namespace), &selector).await;
    let pods =
        pods.map_err(|error| CliError::of_cluster(format!("cannot list the pods in namespace `{namespace}`"), &error))?;
    let pods: Vec<Pod> = pods
        .into_iter()
        .filter_map(|pod| serde_json::from_value(pod).ok())
        .collect();
    if pods.is_empty() {
        return Err(match &plugin {
            Some(plugin) => CliError::new(format!("plugin `{plugin}` has no pods in namespace `{namespace}`"))
                .hint("the pods of a plugin go when it has reported; their logs are in the archive"),
            None => aggregator::absent(&namespace, false),
        });
    }
    for pod in &pods {
        for skipped in streams.start(pod) {
            let why = stuck::explain(pod, now()).unwrap_or_else(|| "it has not started".to_owned());
            printer.note(&format!("{skipped}: no log yet: {why}"));
        }
    }
    let mut lines = streams.finish();
    while let Some(line) = lines.recv().await {
        printer.data(&line)?;
    }
    streams.outcome().await
}

/// Follows what is there and what comes, until the run is complete.
async fn follow_all(
    cluster: &Cluster,
    namespace: &str,
    selector: &str,
    mut streams: Streams<'_>,
    printer: &Printer,
) -> Result<u8, CliError> {
    let mut lines = streams.take_lines();
    let mut pods = std::pin::pin!(cluster.watch_pods(namespace, selector));
    let component = format!("{}=aggregator", constants::COMPONENT_LABEL);
    let mut aggregators = std::pin::pin!(cluster.watch_pods(namespace, &component));
    let mut complete = false;
    loop {
        tokio::select! {
            Some(line) = lines.recv() => {
                printer.data(&line)?;
                if printer.is_broken() {
                    return Ok(exit::SUCCESS);
                }
            }
            () = tokio::time::sleep(QUIET), if complete => return Ok(exit::SUCCESS),
            event = pods.next() => match event {
                Some(Ok(WatchEvent::Restarted(found))) => found.iter().for_each(|pod| drop(streams.start(pod))),
                Some(Ok(WatchEvent::Applied(pod))) => drop(streams.start(&pod)),
                Some(Ok(WatchEvent::Deleted(_))) => {}
                Some(Err(error)) => tolerate(error, printer)?,
                None => return Ok(exit::SUCCESS),
            },
            event = aggregators.next() => match event {
                Some(Ok(WatchEvent::Restarted(found))) => complete = found.is_empty() || found.iter().any(is_over),
                Some(Ok(WatchEvent::Applied(pod))) => complete |= is_over(&pod),
                Some(Ok(WatchEvent::Deleted(_))) | None => complete = true,
                Some(Err(error)) => tolerate(error, printer)?,
            },
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

fn is_over(pod: &Pod) -> bool {
    let over = [OverallStatus::Complete, OverallStatus::Failed];
    matches!(status_of(pod), Some(Ok(status)) if over.contains(&status.status))
}

/// One task for each container whose log is read.
struct Streams<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    follow: bool,
    started: BTreeSet<String>,
    tasks: JoinSet<Result<(), (String, KubeError)>>,
    sender: Option<mpsc::Sender<Vec<u8>>>,
    receiver: Option<mpsc::Receiver<Vec<u8>>>,
}

impl<'a> Streams<'a> {
    fn new(cluster: &'a Cluster, namespace: &'a str, follow: bool) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self {
            cluster,
            namespace,
            follow,
            started: BTreeSet::new(),
            tasks: JoinSet::new(),
            sender: Some(sender),
            receiver: Some(receiver),
        }
    }

    /// Reads the logs of the pod's containers that have one; returns those that have none yet.
    fn start(&mut self, pod: &Pod) -> Vec<String> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let mut without = Vec::new();
        for (container, has_log) in containers(pod) {
            let prefix = format!("{name}/{container}");
            if !has_log {
                without.push(prefix);
                continue;
            }
            if !self.started.insert(prefix.clone()) {
                continue;
            }
            let Some(sender) = self.sender.clone() else { continue };
            let (cluster, namespace, pod) = (self.cluster.clone(), self.namespace.to_owned(), name.clone());
            let options = LogOptions {
                follow: self.follow,
                ..LogOptions::default()
            };
            self.tasks.spawn(async move {
                let read = read_log(&cluster, &namespace, &pod, &container, &options, &prefix, &sender).await;
                read.map_err(|error| (prefix, error))
            });
        }
        without
    }

    fn take_lines(&mut self) -> mpsc::Receiver<Vec<u8>> {
        self.receiver.take().unwrap_or_else(|| mpsc::channel(1).1)
    }

    /// No more logs will be started.
    fn finish(&mut self) -> mpsc::Receiver<Vec<u8>> {
        self.sender = None;
        self.take_lines()
    }

    /// The first failure, if any.
    async fn outcome(mut self) -> Result<u8, CliError> {
        let mut failure = None;
        while let Some(joined) = self.tasks.join_next().await {
            match joined {
                Ok(Ok(())) => {}
                Ok(Err((container, error))) => {
                    failure.get_or_insert_with(|| {
                        CliError::of_cluster(format!("cannot read the log of {container}"), &error)
                    });
                }
                Err(error) => {
                    failure.get_or_insert_with(|| CliError::new("reading a log broke").caused_by(&error));
                }
            }
        }
        failure.map_or(Ok(exit::SUCCESS), Err)
    }
}

async fn read_log(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    container: &str,
    options: &LogOptions,
    prefix: &str,
    sender: &mpsc::Sender<Vec<u8>>,
) -> Result<(), KubeError> {
    let mut log = cluster.pod_logs(namespace, pod, container, options).await?;
    loop {
        let mut line = format!("{prefix}: ").into_bytes();
        let start = line.len();
        // A connection that breaks ends the log; what came is printed.
        let read = log.read_until(b'\n', &mut line).await.unwrap_or(0);
        if line.len() > start {
            if line.last() != Some(&b'\n') {
                line.push(b'\n');
            }
            if sender.send(line).await.is_err() {
                return Ok(());
            }
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// The pod's containers, and whether each has started.
fn containers(pod: &Pod) -> BTreeMap<String, bool> {
    let described = pod
        .spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .map(|container| (container.name.clone(), false));
    let mut containers: BTreeMap<String, bool> = described.collect();
    let status = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    for container in status.into_iter().flatten() {
        let state = container.state.as_ref();
        let now = state.is_some_and(|state| state.running.is_some() || state.terminated.is_some());
        if now || container.restart_count > 0 {
            containers.insert(container.name.clone(), true);
        }
    }
    containers
}
