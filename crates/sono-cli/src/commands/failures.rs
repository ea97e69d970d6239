//! The failures of an archive and the logs of their containers, read in one pass.

use std::{
    io::{self, Read},
    ops::ControlFlow,
};

use sono_analysis::{ArchiveReader, ArchiveTexts, BeyondLimit, TextLimits};
use sono_bundle::{Bundle, ReadError};
use sono_types::layout;

use crate::{error::CliError, trees};

/// Texts of an archive, and the plugins that cannot be read.
#[derive(Debug)]
pub(super) struct Failures {
    pub(super) texts: ArchiveTexts,
    pub(super) problems: Vec<CliError>,
}

/// Callback for each file, before it is read for the causes.
pub(super) type OtherFiles<'a> = dyn FnMut(&str, &mut dyn Read) -> io::Result<()> + 'a;

/// Reads the failures of all plugins or of one.
pub(super) fn read(bundle: &Bundle, plugin: Option<&str>) -> Result<Failures, CliError> {
    let failures = read_with(bundle, ArchiveReader::new(plugin, limits(bundle)), &mut |_, _| Ok(()))?;
    check(bundle, plugin, failures)
}

/// Also reads what the run's card contains.
pub(super) fn with_card(bundle: &Bundle, plugin: Option<&str>) -> Result<Failures, CliError> {
    let reader = ArchiveReader::new(plugin, limits(bundle)).with_card();
    let failures = read_with(bundle, reader, &mut |_, _| Ok(()))?;
    check(bundle, plugin, failures)
}

/// Also reads what a report shows. `others` may read the files that have no meaning for it.
pub(super) fn with_details(bundle: &Bundle, others: &mut OtherFiles<'_>) -> Result<Failures, CliError> {
    let failures = read_with(bundle, ArchiveReader::new(None, limits(bundle)).with_details(), others)?;
    check(bundle, None, failures)
}

/// An archive without results of plugins is not an archive of a run.
fn check(bundle: &Bundle, plugin: Option<&str>, failures: Failures) -> Result<Failures, CliError> {
    if failures.texts.plugins.is_empty() {
        let path = bundle.path().display();
        return Err(match plugin {
            Some(plugin) => CliError::new(format!("cannot read `{path}`"))
                .details([format!("failed to find results of plugin `{plugin}` in archive")]),
            None => CliError::new(format!("`{path}` contains no results of plugins"))
                .hint("expected an archive from sono retrieve or sonobuoy retrieve, not a result file of a plugin"),
        });
    }
    Ok(failures)
}

fn limits(bundle: &Bundle) -> TextLimits {
    let limits = bundle.limits();
    TextLimits {
        items: limits.max_items,
        bytes: limits.max_parsed_bytes,
        beyond: BeyondLimit::Refused,
        tree_bytes: limits.max_tree_bytes,
    }
}

fn read_with(
    bundle: &Bundle,
    mut reader: ArchiveReader<'_>,
    others: &mut OtherFiles<'_>,
) -> Result<Failures, CliError> {
    let mut problems = Vec::new();
    let unreadable = |error: &ReadError| CliError::of_archive(error.to_string(), error);
    bundle
        .visit(&mut |name, content| {
            others(name, content)?;
            reader.file(name, content).map(ControlFlow::Continue)
        })
        .map_err(|error| unreadable(&error))?;
    for name in reader.unread() {
        let files = trees::of_plugin(bundle, &name).map_err(|error| unreadable(&error))?;
        match files.unwrap_or_default().tree() {
            Ok(root) => reader.tree(&name, &root).map_err(|source| {
                unreadable(&ReadError::File {
                    path: bundle.path().to_path_buf(),
                    name: layout::results_file_named(&name),
                    source,
                })
            })?,
            Err(error) => {
                problems.push(CliError::new(format!("cannot read the results of plugin `{name}`")).caused_by(&error));
            }
        }
    }
    Ok(Failures {
        texts: reader.finish(),
        problems,
    })
}
