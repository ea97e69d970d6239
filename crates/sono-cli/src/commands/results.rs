//! `sono results`: the results in an archive (cli §12).

mod budget;
mod documents;
mod gather;
mod marks;
mod redaction;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, Read},
    ops::ControlFlow,
    path::Path,
};

use sono_bundle::{Bundle, ReadLimits};
use sono_results::{Health, Selection, health_lines, read_tree, stream_yaml};
use sono_types::{constants::HEALTH_PLUGIN, exit, layout, yaml};

use self::{
    gather::{Gathered, Part, PartKind, Piece, Plugin, Request, gather},
    marks::{MarkRequest, Marked},
};
use super::{archive_input::ArchiveInput, step_summary};
use crate::{
    args::{self, ResultsMode, ResultsOutput, WhyOutput},
    error::CliError,
    go_regex, judgement,
    output::{Format, Markdown, Printer, Text as Printed, markdown},
    view::{archive, why},
};

/// Buffer size for copying files.
const CHUNK_BYTES: usize = 64 << 10;

pub(super) fn results(arguments: &args::Results, printer: &Printer) -> Result<u8, CliError> {
    let input = ArchiveInput::of(arguments.archive.as_deref(), arguments.no_limits, printer)?;
    input.read(|archive, shown| of_archive(archive, shown, arguments, printer))
}

/// Prints the results. `shown` is the archive in suggested commands.
fn of_archive(archive: &Path, shown: &str, arguments: &args::Results, printer: &Printer) -> Result<u8, CliError> {
    let args::Results {
        archive: _,
        plugin,
        mode,
        node,
        skip_prefix,
        output,
        name,
        status,
        skip_passed,
        exit_code,
        no_limits,
        why,
        since: _,
        waivers: _,
        place: _,
    } = arguments;
    let request = MarkRequest::of(arguments);
    let form = match (mode, output) {
        (Some(mode), _) => Form::Text(*mode),
        (None, Some(output)) => Form::Document(*output),
        (None, None) if printer.is_screen() || request.is_any() => Form::Document(ResultsOutput::Table),
        (None, None) => Form::Text(ResultsMode::Report),
    };
    if request.is_any() {
        form.check_marks()?;
    }
    let causes = why.then(|| form.causes()).transpose()?;
    let selection = Selection {
        name: name
            .as_deref()
            .map(|text| go_regex::compile("--name", text))
            .transpose()?,
        statuses: status.clone(),
        skip_passed: *skip_passed,
    };
    let bundle = Bundle::open(archive).map_err(|error| CliError::of_archive(error.to_string(), &error))?;
    let bundle = bundle.with_limits(if *no_limits {
        ReadLimits::NONE
    } else {
        ReadLimits::DEFAULT
    });
    let marked = request
        .is_any()
        .then(|| Marked::of(&bundle, &request, printer))
        .transpose()?;
    let gathered = gather(
        &bundle,
        &Request {
            plugin: plugin.as_deref(),
            node: node.as_deref(),
            selection: &selection,
            part: form.part(),
            run: matches!(form, Form::Document(_)),
            log_command: &log_command(shown),
        },
    )?;
    let failures = match form {
        Form::Text(mode) => {
            let text = Text {
                bundle: &bundle,
                gathered: &gathered,
                mode,
                skip_prefix: *skip_prefix,
                printer,
            };
            let failures = text.print()?;
            text.print_logs(&log_command(shown));
            failures
        }
        Form::Document(output) => documents::print(&bundle, shown, (&gathered, marked.as_ref()), output, printer)?,
    };
    let is_whole = node.is_none() && name.is_none() && status.is_empty();
    if let Some(output) = causes {
        super::why::print_causes(&bundle, shown, plugin.as_deref(), output, printer)?;
    } else if let (true, Ok(output)) = (is_whole, form.causes()) {
        super::why::print_stored(&gathered.causes.why, output, shown, printer)?;
    }
    for left_out in &gathered.left_out {
        printer.note(&format!("{}: not on {left_out}", left_out.plugin));
    }
    if is_whole && plugin.is_none() && !skip_passed && form.is_for_step_summary() {
        step_summary::of_archive(archive, printer);
    }
    all_of(failures, printer)?;
    let is_selected = name.is_some() || !status.is_empty();
    if is_selected && gathered.matches() == Some(0) {
        let by_status: Vec<String> = status.iter().map(|status| format!("--status {status}")).collect();
        let by_name = name.iter().map(|name| format!("--name '{name}'"));
        printer.note(&format!(
            "note: no result matches {}",
            by_name.chain(by_status).collect::<Vec<_>>().join(" and ")
        ));
    }
    if !exit_code {
        return Ok(exit::SUCCESS);
    }
    verdict(&gathered, marked.as_ref(), plugin.as_deref())
}

/// Fails with the last error after the others are printed.
fn all_of(failures: Vec<CliError>, printer: &Printer) -> Result<(), CliError> {
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else { return Ok(()) };
    Err(failures.fold(first, |before, error| {
        printer.error(&before);
        error
    }))
}

/// The exit code for the results, or for the cluster's health if only that is requested.
fn verdict(gathered: &Gathered, marked: Option<&Marked>, plugin: Option<&str>) -> Result<u8, CliError> {
    if plugin == Some(HEALTH_PLUGIN) {
        return Ok(match health(gathered)? {
            None => exit::RESULTS_UNKNOWN,
            Some(health) if is_healthy(&health) => exit::SUCCESS,
            Some(_) => exit::RESULTS_FAILED,
        });
    }
    let statuses = marks::statuses(marked, statuses(gathered));
    Ok(judgement::of_results(statuses.iter().map(String::as_str)))
}

/// Command that prints the logs of failed containers.
fn log_command(archive: &str) -> String {
    format!("sono logs --archive {archive} --failed")
}

fn is_healthy(health: &Health) -> bool {
    [&health.node_health, &health.pod_health]
        .iter()
        .all(|part| part.healthy_nodes == part.total_nodes)
}

/// Statuses of the readable plugins by name.
fn statuses(gathered: &Gathered) -> BTreeMap<String, String> {
    let plugins = gathered
        .names
        .iter()
        .filter_map(|name| Some((name, gathered.plugin(name).ok()?)));
    let status = |plugin: &Plugin| match &plugin.part {
        // Its text is not parsed before.
        Part::Text(text) => stream_yaml(text.as_slice(), &mut |_| {})
            .ok()
            .or_else(|| read_tree(text, None).ok())
            .map(|root| root.status)
            .unwrap_or_default(),
        _ => plugin.root.status.clone(),
    };
    plugins.map(|(name, plugin)| (name.clone(), status(plugin))).collect()
}

#[derive(Debug, Clone, Copy)]
enum Form {
    /// Sonobuoy's output.
    Text(ResultsMode),
    Document(ResultsOutput),
}

impl Form {
    /// Format of the causes below the failures.
    fn causes(self) -> Result<WhyOutput, CliError> {
        match self {
            Self::Text(ResultsMode::Report) | Self::Document(ResultsOutput::Table) => Ok(WhyOutput::Table),
            Self::Document(ResultsOutput::Markdown) => Ok(WhyOutput::Markdown),
            Self::Text(_) | Self::Document(_) => Err(CliError::new("--why requires a report, a table or Markdown")
                .hint("for programs: sono why ARCHIVE -o json")),
        }
    }

    /// Fails if the format cannot show marks of failures.
    fn check_marks(self) -> Result<(), CliError> {
        match self {
            Self::Text(_) | Self::Document(ResultsOutput::Junit) => Err(CliError::new(
                "--since and --waivers require a table, Markdown, JSON or YAML",
            )
            .hint("use -o table, -o markdown, -o json or -o yaml")),
            Self::Document(_) => Ok(()),
        }
    }

    /// Whether a step summary is written too. Users of Markdown output write it themselves.
    fn is_for_step_summary(self) -> bool {
        match self {
            Self::Text(mode) => mode == ResultsMode::Report,
            Self::Document(output) => output != ResultsOutput::Markdown,
        }
    }

    fn part(self) -> PartKind {
        match self {
            Self::Text(ResultsMode::Report) => PartKind::Tally,
            Self::Text(ResultsMode::Detailed) => PartKind::Pieces,
            // Only their files are printed.
            Self::Text(ResultsMode::Readable | ResultsMode::Dump) => PartKind::Text,
            Self::Document(ResultsOutput::Table | ResultsOutput::Markdown) => PartKind::Summary,
            Self::Document(ResultsOutput::Json | ResultsOutput::Yaml) => PartKind::Leaves,
            Self::Document(ResultsOutput::Junit) => PartKind::Junit,
        }
    }
}

/// Results of an archive in Markdown.
pub(super) struct MarkdownForms {
    /// The run's UUID.
    pub(super) run: Option<String>,
    /// Forms, the longest first.
    pub(super) forms: Vec<Markdown>,
}

/// Results of an archive for the summary of a CI job.
pub(super) fn in_markdown(archive: &Path) -> Result<MarkdownForms, CliError> {
    let bundle = Bundle::open(archive).map_err(|error| CliError::new(error.to_string()).caused_by(&error))?;
    let selection = Selection::default();
    let request = Request {
        plugin: None,
        node: None,
        selection: &selection,
        part: PartKind::Summary,
        run: true,
        log_command: "",
    };
    let gathered = gather(&bundle, &request)?;
    let (shown, failures) = documents::Report::of(&gathered, None);
    let mut forms = step_summary::forms(&shown.overview(documents::file_name(archive).as_deref()));
    for form in &mut forms {
        if gathered.causes.why.explained > 0 {
            form.push(markdown!["\n", why::markdown(&gathered.causes.why, None)]);
        }
        form.push(redaction::paragraph(gathered.redaction.as_deref()));
        for error in &failures {
            let lines = error.clone().lines();
            let quoted = Markdown::quoted(lines.iter().map(String::as_str), "");
            form.push(markdown!["\n", Markdown::lines(quoted), "\n"]);
        }
    }
    let run = gathered.run.clone();
    Ok(MarkdownForms { run, forms })
}

/// Cluster health in the archive, if any.
fn health(gathered: &Gathered) -> Result<Option<Health>, CliError> {
    let Some(text) = &gathered.health else { return Ok(None) };
    serde_json::from_slice(text)
        .map(Some)
        .map_err(|error| CliError::new("cannot read the cluster health in the archive").caused_by(&error))
}

/// Sonobuoy's views, which scripts parse.
struct Text<'a> {
    bundle: &'a Bundle,
    gathered: &'a Gathered,
    mode: ResultsMode,
    skip_prefix: bool,
    printer: &'a Printer,
}

impl Text<'_> {
    /// Prints the view. Returns errors of single plugins.
    fn print(&self) -> Result<Vec<CliError>, CliError> {
        let mut names: Vec<&String> = self.gathered.names.iter().collect();
        // A run without a cluster has no health to report.
        let is_unknown = || health(self.gathered).is_ok_and(|found| found.unwrap_or_default() == Health::default());
        if self.mode == ResultsMode::Report && names.len() > 1 && is_unknown() {
            names.retain(|name| *name != HEALTH_PLUGIN);
        }
        let mut failures = Vec::new();
        let mut pieces = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let shown = if *name == HEALTH_PLUGIN {
                self.health()
            } else {
                self.plugin(name)
            };
            match shown {
                Ok(shown) => {
                    pieces.extend(shown);
                    if index + 1 < names.len() {
                        pieces.push(Output::Text(Printed::own("\n")));
                    }
                }
                Err(error) => failures.push(error),
            }
        }
        let mut waiting = pieces.into_iter();
        let mut current = waiting.next();
        // Read all files of all plugins in one pass.
        let paths = self.paths();
        let mut failed = None;
        let mut absent = Vec::new();
        let walked = if paths.is_empty() {
            Ok(())
        } else {
            self.bundle.read_in_order(&paths, &mut |number, content| {
                let printed = (|| {
                    loop {
                        match (current.take(), content.is_some()) {
                            (Some(Output::File(prefix)), true) => self.printer.part(prefix.as_bytes())?,
                            (Some(Output::File(_)), false) | (None, _) => {}
                            (Some(shown), _) => {
                                self.show(shown)?;
                                current = waiting.next();
                                continue;
                            }
                        }
                        current = waiting.next();
                        return Ok(());
                    }
                })();
                let printed = printed.map_err(|error| failed = Some(error));
                match content {
                    Some(content) if printed.is_ok() => copy(content, self.printer, &mut failed)?,
                    Some(_) => {}
                    None => absent.push(self.gathered.missing(paths[number])),
                }
                Ok(if failed.is_some() || self.printer.is_broken() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            })
        };
        walked.map_err(|error| CliError::of_archive(error.to_string(), &error))?;
        if let Some(failed) = failed {
            return Err(failed);
        }
        current
            .into_iter()
            .chain(waiting)
            .try_for_each(|shown| self.show(shown))?;
        absent.extend(failures);
        Ok(absent)
    }

    /// Prints output other than a file.
    fn show(&self, shown: Output<'_>) -> Result<(), CliError> {
        match shown {
            Output::Text(text) => self.printer.print(&text),
            Output::Document(format, text) => self.printer.document(format, &text),
            Output::Data(data) => self.printer.verbatim(&data),
            Output::File(_) => Ok(()),
        }
    }

    /// Files that represent items, in the order of the output.
    fn paths(&self) -> Vec<&str> {
        let plugins = self
            .gathered
            .names
            .iter()
            .filter_map(|name| self.gathered.plugin(name).ok());
        let pieces = plugins.flat_map(|plugin| match &plugin.part {
            Part::Pieces(pieces) => pieces.as_slice(),
            _ => &[],
        });
        pieces
            .filter_map(|piece| match piece {
                Piece::File { path, .. } => Some(path.as_str()),
                Piece::Data(_) => None,
            })
            .collect()
    }

    /// Prints the ends of the logs of failed containers on standard error: scripts parse standard output.
    fn print_logs(&self, command: &str) {
        let mut is_any = false;
        for name in &self.gathered.names {
            let Ok(plugin) = self.gathered.plugin(name) else {
                continue;
            };
            if let Part::Tally(_, logs) = &plugin.part {
                is_any |= !logs.first.is_empty();
                for line in archive::logs(name, &logs.first, logs.others) {
                    self.printer.note(&line);
                }
            }
        }
        if is_any {
            self.printer.note(&format!("hint: for the full logs: {command}"));
        }
    }

    fn plugin(&self, name: &str) -> Result<Vec<Output<'_>>, CliError> {
        let plugin = self.gathered.plugin(name)?;
        Ok(match &plugin.part {
            Part::Text(text) if self.mode == ResultsMode::Readable => {
                vec![Output::Data(
                    readable(&String::from_utf8_lossy(text)).into_bytes().into(),
                )]
            }
            Part::Text(text) => vec![Output::Data(text.as_slice().into())],
            Part::Tally(tally, _) => vec![lines(tally.lines(&plugin.root))],
            Part::Pieces(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Data(text) => Output::Document(Format::Json, text.into()),
                    Piece::File { .. } if self.skip_prefix => Output::File(""),
                    Piece::File { prefix, .. } => Output::File(prefix),
                })
                .collect(),
            Part::Summary(..) | Part::Leaves(..) | Part::Junit(_) => Vec::new(),
        })
    }

    fn health(&self) -> Result<Vec<Output<'_>>, CliError> {
        if self.mode == ResultsMode::Detailed {
            let text = self.gathered.health.as_deref();
            let text = text.ok_or_else(|| self.gathered.missing(layout::CLUSTER_HEALTH))?;
            return Ok(vec![Output::Data(text.into())]);
        }
        let health = health(self.gathered)?.unwrap_or_default();
        if self.mode == ResultsMode::Report {
            return Ok(vec![lines(health_lines(&health))]);
        }
        let text = yaml::to_string(&health)
            .map_err(|error| CliError::new("cannot write the cluster health").details([error.to_string()]))?;
        Ok(vec![Output::Document(Format::Yaml, text.into())])
    }
}

/// Part of the output.
enum Output<'a> {
    Text(Printed),
    Document(Format, Cow<'a, str>),
    /// Bytes of the archive.
    Data(Cow<'a, [u8]>),
    /// The next file, after this prefix.
    File(&'a str),
}

/// Lines with line ends.
fn lines<'a>(lines: Vec<String>) -> Output<'a> {
    let mut text = Printed::lines(lines);
    text.push(Printed::own("\n"));
    Output::Text(text)
}

fn copy(content: &mut dyn Read, printer: &Printer, failed: &mut Option<CliError>) -> io::Result<()> {
    let mut piece = vec![0; CHUNK_BYTES];
    let mut output = printer.pieces();
    let written = loop {
        let length = content.read(&mut piece)?;
        if length == 0 || printer.is_broken() {
            break output.end();
        }
        if let Err(error) = output.write(&piece[..length]) {
            break Err(error);
        }
    };
    *failed = written.err();
    Ok(())
}

/// Unescapes line breaks and tabs.
fn readable(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}
