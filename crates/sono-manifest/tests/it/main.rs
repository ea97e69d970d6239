//! Definitions and manifests from other sources.
#![cfg(test)]

mod examples;
mod gen_manifests;
mod plugins;
mod workflows;

use std::{
    env,
    path::{Path, PathBuf},
};

/// A directory of the test vectors, which are not part of this repository: in `../shared/vectors` or `$SONO_VECTORS`.
#[expect(clippy::disallowed_methods, reason = "the crate is pure, its tests are not")]
fn vectors(folder: &str) -> Option<PathBuf> {
    let root = env::var("SONO_VECTORS").map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let folder = root.join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no test vectors at {}", folder.display());
    None
}

/// Name and content of the YAML files in a directory, sorted by name.
fn yaml_files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "yaml"))
        .map(|entry| {
            let text = fs_err::read_to_string(entry.path()).unwrap();
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
        .collect();
    files.sort();
    files
}
