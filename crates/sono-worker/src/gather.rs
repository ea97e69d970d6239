//! Packs the files of a result into one archive.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use fs_err as fs;
use sono_bundle::{PackError, Packed, pack_directory};
use sono_types::constants;

/// Name of the archive of a directory named by the done file. It is created in that directory.
const DIRECTORY_ARCHIVE: &str = "results.tar.gz";
/// Name of the archive of the whole results directory.
const WHOLE_ARCHIVE: &str = "out.tar.gz";
/// gzip's default level: twice the work would save only a few percent.
const COMPRESSION: u32 = 6;
/// Skipped or changed files that are logged by name.
const MAX_LOGGED_FILES: usize = 20;

/// Why packing failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatherError {
    #[error("cannot pack {}", .0.display())]
    Pack(PathBuf, #[source] PackError),
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

/// Packs a directory named by the done file.
pub(crate) fn directory(directory: &Path) -> Result<PathBuf, GatherError> {
    pack(directory, DIRECTORY_ARCHIVE)
}

/// Packs the whole results directory and names the archive in the done file, so that a restarted worker sends the same
/// archive.
pub(crate) fn everything(results: &Path) -> Result<PathBuf, GatherError> {
    let archive = pack(results, WHOLE_ARCHIVE)?;
    let done = results.join(constants::DONE_FILE);
    let partial = results.join(".done.partial");
    let named = create(&partial)
        .and_then(|mut file| file.write_all(archive.to_string_lossy().as_bytes()))
        .and_then(|()| fs::rename(&partial, &done));
    if let Err(error) = named {
        // The upload works without it: a restarted worker would pack again.
        tracing::warn!(%error, "cannot name the archive in the done file");
        fs::remove_file(&partial).ok();
    }
    Ok(archive)
}

/// Replaces the file, whatever the plugin created there: opening a FIFO could block, a link could lead elsewhere.
fn create(path: &Path) -> io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::OpenOptions::new().write(true).create_new(true).open(path)
}

/// Packs `directory` to a temporary file, then renames it. The archive and the done file are excluded (Sonobuoy
/// includes the done file if it names the results directory itself).
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
    for name in changed.iter().take(MAX_LOGGED_FILES) {
        tracing::warn!(name, "file changed while it was packed");
    }
    for (name, reason) in skipped.iter().take(MAX_LOGGED_FILES) {
        tracing::warn!(name, reason, "not packed");
    }
    if let Some(more) = skipped.len().checked_sub(MAX_LOGGED_FILES).filter(|more| *more > 0) {
        tracing::warn!(more, "more files were not packed");
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
    fn directory_is_packed_without_done_file_and_archive() {
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
    fn everything_is_packed_and_named_in_the_done_file() {
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
    fn missing_directory_is_an_error() {
        assert!(matches!(
            directory(Path::new("/no/such/directory")),
            Err(GatherError::Write(..))
        ));
    }
    /// Special files at the worker's paths are neither opened nor followed, and do not prevent packing.
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

        // A directory cannot be replaced by a file; the archive is created nevertheless.
        fs::remove_file(path("done")).unwrap();
        fs::create_dir(path("done")).unwrap();
        assert_eq!(entries(&everything(results.path()).unwrap()), expected());

        let outside = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(outside.path(), path(".out.tar.gz.partial")).unwrap();
        everything(results.path()).unwrap();
        assert_eq!(fs::read(outside.path()).unwrap(), b"");
    }
}
