//! `--extract`: extracts an archive into a directory, completely or not at all.

use std::{
    io,
    path::{Path, PathBuf},
};

use sono_bundle::{ReadLimits, unpack_private};
use sono_types::layout;

use super::{failed, refused, shown};
use crate::error::CliError;

/// Whether the directory is not empty.
pub(super) fn has_content(directory: &Path) -> Result<bool, CliError> {
    let mut entries = fs_err::read_dir(directory).map_err(|error| failed("cannot list the directory", &error))?;
    Ok(entries.next().is_some())
}

/// Extracts `archive` into `directory`.
///
/// If the directory `is_used`, only names of an archive's layout are written; files of the same name are replaced, others
/// stay. Symbolic links below the directory are not followed. An error leaves the directory unchanged.
pub(super) fn extract(archive: &Path, directory: &Path, is_used: bool, limits: &ReadLimits) -> Result<(), CliError> {
    let staging = |error: io::Error| failed("cannot create a directory", &error);
    let fresh = temporary_directory(directory).map_err(staging)?;
    let file = fs_err::File::open(archive).map_err(|error| failed("cannot read the downloaded data", &error))?;
    unpack_private(file, fresh.path(), limits).map_err(|error| {
        let what = failed("the archive cannot be extracted", &error);
        if error.is_limit() {
            what.hint("to extract it anyway: --no-limits")
        } else {
            what
        }
    })?;
    let moves = plan(fresh.path(), directory, is_used)?;
    let replaced = temporary_directory(directory).map_err(staging)?;
    apply(&moves, fresh.path(), directory, replaced.path())
        .map_err(|error| failed("cannot move the files into the directory", &error))
}

fn temporary_directory(directory: &Path) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(".sono-").tempdir_in(directory)
}

/// Rename of a file or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Move {
    /// Path relative to both directories.
    name: PathBuf,
    /// Whether a file of that name is replaced.
    replaces: bool,
}

/// Plans the renames from `fresh` to `directory`. Fails if one is not allowed. Changes nothing.
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
                let cause = format!("the directory is not empty, and {name:?} is not part of an archive's layout");
                return Err(refused("the archive cannot be extracted here", &cause).hint("choose an empty directory"));
            }
            let target = directory.join(&name);
            let found = match fs_err::symlink_metadata(&target) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    moves.push(Move { name, replaces: false });
                    continue;
                }
                Err(error) => return Err(failed("cannot read the directory", &error)),
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

/// Performs the renames. Replaced files are moved to `replaced`, and restored after an error.
fn apply(moves: &[Move], fresh: &Path, directory: &Path, replaced: &Path) -> io::Result<()> {
    for (number, Move { name, replaces }) in moves.iter().enumerate() {
        let (from, to) = (fresh.join(name), directory.join(name));
        let backup = replaced.join(number.to_string());
        let moved = if *replaces {
            fs_err::rename(&to, &backup)
        } else {
            Ok(())
        };
        let moved = moved.and_then(|()| {
            fs_err::rename(&from, &to).inspect_err(|_| {
                if *replaces {
                    restore(&backup, &to);
                }
            })
        });
        if let Err(error) = moved {
            for (number, Move { name, replaces }) in moves.iter().enumerate().take(number).rev() {
                let to = directory.join(name);
                restore(&to, &fresh.join(name));
                if *replaces {
                    restore(&replaced.join(number.to_string()), &to);
                }
            }
            return Err(error);
        }
    }
    Ok(())
}

fn restore(from: &Path, to: &Path) {
    if let Err(error) = fs_err::rename(from, to) {
        tracing::warn!(%error, "cannot restore a file");
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
    fn failed_move_reverts_earlier_moves() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        make(&at("fresh"), &["a", "b", "c"], "new");
        make(&at("there"), &["a"], "old");
        fs_err::create_dir(at("backup")).unwrap();
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
        assert!(apply(&moves, &at("fresh"), &at("there"), &at("backup")).is_err());
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
