//! `sono status`.

use serde::Serialize;
use serde_json::{Value, json};
use sono_kube::{Cluster, EventView, Kind, Pod, PodView, judge, stuck};
use sono_types::{OverallStatus, RunStatus, constants, exit, status::folded_count, yaml};
use tokio::io::AsyncReadExt as _;

use crate::{
    aggregator::{self, FoundRun, WhichRun, phase, plugin_of, status_of},
    args::{self, GivenFlags, StatusOutput},
    clock::now,
    error::CliError,
    identity::Identity,
    judgement,
    output::{Format, Markdown, Printer, Text, markdown, text},
    settings::{command_hint, connect},
    view::{
        overview::{self, Obstacle},
        table,
    },
};

/// Maximum size of a full status.
const MAX_STATUS_BYTES: u64 = 256 << 20;

#[expect(
    clippy::too_many_lines,
    reason = "fetches, shapes and prints; split with the settings"
)]
pub(super) async fn status(arguments: args::Status, given: &GivenFlags, printer: &Printer) -> Result<u8, CliError> {
    let args::Status {
        location: args::RunLocation {
            namespace,
            cluster: cluster_arguments,
        },
        run,
        json,
        show_all,
        output,
        exit_code,
    } = arguments;
    let cluster = connect(&cluster_arguments).await?;
    let found = aggregator::find(&cluster, &namespace, WhichRun::of(run.as_ref())).await?;
    if run.is_none() {
        found.announce(&namespace, printer);
    }
    let program = given.program();
    let command_hint = |command: &str| {
        let text = command_hint(command, &namespace, &cluster_arguments);
        match text.strip_prefix("sono ") {
            Some(rest) => format!("{program} {rest}"),
            None => text,
        }
    };
    let no_status = |no_status: &NoStatus<'_>| {
        match output {
            Some(output) if output != StatusOutput::Table => no_status.document(output, printer)?,
            _ => no_status.prose(&command_hint, printer)?,
        }
        Ok(match (exit_code, no_status.code()) {
            (false, code) => code,
            (true, exit::SUCCESS) if no_status.phase != "Succeeded" => exit::NOT_COMPLETE,
            (true, _) => exit::RUN_FAILED,
        })
    };
    let FoundRun {
        identity,
        pod,
        uncreated,
        ..
    } = found;
    let Some(pod) = pod else {
        return no_status(&NoStatus::without_pod(uncreated));
    };
    let Some(status) = status_of(&pod).filter(|_| phase(&pod) == "Running") else {
        return no_status(&NoStatus::of(&pod));
    };
    let mut status = status.map_err(|error| {
        CliError::new("cannot read the status annotation of the aggregator's pod")
            .caused_by(&error)
            .hint(format!(
                "try again, since a running aggregator rewrites it; for details: {}",
                command_hint("logs -p sonobuoy")
            ))
    })?;
    let form = match (output, json) {
        (Some(output), _) => Form::Output(output),
        (None, true) => Form::Output(StatusOutput::Json),
        (None, false) if printer.is_screen() => Form::Output(StatusOutput::Table),
        (None, false) => Form::Text,
    };
    let every_row = show_all || matches!(form, Form::Output(StatusOutput::Json | StatusOutput::Yaml));
    if every_row && status.rows().iter().any(|row| folded_count(&row.node).is_some()) {
        match whole_status(&cluster, &namespace, &pod).await {
            Ok(whole) => status = whole,
            Err(error) => printer.note(&format!(
                "cannot fetch the full status (showing a summary): {}",
                error.lines().join(": ")
            )),
        }
    }
    let obstacles = if status.status == OverallStatus::Running {
        obstacles(&cluster, &namespace, &identity).await
    } else {
        Vec::new()
    };
    match form {
        Form::Text => {
            printer.line(&if show_all {
                table::all(&status, program)
            } else {
                table::summary(&status, program)
            })?;
            for gap in overview::gaps(&status) {
                printer.note(&gap);
            }
            for reason in overview::reasons(&status) {
                printer.note(&reason);
            }
            for Obstacle { plugin, node, why, .. } in &obstacles {
                let node = node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
                printer.note(&format!("{plugin}{node}: {why}"));
            }
        }
        Form::Output(StatusOutput::Json) => {
            let text = serde_json::to_string(&status);
            let text = text.map_err(|error| CliError::new("cannot write the status as JSON").caused_by(&error))?;
            printer.document(Format::Json, &(text + "\n"))?;
        }
        Form::Output(StatusOutput::Yaml) => {
            printer.document(Format::Yaml, &as_yaml(&status)?)?;
        }
        Form::Output(StatusOutput::Markdown) => {
            let lines = overview::lines(&status, &obstacles, show_all);
            printer.markdown(&overview::markdown(&status, &lines))?;
        }
        Form::Output(StatusOutput::Table) => {
            let lines = overview::lines(&status, &obstacles, show_all);
            printer.line(&overview::table(&lines))?;
            printer.note(&next(&status, &obstacles, &command_hint));
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

/// YAML document with a final line end.
fn as_yaml(document: &impl Serialize) -> Result<String, CliError> {
    let text = yaml::to_string(document)
        .map_err(|error| CliError::new("cannot write the status as YAML").details([error.to_string()]))?;
    Ok(format!("{}\n", text.trim_end()))
}

enum Form {
    /// Sonobuoy's text, for scripts.
    Text,
    Output(StatusOutput),
}

/// Suggested next command.
fn next(status: &RunStatus, obstacles: &[Obstacle], command_hint: &dyn Fn(&str) -> String) -> String {
    match (&status.status, obstacles.first()) {
        (OverallStatus::Running, Some(obstacle)) => format!(
            "hint: for details: {}; to cancel the run: {}",
            command_hint(&format!("logs -p {}", obstacle.plugin)),
            command_hint("delete")
        ),
        (OverallStatus::Running, None) => format!("run running; to attach: {}", command_hint("wait")),
        (OverallStatus::PostProcessing, _) => {
            format!("packing results; to wait for them: {}", command_hint("wait"))
        }
        (OverallStatus::Complete, _) => format!("run complete; to get the results: {}", command_hint("retrieve")),
        (OverallStatus::Failed, _) => format!("run failed; for the reason: {}", command_hint("logs -p sonobuoy")),
        (OverallStatus::Other(word), _) => format!("run in an unknown state: {word}"),
    }
}

/// Obstacles of plugin pods. Best effort: errors are ignored.
async fn obstacles(cluster: &Cluster, namespace: &str, run: &Identity) -> Vec<Obstacle> {
    let pods = cluster
        .list(Kind::Pod, Some(namespace), "sonobuoy-component=plugin")
        .await
        .unwrap_or_default();
    let refused = refused(cluster, namespace).await;
    pods.into_iter()
        .filter_map(|pod| serde_json::from_value::<Pod>(pod).ok())
        .filter(|pod| run.may_include(pod))
        .filter_map(|pod| {
            Some(Obstacle {
                plugin: plugin_of(&pod)?.to_owned(),
                node: aggregator::node(&pod).map(str::to_owned),
                pending: phase(&pod) == "Pending",
                why: stuck::explain(&PodView::from(&pod), now())?,
            })
        })
        .chain(refused)
        .collect()
}

/// Obstacles of plugin pods that cannot be created, due to a quota, pod security or a webhook. Only Events contain the
/// reason.
async fn refused(cluster: &Cluster, namespace: &str) -> Vec<Obstacle> {
    let sets = cluster
        .list(Kind::DaemonSet, Some(namespace), "sonobuoy-component=plugin")
        .await
        .unwrap_or_default();
    let number = |set: &Value, key: &str| set["status"][key].as_u64().unwrap_or_default();
    let lacking = |set: &Value| number(set, "currentNumberScheduled") < number(set, "desiredNumberScheduled");
    let sets: Vec<Value> = sets.into_iter().filter(lacking).collect();
    if sets.is_empty() {
        return Vec::new();
    }
    let fields = format!("reason={}", judge::CREATE_EVENT);
    let mut events: Vec<EventView> = Vec::new();
    let listed = cluster
        .each(Kind::Event, Some(namespace), &fields, |event| events.push(event))
        .await;
    if let Err(error) = listed {
        tracing::debug!(%error, "cannot list the Events of the namespace");
    }
    let obstacle = |set: &Value| {
        let plugin = set["metadata"]["labels"][constants::PLUGIN_LABEL].as_str()?;
        let why = judge::creation_failure(set["metadata"]["uid"].as_str().unwrap_or_default(), &events, now())?;
        Some(Obstacle {
            plugin: plugin.to_owned(),
            node: None,
            pending: true,
            why: format!("no pod can be created: {why}"),
        })
    };
    sets.iter().filter_map(obstacle).collect()
}

/// Full status from the aggregator. The size of the annotation is limited.
async fn whole_status(cluster: &Cluster, namespace: &str, pod: &Pod) -> Result<RunStatus, CliError> {
    let what = "cannot query the aggregator";
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let command = ["/sonobuoy", "status", "--full"];
    let mut stream = cluster
        .exec(namespace, name, constants::AGGREGATOR_CONTAINER, &command)
        .await
        .map_err(|error| CliError::of_cluster(what, &error))?;
    let mut text = Vec::new();
    let read = (&mut stream.stdout).take(MAX_STATUS_BYTES).read_to_end(&mut text).await;
    let outcome = stream
        .finish()
        .await
        .map_err(|error| CliError::of_cluster(what, &error))?;
    read.map_err(|error| CliError::new(what).caused_by(&error))?;
    if outcome.code != exit::SUCCESS {
        return Err(CliError::new(what).details([outcome.stderr]));
    }
    serde_json::from_slice(&text).map_err(|error| CliError::new("invalid response of the aggregator").caused_by(&error))
}

/// Aggregator without a status yet.
struct NoStatus<'a> {
    /// Phase of its pod; `Pending` before it is created.
    phase: &'a str,
    /// Message about a failed image pull.
    pull: Option<&'a str>,
    /// Obstacle of the pod.
    why: Option<String>,
}

impl<'a> NoStatus<'a> {
    fn of(pod: &'a Pod) -> Self {
        Self {
            phase: phase(pod),
            pull: pull_message(pod),
            why: stuck::explain(&PodView::from(pod), now()),
        }
    }

    fn without_pod(why: Option<String>) -> Self {
        Self {
            phase: "Pending",
            pull: None,
            why,
        }
    }

    /// `status` is the pod's phase.
    fn document(&self, output: StatusOutput, printer: &Printer) -> Result<(), CliError> {
        let state = self.phase.to_ascii_lowercase();
        let document = json!({ "status": state, "plugins": [], "reason": self.why });
        match output {
            StatusOutput::Json => printer.document(Format::Json, &format!("{document}\n")),
            StatusOutput::Yaml => printer.document(Format::Yaml, &as_yaml(&document)?),
            StatusOutput::Markdown | StatusOutput::Table => {
                let why = self
                    .why
                    .as_deref()
                    .map(|why| markdown!["\n", Markdown::text(why), "\n"]);
                printer.markdown(&markdown![
                    "## Run ",
                    Markdown::text(&state),
                    "\n",
                    why.unwrap_or_default()
                ])
            }
        }
    }

    /// Text for people on a terminal. For scripts, Sonobuoy's sentences on standard output and the reason on standard error.
    fn prose(&self, command_hint: &dyn Fn(&str) -> String, printer: &Printer) -> Result<(), CliError> {
        if printer.is_screen()
            && let Some(why) = &self.why
        {
            printer.line(&format!("aggregator {}: {why}", self.phase.to_ascii_lowercase()))?;
            let hint = match (self.phase, self.pull) {
                ("Pending", Some(_)) => format!(
                    "use another image with --sonobuoy-image or --registry; to cancel the run: {}",
                    command_hint("delete")
                ),
                ("Pending", None) => format!(
                    "to attach: {}; to cancel the run: {}",
                    command_hint("wait"),
                    command_hint("delete")
                ),
                _ => command_hint("logs -p sonobuoy"),
            };
            printer.note(&format!("hint: {hint}"));
            return Ok(());
        }
        let sentence = match (self.phase, self.pull) {
            ("Running", _) => Text::own("The Sonobuoy aggregator is running but is unable to obtain the plugin status information.\n\nIf this state persists, use kubectl to debug further."),
            ("Pending", Some(message)) => text![Text::own("The Sonobuoy aggregator is in the 'Pending' state and the container seems unable to pull the image.\n\nPod has the attached message: "), message],
            ("Pending", None) => "The Sonobuoy aggregator is in the 'Pending' state. This is normal as the pod is created and begins to run, but if this state persists, use kubectl to debug further.".into(),
            ("Succeeded", _) => "The Sonobuoy aggregator ran successfully but has stopped. If you didn't intend for this to happen, submit a bug to github.com/vmware-tanzu/sonobuoy/issues.".into(),
            (state @ ("Failed" | "Unknown"), _) => format!("The Sonobuoy aggregator is in the '{state}' state. Use kubectl to debug further.").into(),
            (other, _) => format!("The Sonobuoy aggregator is in the '{other}' state.").into(),
        };
        printer.line(&sentence)?;
        if let Some(why) = &self.why {
            printer.note(&format!("aggregator: {why}"));
        }
        if self.code() == exit::FAILURE && self.pull.is_none() {
            printer.note(&format!("hint: {}", command_hint("logs -p sonobuoy")));
        }
        Ok(())
    }

    fn code(&self) -> u8 {
        if matches!(self.phase, "Failed" | "Unknown") || self.pull.is_some() {
            exit::FAILURE
        } else {
            exit::SUCCESS
        }
    }
}

/// Message about a failed image pull of any container of the pod.
fn pull_message(pod: &Pod) -> Option<&str> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses);
    containers.flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let pulls = matches!(waiting.reason.as_deref(), Some("ErrImagePull" | "ImagePullBackOff"));
        pulls.then(|| waiting.message.as_deref().unwrap_or_default())
    })
}
