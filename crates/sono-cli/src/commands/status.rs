//! `sono status`.

mod document;
mod no_status;
mod outage;

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use serde::Serialize;
use sono_kube::{Cluster, Pod, PodView, stuck};
use sono_types::{OverallStatus, RunStatus, constants, exit, status::folded_count, yaml};
use tokio::io::AsyncReadExt as _;

pub(super) use self::document::RowState;
use self::{document::Document, no_status::NoStatus, outage::Outage};
use super::{list, obstacles};
use crate::{
    aggregator::{self, FoundRun, WhichRun, phase, status_of},
    args::{self, GivenFlags, ListOutput, StatusOutput},
    clock::now,
    error::{CliError, Retry},
    judgement,
    output::{Format, Printer, markdown},
    settings::{command_hint, connect},
    view::{
        failed_log::{self, FailedLog},
        obstacles::{Obstacle, sentences},
        overview, table,
    },
};

/// Maximum size of a full status.
const MAX_STATUS_BYTES: u64 = 256 << 20;

/// Interval of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Time limit of `--watch` for a first status while the API server fails.
const FIRST_STATUS_LIMIT: Duration = Duration::from_secs(30);
/// Time limit of an outage of the API server after that.
const OUTAGE_LIMIT: Duration = Duration::from_mins(10);

pub(super) async fn status(arguments: args::Status, given: &GivenFlags, printer: &Printer) -> Result<u8, CliError> {
    if arguments.all_namespaces {
        let output = match arguments.output {
            None | Some(StatusOutput::Table) => ListOutput::Table,
            Some(StatusOutput::Json) => ListOutput::Json,
            Some(StatusOutput::Yaml) => ListOutput::Yaml,
            Some(StatusOutput::Markdown) => {
                return Err(
                    CliError::new("--all-namespaces does not support the output format markdown")
                        .hint("use table, json or yaml"),
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
        is_announced: Cell::new(false),
    };
    let mut shown: Option<Vec<String>> = None;
    let mut outage = Outage::default();
    loop {
        let snapshot = match command.fetch(&cluster).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let limit = match (error.retry(), &shown) {
                    (Retry::Never, _) | (Retry::AfterAnAnswer, None) => Duration::ZERO,
                    (Retry::Always, None) => FIRST_STATUS_LIMIT,
                    (_, Some(_)) => OUTAGE_LIMIT,
                };
                let may_retry = arguments.watch && !printer.is_broken();
                if !may_retry || outage.duration(Instant::now()) >= limit {
                    return Err(error);
                }
                if let Some(note) = outage.note(error, Instant::now()) {
                    printer.note(&note);
                }
                tokio::time::sleep(outage.pause()).await;
                continue;
            }
        };
        outage.end();
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
        logs: Vec<FailedLog>,
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
            Self::NoStatus(NoStatus { phase, pull, why, .. }) => {
                let why = why.as_ref().map(|why| why.message.clone());
                [Some(phase.clone()), pull.clone(), why].into_iter().flatten().collect()
            }
        }
    }

    fn is_final(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status.status, OverallStatus::Complete | OverallStatus::Failed),
            Self::NoStatus(no_status) => {
                !no_status.is_replaced && matches!(no_status.phase.as_str(), "Succeeded" | "Failed")
            }
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
    /// Whether the selected run was printed.
    is_announced: Cell<bool>,
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

    async fn fetch(&self, cluster: &Cluster) -> Result<Snapshot, CliError> {
        let (namespace, run) = (self.arguments.location.namespace.as_str(), self.arguments.run.as_ref());
        let found = aggregator::find(cluster, namespace, WhichRun::of(run)).await?;
        if run.is_none() && !self.is_announced.replace(true) {
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
                .transient()
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
        let logs = if matches!(self.form, Form::Annotation) {
            Vec::new()
        } else {
            let found = obstacles::outputs(cluster, namespace, &obstacles).await;
            let log = |(obstacle, output)| FailedLog::new(obstacle, output, &|command| self.command_hint(command));
            found.into_iter().map(log).collect()
        };
        let aggregator = stuck::explain(&PodView::from(&*pod), now());
        Ok(Snapshot::Status {
            status: Box::new(status),
            obstacles,
            logs,
            aggregator: RowState::new(&phase(&pod).to_ascii_lowercase(), aggregator.as_ref()),
        })
    }

    fn show(&self, snapshot: &Snapshot) -> Result<(), CliError> {
        let printer = self.printer;
        let (status, obstacles, aggregator, logs) = match snapshot {
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
                logs,
            } => (status, obstacles, aggregator, logs),
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
                let logs = logs.iter().flat_map(FailedLog::lines);
                for note in notes.chain(sentences(obstacles, time)).chain(logs) {
                    printer.note(&note);
                }
                Ok(())
            }
            Form::Annotation => print_document(Format::Json, status, printer),
            Form::Output(output @ (StatusOutput::Json | StatusOutput::Yaml)) => {
                let document = Document::new(status, obstacles, aggregator, logs);
                print_document(format_of(output), &document, printer)
            }
            Form::Output(StatusOutput::Markdown) => {
                let lines = overview::lines(status, obstacles, self.arguments.show_all, time);
                let text = overview::markdown(status, &lines);
                printer.markdown(&markdown![text, failed_log::section(logs)])
            }
            Form::Output(StatusOutput::Table) => {
                let lines = overview::lines(status, obstacles, self.arguments.show_all, time);
                printer.line(&overview::table(&lines))?;
                for line in logs.iter().flat_map(FailedLog::lines) {
                    printer.note(&line);
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
            (OverallStatus::Running, None) => format!("run in progress; to attach: {}", self.command_hint("wait")),
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
pub(super) fn print_document(format: Format, document: &impl Serialize, printer: &Printer) -> Result<(), CliError> {
    if matches!(format, Format::Yaml) {
        let text = yaml::to_string(document)
            .map_err(|error| CliError::new("cannot write the output as YAML").details([error.to_string()]))?;
        return printer.document(format, &format!("{}\n", text.trim_end()));
    }
    let text = serde_json::to_string(document);
    let text = text.map_err(|error| CliError::new("cannot write the output as JSON").caused_by(&error))?;
    printer.document(format, &(text + "\n"))
}

fn format_of(output: StatusOutput) -> Format {
    if output == StatusOutput::Yaml {
        Format::Yaml
    } else {
        Format::Json
    }
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
