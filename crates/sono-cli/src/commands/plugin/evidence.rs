//! Evidence from a run of a plugin: its results directory and the archive.

use std::{
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sono_bundle::{Bundle, unpack_tar_gz};
use sono_types::{
    Item, PluginName, ResultKey, RunStatus, Target, UploadLimits, constants, layout, text::decode_with_replacement,
};

use super::contract::Done;
use crate::{error::CliError, trees};

/// Names of archives that the worker creates from directories.
const WORKER_ARCHIVES: [&str; 2] = ["results.tar.gz", "out.tar.gz"];
/// Maximum number of checked entries of a results directory.
const MAX_ENTRIES: usize = 100_000;

/// One entry of the results directory.
struct Entry {
    path: PathBuf,
    is_file: bool,
    is_directory: bool,
    written: Option<SystemTime>,
}

/// Reads the done file of `results`, if it exists.
pub(super) fn done(results: &Path, limits: &UploadLimits) -> io::Result<Option<Done>> {
    let file = results.join(constants::DONE_FILE);
    let bytes = match fs_err::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = decode_with_replacement(&bytes).text.trim().to_owned();
    if text.is_empty() {
        return Ok(None);
    }
    let written = fs_err::metadata(&file)?.modified().ok();
    let real_results = fs_err::canonicalize(results)?;
    // As in the worker, relative names are relative to the results directory.
    let named = real_results.join(&text);
    let real = fs_err::canonicalize(&named).ok();
    let is_inside = real.as_ref().is_some_and(|real| real.starts_with(&real_results));
    let below = real.as_ref().and_then(|real| real.strip_prefix(&real_results).ok());
    let names = match below {
        Some(below) if below.as_os_str().is_empty() => "the results directory".to_owned(),
        Some(below) => below.display().to_string(),
        None => text.clone(),
    };
    let mut done = Done {
        by_worker: below.is_some_and(|below| below == Path::new(WORKER_ARCHIVES[1])),
        names,
        is_inside,
        ..Done::default()
    };
    let Some(real) = real.filter(|_| is_inside) else {
        return Ok(Some(done));
    };
    let sent = if real.is_dir() {
        real.join(WORKER_ARCHIVES[0])
    } else {
        real.clone()
    };
    done.bytes = fs_err::metadata(&sent).ok().map(|metadata| metadata.len());
    if !done.by_worker {
        done.later = later(&real, &real_results, written)?;
    }
    if real.is_file() && real.extension().is_some_and(|extension| extension == "gz") && !done.by_worker {
        let directory = tempfile::tempdir()?;
        match unpack_tar_gz(fs_err::File::open(&real)?, directory.path(), limits) {
            Ok(unpacked) => done.left_out = unpacked.dropped,
            Err(error) => done.refused = Some(error.to_string()),
        }
    }
    Ok(Some(done))
}

/// Files of the result that changed after the done file was written.
fn later(result: &Path, results: &Path, written: Option<SystemTime>) -> io::Result<Vec<String>> {
    let own = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name == constants::DONE_FILE || result.is_dir() && (name == WORKER_ARCHIVES[0] || name.starts_with('.'))
    };
    let entries = if result.is_dir() {
        walk(result)?
    } else {
        vec![entry(result)?]
    };
    let late = entries
        .into_iter()
        .filter(|entry| entry.is_file && !own(&entry.path) && entry.written > written)
        .map(|entry| relative(&entry.path, results));
    Ok(late.collect())
}

/// Links and special files below the results directory.
pub(super) fn links(results: &Path) -> io::Result<Vec<String>> {
    let special = walk(results)?
        .into_iter()
        .filter(|entry| !entry.is_file && !entry.is_directory);
    Ok(special.map(|entry| relative(&entry.path, results)).collect())
}

fn relative(path: &Path, above: &Path) -> String {
    path.strip_prefix(above).unwrap_or(path).display().to_string()
}

fn entry(path: &Path) -> io::Result<Entry> {
    let metadata = fs_err::symlink_metadata(path)?;
    Ok(Entry {
        path: path.to_owned(),
        is_file: metadata.is_file(),
        is_directory: metadata.is_dir(),
        written: metadata.modified().ok(),
    })
}

/// All entries below a directory, sorted by name. Links are not followed.
fn walk(directory: &Path) -> io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for next in fs_err::read_dir(&directory)? {
            let entry = entry(&next?.path())?;
            if entry.is_directory {
                waiting.push(entry.path.clone());
            }
            found.push(entry);
            if found.len() >= MAX_ENTRIES {
                return Ok(found);
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Result tree of the plugin, and the reason for a missing result.
pub(super) fn of_archive(
    archive: &Path,
    plugin: &PluginName,
    status: &RunStatus,
) -> Result<(Option<Item>, Option<String>), CliError> {
    let unreadable = |error: &(dyn std::error::Error + 'static)| {
        CliError::new("cannot read the archive of the test").caused_by(error)
    };
    let bundle = Bundle::open(archive).map_err(|error| unreadable(&error))?;
    let files = trees::of_plugin(&bundle, plugin.as_str()).map_err(|error| unreadable(&error))?;
    let tree = files.map(|files| files.tree()).transpose();
    let tree = tree.map_err(|error| unreadable(&error))?;
    let mut failure = None;
    for row in status.rows() {
        let target = Target::parse(&row.node).unwrap_or(Target::Global);
        let directory = layout::errors_dir(&ResultKey::new(plugin.clone(), target));
        let file = format!("{directory}/{}", constants::ERROR_FILE);
        let Some(bytes) = bundle.read(&file).map_err(|error| unreadable(&error))? else {
            continue;
        };
        let error: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = error.get("error").and_then(serde_json::Value::as_str);
        failure = Some(text.unwrap_or("the run has an error instead of a result").to_owned());
    }
    Ok((tree, failure))
}
