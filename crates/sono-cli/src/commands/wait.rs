//! `sono wait`.

use std::time::{Duration, Instant};

use sono_kube::Cluster;

use super::attach::{self, Attach};
use crate::{
    aggregator::{self, FoundRun, WhichRun},
    args::{self, GivenFlags, run_flags_of_wait},
    error::CliError,
    output::Printer,
    settings::connect,
};

pub(super) async fn wait(arguments: args::Wait, given: &GivenFlags, printer: &Printer) -> Result<u8, CliError> {
    for flag in run_flags_of_wait::ignored(given) {
        printer.note(&format!(
            "warning: --{flag} has no effect with wait: it configures the start of a run"
        ));
    }
    let args::Wait {
        location: args::RunLocation {
            namespace,
            cluster: cluster_arguments,
        },
        run,
        wait,
        wait_output,
        exit_code,
    } = arguments;
    if let Some(note) = wait.interpretation() {
        printer.note(&note);
    }
    let started = Instant::now();
    let cluster = connect(&cluster_arguments).await?;
    let limit = if wait.limit.is_zero() {
        Duration::MAX
    } else {
        wait.limit
    };
    let found = find_unambiguous(&cluster, &namespace, WhichRun::of(run.as_ref()), limit, printer).await?;
    if run.is_none() {
        found.announce(&namespace, printer);
    }
    Box::pin(attach::attach(Attach {
        cluster: &cluster,
        namespace: &namespace,
        run: found.identity,
        arguments: &cluster_arguments,
        limit,
        output: wait_output,
        printer,
        exit_code,
        fetches: false,
        started,
        starts_run: false,
    }))
    .await
}

/// Interval of polling for an aggregator's pod that is being deleted.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Finds the run to wait for.
///
/// If the account may not read Deployments, a pod that is being deleted may belong to the previous run. In this case, waits
/// until it is deleted or replaced.
async fn find_unambiguous(
    cluster: &Cluster,
    namespace: &str,
    requested: WhichRun<'_>,
    limit: Duration,
    printer: &Printer,
) -> Result<FoundRun, CliError> {
    let started = tokio::time::Instant::now();
    let mut is_reported = false;
    loop {
        let found = aggregator::find(cluster, namespace, requested).await?;
        if !found.is_ambiguous || matches!(requested, WhichRun::Id(_)) || started.elapsed() >= limit {
            return Ok(found);
        }
        let name = found.pod.and_then(|pod| pod.metadata.name).unwrap_or_default();
        if !is_reported {
            is_reported = true;
            printer.note(&format!(
                "waiting for the previous run's aggregator pod {name} to be deleted"
            ));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
