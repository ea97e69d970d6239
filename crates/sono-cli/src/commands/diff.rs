//! `sono diff`: what changed between two runs.

mod read;

use std::{collections::BTreeSet, path::Path};

use serde::Serialize;
use sono_analysis::{Change, ClusterChange, Diff, TestId, cluster_changes, compare};
use sono_bundle::{Bundle, ReadLimits};
use sono_history::{Entry, History, RunReference};
use sono_types::exit;

use self::read::Run;
use super::{archive_input::ArchiveInput, cards, history, recording};
use crate::{
    args::{self, DiffOutput},
    error::CliError,
    output::{Format, Printer},
    view::diff::{self as view, Comparison},
};

/// Version of the document.
const SCHEMA: u32 = 1;

pub(super) fn diff(arguments: &args::Diff, printer: &Printer) -> Result<u8, CliError> {
    let args::Diff {
        before,
        after,
        plugin: _,
        output,
        only,
        fail_on,
        place,
        no_history,
        no_limits: _,
    } = arguments;
    let history = if *no_history { None } else { recording::history(place) };
    let recorded = match &history {
        Some(history) => recording::list(history, printer).unwrap_or_else(|error| {
            printer.note(&format!("warning: {}", error.lines().join(": ")));
            Vec::new()
        }),
        None => Vec::new(),
    };
    let (first, second) = (Source::of(before, &recorded)?, Source::of(after, &recorded)?);
    // A card has no nodes: both runs are compared by their cards then.
    let is_by_card = [&first, &second].iter().any(|source| matches!(source, Source::Run(_)));
    let read = |source: &Source<'_>| source.read(is_by_card, history.as_ref(), arguments, printer);
    let (before_run, after_run) = (read(&first)?, read(&second)?);
    let flaky = known_flakes(history.as_ref(), &recorded, &after_run);
    let mut found = compare(&before_run.tests, &after_run.tests, &flaky);
    let code = exit_code(&found, fail_on);
    let counts = found.clone();
    if !only.is_empty() {
        found.changes.retain(|change| only.contains(&change.change));
    }
    let cluster = cluster_changes(&before_run.cluster, &after_run.cluster);
    let comparison = Comparison {
        counts: &counts,
        shown: &found,
        is_selected: !only.is_empty(),
        cluster: &cluster,
    };
    match output {
        DiffOutput::Table => printer.line(&view::table(&comparison))?,
        DiffOutput::Markdown => printer.markdown(&view::markdown(&comparison))?,
        DiffOutput::Html => {
            let page = view::page(&comparison, &first.shown(), &second.shown());
            printer.verbatim(page.as_bytes())?;
        }
        DiffOutput::Json => {
            let document = Document {
                schema: SCHEMA,
                before: RunView::of(&first, &before_run),
                after: RunView::of(&second, &after_run),
                cluster: &cluster,
                diff: &found,
            };
            let text = serde_json::to_string(&document)
                .map_err(|error| CliError::new("cannot write the comparison").caused_by(&error))?;
            printer.document(Format::Json, &format!("{text}\n"))?;
        }
    }
    let problems = before_run.problems.iter().chain(&after_run.problems);
    let mut is_readable = true;
    for problem in problems {
        is_readable = false;
        printer.error(problem);
    }
    Ok(if is_readable { code } else { exit::FAILURE })
}

/// Tests that are flaky in the other runs on the cluster of this run.
fn known_flakes(history: Option<&History>, recorded: &[Entry], run: &Run) -> BTreeSet<TestId> {
    match history {
        Some(history) => history::of_cluster(history, recorded, &run.cluster.id, &run.id).flaky(),
        None => BTreeSet::new(),
    }
}

/// An archive, or a run in the history.
enum Source<'a> {
    Archive(&'a Path),
    Run(&'a Entry),
}

impl<'a> Source<'a> {
    /// The source with this path or name.
    fn of(given: &'a Path, recorded: &'a [Entry]) -> Result<Self, CliError> {
        let text = given.to_str().unwrap_or_default();
        let reference: Option<RunReference> = text.parse().ok();
        match reference {
            Some(reference) if !given.exists() => {
                let found = recording::find(&reference, recorded, None);
                Ok(Self::Run(found.map_err(|error| {
                    error.details([format!("`{text}` is not the path of an archive either")])
                })?))
            }
            _ => Ok(Self::Archive(given)),
        }
    }

    fn read(
        &self,
        is_by_card: bool,
        history: Option<&History>,
        arguments: &args::Diff,
        printer: &Printer,
    ) -> Result<Run, CliError> {
        let plugin = arguments.plugin.as_deref();
        let run = match (self, history) {
            (Self::Run(entry), Some(history)) => {
                let card = history
                    .card(entry)
                    .map_err(|error| CliError::new("cannot read the run in the history").caused_by(&error))?;
                Run::of_card(card, plugin)
            }
            (Self::Run(entry), None) => return Err(CliError::new(format!("no history has run {}", entry.run))),
            (Self::Archive(archive), _) => {
                let input = ArchiveInput::of(Some(archive), arguments.no_limits, printer)?;
                input.read(|archive, _| {
                    let bundle =
                        Bundle::open(archive).map_err(|error| CliError::of_archive(error.to_string(), &error))?;
                    let bundle = bundle.with_limits(if arguments.no_limits {
                        ReadLimits::NONE
                    } else {
                        ReadLimits::DEFAULT
                    });
                    if is_by_card {
                        cards::of_archive(&bundle).map(|card| Run::of_card(card, plugin))
                    } else {
                        read::run(&bundle, plugin)
                    }
                })?
            }
        };
        Ok(run)
    }

    /// The archive, or the id of the run.
    fn shown(&self) -> String {
        match self {
            Self::Archive(archive) => archive.display().to_string(),
            Self::Run(entry) => entry.run.clone(),
        }
    }
}

/// 3 if a change has one of the classes, 4 if a test cannot be compared, else 0.
fn exit_code(diff: &Diff, fail_on: &[Change]) -> u8 {
    if fail_on.iter().any(|change| diff.count(*change) > 0) {
        exit::RESULTS_FAILED
    } else if diff.count(Change::Incomparable) > 0 {
        exit::RESULTS_UNKNOWN
    } else {
        exit::SUCCESS
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    before: RunView<'a>,
    after: RunView<'a>,
    cluster: &'a [ClusterChange],
    #[serde(flatten)]
    diff: &'a Diff,
}

#[derive(Serialize)]
struct RunView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<String>,
    /// Id of a run in the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes: Option<&'a str>,
}

impl<'a> RunView<'a> {
    fn of(source: &Source<'a>, run: &'a Run) -> Self {
        let (archive, id) = match source {
            Source::Archive(archive) => (Some(archive.display().to_string()), None),
            Source::Run(entry) => (None, Some(entry.run.as_str())),
        };
        Self {
            archive,
            run: id,
            kubernetes: Some(run.cluster.server.as_str()).filter(|version| !version.is_empty()),
        }
    }
}
