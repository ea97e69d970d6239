//! Definitions and manifests from other sources.
#![cfg(test)]

mod examples;
mod workflows;
/// Tests with data of Sonobuoy.
mod vectors {
    mod gen_manifests;
    mod plugins;
}

use std::path::Path;

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
