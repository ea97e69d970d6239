//! `sono logs`: complete lines, prefixed with their container.

mod archive;
mod follow;
mod line;
mod line_filter;
mod reader;
mod sources;

use futures::{AsyncBufReadExt as _, StreamExt as _, stream};
use sono_kube::{Cluster, Kind, KubeError, LogOptions, Pod, PodView, stuck};
use sono_types::{constants, exit};

use self::{follow::Following, sources::Source};
use crate::{
    aggregator::{self, WhichRun},
    args::{self, GivenFlags},
    clock::now,
    error::CliError,
    output::Printer,
    settings::connect,
};

/// Number of logs to open before they are printed.
const PREFETCH: usize = 8;
/// Size of the output buffer.
const FLUSH_BYTES: usize = 64 << 10;

/// Warns of flags that choose a cluster, next to an archive.
fn warn_without_effect(given: &GivenFlags, printer: &Printer) {
    let flags = ["namespace", "kubeconfig", "context"];
    for flag in flags.into_iter().filter(|flag| given.has(flag)) {
        printer.note(&format!("warning: --{flag} has no effect with --archive"));
    }
}

pub(super) async fn logs(arguments: args::Logs, given: &GivenFlags, printer: &Printer) -> Result<u8, CliError> {
    let args::Logs {
        location: args::RunLocation { namespace, cluster },
        run,
        plugin,
        name,
        follow,
        since,
        tail,
        timestamps,
        node,
        archive,
        failed,
    } = arguments;
    let plugin = plugin.or(name);
    if let Some(archive) = archive {
        warn_without_effect(given, printer);
        let selection = archive::LogSelection {
            plugin: plugin.as_deref(),
            node: node.as_deref(),
            failed,
            tail: tail.map(|tail| usize::try_from(tail).unwrap_or(usize::MAX)),
        };
        return archive::print(&archive, &selection, printer);
    }
    let cluster = connect(&cluster).await?;
    let selector = match plugin.as_deref() {
        None => String::new(),
        Some(constants::HEALTH_PLUGIN) => format!("{}=aggregator", constants::COMPONENT_LABEL),
        Some(plugin) => format!("{}={plugin}", constants::PLUGIN_LABEL),
    };
    let options = LogOptions {
        timestamps,
        // The API server requires whole seconds, at least one.
        since_seconds: since.map(|since| i64::try_from(since.0).unwrap_or(i64::MAX).max(1)),
        tail_lines: tail,
        ..LogOptions::default()
    };
    let found = match aggregator::find(&cluster, &namespace, WhichRun::of(run.as_ref())).await {
        Ok(found) => {
            if run.is_none() {
                found.announce(&namespace, printer);
            }
            Some(found.identity)
        }
        Err(error) if follow || run.is_some() => return Err(error),
        // Plugin pods have logs even without an aggregator.
        Err(error) => {
            tracing::debug!(?error, "no aggregator found");
            None
        }
    };
    if let (true, Some(identity)) = (follow, &found) {
        let following = Following {
            cluster,
            namespace,
            identity: identity.clone(),
            selector,
            options,
        };
        return Box::pin(follow::follow(following, printer)).await;
    }
    let pods = cluster.list(Kind::Pod, Some(&namespace), &selector).await;
    let pods =
        pods.map_err(|error| CliError::of_cluster(format!("cannot list the pods in namespace `{namespace}`"), &error))?;
    let pods: Vec<Pod> = pods
        .into_iter()
        .filter_map(|pod| serde_json::from_value(pod).ok())
        .filter(|pod| found.as_ref().is_none_or(|run| run.may_include(pod)))
        .filter(|pod| node.is_none() || aggregator::node(pod) == node.as_deref())
        .collect();
    if pods.is_empty() {
        if let Some(node) = node {
            return Err(
                CliError::new(format!("no pods on node `{node}` in namespace `{namespace}`")).hint(
                    "to see the nodes: sono status --show-all; logs of a complete run: sono logs --archive ARCHIVE",
                ),
            );
        }
        return Err(match &plugin {
            Some(plugin) => CliError::new(format!("plugin `{plugin}` has no pods in namespace `{namespace}`")).hint(
                "pods are deleted after the plugin has reported; to print their logs: sono logs --archive ARCHIVE",
            ),
            None => match aggregator::expect(&cluster, &namespace, WhichRun::Newest, 1).await {
                Err(error) => error,
                Ok(_) => aggregator::absent(&namespace, false),
            },
        });
    }
    let sources = if failed {
        let sources: Vec<Source> = pods.iter().flat_map(sources::failed).collect();
        if sources.is_empty() {
            printer.note("no failed containers");
        }
        sources
    } else {
        waiting(&pods, printer);
        pods.iter().flat_map(|pod| sources::all(pod).with_log).collect()
    };
    print(&cluster, &namespace, sources, &options, printer).await
}

/// Prints which containers have no log yet, and why.
fn waiting(pods: &[Pod], printer: &Printer) {
    for pod in pods {
        for (container, why) in sources::all(pod).without {
            let why = why.or_else(|| Some(stuck::explain(&PodView::from(pod), now())?.text(now())));
            let why = why.unwrap_or_else(|| "not started".to_owned());
            printer.note(&format!("{container}: no log yet: {why}"));
        }
    }
}

/// Prints one log after the other. Errors do not stop the output; the last one is returned, earlier ones are printed.
async fn print(
    cluster: &Cluster,
    namespace: &str,
    sources: Vec<Source>,
    options: &LogOptions,
    printer: &Printer,
) -> Result<u8, CliError> {
    let opened = sources.into_iter().map(async |source| {
        let options = LogOptions {
            previous: source.previous,
            ..options.clone()
        };
        let log = cluster
            .pod_logs(namespace, &source.pod, &source.container, &options)
            .await;
        (source, log)
    });
    let mut opened = std::pin::pin!(stream::iter(opened).buffered(PREFETCH));
    let mut failure = None;
    while let Some((source, log)) = opened.next().await {
        let read = match log {
            Ok(log) => print_one(&source, log, printer).await?,
            Err(error) => Err(failed_to_read(&source, &error)),
        };
        if let Err(error) = read
            && let Some(before) = failure.replace(error)
        {
            printer.error(&before);
        }
        if printer.is_broken() {
            return Ok(exit::SUCCESS);
        }
    }
    failure.map_or(Ok(exit::SUCCESS), Err)
}

fn failed_to_read(source: &Source, error: &KubeError) -> CliError {
    CliError::of_cluster(format!("cannot read the log of {source}"), error)
}

async fn print_one(
    source: &Source,
    mut log: impl futures::AsyncBufRead + Unpin,
    printer: &Printer,
) -> Result<Result<(), CliError>, CliError> {
    let (mut lines, mut bytes) = (Vec::new(), Vec::new());
    let broken = loop {
        let read = log.read_until(b'\n', &mut bytes).await;
        if !bytes.is_empty() {
            lines.append(&mut line::with_prefix(source, &bytes));
            bytes.clear();
        }
        let ended = !matches!(read, Ok(1..));
        if lines.len() >= FLUSH_BYTES || ended {
            printer.log(&lines)?;
            lines.clear();
        }
        if ended || printer.is_broken() {
            break read.err();
        }
    };
    Ok(match broken {
        Some(error) => Err(CliError::new(format!("the log of {source} was interrupted")).caused_by(&error)),
        None => Ok(()),
    })
}
