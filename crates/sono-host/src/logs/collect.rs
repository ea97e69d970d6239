//! Collects the journal or log files into the result, then writes the done file.

use std::{
    io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use sono_types::constants;

use super::{
    files,
    journal::{self, Outcome},
};

/// Name of the result in the results directory, as in Sonobuoy.
const RESULT_FILE: &str = "systemd_logs";

/// Directories and the node's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// The results directory, created if missing.
    pub(super) results_dir: PathBuf,
    /// The root directory of the machine.
    pub(super) root: PathBuf,
    /// The node's name; may be empty.
    pub(super) node: String,
}

/// Why the plugin has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogsError {
    /// The source names the directory.
    #[error("cannot create the results directory")]
    ResultsDirectory(#[source] io::Error),
    #[error("cannot write the logs")]
    Write(#[source] io::Error),
    #[error("cannot write the done file")]
    HandIn(#[source] io::Error),
}

/// Collects the logs and writes the done file. Returns the path of the result. An unreadable journal is not an error:
/// the result says so and contains the log files instead.
pub(super) fn collect(options: &Options) -> Result<PathBuf, LogsError> {
    let directory = std::path::absolute(&options.results_dir).map_err(LogsError::ResultsDirectory)?;
    fs_err::create_dir_all(&directory).map_err(LogsError::ResultsDirectory)?;
    let result = directory.join(RESULT_FILE);
    let unfinished = directory.join(format!(".{RESULT_FILE}"));
    write(options, &unfinished).map_err(LogsError::Write)?;
    fs_err::rename(&unfinished, &result).map_err(LogsError::HandIn)?;
    let done = directory.join(constants::DONE_FILE);
    let unfinished = directory.join(format!(".{}", constants::DONE_FILE));
    fs_err::write(&unfinished, result.to_string_lossy().as_bytes()).map_err(LogsError::HandIn)?;
    fs_err::rename(&unfinished, &done).map_err(LogsError::HandIn)?;
    Ok(result)
}

fn write(options: &Options, path: &Path) -> io::Result<()> {
    let Options { root, node, .. } = options;
    let file = fs_err::File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(path)?;
    let why = match journal::find(root) {
        None => "this machine has no journalctl".to_owned(),
        Some(program) => match journal::write(root, program, file.try_clone()?) {
            Ok(Outcome::Success) if file.metadata()?.len() > 0 => return Ok(()),
            Ok(Outcome::Success) => "the journal is empty".to_owned(),
            Ok(Outcome::Failure(why)) => format!("the journal could not be read: {why}"),
            Err(error) => format!("journalctl could not be started: {error}"),
        },
    };
    let whole_lines = ends_a_line(&file)?;
    let mut into = BufWriter::new(file);
    if !whole_lines {
        into.write_all(b"\n")?;
    }
    files::note(&mut into, node, &format!("{why}; the files of /var/log follow"))?;
    if files::write(root, node, &mut into)? == 0 {
        files::note(&mut into, node, "/var/log has no files")?;
    }
    into.flush()
}

/// Whether the file ends with a complete line; journalctl may have been interrupted. Moves the position to the end.
fn ends_a_line(file: &fs_err::File) -> io::Result<bool> {
    let mut file = file;
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
