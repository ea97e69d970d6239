//! `sono retrieve`: the archive, checked, under its final name only when it is whole.

mod announced;
mod download;
mod extract;
mod keep;
mod part;
mod reach;
mod splat;
mod target;

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use sono_bundle::{ReadLimits, create_private_directories, usable_space};
use sono_types::{ArchiveName, exit, routes};

use self::{
    announced::{Announced, archive_name},
    download::{Cut, Flow as _, fill},
    part::{Part, digest},
    reach::{Reach, Turns, chain},
    target::Target,
};
use crate::{
    aggregator::{self, WhichRun, status_of},
    args,
    error::CliError,
    output::Printer,
    settings::{command_hint, connect},
    view::meter::Meter,
};

/// Attempts at finding the run: the connection may be cut there as well.
const FIND_TRIES: u32 = 5;
/// Attempts at partial results, which have no length to go on from.
const PARTIAL_TRIES: u32 = 3;

pub(super) async fn retrieve(arguments: args::Retrieve, printer: &Printer) -> Result<u8, CliError> {
    let run = arguments.run.clone();
    fetch(arguments, WhichRun::of(run.as_ref()), printer).await?;
    Ok(exit::SUCCESS)
}

/// Returns the paths of the archives; of those that are extracted there are none.
pub(super) async fn fetch(
    arguments: args::Retrieve,
    wanted: WhichRun<'_>,
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
        no_limits,
    } = arguments;
    let cluster = connect(&cluster_arguments).await?;
    let (pod, found) = aggregator::expect(&cluster, &namespace, wanted, FIND_TRIES).await?;
    if matches!(wanted, WhichRun::Newest) {
        found.announce(&namespace, printer);
    }
    // A pod without our status may still have an archive: an older aggregator is asked, not told.
    let status = status_of(&pod);
    let expected = match &status {
        Some(Ok(status)) => {
            let archive = status.archive().filter(|archive| found.identity.owns(archive));
            archive.map(Announced::parse).transpose()?
        }
        _ => None,
    };
    let not_ready = || {
        CliError::new("Results not ready yet. Check `sono status` for status.").hint(format!(
            "{} waits for them; {} fetches what is there",
            command_hint("wait", &namespace, &cluster_arguments),
            command_hint("retrieve --partial", &namespace, &cluster_arguments)
        ))
    };
    if expected.is_none() && status.is_some() && !partial {
        return Err(not_ready());
    }
    let pod = pod.metadata.name.unwrap_or_default();
    let (directory, name) = destination(&path, filename.as_deref());
    create_private_directories(&directory)
        .map_err(|error| failed(&format!("cannot make the directory `{}`", directory.display()), &error))?;
    let job = Job {
        reach: Reach {
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
        again: &command_hint("retrieve", &namespace, &cluster_arguments),
        printer,
        placed: RefCell::default(),
    };
    if partial && expected.is_none() {
        job.partial().await?;
        return Ok(job.placed.into_inner());
    }
    if partial {
        printer.note("the run is complete: this is its whole archive");
    }
    let is_here = match &expected {
        Some(archive) => job.one(archive).await?,
        None => false,
    };
    if !is_here && !job.all(expected.as_ref()).await? {
        return Err(not_ready());
    }
    let placed = job.placed.into_inner();
    if let Some(number) = keep {
        keep::newest(&directory, number, &placed, printer);
    }
    Ok(placed)
}

/// What is fetched from where to where.
struct Job<'a> {
    reach: Reach<'a>,
    directory: &'a Path,
    /// Instead of the archive's own name.
    name: Option<&'a Path>,
    /// Any file of that name is replaced.
    force: bool,
    extract: bool,
    /// Whether the directory had content before.
    is_used: bool,
    no_limits: bool,
    /// The command, to be typed again.
    again: &'a str,
    printer: &'a Printer,
    /// The archives that are where they belong.
    placed: RefCell<Vec<PathBuf>>,
}

impl Job<'_> {
    /// The archive that the status names, from wherever an earlier attempt stopped. `false` where the aggregator cannot
    /// send a part of it.
    async fn one(&self, archive: &Announced) -> Result<bool, CliError> {
        if !self.extract {
            self.target(&archive.name, 0).check()?;
        }
        let unwritable =
            |error: &std::io::Error| failed(&format!("cannot write into `{}`", self.directory.display()), error);
        let mut part = Part::open(self.directory, archive).map_err(|error| unwritable(&error))?;
        if let Err(error) = self.fits(archive, part.have) {
            if part.have == 0 {
                fs_err::remove_file(&part.path).map_err(|error| unwritable(&error))?;
            }
            return Err(error);
        }
        let mut again = false;
        loop {
            if part.have > 0 && part.have < archive.size {
                let (have, size) = (part.have, archive.size);
                self.printer.note(&format!(
                    "going on at byte {have} of {size}, where an earlier download stopped"
                ));
            }
            let resumed = part.have > 0;
            let meter = Meter::new(self.printer, archive.name.as_str(), Some(archive.size));
            let mut turns = Turns::default();
            let open = async |offset| self.reach.part(archive, offset, &mut turns).await;
            let filled = fill(&mut part.file, part.have, archive.size, open, |have| meter.set(have)).await;
            drop(meter);
            match filled {
                Ok(()) => {}
                Err(Cut::Impossible(said)) => {
                    tracing::debug!(said, "the aggregator sends no parts");
                    fs_err::remove_file(&part.path).map_err(|error| unwritable(&error))?;
                    return Ok(false);
                }
                Err(Cut::Refused(causes)) => {
                    part.remove_if_empty().map_err(|error| unwritable(&error))?;
                    let what = "cannot retrieve the results: the account may not reach into the aggregator's pod";
                    return Err(CliError::new(what)
                        .details(causes)
                        .hint("one of both rights is enough: pods/exec, or pods/portforward (docs/permissions.md)")
                        .exit_with(exit::RETRIEVE_FAILURE));
                }
                Err(Cut::Disk(cause)) => return Err(refused("cannot write the archive", &cause)),
                Err(Cut::At { have: 0, cause }) => {
                    part.remove_if_empty().map_err(|error| unwritable(&error))?;
                    return Err(
                        refused("the transfer did not begin", &cause).hint(format!("{} tries again", self.again))
                    );
                }
                Err(Cut::At { have, cause }) => {
                    return Err(refused("the transfer was not complete", &cause).hint(format!(
                        "{have} of {} bytes are kept; {} goes on from there",
                        archive.size, self.again
                    )));
                }
            }
            let (size, sha256) = part.digest().map_err(|error| failed("cannot read what came", &error))?;
            if (size, &sha256) == (archive.size, &archive.sha256) {
                break;
            }
            part.restart().map_err(|error| unwritable(&error))?;
            // What an earlier download left may be the reason.
            if again || !resumed {
                fs_err::remove_file(&part.path).map_err(|error| unwritable(&error))?;
                return Err(not_the_packed_one(archive, size, &sha256));
            }
            again = true;
            self.printer
                .note("what an earlier download left does not fit; from the start");
        }
        part.file.sync_all().map_err(|error| unwritable(&error))?;
        let path = part.path.clone();
        drop(part);
        self.place(&path, &archive.name, 0)?;
        Ok(true)
    }

    /// Limits on what is written into the directory.
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
                tracing::debug!(%error, "the free space is not known");
                ReadLimits::DEFAULT
            }
        }
    }

    /// Whether the rest of the archive fits on the disk.
    fn fits(&self, archive: &Announced, have: u64) -> Result<(), CliError> {
        let usable = self.limits().max_unpacked_bytes;
        let needed = archive.size.saturating_sub(have);
        if needed <= usable {
            return Ok(());
        }
        let cause = format!(
            "it has {needed} bytes to come, and {usable} may be written to `{}`: what is free there less 10 %",
            shown(self.directory).display()
        );
        Err(refused(&format!("`{}` does not fit on the disk", archive.name), &cause)
            .hint("choose another directory; --no-limits fetches it all the same"))
    }

    fn target(&self, own_name: &ArchiveName, index: usize) -> Target {
        match self.name {
            Some(name) => Target::of_user(self.directory, name, index, self.force),
            None => Target::of_cluster(self.directory, own_name),
        }
    }

    /// All archives that the aggregator has. `false` where it has none.
    async fn all(&self, expected: Option<&Announced>) -> Result<bool, CliError> {
        let incoming = tempfile::Builder::new()
            .prefix(".sono-")
            .tempdir_in(self.directory)
            .map_err(|error| failed(&format!("cannot write into `{}`", self.directory.display()), &error))?;
        if !splat::fetch(self.reach, incoming.path(), self.limits()).await? {
            return Ok(false);
        }
        let names = check(incoming.path(), expected)?;
        if !self.extract {
            for (index, name) in names.iter().enumerate() {
                self.target(name, index).check()?;
            }
        }
        for (index, name) in names.iter().enumerate() {
            self.place(&incoming.path().join(name), name, index)?;
        }
        Ok(true)
    }

    /// What a run that still goes on has collected.
    async fn partial(&self) -> Result<(), CliError> {
        let mut tries = 1;
        loop {
            match self.partial_once().await {
                Ok(()) => return Ok(()),
                Err(Partial::Failed(error)) => return Err(error),
                Err(Partial::Cut(cause)) if tries == PARTIAL_TRIES => {
                    return Err(refused("the transfer was not complete", &cause));
                }
                Err(Partial::Cut(cause)) => tracing::warn!(cause, "trying again from the start"),
            }
            tries += 1;
        }
    }

    async fn partial_once(&self) -> Result<(), Partial> {
        let answer = self.reach.get(routes::LOCAL_PARTIAL, &[]).await.map_err(|error| {
            if error.is_unreachable() {
                Partial::Cut(chain(&error))
            } else {
                let what = "cannot retrieve the results: cannot reach the aggregator's own listener";
                Partial::Failed(
                    CliError::of_cluster(what, &error)
                        .hint("partial results need an aggregator of sono, and the right to forward ports of pods")
                        .exit_with(exit::RETRIEVE_FAILURE),
                )
            }
        })?;
        if answer.status != 200 {
            let what = format!(
                "cannot retrieve the results: the aggregator answers with status {}",
                answer.status
            );
            return Err(Partial::Failed(
                CliError::new(what)
                    .hint("the run has not begun, or has just been completed: try again")
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
        let name = archive_name(name).map_err(Partial::Failed)?;
        if !self.extract {
            self.target(&name, 0).check().map_err(Partial::Failed)?;
        }
        let usable = self.limits().max_unpacked_bytes;
        let cannot_write = |error: &std::io::Error| Partial::Failed(failed("cannot write the archive", error));
        let mut file = tempfile::Builder::new()
            .prefix(".sono-")
            .tempfile_in(self.directory)
            .map_err(|error| cannot_write(&error))?;
        let meter = Meter::new(self.printer, name.as_str(), None);
        let mut have = 0;
        let mut flow = reach::Bytestream::Forwarded(Box::new(answer));
        while let Some(piece) = flow.next().await.map_err(Partial::Cut)? {
            std::io::Write::write_all(&mut file, &piece).map_err(|error| cannot_write(&error))?;
            have += piece.len() as u64;
            if have > usable {
                let cause = format!("it has more than {usable} bytes: what is free there less 10 %");
                let refused = refused("the archive does not fit on the disk", &cause);
                return Err(Partial::Failed(refused.hint("--no-limits fetches it all the same")));
            }
            meter.set(have);
        }
        drop(meter);
        let path = file.into_temp_path();
        self.place(&path, &name, 0).map_err(Partial::Failed)?;
        // It has another name now, or is removed.
        path.keep().map(drop).map_err(|error| cannot_write(&error.error))
    }

    /// Puts a whole archive where it belongs. One that is extracted is removed, also after an error.
    fn place(&self, archive: &Path, own_name: &ArchiveName, index: usize) -> Result<(), CliError> {
        if self.extract {
            let extracted = extract::extract(archive, self.directory, self.is_used, &self.limits());
            let removed = fs_err::remove_file(archive).map_err(|error| failed("cannot remove the archive", &error));
            return extracted.and(removed);
        }
        let target = self.target(own_name, index);
        target.put(archive)?;
        self.printer.path(shown(&target.path))?;
        self.placed.borrow_mut().push(target.path);
        Ok(())
    }
}

/// Why partial results did not come.
enum Partial {
    Failed(CliError),
    Cut(String),
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

/// Where the files go, and their name where the user gives one.
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

/// Without the `./` in front that the default directory would give.
fn shown(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

/// The names of the archives that came, the run's own compared with what its status says.
fn check(incoming: &Path, expected: Option<&Announced>) -> Result<Vec<ArchiveName>, CliError> {
    let mut archives = Vec::new();
    for entry in fs_err::read_dir(incoming).map_err(|error| failed("cannot list what came", &error))? {
        let entry = entry.map_err(|error| failed("cannot list what came", &error))?;
        archives.push(archive_name(&entry.file_name().to_string_lossy())?);
        let kind = entry.file_type();
        if !kind.map_err(|error| failed("cannot list what came", &error))?.is_file() {
            let cause = format!("`{}` is a directory", entry.file_name().display());
            return Err(refused("the aggregator sent something else than archives", &cause));
        }
    }
    archives.sort();
    let Some(expected) = expected else { return Ok(archives) };
    if !archives.contains(&expected.name) {
        return Err(CliError::new(format!(
            "cannot retrieve the results: the aggregator did not send `{}`",
            expected.name
        ))
        .exit_with(exit::RETRIEVE_FAILURE));
    }
    let own = incoming.join(&expected.name);
    let mut file = fs_err::File::open(own).map_err(|error| failed("cannot read what came", &error))?;
    let (size, sha256) = digest(&mut file).map_err(|error| failed("cannot read what came", &error))?;
    if (size, &sha256) != (expected.size, &expected.sha256) {
        return Err(not_the_packed_one(expected, size, &sha256));
    }
    file.sync_all()
        .map_err(|error| failed("cannot write the archive", &error))?;
    Ok(archives)
}

fn not_the_packed_one(expected: &Announced, size: u64, sha256: &str) -> CliError {
    CliError::new("cannot retrieve the results: what came is not what the aggregator packed")
        .details([
            format!("expected {} bytes, SHA-256 {}", expected.size, expected.sha256),
            format!("received {size} bytes, SHA-256 {sha256}"),
        ])
        .hint("try again")
        .exit_with(exit::RETRIEVE_FAILURE)
}

/// Takes away what an attempt left.
fn empty(directory: &Path) -> Result<(), CliError> {
    let unremovable = |error: std::io::Error| failed("cannot remove what came", &error);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_is_not_the_packed_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("a.tar.gz"), "abc").unwrap();
        let info = |size, sha256: &str| Announced {
            name: ArchiveName::parse("a.tar.gz").unwrap(),
            size,
            sha256: sha256.to_owned(),
        };
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(check(directory.path(), Some(&info(3, digest))).unwrap().len(), 1);
        assert_eq!(
            check(directory.path(), Some(&info(4, digest))).unwrap_err().text(),
            format!(
                "error: cannot retrieve the results: what came is not what the aggregator packed\n  expected 4 bytes, SHA-256 {digest}\n  received 3 bytes, SHA-256 {digest}\n  hint:  try again\n"
            )
        );
        let other = Announced {
            name: ArchiveName::parse("b.tar.gz").unwrap(),
            ..info(3, digest)
        };
        assert_eq!(
            check(directory.path(), Some(&other)).unwrap_err().text(),
            "error: cannot retrieve the results: the aggregator did not send `b.tar.gz`\n"
        );
    }
}
