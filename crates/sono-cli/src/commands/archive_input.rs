//! The archive that a command reads: a file or directory, a pipe, or the newest archive in the current directory.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use sono_bundle::usable_space;
use tempfile::NamedTempFile;

use super::retrieve;
use crate::{error::CliError, output::Printer};

/// Archive to read.
pub(super) struct ArchiveInput {
    path: PathBuf,
    /// Copy of a pipe.
    copy: Option<NamedTempFile>,
}

impl ArchiveInput {
    /// The given archive, or the newest one in the current directory.
    pub(super) fn of(archive: Option<&Path>, no_limits: bool, printer: &Printer) -> Result<Self, CliError> {
        let path = archive.map_or_else(|| newest_archive(printer), |archive| Ok(archive.to_path_buf()))?;
        let copy = copy_of_pipe(&path, no_limits)?;
        Ok(Self { path, copy })
    }

    /// Calls `read` with the archive, and with its name in suggested commands. Errors name the input instead of its copy.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Path, &str) -> Result<T, CliError>) -> Result<T, CliError> {
        let Some(copy) = &self.copy else {
            return read(&self.path, &self.path.display().to_string());
        };
        let place = if self.path.as_os_str() == "-" {
            "standard input".to_owned()
        } else {
            self.path.display().to_string()
        };
        let hidden = copy.path().display().to_string();
        // Its name ends with the command, and other commands read no pipe.
        read(copy.path(), "ARCHIVE").map_err(|error| error.renamed(&hidden, &place))
    }
}

/// Newest archive in the current directory.
fn newest_archive(printer: &Printer) -> Result<PathBuf, CliError> {
    let newest = retrieve::newest(Path::new("."));
    let newest = newest.map_err(|error| CliError::new("cannot list the current directory").caused_by(&error))?;
    let newest = newest.ok_or_else(|| {
        CliError::new("no archive found in the current directory")
            .hint("specify an archive: sono results ARCHIVE; or retrieve one: sono retrieve")
    })?;
    printer.note(&format!("newest archive: {}", newest.display()));
    Ok(newest)
}

/// Copies a pipe, or `-` for standard input, to a temporary file, since archives are read more than once.
fn copy_of_pipe(archive: &Path, no_limits: bool) -> Result<Option<NamedTempFile>, CliError> {
    let failed = |error: &io::Error| {
        CliError::new(format!("cannot buffer the archive from `{}`", archive.display())).caused_by(error)
    };
    let input: Box<dyn Read> = if archive.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else if fs_err::metadata(archive).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
        Box::new(fs_err::File::open(archive).map_err(|error| failed(&error))?)
    } else {
        return Ok(None);
    };
    let mut copy = NamedTempFile::new().map_err(|error| failed(&error))?;
    let limit = match usable_space(copy.path()) {
        Ok(usable) if !no_limits => usable,
        _ => u64::MAX,
    };
    let length = io::copy(&mut input.take(limit.saturating_add(1)), &mut copy).map_err(|error| failed(&error))?;
    if length > limit {
        let cause = format!("cause: the archive exceeds {limit} bytes, 90 % of the free space");
        return Err(
            CliError::new(format!("cannot buffer the archive from `{}`", archive.display()))
                .details([cause])
                .hint("set TMPDIR to a directory with more space, or use --no-limits"),
        );
    }
    Ok(Some(copy))
}
