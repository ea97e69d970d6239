//! `sono wait`.

use std::time::{Duration, Instant};

use super::attach::{self, Attach};
use crate::{
    aggregator,
    args::{self, Given, of_run},
    error::CliError,
    output::Printer,
    settings::connect,
};

pub(super) async fn wait(arguments: args::Wait, given: &Given, printer: &Printer) -> Result<u8, CliError> {
    for flag in of_run::without_effect(given) {
        printer.note(&format!(
            "warning: --{flag} has no effect with wait: it says how a run is started"
        ));
    }
    let args::Wait {
        place: args::Place {
            namespace,
            cluster: cluster_arguments,
        },
        wait,
        wait_output,
        exit_code,
    } = arguments;
    let started = Instant::now();
    let cluster = connect(&cluster_arguments).await?;
    aggregator::find(&cluster, &namespace).await?;
    attach::attach(Attach {
        cluster: &cluster,
        namespace: &namespace,
        arguments: &cluster_arguments,
        limit: if wait.0.is_zero() { Duration::MAX } else { wait.0 },
        output: wait_output,
        printer,
        exit_code,
        fetches: false,
        started,
        begins: false,
    })
    .await
}
