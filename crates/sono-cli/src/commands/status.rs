//! `sono status`.

mod document;

use std::time::Duration;

use serde::Serialize;
use sono_kube::{Cluster, Pod, PodView, stuck, stuck::Explanation};
use sono_types::{OverallStatus, RunStatus, constants, exit, status::folded_count, yaml};
use tokio::io::AsyncReadExt as _;

use self::document::{Document, NoStatusDocument, RowState};
use super::{list, obstacles};
use crate::{
    aggregator::{self, FoundRun, WhichRun, phase, status_of},
    args::{self, GivenFlags, ListOutput, StatusOutput},
    clock::now,
    error::CliError,
    judgement,
    output::{Format, Markdown, Printer, Text, markdown, text},
    settings::{command_hint, connect},
    view::{
        obstacles::{Obstacle, output as view_output, sentences},
        overview, table,
    },
};

/// Maximum size of a full status.
const MAX_STATUS_BYTES: u64 = 256 << 20;

/// Interval of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn status(arguments: args::Status, given: &GivenFlags, printer: &Printer) -> Result<u8, CliError> {
    if arguments.all_namespaces {
        let output = match arguments.output {
            None | Some(StatusOutput::Table) => ListOutput::Table,
            Some(StatusOutput::Json) => ListOutput::Json,
            Some(StatusOutput::Yaml) => ListOutput::Yaml,
            Some(StatusOutput::Markdown) => {
                return Err(
                    CliError::new("--all-namespaces has no output format markdown").hint("use table, json or yaml")
                );
            }
        };
        let cluster = arguments.location.cluster;
        return list::list(args::List { cluster, output }, printer).await;
    }
    let cluster = connect(&arguments.location.cluster).await?;
    let form = match (arguments.output, arguments.json) {
        (Some(output), _) => Form::Output(output),
        (None, true) => Form::Annotation,
        (None, false) if printer.is_screen() => Form::Output(StatusOutput::Table),
        (None, false) => Form::Text,
    };
    let command = StatusCommand {
        arguments: &arguments,
        given,
        form,
        printer,
    };
    let mut shown: Option<Vec<String>> = None;
    loop {
        let snapshot = command.fetch(&cluster, shown.is_none()).await?;
        let fingerprint = snapshot.fingerprint();
        if shown.as_ref() != Some(&fingerprint) {
            command.show(&snapshot)?;
            shown = Some(fingerprint);
        }
        if !arguments.watch || snapshot.is_final() || printer.is_broken() {
            return Ok(snapshot.code(arguments.exit_code));
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

/// Run at one time.
enum Snapshot {
    Status {
        status: Box<RunStatus>,
        obstacles: Vec<Obstacle>,
        aggregator: RowState,
        /// Ends of the logs of failed containers.
        outputs: Vec<String>,
    },
    NoStatus(NoStatus),
}

impl Snapshot {
    /// Texts that change with the snapshot, without the passing of time.
    fn fingerprint(&self) -> Vec<String> {
        match self {
            Self::Status { status, obstacles, .. } => {
                let status = serde_json::to_string(status).unwrap_or_default();
                obstacles.iter().map(Obstacle::key).chain([status]).collect()
            }
            Self::NoStatus(NoStatus { phase, pull, why }) => {
                let why = why.as_ref().map(|why| why.message.clone());
                [Some(phase.clone()), pull.clone(), why].into_iter().flatten().collect()
            }
        }
    }

    fn is_final(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status.status, OverallStatus::Complete | OverallStatus::Failed),
            Self::NoStatus(no_status) => matches!(no_status.phase.as_str(), "Succeeded" | "Failed"),
        }
    }

    /// Exit code; `by_outcome` is the flag `--exit-code`.
    fn code(&self, by_outcome: bool) -> u8 {
        match self {
            Self::Status { status, .. } if by_outcome => judgement::of_run(status),
            Self::Status { status, .. } if status.status == OverallStatus::Failed => exit::FAILURE,
            Self::Status { .. } => exit::SUCCESS,
            Self::NoStatus(no_status) => match (by_outcome, no_status.code()) {
                (false, code) => code,
                (true, exit::SUCCESS) if no_status.phase != "Succeeded" => exit::NOT_COMPLETE,
                (true, _) => exit::RUN_FAILED,
            },
        }
    }
}

/// The command, resolved.
struct StatusCommand<'a> {
    arguments: &'a args::Status,
    given: &'a GivenFlags,
    form: Form,
    printer: &'a Printer,
}

impl StatusCommand<'_> {
    fn command_hint(&self, command: &str) -> String {
        let args::RunLocation { namespace, cluster } = &self.arguments.location;
        let text = command_hint(command, namespace, cluster);
        match text.strip_prefix("sono ") {
            Some(rest) => format!("{} {rest}", self.given.program()),
            None => text,
        }
    }

    async fn fetch(&self, cluster: &Cluster, is_first: bool) -> Result<Snapshot, CliError> {
        let (namespace, run) = (self.arguments.location.namespace.as_str(), self.arguments.run.as_ref());
        let found = aggregator::find(cluster, namespace, WhichRun::of(run)).await?;
        if run.is_none() && is_first {
            found.announce(namespace, self.printer);
        }
        let FoundRun {
            identity,
            pod,
            uncreated,
            ..
        } = found;
        let Some(pod) = pod else {
            return Ok(Snapshot::NoStatus(NoStatus::without_pod(uncreated)));
        };
        let Some(status) = status_of(&pod).filter(|_| phase(&pod) == "Running") else {
            return Ok(Snapshot::NoStatus(NoStatus::of(&pod)));
        };
        let mut status = status.map_err(|error| {
            CliError::new("cannot read the status annotation of the aggregator's pod")
                .caused_by(&error)
                .hint(format!(
                    "try again, since a running aggregator rewrites it; for details: {}",
                    self.command_hint("logs -p sonobuoy")
                ))
        })?;
        let every_row = self.arguments.show_all
            || matches!(
                self.form,
                Form::Annotation | Form::Output(StatusOutput::Json | StatusOutput::Yaml)
            );
        if every_row && status.rows().iter().any(|row| folded_count(&row.node).is_some()) {
            match whole_status(cluster, namespace, &pod).await {
                Ok(whole) => status = whole,
                Err(error) => self.printer.note(&format!(
                    "cannot fetch the full status (showing a summary): {}",
                    error.lines().join(": ")
                )),
            }
        }
        let obstacles = if status.status == OverallStatus::Running {
            obstacles::of_plugins(cluster, namespace, &identity).await
        } else {
            Vec::new()
        };
        let mut outputs = Vec::new();
        if matches!(self.form, Form::Text | Form::Output(StatusOutput::Table)) {
            for (obstacle, output) in obstacles::outputs(cluster, namespace, &obstacles).await {
                outputs.extend(view_output(obstacle, &output, &|command| self.command_hint(command)));
            }
        }
        let aggregator = stuck::explain(&PodView::from(&*pod), now());
        Ok(Snapshot::Status {
            status: Box::new(status),
            obstacles,
            outputs,
            aggregator: RowState::new(&phase(&pod).to_ascii_lowercase(), aggregator.as_ref()),
        })
    }

    fn show(&self, snapshot: &Snapshot) -> Result<(), CliError> {
        let printer = self.printer;
        let (status, obstacles, aggregator, outputs) = match snapshot {
            Snapshot::NoStatus(no_status) => {
                return match self.form {
                    Form::Output(output) if output != StatusOutput::Table => no_status.document(output, printer),
                    _ => no_status.prose(self),
                };
            }
            Snapshot::Status {
                status,
                obstacles,
                aggregator,
                outputs,
            } => (status, obstacles, aggregator, outputs),
        };
        let time = now();
        match self.form {
            Form::Text => {
                let last = if self.given.as_sonobuoy() {
                    table::sentence(&status.status)
                } else {
                    self.next(status, obstacles)
                };
                printer.line(&if self.arguments.show_all {
                    table::all(status, &last)
                } else {
                    table::summary(status, &last)
                })?;
                let notes = overview::gaps(status).into_iter().chain(overview::reasons(status));
                for note in notes.chain(sentences(obstacles, time)).chain(outputs.iter().cloned()) {
                    printer.note(&note);
                }
                Ok(())
            }
            Form::Annotation => print_document(StatusOutput::Json, status, printer),
            Form::Output(output @ (StatusOutput::Json | StatusOutput::Yaml)) => {
                print_document(output, &Document::new(status, obstacles, aggregator), printer)
            }
            Form::Output(StatusOutput::Markdown) => {
                let lines = overview::lines(status, obstacles, self.arguments.show_all, time);
                printer.markdown(&overview::markdown(status, &lines))
            }
            Form::Output(StatusOutput::Table) => {
                let lines = overview::lines(status, obstacles, self.arguments.show_all, time);
                printer.line(&overview::table(&lines))?;
                for line in outputs {
                    printer.note(line);
                }
                printer.note(&self.next(status, obstacles));
                Ok(())
            }
        }
    }

    /// Suggested next command.
    fn next(&self, status: &RunStatus, obstacles: &[Obstacle]) -> String {
        match (&status.status, obstacles.first()) {
            (OverallStatus::Running, Some(obstacle)) => format!(
                "hint: for details: {}; to cancel the run: {}",
                self.command_hint(&format!("logs -p {}", obstacle.plugin.as_deref().unwrap_or("sonobuoy"))),
                self.command_hint("delete")
            ),
            (OverallStatus::Running, None) => format!("run running; to attach: {}", self.command_hint("wait")),
            (OverallStatus::PostProcessing, _) => {
                format!("packing results; to wait for them: {}", self.command_hint("wait"))
            }
            (OverallStatus::Complete, _) => {
                format!("run complete; to get the results: {}", self.command_hint("retrieve"))
            }
            (OverallStatus::Failed, _) if !status.withheld.is_empty() => {
                format!("the archive is withheld: {}", status.withheld)
            }
            (OverallStatus::Failed, _) => {
                format!("run failed; for the reason: {}", self.command_hint("logs -p sonobuoy"))
            }
            (OverallStatus::Other(word), _) => format!("run in an unknown state: {word}"),
        }
    }
}

/// Prints a document as YAML or JSON.
fn print_document(output: StatusOutput, document: &impl Serialize, printer: &Printer) -> Result<(), CliError> {
    if output == StatusOutput::Yaml {
        let text = yaml::to_string(document)
            .map_err(|error| CliError::new("cannot write the status as YAML").details([error.to_string()]))?;
        return printer.document(Format::Yaml, &format!("{}\n", text.trim_end()));
    }
    let text = serde_json::to_string(document);
    let text = text.map_err(|error| CliError::new("cannot write the status as JSON").caused_by(&error))?;
    printer.document(Format::Json, &(text + "\n"))
}

#[derive(Debug, Clone, Copy)]
enum Form {
    /// Sonobuoy's text, for scripts.
    Text,
    /// Sonobuoy's JSON, for scripts.
    Annotation,
    Output(StatusOutput),
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
struct NoStatus {
    /// Phase of its pod; `Pending` before it is created.
    phase: String,
    /// Message about a failed image pull.
    pull: Option<String>,
    /// Obstacle of the pod.
    why: Option<Explanation>,
}

impl NoStatus {
    fn of(pod: &Pod) -> Self {
        Self {
            phase: phase(pod).to_owned(),
            pull: pull_message(pod).map(str::to_owned),
            why: stuck::explain(&PodView::from(pod), now()),
        }
    }

    fn without_pod(why: Option<String>) -> Self {
        Self {
            phase: "Pending".to_owned(),
            pull: None,
            why: why.map(|why| obstacles::of_uncreated(why).why),
        }
    }

    /// `status` is the pod's phase.
    fn document(&self, output: StatusOutput, printer: &Printer) -> Result<(), CliError> {
        let state = self.phase.to_ascii_lowercase();
        let why = self.why.as_ref().map(|why| why.text(now()));
        match output {
            StatusOutput::Json | StatusOutput::Yaml => {
                let aggregator = RowState::new(&state, self.why.as_ref());
                print_document(output, &NoStatusDocument::new(&state, why, aggregator), printer)
            }
            StatusOutput::Markdown | StatusOutput::Table => {
                let why = why.map(|why| markdown!["\n", Markdown::text(&why), "\n"]);
                printer.markdown(&markdown![
                    "## Run ",
                    Markdown::text(&state),
                    "\n",
                    why.unwrap_or_default()
                ])
            }
        }
    }

    /// Text for people; for scripts that call `sonobuoy`, its sentences on standard output and the reason on standard
    /// error.
    fn prose(&self, command: &StatusCommand<'_>) -> Result<(), CliError> {
        let printer = command.printer;
        let command_hint = |text: &str| command.command_hint(text);
        let state = (self.phase.as_str(), self.pull.as_deref());
        let why = self.why.as_ref().map(|why| why.text(now()));
        if !command.given.as_sonobuoy() {
            let why = why.unwrap_or_else(|| self.usual_reason().to_owned());
            printer.line(&format!("aggregator {}: {why}", self.phase.to_ascii_lowercase()))?;
            let hint = match state {
                ("Pending", Some(_)) => format!(
                    "use another image with --sonobuoy-image or --registry; to cancel the run: {}",
                    command_hint("delete")
                ),
                ("Pending" | "Running", None) => format!(
                    "to attach: {}; to cancel the run: {}",
                    command_hint("wait"),
                    command_hint("delete")
                ),
                _ => command_hint("logs -p sonobuoy"),
            };
            printer.note(&format!("hint: {hint}"));
            return Ok(());
        }
        let sentence = match state {
            ("Running", _) => Text::own("The Sonobuoy aggregator is running but is unable to obtain the plugin status information.\n\nIf this state persists, use kubectl to debug further."),
            ("Pending", Some(message)) => text![Text::own("The Sonobuoy aggregator is in the 'Pending' state and the container seems unable to pull the image.\n\nPod has the attached message: "), message],
            ("Pending", None) => "The Sonobuoy aggregator is in the 'Pending' state. This is normal as the pod is created and begins to run, but if this state persists, use kubectl to debug further.".into(),
            ("Succeeded", _) => "The Sonobuoy aggregator ran successfully but has stopped. If you didn't intend for this to happen, submit a bug to github.com/vmware-tanzu/sonobuoy/issues.".into(),
            (state @ ("Failed" | "Unknown"), _) => format!("The Sonobuoy aggregator is in the '{state}' state. Use kubectl to debug further.").into(),
            (other, _) => format!("The Sonobuoy aggregator is in the '{other}' state.").into(),
        };
        printer.line(&sentence)?;
        if let Some(why) = why {
            printer.note(&format!("aggregator: {why}"));
        }
        if self.code() == exit::FAILURE && self.pull.is_none() {
            printer.note(&format!("hint: {}", command_hint("logs -p sonobuoy")));
        }
        Ok(())
    }

    /// Reason for a phase without an obstacle.
    fn usual_reason(&self) -> &'static str {
        match self.phase.as_str() {
            "Pending" => "its pod is being created or replaced",
            "Running" => "it has not reported a status yet",
            "Succeeded" => "it ended before the run was complete",
            _ => "unknown reason",
        }
    }

    fn code(&self) -> u8 {
        if matches!(self.phase.as_str(), "Failed" | "Unknown") || self.pull.is_some() {
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
