//! The done file: when it takes effect, and which result it names. Times are durations since any fixed start.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fs_err as fs;
use sono_bundle::{Links, open_regular};
use sono_types::{constants, text::decode};

use crate::ContainersState;

/// How long a done file must be unchanged if no close event was seen. Before that it could be incomplete.
const SETTLE_TIME: Duration = Duration::from_millis(100);
/// How long a done file that names a missing file must be unchanged: the plugin may be about to create that file.
const MISSING_GRACE: Duration = Duration::from_secs(1);
/// A done file that is rewritten repeatedly takes effect after this many delays.
const MAX_RESTARTS: u32 = 12;
/// Longest path in a done file, in bytes.
const MAX_PATH: u64 = 4096;
/// Bytes of an invalid done file that are quoted in the error.
const MAX_QUOTED: usize = 100;

/// An observation of the done file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Observation {
    /// The file does not exist or is empty. `echo x > done` leaves it empty for a moment.
    Absent,
    /// The file exists but cannot be read at the moment.
    Unreadable(String),
    /// The file names a path.
    Named {
        /// The path in the file.
        path: PathBuf,
        /// The kind of the file at that path.
        target: Target,
        /// Changes when the done file is written or replaced.
        modified: Option<SystemTime>,
    },
}

/// The target of a done file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    File,
    Directory,
    /// Neither a file nor a directory, with the reason.
    Missing(String),
    /// A path that can never be a result, with the reason and the content of the done file.
    Refused(String),
}

/// The next action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Wait for an event.
    Wait,
    /// Check again at this time, or after an event.
    WaitUntil(Duration),
    /// Collect the result.
    Collect(ResultSource),
}

/// The result to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResultSource {
    /// A file, uploaded unchanged.
    File(PathBuf),
    /// A directory, packed before the upload.
    Directory(PathBuf),
    /// The results directory, packed before the upload: all containers ended without a done file.
    Everything,
    /// No result, for this reason, which is reported.
    Nothing(String),
}

/// Tracks since when the done file is unchanged.
#[derive(Debug, Default)]
pub(crate) struct DoneFile {
    delay: Duration,
    candidate: Option<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    observation: Observation,
    first: Duration,
    since: Duration,
    /// Its writer closed it.
    closed: bool,
}

impl DoneFile {
    /// `delay` is how long the file must be unchanged, so that a sidecar can remove it.
    pub(crate) fn new(delay: Duration) -> Self {
        Self { delay, candidate: None }
    }

    /// Decides after an observation at the time `at`. `closed`: since the last observation, the file was closed after
    /// writing or moved into place.
    pub(crate) fn decide(
        &mut self,
        at: Duration,
        observation: Observation,
        closed: bool,
        others: ContainersState,
    ) -> Decision {
        let over = others == ContainersState::Succeeded;
        let (path, target) = match &observation {
            Observation::Absent | Observation::Unreadable(_) if over => {
                return Decision::Collect(ResultSource::Everything);
            }
            Observation::Absent => {
                self.candidate = None;
                return Decision::Wait;
            }
            Observation::Unreadable(_) => return Decision::Wait,
            Observation::Named { path, target, .. } => (path.clone(), target.clone()),
        };
        let candidate = match self.candidate.take() {
            Some(old) if old.observation == observation => Candidate {
                closed: old.closed || closed,
                ..old
            },
            old => Candidate {
                observation,
                first: old.map_or(at, |old| old.first),
                since: at,
                closed,
            },
        };
        let settle = if candidate.closed { Duration::ZERO } else { SETTLE_TIME };
        let wait = match &target {
            // No other container could remove the file or finish writing it.
            _ if over => Duration::ZERO,
            Target::Missing(_) => self.delay.max(MISSING_GRACE),
            Target::File | Target::Directory | Target::Refused(_) => self.delay.max(settle),
        };
        let due = (candidate.since + wait).min(candidate.first + wait * MAX_RESTARTS);
        self.candidate = Some(candidate);
        if at < due {
            return Decision::WaitUntil(due);
        }
        Decision::Collect(match target {
            Target::File => ResultSource::File(path),
            Target::Directory => ResultSource::Directory(path),
            Target::Missing(reason) => {
                ResultSource::Nothing(format!("failed to stat result file {}: {reason}", path.display()))
            }
            Target::Refused(reason) => ResultSource::Nothing(reason),
        })
    }
}

/// Observes the done file in `directory`.
pub(crate) fn observe(directory: &Path) -> Observation {
    let file = directory.join(constants::DONE_FILE);
    let (content, modified) = match read(&file) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Observation::Absent,
        Err(error) => return Observation::Unreadable(error.to_string()),
    };
    let refused = |reason: String| Observation::Named {
        path: file.clone(),
        target: Target::Refused(reason),
        modified,
    };
    let name = match parse(&content) {
        Ok(Some(name)) => name,
        Ok(None) => return Observation::Absent,
        Err(reason) => return refused(reason),
    };
    let (path, target) = resolve(directory, &name);
    match excluded(directory, &path) {
        Some(excluded) => refused(format!("the done file names {excluded}: `{name}`")),
        None => Observation::Named { path, target, modified },
    }
}

/// Path in the content of a done file; `None` if it is empty. Fails with the reason and the bytes if it is not a path.
fn parse(content: &[u8]) -> Result<Option<String>, String> {
    let quoted = || {
        let more = if content.len() > MAX_QUOTED { "…" } else { "" };
        format!("`{}`{more}", content[..content.len().min(MAX_QUOTED)].escape_ascii())
    };
    if content.len() as u64 > MAX_PATH {
        return Err(format!("the done file is longer than {MAX_PATH} bytes: {}", quoted()));
    }
    let text = decode(content).map_err(|error| format!("the done file contains no path: {error}: {}", quoted()))?;
    let name = text.trim();
    if name.contains('\0') {
        return Err(format!("the done file contains no path: {}", quoted()));
    }
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty()))
}

/// Path of the file or directory that the done file in `directory` names; `None` if the done file is missing or empty.
/// Fails with the reason if the path cannot become a result.
pub fn check_done_file(directory: &Path) -> Result<Option<PathBuf>, String> {
    match observe(directory) {
        Observation::Absent => Ok(None),
        Observation::Unreadable(reason) => Err(reason),
        Observation::Named { path, target, .. } => match target {
            Target::File | Target::Directory => Ok(Some(path)),
            Target::Missing(reason) | Target::Refused(reason) => Err(reason),
        },
    }
}

/// Describes a path that exists but cannot be a result.
fn excluded(directory: &Path, path: &Path) -> Option<&'static str> {
    let (results, real) = (fs::canonicalize(directory).ok()?, fs::canonicalize(path).ok()?);
    let done = results.join(constants::DONE_FILE);
    if real == done || is_same_file(&real, &done) {
        Some("itself")
    } else if results != real && results.starts_with(&real) {
        Some("a directory above the results directory")
    } else {
        None
    }
}

/// Whether two paths are hard links to one file.
#[cfg(unix)]
fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let of = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    of(one).is_some_and(|found| Some(found) == of(other))
}

#[cfg(not(unix))]
fn is_same_file(_: &Path, _: &Path) -> bool {
    false
}

fn read(file: &Path) -> io::Result<(Vec<u8>, Option<SystemTime>)> {
    let file = open_regular(file, Links::Followed).map_err(|error| {
        let is_link = || fs::symlink_metadata(file).is_ok_and(|found| found.is_symlink());
        if error.kind() == io::ErrorKind::NotFound && is_link() {
            return io::Error::other("it is a dangling link");
        }
        error
    })?;
    let modified = file.metadata()?.modified().ok();
    let mut content = Vec::new();
    file.take(MAX_PATH + 1).read_to_end(&mut content)?;
    Ok((content, modified))
}

/// Resolves a path relative to the results directory. Plugins written for Sonobuoy's old results directory name paths
/// below it; if nothing is mounted there, the same path in the results directory is used.
fn resolve(directory: &Path, name: &str) -> (PathBuf, Target) {
    let path = directory.join(name);
    let found = target(&path);
    if let (Target::Missing(_), Some(below)) = (&found, below_legacy(name)) {
        let moved = if below.is_empty() {
            directory.to_path_buf()
        } else {
            directory.join(below)
        };
        let found = target(&moved);
        if !matches!(found, Target::Missing(_)) {
            return (moved, found);
        }
    }
    (path, found)
}

/// The part of a path, possibly of Windows, below the old results directory.
fn below_legacy(name: &str) -> Option<String> {
    let name = name.replace('\\', "/");
    let on_drive = name.split_once(':').filter(|(drive, _)| drive.len() == 1);
    let path = on_drive.map_or(name.as_str(), |(_, path)| path);
    let below = path.strip_prefix(constants::LEGACY_RESULTS_DIR)?;
    let inside = below.is_empty() || below.starts_with('/');
    inside.then(|| below.trim_matches('/').to_owned())
}

fn target(path: &Path) -> Target {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Target::Directory,
        Ok(metadata) if metadata.is_file() => Target::File,
        Ok(_) => Target::Missing("it is neither a file nor a directory".to_owned()),
        Err(error) => Target::Missing(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
