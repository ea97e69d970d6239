//! A submission folder on disk, read with limits.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Component, Path, PathBuf},
};

use fs_err as fs;
use sono_bundle::{Links, open_regular};
use sono_conformance::{Minor, SubmittedFile};

use crate::error::CliError;

/// Maximum number of files: the bot's submissions have four.
const MAX_FILES: usize = 100;
/// Maximum number of directories that are searched.
const MAX_FOLDERS: usize = 100;
/// Maximum size of all files in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// Reads all files below `path`. Their paths are those in the repository of submissions.
pub(super) fn read(path: &Path) -> Result<Vec<SubmittedFile>, CliError> {
    let what = format!("cannot read `{}`", path.display());
    let failed = |error: &(dyn std::error::Error + 'static)| CliError::new(&what).caused_by(error);
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut pending = vec![(path.to_path_buf(), String::new())];
    let mut folders = 0_usize;
    let mut has_folders = false;
    while let Some((directory, prefix)) = pending.pop() {
        folders += 1;
        for entry in fs::read_dir(&directory).map_err(|error| failed(&error))? {
            let entry = entry.map_err(|error| failed(&error))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // The repository's own data is not part of a submission.
            if prefix.is_empty() && name == ".git" {
                continue;
            }
            let kind = entry.file_type().map_err(|error| failed(&error))?;
            if kind.is_dir() {
                has_folders = true;
                pending.push((entry.path(), format!("{prefix}{name}/")));
            } else {
                found.insert(format!("{prefix}{name}"), entry.path());
            }
            if found.len() > MAX_FILES || folders + pending.len() > MAX_FOLDERS {
                return Err(CliError::new(&what)
                    .details([format!("the folder has more than {MAX_FILES} files or folders")])
                    .hint("select the folder of one product: sono conformance check VERSION/PRODUCT"));
            }
        }
    }
    let only_folders = has_folders && !found.keys().any(|name| !name.contains('/'));
    let front = front(path, only_folders).map_err(|error| failed(&error))?;
    let mut left = MAX_BYTES;
    let mut files = Vec::new();
    for (name, path) in found {
        let file = open_regular(&path, Links::Refused).map_err(|error| failed(&error))?;
        let mut contents = Vec::new();
        file.take(left + 1)
            .read_to_end(&mut contents)
            .map_err(|error| failed(&error))?;
        left = left.checked_sub(contents.len() as u64).ok_or_else(|| {
            CliError::new(&what).details([format!("the files have more than {} MiB", MAX_BYTES >> 20)])
        })?;
        files.push(SubmittedFile {
            path: format!("{front}{name}"),
            contents,
        });
    }
    Ok(files)
}

/// The part of a folder's own path that belongs to the repository of submissions: version and product, or of a folder with folders
/// the version, if it is one.
fn front(path: &Path, only_folders: bool) -> std::io::Result<String> {
    let path = fs::canonicalize(path)?;
    let parts: Vec<String> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    let is_version = |name: &String| name.starts_with('v') && name.parse::<Minor>().is_ok();
    let count = match parts.last() {
        Some(name) if only_folders => usize::from(is_version(name)),
        _ => 2,
    };
    let last = parts.get(parts.len().saturating_sub(count)..).unwrap_or_default();
    Ok(last.iter().fold(String::new(), |path, name| path + name + "/"))
}
