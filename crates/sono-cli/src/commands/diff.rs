//! `sono diff`: what changed between two runs.

mod read;

use std::{collections::BTreeSet, path::Path};

use serde::Serialize;
use sono_analysis::{Change, ClusterChange, Diff, cluster_changes, compare};
use sono_bundle::{Bundle, ReadLimits};
use sono_types::exit;

use self::read::Run;
use super::archive_input::ArchiveInput;
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
        plugin,
        output,
        only,
        fail_on,
        no_limits,
    } = arguments;
    let read = |archive: &Path| {
        let input = ArchiveInput::of(Some(archive), *no_limits, printer)?;
        input.read(|archive, _| {
            let bundle = Bundle::open(archive).map_err(|error| CliError::of_archive(error.to_string(), &error))?;
            let bundle = bundle.with_limits(if *no_limits {
                ReadLimits::NONE
            } else {
                ReadLimits::DEFAULT
            });
            read::run(&bundle, plugin.as_deref())
        })
    };
    let (before_run, after_run) = (read(before)?, read(after)?);
    let mut found = compare(&before_run.tests, &after_run.tests, &BTreeSet::new());
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
        DiffOutput::Json => {
            let document = Document {
                schema: SCHEMA,
                before: RunView::of(before, &before_run),
                after: RunView::of(after, &after_run),
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
    archive: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes: Option<&'a str>,
}

impl<'a> RunView<'a> {
    fn of(archive: &Path, run: &'a Run) -> Self {
        Self {
            archive: archive.display().to_string(),
            kubernetes: Some(run.cluster.server.as_str()).filter(|version| !version.is_empty()),
        }
    }
}
