//! `sono retrieve`: downloads and verifies the archive. It gets its final name only when complete.

mod announced;
mod check;
mod download;
mod extract;
mod part;
mod pod_access;
mod retention;
mod splat;
mod target;

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use sono_bundle::{ReadLimits, create_private_directories, usable_space};
use sono_types::{ArchiveName, error_chain, exit, routes};

pub(super) use self::retention::newest;
use self::{
    announced::{Announced, archive_name},
    check::{check, checksum_mismatch},
    download::{ByteSource as _, DownloadError, fill},
    part::PartialFile,
    pod_access::{PodAccess, TransportFallback},
    target::Target,
};
use super::{recording, report_file};
use crate::{
    aggregator::{self, WhichRun, status_of},
    args,
    error::CliError,
    output::Printer,
    settings::{command_hint, connect},
    view::meter::Meter,
};

/// Maximum number of attempts to find the run.
const MAX_FIND_TRIES: u32 = 5;
/// Maximum number of attempts to fetch partial results, which cannot be resumed.
const MAX_PARTIAL_TRIES: u32 = 3;

pub(super) async fn retrieve(arguments: args::Retrieve, printer: &Printer) -> Result<u8, CliError> {
    let (run, report) = (arguments.run.clone(), arguments.report.clone());
    let recording = arguments.recording.clone();
    if let Some(file) = &report {
        report_file::check(file)?;
    }
    let archives = fetch(arguments, WhichRun::of(run.as_ref()), printer).await?;
    for archive in &archives {
        recording::record(archive, &recording, printer);
    }
    if let (Some(file), Some(archive)) = (report, archives.first()) {
        report_file::write(archive, &file, printer)?;
    }
    Ok(exit::SUCCESS)
}

/// Fetches the archives of a run and prints their paths. Returns the paths, except those of extracted archives.
pub(super) async fn fetch(
    arguments: args::Retrieve,
    requested: WhichRun<'_>,
    printer: &Printer,
) -> Result<Vec<PathBuf>, CliError> {
    let paths = fetch_from(arguments, requested, Paths::Printed, printer);
    Box::pin(paths).await
}

/// Fetches the archives of the newest run for this command only. Their paths are not printed.
pub(super) async fn fetch_unseen(arguments: args::Retrieve, printer: &Printer) -> Result<Vec<PathBuf>, CliError> {
    fetch_from(arguments, WhichRun::Newest, Paths::Unseen, printer).await
}

/// Whether paths of archives are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paths {
    Printed,
    Unseen,
}

async fn fetch_from(
    arguments: args::Retrieve,
    requested: WhichRun<'_>,
    paths: Paths,
    printer: &Printer,
) -> Result<Vec<PathBuf>, CliError> {
    let args::Retrieve {
        path,
        location: args::RunLocation {
            namespace,
            cluster: cluster_arguments,
        },
        run: _,
        filename,
        force,
        extract,
        retrieve_path,
        partial,
        keep,
        report: _,
        recording: _,
        no_limits,
    } = arguments;
    let cluster = connect(&cluster_arguments).await?;
    let (pod, found) = aggregator::expect(&cluster, &namespace, requested, MAX_FIND_TRIES).await?;
    if matches!(requested, WhichRun::Newest) {
        found.announce(&namespace, printer);
    }
    // A pod without a status may still have an archive: query older aggregators.
    let status = status_of(&pod);
    let expected = match &status {
        Some(Ok(status)) => {
            let archive = status.archive().filter(|archive| found.identity.owns(archive));
            archive.map(Announced::parse).transpose()?
        }
        _ => None,
    };
    if let Some(Ok(status)) = &status
        && !status.withheld.is_empty()
    {
        return Err(refused("the archive is withheld", &status.withheld)
            .hint("the run requires a proved redaction; to accept less, start it without --require-redaction"));
    }
    let not_ready = || {
        CliError::new("Results not ready yet. Check `sono status` for status.").hint(format!(
            "to wait for them: {}; to fetch partial results: {}",
            command_hint("wait", &namespace, &cluster_arguments),
            command_hint("retrieve --partial", &namespace, &cluster_arguments)
        ))
    };
    if expected.is_none() && status.is_some() && !partial {
        return Err(not_ready());
    }
    let pod = pod.metadata.name.unwrap_or_default();
    let (directory, name) = destination(&path, filename.as_deref());
    create_private_directories(&directory).map_err(|error| {
        failed(
            &format!("cannot create the directory `{}`", directory.display()),
            &error,
        )
    })?;
    let job = Job {
        access: PodAccess {
            cluster: &cluster,
            namespace: &namespace,
            pod: &pod,
            directory: &retrieve_path,
        },
        directory: &directory,
        name: name.as_deref(),
        force,
        extract,
        is_used: extract && extract::has_content(&directory)?,
        no_limits,
        retry_command: &command_hint("retrieve", &namespace, &cluster_arguments),
        printer,
        paths,
        stored: RefCell::default(),
    };
    if partial && expected.is_none() {
        job.partial().await?;
        return Ok(job.stored.into_inner());
    }
    if partial {
        printer.note("the run is complete: fetching its archive instead of partial results");
    }
    let is_here = match &expected {
        Some(archive) => job.download_announced(archive).await?,
        None => false,
    };
    if !is_here && !job.download_all(expected.as_ref()).await? {
        return Err(not_ready());
    }
    let stored = job.stored.into_inner();
    if let Some(number) = keep {
        retention::remove_old(&directory, number, &stored, printer);
    }
    Ok(stored)
}

/// Source, destination and options of a download.
struct Job<'a> {
    access: PodAccess<'a>,
    directory: &'a Path,
    /// Name set by the user.
    name: Option<&'a Path>,
    /// Whether any existing file is replaced.
    force: bool,
    extract: bool,
    /// Whether the directory had content before.
    is_used: bool,
    no_limits: bool,
    /// Command to retry the download.
    retry_command: &'a str,
    printer: &'a Printer,
    paths: Paths,
    /// Paths of stored archives.
    stored: RefCell<Vec<PathBuf>>,
}

impl Job<'_> {
    /// Downloads the archive that the status announces, or resumes an earlier download. `false` if the aggregator cannot
    /// send parts of it.
    async fn download_announced(&self, archive: &Announced) -> Result<bool, CliError> {
        if !self.extract {
            self.target(&archive.name, 0).check()?;
        }
        let unwritable =
            |error: &std::io::Error| failed(&format!("cannot write into `{}`", self.directory.display()), error);
        let mut part = PartialFile::open(self.directory, archive).map_err(|error| unwritable(&error))?;
        if let Err(error) = self.fits(archive, part.have) {
            if part.have == 0 {
                fs_err::remove_file(&part.path).map_err(|error| unwritable(&error))?;
            }
            return Err(error);
        }
        let mut restarted = false;
        loop {
            if part.have > 0 && part.have < archive.size {
                let (have, size) = (part.have, archive.size);
                self.printer
                    .note(&format!("resuming an earlier download at byte {have} of {size}"));
            }
            let resumed = part.have > 0;
            let meter = Meter::new(self.printer, archive.name.as_str(), Some(archive.size));
            let mut fallback = TransportFallback::default();
            let open = async |offset| self.access.part(archive, offset, &mut fallback).await;
            let filled = fill(&mut part.file, part.have, archive.size, open, |have| meter.set(have)).await;
            drop(meter);
            match filled {
                Ok(()) => {}
                Err(DownloadError::Unsupported(reason)) => {
                    tracing::debug!(reason, "the aggregator cannot send parts");
                    fs_err::remove_file(&part.path).map_err(|error| unwritable(&error))?;
                    return Ok(false);
                }
                Err(DownloadError::Refused(causes)) => {
                    part.remove_if_empty().map_err(|error| unwritable(&error))?;
                    let what =
                        "cannot retrieve the results: the account is not permitted to access the aggregator's pod";
                    return Err(CliError::new(what)
                        .details(causes)
                        .hint(
                            "one of these permissions is required: pods/exec or pods/portforward (docs/permissions.md)",
                        )
                        .exit_with(exit::RETRIEVE_FAILURE));
                }
                Err(DownloadError::Disk(cause)) => return Err(refused("cannot write the archive", &cause)),
                Err(DownloadError::Incomplete { have: 0, cause }) => {
                    part.remove_if_empty().map_err(|error| unwritable(&error))?;
                    return Err(
                        refused("the transfer did not start", &cause).hint(format!("to retry: {}", self.retry_command))
                    );
                }
                Err(DownloadError::Incomplete { have, cause }) => {
                    return Err(refused("the transfer was not complete", &cause).hint(format!(
                        "{have} of {} bytes are stored; to resume: {}",
                        archive.size, self.retry_command
                    )));
                }
            }
            let (size, sha256) = part
                .digest()
                .map_err(|error| failed("cannot read the downloaded data", &error))?;
            if (size, &sha256) == (archive.size, &archive.sha256) {
                break;
            }
            part.restart().map_err(|error| unwritable(&error))?;
            // Data of an earlier download may be the reason.
            if restarted || !resumed {
                fs_err::remove_file(&part.path).map_err(|error| unwritable(&error))?;
                return Err(checksum_mismatch(archive, size, &sha256));
            }
            restarted = true;
            self.printer
                .note("the data of an earlier download does not match; restarting the download");
        }
        part.file.sync_all().map_err(|error| unwritable(&error))?;
        let path = part.path.clone();
        drop(part);
        self.store(&path, &archive.name, 0)?;
        Ok(true)
    }

    /// Size limits for files in the directory.
    fn limits(&self) -> ReadLimits {
        if self.no_limits {
            return ReadLimits::NONE;
        }
        match usable_space(self.directory) {
            Ok(usable) => ReadLimits {
                max_unpacked_bytes: usable,
                ..ReadLimits::DEFAULT
            },
            Err(error) => {
                tracing::debug!(%error, "cannot determine the free disk space");
                ReadLimits::DEFAULT
            }
        }
    }

    /// Checks that the rest of the archive fits on the disk.
    fn fits(&self, archive: &Announced, have: u64) -> Result<(), CliError> {
        let usable = self.limits().max_unpacked_bytes;
        let needed = archive.size.saturating_sub(have);
        if needed <= usable {
            return Ok(());
        }
        let cause = format!(
            "{needed} more bytes are required, but only {usable} are available in `{}` (90 % of the free space)",
            shown(self.directory).display()
        );
        Err(refused(&format!("`{}` does not fit on the disk", archive.name), &cause)
            .hint("choose another directory, or use --no-limits to try anyway"))
    }

    fn target(&self, own_name: &ArchiveName, index: usize) -> Target {
        match self.name {
            Some(name) => Target::of_user(self.directory, name, index, self.force),
            None => Target::of_cluster(self.directory, own_name),
        }
    }

    /// Downloads all archives of the aggregator. `false` if it has none.
    async fn download_all(&self, expected: Option<&Announced>) -> Result<bool, CliError> {
        let incoming = tempfile::Builder::new()
            .prefix(".sono-")
            .tempdir_in(self.directory)
            .map_err(|error| failed(&format!("cannot write into `{}`", self.directory.display()), &error))?;
        if !splat::fetch(self.access, incoming.path(), self.limits()).await? {
            return Ok(false);
        }
        let names = check(incoming.path(), expected)?;
        if !self.extract {
            for (index, name) in names.iter().enumerate() {
                self.target(name, index).check()?;
            }
        }
        for (index, name) in names.iter().enumerate() {
            self.store(&incoming.path().join(name), name, index)?;
        }
        Ok(true)
    }

    /// Fetches the results that an unfinished run has collected so far.
    async fn partial(&self) -> Result<(), CliError> {
        let mut tries = 1;
        loop {
            match self.partial_once().await {
                Ok(()) => return Ok(()),
                Err(PartialError::Permanent(error)) => return Err(error),
                Err(PartialError::Transient(cause)) if tries == MAX_PARTIAL_TRIES => {
                    return Err(refused("the transfer was not complete", &cause));
                }
                Err(PartialError::Transient(cause)) => tracing::warn!(cause, "retrying from the start"),
            }
            tries += 1;
        }
    }

    async fn partial_once(&self) -> Result<(), PartialError> {
        let answer = self.access.get(routes::LOCAL_PARTIAL, &[]).await.map_err(|error| {
            if error.is_unreachable() {
                PartialError::Transient(error_chain(&error))
            } else {
                let what = "cannot retrieve the results: cannot reach the aggregator's loopback address";
                PartialError::Permanent(
                    CliError::of_cluster(what, &error)
                        .hint("partial results require an aggregator of sono and permission for pods/portforward")
                        .exit_with(exit::RETRIEVE_FAILURE),
                )
            }
        })?;
        if answer.status != 200 {
            let what = format!(
                "cannot retrieve the results: the aggregator returned status {}",
                answer.status
            );
            return Err(PartialError::Permanent(
                CliError::new(what)
                    .hint("the run has not started, or has just completed: try again")
                    .exit_with(exit::RETRIEVE_FAILURE),
            ));
        }
        let name = answer
            .headers
            .get(http::header::CONTENT_DISPOSITION)
            .map(|value| String::from_utf8_lossy(value.as_bytes()));
        let name = match &name {
            Some(value) => value.split('"').nth(1).unwrap_or_default(),
            None => "partial.tar.gz",
        };
        let name = archive_name(name).map_err(PartialError::Permanent)?;
        if !self.extract {
            self.target(&name, 0).check().map_err(PartialError::Permanent)?;
        }
        let usable = self.limits().max_unpacked_bytes;
        let cannot_write = |error: &std::io::Error| PartialError::Permanent(failed("cannot write the archive", error));
        let mut file = tempfile::Builder::new()
            .prefix(".sono-")
            .tempfile_in(self.directory)
            .map_err(|error| cannot_write(&error))?;
        let meter = Meter::new(self.printer, name.as_str(), None);
        let mut have = 0;
        let mut flow = pod_access::Bytestream::Forwarded(Box::new(answer));
        while let Some(chunk) = flow.next().await.map_err(PartialError::Transient)? {
            std::io::Write::write_all(&mut file, &chunk).map_err(|error| cannot_write(&error))?;
            have += chunk.len() as u64;
            if have > usable {
                let cause = format!("the archive exceeds {usable} bytes, 90 % of the free space");
                let refused = refused("the archive does not fit on the disk", &cause);
                return Err(PartialError::Permanent(refused.hint("to try anyway: --no-limits")));
            }
            meter.set(have);
        }
        drop(meter);
        let path = file.into_temp_path();
        self.store(&path, &name, 0).map_err(PartialError::Permanent)?;
        // The file was renamed or removed.
        path.keep().map(drop).map_err(|error| cannot_write(&error.error))
    }

    /// Stores a complete archive, or extracts and removes it. It is removed even after an error.
    fn store(&self, archive: &Path, own_name: &ArchiveName, index: usize) -> Result<(), CliError> {
        if self.extract {
            let extracted = extract::extract(archive, self.directory, self.is_used, &self.limits());
            let removed = fs_err::remove_file(archive).map_err(|error| failed("cannot remove the archive", &error));
            return extracted.and(removed);
        }
        let target = self.target(own_name, index);
        target.store(archive)?;
        if self.paths == Paths::Printed {
            self.printer.path(shown(&target.path))?;
        }
        self.stored.borrow_mut().push(target.path);
        Ok(())
    }
}

/// Error while fetching partial results.
enum PartialError {
    Permanent(CliError),
    Transient(String),
}

fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> CliError {
    CliError::new(format!("cannot retrieve the results: {what}"))
        .caused_by(error)
        .exit_with(exit::RETRIEVE_FAILURE)
}

fn refused(what: &str, cause: &str) -> CliError {
    CliError::new(format!("cannot retrieve the results: {what}"))
        .details([format!("cause: {}", cause.trim())])
        .exit_with(exit::RETRIEVE_FAILURE)
}

/// Directory of the files, and the file name if the user set one.
fn destination(path: &Path, filename: Option<&Path>) -> (PathBuf, Option<PathBuf>) {
    match filename {
        None => (path.to_owned(), None),
        Some(name) => {
            let folder = name
                .parent()
                .map_or_else(|| path.to_owned(), |folder| path.join(folder));
            (folder, name.file_name().map(PathBuf::from))
        }
    }
}

/// Removes the prefix `./` of the default directory.
fn shown(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

/// Removes the files of an attempt.
fn clear(directory: &Path) -> Result<(), CliError> {
    let unremovable = |error: std::io::Error| failed("cannot remove incomplete files", &error);
    for entry in fs_err::read_dir(directory).map_err(unremovable)? {
        let path = entry.map_err(unremovable)?.path();
        let removed = if path.is_dir() {
            fs_err::remove_dir_all(path)
        } else {
            fs_err::remove_file(path)
        };
        removed.map_err(unremovable)?;
    }
    Ok(())
}
