//! Walks a directory in a stable order, without following links.

use std::{
    fs::FileType,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use fs_err as fs;

/// An entry below a directory.
#[derive(Debug)]
pub(crate) struct Found {
    /// Name relative to the root, with `/`. Parts that are not UTF-8 are converted lossily.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) kind: FileType,
}

/// Calls `visit` for everything below `root`, parents first, in lexical order. Entries that vanish, and a missing root,
/// are skipped.
pub(crate) fn walk<E: From<io::Error>>(
    root: &Path,
    visit: &mut dyn FnMut(&Found) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    // Not recursive: plugins may create directories of any depth.
    let mut stack = vec![children(root, "")?];
    while let Some(level) = stack.last_mut() {
        let Some(found) = level.next() else {
            stack.pop();
            continue;
        };
        if visit(&found)?.is_break() {
            return Ok(());
        }
        if found.kind.is_dir() {
            stack.push(children(&found.path, &found.name)?);
        }
    }
    Ok(())
}

fn children(directory: &Path, name: &str) -> io::Result<std::vec::IntoIter<Found>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new().into_iter()),
        Err(error) => return Err(error),
    };
    let mut children = Vec::new();
    for entry in entries {
        let entry = entry?;
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) if is_missing(&error) => continue,
            Err(error) => return Err(error),
        };
        let own = entry.file_name();
        let own = own.to_string_lossy();
        children.push(Found {
            name: if name.is_empty() {
                own.into_owned()
            } else {
                format!("{name}/{own}")
            },
            path: entry.path(),
            kind,
        });
    }
    children.sort_by(|one, other| one.path.file_name().cmp(&other.path.file_name()));
    Ok(children.into_iter())
}

/// Whether the path does not exist.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The path of `name` below `root`; `None` if it does not exist, or leads through a link or `..`. Names may begin with
/// `./`.
pub(crate) fn resolve(root: &Path, name: &str) -> io::Result<Option<PathBuf>> {
    let mut path = root.to_path_buf();
    for part in name.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." || part.contains('\0') || (cfg!(windows) && part.contains(['\\', ':'])) {
            return Ok(None);
        }
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.file_type().is_symlink() => return Ok(None),
            Ok(_) => {}
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(path))
}
