//! `--extract`: what is in an archive goes into a directory as a whole or not at all.

use std::{
    io,
    path::{Path, PathBuf},
};

use sono_bundle::{ReadLimits, unpack_private};
use sono_types::layout;

use super::{failed, refused, shown};
use crate::error::CliError;

/// Whether the directory holds anything.
pub(super) fn has_content(directory: &Path) -> Result<bool, CliError> {
    let mut entries = fs_err::read_dir(directory).map_err(|error| failed("cannot list the directory", &error))?;
    Ok(entries.next().is_some())
}

/// Extracts `archive` into `directory`. Where the directory `is_used`, only names of an archive's layout are written; files
/// of the same name are replaced, others stay. No symbolic link below the directory is followed. On error everything is as
/// it was.
pub(super) fn extract(archive: &Path, directory: &Path, is_used: bool, limits: &ReadLimits) -> Result<(), CliError> {
    let staging = |error: io::Error| failed("cannot make a directory", &error);
    let fresh = scratch(directory).map_err(staging)?;
    let file = fs_err::File::open(archive).map_err(|error| failed("cannot read what came", &error))?;
    unpack_private(file, fresh.path(), limits).map_err(|error| {
        let what = failed("the archive cannot be extracted", &error);
        if error.is_limit() {
            what.hint("--no-limits extracts it all the same")
        } else {
            what
        }
    })?;
    let moves = plan(fresh.path(), directory, is_used)?;
    let replaced = scratch(directory).map_err(staging)?;
    carry_out(&moves, fresh.path(), directory, replaced.path())
        .map_err(|error| failed("cannot put the files into their place", &error))
}

fn scratch(directory: &Path) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(".sono-").tempdir_in(directory)
}

/// One rename of a file or of a whole directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Move {
    /// Relative to both directories.
    name: PathBuf,
    /// A file of that name is replaced.
    replaces: bool,
}

/// What has to be renamed from `fresh` to `directory`. Fails where that is not allowed; nothing is changed.
fn plan(fresh: &Path, directory: &Path, is_used: bool) -> Result<Vec<Move>, CliError> {
    let unlisted = |error: io::Error| failed("cannot list the archive", &error);
    let mut moves = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(parent) = waiting.pop() {
        for entry in fs_err::read_dir(fresh.join(&parent)).map_err(unlisted)? {
            let entry = entry.map_err(unlisted)?;
            let is_directory = entry.file_type().map_err(unlisted)?.is_dir();
            let name = parent.join(entry.file_name());
            let is_of_layout = || {
                entry
                    .file_name()
                    .to_str()
                    .is_some_and(|name| layout::TOP_LEVEL.contains(&name))
            };
            if is_used && parent.as_os_str().is_empty() && !is_of_layout() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let cause =
                    format!("the directory is not empty, and {name:?} is not a name that archives of runs have");
                return Err(refused("the archive cannot be extracted here", &cause).hint("choose an empty directory"));
            }
            let target = directory.join(&name);
            let found = match fs_err::symlink_metadata(&target) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    moves.push(Move { name, replaces: false });
                    continue;
                }
                Err(error) => return Err(failed("cannot look into the directory", &error)),
            };
            if is_directory && found.is_dir() {
                waiting.push(name);
            } else if !is_directory && found.is_file() {
                moves.push(Move { name, replaces: true });
            } else {
                let kind = if found.is_symlink() {
                    "a symbolic link"
                } else if found.is_dir() {
                    "a directory"
                } else {
                    "not a directory"
                };
                let cause = format!("`{}` is {kind}", shown(&target).display());
                return Err(refused("the archive cannot be extracted here", &cause).hint("choose an empty directory"));
            }
        }
    }
    Ok(moves)
}

/// Renames as planned; what is replaced waits in `replaced` until all is done, and goes back after an error.
fn carry_out(moves: &[Move], fresh: &Path, directory: &Path, replaced: &Path) -> io::Result<()> {
    for (number, Move { name, replaces }) in moves.iter().enumerate() {
        let (from, to) = (fresh.join(name), directory.join(name));
        let kept = replaced.join(number.to_string());
        let moved = if *replaces { fs_err::rename(&to, &kept) } else { Ok(()) };
        let moved = moved.and_then(|()| {
            fs_err::rename(&from, &to).inspect_err(|_| {
                if *replaces {
                    give_back(&kept, &to);
                }
            })
        });
        if let Err(error) = moved {
            for (number, Move { name, replaces }) in moves.iter().enumerate().take(number).rev() {
                let to = directory.join(name);
                give_back(&to, &fresh.join(name));
                if *replaces {
                    give_back(&replaced.join(number.to_string()), &to);
                }
            }
            return Err(error);
        }
    }
    Ok(())
}

fn give_back(from: &Path, to: &Path) {
    if let Err(error) = fs_err::rename(from, to) {
        tracing::warn!(%error, "a file cannot be put back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(root: &Path, files: &[&str], content: &str) {
        for file in files {
            let path = root.join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
    }

    #[test]
    fn moves_a_failing_one_takes_back_those_before() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        make(&at("fresh"), &["a", "b", "c"], "new");
        make(&at("there"), &["a"], "old");
        fs_err::create_dir(at("kept")).unwrap();
        let planned = |name: &str, replaces| Move {
            name: name.into(),
            replaces,
        };
        let moves = [
            planned("a", true),
            planned("b", false),
            planned("absent", false),
            planned("c", false),
        ];
        assert!(carry_out(&moves, &at("fresh"), &at("there"), &at("kept")).is_err());
        let names = |directory: &str| {
            let mut names: Vec<_> = fs_err::read_dir(at(directory))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names("there"), ["a"]);
        assert_eq!(fs_err::read_to_string(at("there/a")).unwrap(), "old");
        assert_eq!(names("fresh"), ["a", "b", "c"]);
    }
}
