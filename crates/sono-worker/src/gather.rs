//! Several files become one archive.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use fs_err as fs;
use sono_bundle::{PackError, Packed, pack_directory};
use sono_types::constants;

/// Name of the archive of a directory that the done file names; it is put into that directory.
const DIRECTORY_ARCHIVE: &str = "results.tar.gz";
/// Name of the archive of all that a plugin left behind.
const WHOLE_ARCHIVE: &str = "out.tar.gz";
/// gzip's own default: twice as much work saves a few percent.
const COMPRESSION: u32 = 6;
/// Files that are named in the log because they are packed not at all or otherwise than expected.
const MOST_LINES: usize = 20;

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatherError {
    #[error("cannot pack {}", .0.display())]
    Pack(PathBuf, #[source] PackError),
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

/// Packs the directory that a done file names.
pub(crate) fn directory(directory: &Path) -> Result<PathBuf, GatherError> {
    pack(directory, DIRECTORY_ARCHIVE)
}

/// Packs the whole results directory and names the archive in the done file, so that a worker that is started again
/// sends the same.
pub(crate) fn everything(results: &Path) -> Result<PathBuf, GatherError> {
    let archive = pack(results, WHOLE_ARCHIVE)?;
    let done = results.join(constants::DONE_FILE);
    let partial = results.join(".done.partial");
    let named = create(&partial)
        .and_then(|mut file| file.write_all(archive.to_string_lossy().as_bytes()))
        .and_then(|()| fs::rename(&partial, &done));
    if let Err(error) = named {
        // The result is whole without it: another worker would only pack once more.
        tracing::warn!(%error, "cannot name the archive in the done file");
        fs::remove_file(&partial).ok();
    }
    Ok(archive)
}

/// A new file, whatever the plugin has put in its place: a FIFO would wait for a reader, a link would lead elsewhere.
fn create(path: &Path) -> io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::OpenOptions::new().write(true).create_new(true).open(path)
}

/// The archive appears under its name only when it is whole. Neither it nor the done file is part of it (Sonobuoy packs
/// the done file when that names the results directory itself, which then shows up among the results).
fn pack(directory: &Path, name: &str) -> Result<PathBuf, GatherError> {
    let archive = directory.join(name);
    let partial = directory.join(format!(".{name}.partial"));
    let file = create(&partial).map_err(|error| GatherError::Write(partial.clone(), error))?;
    let exclude = [
        archive.clone(),
        partial.clone(),
        directory.join(constants::DONE_FILE),
        directory.join(".done.partial"),
    ];
    let (_, packed) = pack_directory(directory, file, &exclude, COMPRESSION)
        .map_err(|error| GatherError::Pack(directory.to_path_buf(), error))?;
    fs::rename(&partial, &archive).map_err(|error| GatherError::Write(archive.clone(), error))?;
    report(&archive, &packed);
    Ok(archive)
}

fn report(archive: &Path, packed: &Packed) {
    let Packed {
        entries,
        bytes,
        changed,
        skipped,
    } = packed;
    tracing::info!(archive = %archive.display(), entries, bytes, "packed results");
    for name in changed.iter().take(MOST_LINES) {
        tracing::warn!(name, "file changed while it was packed");
    }
    for (name, reason) in skipped.iter().take(MOST_LINES) {
        tracing::warn!(name, reason, "not packed");
    }
    if let Some(more) = skipped.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        tracing::warn!(more, "further files are not packed");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn entries(archive: &Path) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let file = io::BufReader::new(fs::File::open(archive).unwrap());
        let mut archive = tar::Archive::new(flate2::bufread::MultiGzDecoder::new(file));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            found.push((name.trim_end_matches('/').to_owned(), content));
        }
        found
    }

    fn plugin_directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("sub")).unwrap();
        fs::write(directory.path().join("a.xml"), "a").unwrap();
        fs::write(directory.path().join("done"), "x").unwrap();
        fs::write(directory.path().join("sub/done"), "not the done file").unwrap();
        fs::write(directory.path().join("sub/out.tar.gz"), "not the archive").unwrap();
        directory
    }

    fn expected() -> Vec<(String, String)> {
        [
            ("a.xml", "a"),
            ("sub", ""),
            ("sub/done", "not the done file"),
            ("sub/out.tar.gz", "not the archive"),
        ]
        .map(|(name, content)| (name.to_owned(), content.to_owned()))
        .to_vec()
    }

    #[test]
    fn a_directory_is_packed_without_what_is_not_a_result() {
        let results = plugin_directory();
        let archive = directory(results.path()).unwrap();
        assert_eq!(archive, results.path().join("results.tar.gz"));
        assert_eq!(entries(&archive), expected());
        assert_eq!(
            entries(&directory(results.path()).unwrap()),
            expected(),
            "a second time"
        );
    }

    #[test]
    fn everything_is_packed_and_the_done_file_says_so() {
        let results = plugin_directory();
        let archive = everything(results.path()).unwrap();
        assert_eq!(archive, results.path().join("out.tar.gz"));
        assert_eq!(entries(&archive), expected());
        assert_eq!(
            fs::read_to_string(results.path().join("done")).unwrap(),
            archive.to_string_lossy()
        );
        let mut names: Vec<_> = fs::read_dir(results.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["a.xml", "done", "out.tar.gz", "sub"]);
    }

    #[test]
    fn a_directory_that_is_gone_is_an_error() {
        assert!(matches!(
            directory(Path::new("/no/such/directory")),
            Err(GatherError::Write(..))
        ));
    }
    /// What a plugin has put where the worker writes: nothing of it is waited for, followed, or in the way.
    #[cfg(unix)]
    #[test]
    fn special_files_in_the_results_directory_are_neither_packed_nor_waited_for() {
        use rustix::fs::{CWD, Mode, mkfifoat};
        let results = plugin_directory();
        let path = |name: &str| results.path().join(name);
        for name in ["fifo", ".out.tar.gz.partial", ".done.partial", "out.tar.gz"] {
            mkfifoat(CWD, path(name), Mode::RWXU).unwrap();
        }
        let archive = everything(results.path()).unwrap();
        assert_eq!(entries(&archive), expected());
        assert_eq!(fs::read_to_string(path("done")).unwrap(), archive.to_string_lossy());

        // A directory cannot be replaced by a file: the result is there all the same.
        fs::remove_file(path("done")).unwrap();
        fs::create_dir(path("done")).unwrap();
        assert_eq!(entries(&everything(results.path()).unwrap()), expected());

        let outside = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(outside.path(), path(".out.tar.gz.partial")).unwrap();
        everything(results.path()).unwrap();
        assert_eq!(fs::read(outside.path()).unwrap(), b"");
    }
}
