//! A run whose aggregator has not reported a status.

use sono_kube::{Pod, PodView, stuck, stuck::Explanation};
use sono_types::exit;

use super::{
    StatusCommand,
    document::{NoStatusDocument, RowState},
    format_of, print_document,
};
use crate::{
    aggregator::{self, phase},
    args::StatusOutput,
    clock::now,
    commands::obstacles,
    error::CliError,
    output::{Markdown, Printer, Text, markdown, text},
};

/// Aggregator without a status yet.
pub(super) struct NoStatus {
    /// Phase of its pod; `Pending` before it is created.
    pub(super) phase: String,
    /// Message about a failed image pull.
    pub(super) pull: Option<String>,
    /// Obstacle of the pod.
    pub(super) why: Option<Explanation>,
    /// Whether a controller replaces the pod.
    pub(super) is_replaced: bool,
}

impl NoStatus {
    pub(super) fn of(pod: &Pod) -> Self {
        Self {
            phase: phase(pod).to_owned(),
            pull: pull_message(pod).map(str::to_owned),
            why: stuck::explain(&PodView::from(pod), now()),
            is_replaced: aggregator::is_replaced(pod),
        }
    }

    pub(super) fn without_pod(why: Option<String>) -> Self {
        Self {
            phase: "Pending".to_owned(),
            pull: None,
            why: why.map(|why| obstacles::of_uncreated(why).why),
            is_replaced: true,
        }
    }

    /// `status` is the pod's phase.
    pub(super) fn document(&self, output: StatusOutput, printer: &Printer) -> Result<(), CliError> {
        let state = self.phase.to_ascii_lowercase();
        let why = self.why.as_ref().map(|why| why.text(now()));
        match output {
            StatusOutput::Json | StatusOutput::Yaml => {
                let aggregator = RowState::new(&state, self.why.as_ref());
                print_document(
                    format_of(output),
                    &NoStatusDocument::new(&state, why, aggregator),
                    printer,
                )
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
    pub(super) fn prose(&self, command: &StatusCommand<'_>) -> Result<(), CliError> {
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

    pub(super) fn code(&self) -> u8 {
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
