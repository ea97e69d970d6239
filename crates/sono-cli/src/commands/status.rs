//! `sono status`.

use sono_kube::{Kind, Pod, stuck};
use sono_types::{OverallStatus, exit};

use crate::{
    aggregator::{self, phase, plugin_of, status_of},
    args,
    clock::now,
    error::CliError,
    judgement,
    output::Printer,
    settings::{again, connect},
    view::table,
};

pub(super) async fn status(arguments: args::Status, printer: &Printer) -> Result<u8, CliError> {
    let args::Status {
        place: args::Place {
            namespace,
            cluster: cluster_arguments,
        },
        json,
        show_all,
        exit_code,
    } = arguments;
    let cluster = connect(&cluster_arguments).await?;
    let pod = aggregator::expect(&cluster, &namespace).await?;
    let Some(status) = status_of(&pod).filter(|_| phase(&pod) == "Running") else {
        let logs = again("logs -p sonobuoy", &namespace, &cluster_arguments);
        let code = without_status(&pod, &logs, printer)?;
        return Ok(match (exit_code, code) {
            (false, code) => code,
            (true, exit::SUCCESS) if phase(&pod) != "Succeeded" => exit::NOT_COMPLETE,
            (true, _) => exit::RUN_FAILED,
        });
    };
    let status =
        status.map_err(|error| CliError::new("the status on the aggregator's pod cannot be read").caused_by(&error))?;
    if show_all {
        printer.line(&table::all(&status))?;
    } else if json {
        let text = serde_json::to_string(&status);
        printer.line(&text.map_err(|error| CliError::new("cannot write the status as JSON").caused_by(&error))?)?;
    } else {
        printer.line(&table::summary(&status))?;
    }
    if status.status == OverallStatus::Running {
        // What the cluster says about plugins' pods is an extra; without it the status is still the status.
        let pods = cluster
            .list(Kind::Pod, Some(&namespace), "sonobuoy-component=plugin")
            .await
            .unwrap_or_default();
        for pod in pods
            .into_iter()
            .filter_map(|pod| serde_json::from_value::<Pod>(pod).ok())
        {
            if let (Some(plugin), Some(why)) = (plugin_of(&pod), stuck::explain(&pod, now())) {
                let node = aggregator::node(&pod)
                    .map(|node| format!(" on {node}"))
                    .unwrap_or_default();
                printer.note(&format!("{plugin}{node}: {why}"));
            }
        }
    }
    if exit_code {
        return Ok(judgement::of_run(&status));
    }
    Ok(if status.status == OverallStatus::Failed {
        exit::FAILURE
    } else {
        exit::SUCCESS
    })
}

/// The pod is there and its status is not: sentences that scripts know, on standard output, and why on standard error.
fn without_status(pod: &Pod, logs: &str, printer: &Printer) -> Result<u8, CliError> {
    let why = stuck::explain(pod, now());
    let code = match phase(pod) {
        "Running" => {
            printer.line("The Sonobuoy aggregator is running but is unable to obtain the plugin status information.\n\nIf this state persists, use kubectl to debug further.")?;
            exit::SUCCESS
        }
        "Pending" => {
            if let Some(message) = pull_message(pod) {
                printer.line(&format!("The Sonobuoy aggregator is in the 'Pending' state and the container seems unable to pull the image.\n\nPod has the attached message: {message}"))?;
                exit::FAILURE
            } else {
                printer.line("The Sonobuoy aggregator is in the 'Pending' state. This is normal as the pod is created and begins to run, but if this state persists, use kubectl to debug further.")?;
                exit::SUCCESS
            }
        }
        "Succeeded" => {
            printer.line("The Sonobuoy aggregator ran successfully but has stopped. If you didn't intend for this to happen, submit a bug to github.com/vmware-tanzu/sonobuoy/issues.")?;
            exit::SUCCESS
        }
        state @ ("Failed" | "Unknown") => {
            printer.line(&format!(
                "The Sonobuoy aggregator is in the '{state}' state. Use kubectl to debug further."
            ))?;
            exit::FAILURE
        }
        other => {
            printer.line(&format!("The Sonobuoy aggregator is in the '{other}' state."))?;
            exit::SUCCESS
        }
    };
    if let Some(why) = why {
        printer.note(&format!("aggregator: {why}"));
    }
    if code == exit::FAILURE && pull_message(pod).is_none() {
        printer.note(&format!("hint: {logs}"));
    }
    Ok(code)
}

fn pull_message(pod: &Pod) -> Option<&str> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let pulls = matches!(waiting.reason.as_deref(), Some("ErrImagePull" | "ImagePullBackOff"));
    pulls.then(|| waiting.message.as_deref().unwrap_or_default())
}
