//! Results of an archive as one document.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;
use sono_bundle::Bundle;
use sono_results::{Health, junit_report};
use sono_types::{constants::HEALTH_PLUGIN, yaml};

use super::{
    gather::{Gathered, LeafDocument, Part, Plugin},
    health, log_command,
    marks::{self, Marked, SinceDocument, WaivedDocument},
    redaction, statuses,
};
use crate::{
    args::ResultsOutput,
    error::CliError,
    judgement,
    output::{Format, Printer},
    view::archive::{self, Overview, PluginOverview},
};

/// Results to print.
pub(super) struct Report<'a> {
    gathered: &'a Gathered,
    plugins: Vec<(&'a str, &'a Plugin)>,
    health: Option<Health>,
    status: &'static str,
    marked: Option<&'a Marked>,
}

impl<'a> Report<'a> {
    /// Collects the results, and errors of single plugins.
    pub(super) fn of(gathered: &'a Gathered, marked: Option<&'a Marked>) -> (Self, Vec<CliError>) {
        let mut failures: Vec<CliError> = Vec::new();
        let plugins: Vec<_> = gathered
            .names
            .iter()
            .filter(|name| *name != HEALTH_PLUGIN)
            .filter_map(|name| match gathered.plugin(name) {
                Ok(plugin) => Some((name.as_str(), plugin)),
                Err(error) => {
                    failures.push(error);
                    None
                }
            })
            .collect();
        let health = health(gathered).unwrap_or_else(|error| {
            failures.push(error);
            None
        });
        let report = Self {
            gathered,
            plugins,
            health,
            status: judgement::overall_status(marks::statuses(marked, statuses(gathered)).iter().map(String::as_str)),
            marked,
        };
        (report, failures)
    }

    pub(super) fn overview(&self, archive: Option<&'a str>) -> Overview<'_> {
        let plugins = self.plugins.iter().filter_map(|(name, plugin)| match &plugin.part {
            Part::Summary(summary, listed) => Some(PluginOverview {
                name,
                status: self.status_of(name, &summary.status),
                summary,
                listed: listed.as_deref().unwrap_or_default(),
            }),
            _ => None,
        });
        Overview {
            run: self.gathered.run.as_deref(),
            status: self.status,
            plugins: plugins.collect(),
            health: self.health.as_ref(),
            archive,
            marks: self.marked.map(|marked| &marked.marks),
        }
    }

    fn status_of<'s>(&'s self, plugin: &str, status: &'s str) -> &'s str {
        self.marked.map_or(status, |marked| marked.status(plugin, status))
    }
}

/// Prints the results. `shown` is the archive in suggested commands. Returns errors of single plugins.
pub(super) fn print(
    bundle: &Bundle,
    shown: &str,
    (gathered, marked): (&Gathered, Option<&Marked>),
    output: ResultsOutput,
    printer: &Printer,
) -> Result<Vec<CliError>, CliError> {
    let (report, failures) = Report::of(gathered, marked);
    let (plugins, health, status) = (&report.plugins, &report.health, report.status);
    match output {
        ResultsOutput::Table | ResultsOutput::Markdown => {
            let name = file_name(bundle.path());
            let overview = report.overview(name.as_deref());
            if output == ResultsOutput::Markdown {
                let mut markdown = archive::markdown(&overview, archive::MAX_FAILURES_IN_MARKDOWN);
                markdown.push(redaction::paragraph(gathered.redaction.as_deref()));
                printer.markdown(&markdown)?;
            } else {
                printer.line(&archive::table(&overview, printer.is_screen()))?;
                if let Some(sentence) = &gathered.redaction {
                    printer.note(&format!("redaction: {sentence}"));
                }
                if overview.has_logs() {
                    printer.note(&format!("hint: for the full logs: {}", log_command(shown)));
                }
                if printer.is_screen() && overview.has_failures() {
                    printer.note(&format!(
                        "hint: for all details: sono results {shown} --skip-passed -o json"
                    ));
                }
            }
        }
        ResultsOutput::Junit => {
            let suites = plugins.iter().filter_map(|(name, plugin)| match &plugin.part {
                Part::Junit(suite) => Some((*name, suite)),
                _ => None,
            });
            printer.document(Format::Xml, &junit_report(suites))?;
        }
        ResultsOutput::Json | ResultsOutput::Yaml => {
            let plugins = plugins.iter().filter_map(|(name, plugin)| match &plugin.part {
                Part::Leaves(counts, items) => Some(PluginDocument {
                    plugin: name,
                    name: &plugin.root.name,
                    status: report.status_of(name, &plugin.root.status),
                    counts,
                    items,
                }),
                _ => None,
            });
            let document = Document {
                run: gathered.run.as_deref(),
                status,
                plugins: plugins.collect(),
                health: health.as_ref(),
                waived: marked.and_then(Marked::waived_document),
                since: marked.and_then(Marked::since_document),
            };
            let unwritable = |error: String| CliError::new("cannot write the results").details([error]);
            let (format, written) = if output == ResultsOutput::Json {
                (
                    Format::Json,
                    serde_json::to_string(&document).map_err(|error| error.to_string()),
                )
            } else {
                (
                    Format::Yaml,
                    yaml::to_string(&document).map_err(|error| error.to_string()),
                )
            };
            let mut text = written.map_err(unwritable)?;
            if !text.ends_with('\n') {
                text.push('\n');
            }
            printer.document(format, &text)?;
        }
    }
    Ok(failures)
}

/// File name of the archive; `None` for a directory.
pub(super) fn file_name(path: &Path) -> Option<String> {
    let name = path.file_name().filter(|_| path.is_file())?;
    Some(name.to_string_lossy().into_owned())
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a str>,
    status: &'a str,
    plugins: Vec<PluginDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<&'a Health>,
    /// Waived failures, with --waivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    waived: Option<Vec<WaivedDocument<'a>>>,
    /// Changes since an earlier run, with --since.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<SinceDocument<'a>>,
}

#[derive(Serialize)]
struct PluginDocument<'a> {
    plugin: &'a str,
    /// Item selected by --node, or the plugin.
    name: &'a str,
    status: &'a str,
    counts: &'a BTreeMap<String, u64>,
    items: &'a [LeafDocument],
}
