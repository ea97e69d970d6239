//! The done file: when it counts, and what it then asks for. Times are durations since any fixed moment.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fs_err as fs;
use sono_bundle::{Links, open_regular};
use sono_types::{constants, text::decode};

use crate::ContainersState;

/// How long a done file of which nothing else is known has to stand unchanged. Without the event that tells that its
/// writer has closed it, it could be half written.
const SETTLE: Duration = Duration::from_millis(100);
/// How long a done file that names a missing file has to stand: its writer may be about to create that file.
const MISSING_GRACE: Duration = Duration::from_secs(1);
/// A done file that is written again and again is taken after this many delays all the same.
const MOST_RESTARTS: u32 = 12;
/// Longest path that a done file may hold, in bytes.
const MAX_PATH: u64 = 4096;
/// Bytes of a done file that holds no path that are quoted.
const QUOTED: usize = 100;

/// A look at the done file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// There is none, or it is empty: `echo x > done` makes it so for a moment.
    Absent,
    /// It is there, and for now cannot be read.
    Unreadable(String),
    /// It names something.
    Named {
        /// What it names.
        path: PathBuf,
        /// What is found there.
        target: Target,
        /// Changes whenever the file is written or replaced.
        modified: Option<SystemTime>,
    },
}

/// What a done file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    File,
    Directory,
    /// Neither, with the reason.
    Missing(String),
    /// Nothing that could become a result, however long it stands, with the reason and what the file holds.
    Refused(String),
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing until something happens.
    Wait,
    /// Look again at this time, or when something happens.
    WaitUntil(Duration),
    /// The waiting is over.
    Collect(Found),
}

/// What the waiting ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A file to upload.
    File(PathBuf),
    /// A directory to pack and upload.
    Directory(PathBuf),
    /// There is no done file and none will come: the results directory is to be packed and uploaded.
    Everything,
    /// The done file names nothing that could be uploaded: this is to be reported.
    Nothing(String),
}

/// Remembers since when a done file stands.
#[derive(Debug, Default)]
pub(crate) struct DoneFile {
    delay: Duration,
    standing: Option<Standing>,
}

#[derive(Debug)]
struct Standing {
    seen: Seen,
    first: Duration,
    since: Duration,
    /// Its writer is known to have closed it.
    closed: bool,
}

impl DoneFile {
    /// `delay` is how long the file has to stand for a side-car to take it away.
    pub(crate) fn new(delay: Duration) -> Self {
        Self { delay, standing: None }
    }

    /// Decides by what was `seen` at the time `at`. `closed` says that the file was closed by its writer, or moved into
    /// place, since the last look.
    pub(crate) fn decide(&mut self, at: Duration, seen: Seen, closed: bool, others: ContainersState) -> Decision {
        let over = others == ContainersState::Succeeded;
        let (path, target) = match &seen {
            Seen::Absent | Seen::Unreadable(_) if over => return Decision::Collect(Found::Everything),
            Seen::Absent => {
                self.standing = None;
                return Decision::Wait;
            }
            Seen::Unreadable(_) => return Decision::Wait,
            Seen::Named { path, target, .. } => (path.clone(), target.clone()),
        };
        let standing = match self.standing.take() {
            Some(old) if old.seen == seen => Standing {
                closed: old.closed || closed,
                ..old
            },
            old => Standing {
                seen,
                first: old.map_or(at, |old| old.first),
                since: at,
                closed,
            },
        };
        let settle = if standing.closed { Duration::ZERO } else { SETTLE };
        let wait = match &target {
            // Nobody is left who could take the file away or finish writing.
            _ if over => Duration::ZERO,
            Target::Missing(_) => self.delay.max(MISSING_GRACE),
            Target::File | Target::Directory | Target::Refused(_) => self.delay.max(settle),
        };
        let due = (standing.since + wait).min(standing.first + wait * MOST_RESTARTS);
        self.standing = Some(standing);
        if at < due {
            return Decision::WaitUntil(due);
        }
        Decision::Collect(match target {
            Target::File => Found::File(path),
            Target::Directory => Found::Directory(path),
            Target::Missing(reason) => {
                Found::Nothing(format!("failed to stat result file {}: {reason}", path.display()))
            }
            Target::Refused(reason) => Found::Nothing(reason),
        })
    }
}

/// Looks at the done file in `directory`.
pub(crate) fn look(directory: &Path) -> Seen {
    let file = directory.join(constants::DONE_FILE);
    let (content, modified) = match read(&file) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Seen::Absent,
        Err(error) => return Seen::Unreadable(error.to_string()),
    };
    let refused = |reason: String| Seen::Named {
        path: file.clone(),
        target: Target::Refused(reason),
        modified,
    };
    let quoted = || {
        let more = if content.len() > QUOTED { "…" } else { "" };
        format!("`{}`{more}", content[..content.len().min(QUOTED)].escape_ascii())
    };
    if content.len() as u64 > MAX_PATH {
        return refused(format!("the done file is longer than {MAX_PATH} bytes: {}", quoted()));
    }
    let text = match decode(&content) {
        Ok(text) => text,
        Err(error) => return refused(format!("the done file holds no path: {error}: {}", quoted())),
    };
    let name = text.trim();
    if name.is_empty() {
        return Seen::Absent;
    }
    if name.contains('\0') {
        return refused(format!("the done file holds no path: {}", quoted()));
    }
    let (path, target) = resolve(directory, name);
    match never_a_result(directory, &path) {
        Some(what) => refused(format!("the done file names {what}: `{name}`")),
        None => Seen::Named { path, target, modified },
    }
}

/// What a path is that is not a result of the plugin, although it exists.
fn never_a_result(directory: &Path, path: &Path) -> Option<&'static str> {
    let (results, real) = (fs::canonicalize(directory).ok()?, fs::canonicalize(path).ok()?);
    if real == results.join(constants::DONE_FILE) {
        Some("itself")
    } else if results != real && results.starts_with(&real) {
        Some("a directory above the results directory")
    } else {
        None
    }
}

fn read(file: &Path) -> io::Result<(Vec<u8>, Option<SystemTime>)> {
    let file = open_regular(file, Links::Followed).map_err(|error| {
        let is_link = || fs::symlink_metadata(file).is_ok_and(|found| found.is_symlink());
        if error.kind() == io::ErrorKind::NotFound && is_link() {
            return io::Error::other("it is a link to nothing");
        }
        error
    })?;
    let modified = file.metadata()?.modified().ok();
    let mut content = Vec::new();
    file.take(MAX_PATH + 1).read_to_end(&mut content)?;
    Ok((content, modified))
}

/// A relative path is one in the results directory. Plugins that know only the results directory of old name paths
/// below it; where nothing is mounted there, the file of that name in the results directory is meant.
fn resolve(directory: &Path, name: &str) -> (PathBuf, Target) {
    let path = directory.join(name);
    let found = target(&path);
    if let (Target::Missing(_), Some(below)) = (&found, below_legacy(name)) {
        let meant = if below.is_empty() {
            directory.to_path_buf()
        } else {
            directory.join(below)
        };
        let there = target(&meant);
        if !matches!(there, Target::Missing(_)) {
            return (meant, there);
        }
    }
    (path, found)
}

/// What follows the results directory of old in a path, which may be one of Windows.
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
