//! Runs the checks: reads, judges, writes the result, then the done file.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use sono_types::{constants, yaml};

use crate::{gather, judge};

/// Name of the result in the results directory.
pub const RESULT_FILE: &str = "host-check.yaml";

/// Directories and the node's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The results directory, created if missing.
    pub results_dir: PathBuf,
    /// The root directory of the machine.
    pub root: PathBuf,
    /// The node's name; may be empty.
    pub node: String,
}

/// Why the plugin has no result.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The tree of checks cannot be encoded as YAML.
    #[error("cannot render the result")]
    Render(#[source] yaml::YamlError),
    /// The results directory cannot be created; the source names it.
    #[error("cannot create the results directory")]
    ResultsDirectory(#[source] io::Error),
    /// A file cannot be written or renamed; the source names it.
    #[error("cannot write the result")]
    Write(#[source] io::Error),
}

/// Checks the machine and writes the result. Returns its path.
///
/// Both files are renamed into place when complete, the done file last.
pub fn run(options: &Options, now: Timestamp) -> Result<PathBuf, HostError> {
    let Options {
        results_dir,
        root,
        node,
    } = options;
    let tree = judge(&gather(root, node), now);
    let text = yaml::to_string(&tree).map_err(HostError::Render)?;
    let directory = std::path::absolute(results_dir).map_err(HostError::ResultsDirectory)?;
    fs_err::create_dir_all(&directory).map_err(HostError::ResultsDirectory)?;
    let result = directory.join(RESULT_FILE);
    write(&result, text.as_bytes())?;
    let done = result.to_string_lossy().into_owned();
    write(&directory.join(constants::DONE_FILE), done.as_bytes())?;
    Ok(result)
}

fn write(path: &Path, content: &[u8]) -> Result<(), HostError> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    let unfinished = path.with_file_name(name);
    fs_err::write(&unfinished, content).map_err(HostError::Write)?;
    fs_err::rename(&unfinished, path).map_err(HostError::Write)
}

#[cfg(test)]
mod tests {
    use sono_types::Item;

    use super::*;

    #[test]
    fn result_exists_when_the_done_file_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            results_dir: directory.path().join("new/results"),
            root: directory.path().to_path_buf(),
            node: "n1".to_owned(),
        };
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let result = run(&options, now).unwrap();
        assert_eq!(result, options.results_dir.join("host-check.yaml"));
        let done = fs_err::read_to_string(options.results_dir.join("done")).unwrap();
        assert_eq!(Path::new(&done), result);
        let mut names: Vec<_> = fs_err::read_dir(&options.results_dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["done", "host-check.yaml"]);
        let text = fs_err::read_to_string(&result).unwrap();
        let item: Item = yaml::first_document(&text).unwrap();
        assert_eq!(
            (item.name.as_str(), &item.details["node"]),
            ("host-check", &"n1".into())
        );
    }

    #[test]
    fn uncreatable_results_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs_err::write(&file, "").unwrap();
        let options = Options {
            results_dir: file.join("results"),
            root: directory.path().to_path_buf(),
            node: String::new(),
        };
        let error = run(&options, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(error.to_string(), "cannot create the results directory");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let named = format!("`{}`", options.results_dir.display());
        assert!(source.as_ref().is_some_and(|text| text.contains(&named)), "{source:?}");
    }
}
