//! `sono retrieve`: the archive, checked, under its final name only when it is whole.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sono_bundle::unpack_tar_gz;
use sono_kube::{Cluster, ExecStream};
use sono_types::{TarInfo, UploadLimits, constants, exit};
use tokio::{io::AsyncReadExt as _, sync::mpsc};

use crate::{
    aggregator::{self, status_of},
    args,
    error::CliError,
    output::Printer,
    settings::{again, connect},
};

/// Bytes of one piece on its way from the connection to the disk, and how many may wait.
const PIECE: usize = 256 << 10;
const QUEUE: usize = 16;

pub(super) async fn retrieve(arguments: args::Retrieve, printer: &Printer) -> Result<u8, CliError> {
    let args::Retrieve {
        path,
        place: args::Place {
            namespace,
            cluster: cluster_arguments,
        },
        filename,
        extract,
        retrieve_path,
    } = arguments;
    let cluster = connect(&cluster_arguments).await?;
    let pod = aggregator::expect(&cluster, &namespace).await?;
    let status = status_of(&pod).and_then(Result::ok).unwrap_or_default();
    // A pod without our status may still have an archive: an older aggregator is asked, not told.
    let expected = status.archive().cloned();
    let not_ready = || {
        CliError::new("Results not ready yet. Check `sono status` for status.").hint(format!(
            "{} waits for them",
            again("wait", &namespace, &cluster_arguments)
        ))
    };
    if expected.is_none() && status_of(&pod).is_some() {
        return Err(not_ready());
    }
    let pod = pod.metadata.name.unwrap_or_default();
    let (directory, names) = destination(&path, filename.as_deref());
    fs_err::create_dir_all(&directory).map_err(|error| failed("cannot make the directory", &error))?;
    let incoming = tempfile::Builder::new()
        .prefix(".sono-")
        .tempdir_in(&directory)
        .map_err(|error| failed(&format!("cannot write into `{}`", directory.display()), &error))?;
    let fetched = fetch(&cluster, &namespace, &pod, &retrieve_path, incoming.path()).await?;
    if !fetched {
        return Err(not_ready());
    }
    let archives = check(incoming.path(), expected.as_ref())?;
    for (index, archive) in archives.iter().enumerate() {
        let own_name = archive.file_name().map(PathBuf::from).unwrap_or_default();
        let name = names.as_deref().map_or(own_name, |name| numbered(name, index));
        if extract {
            unpack_into(archive, &directory)?;
            continue;
        }
        let target = directory.join(name);
        fs_err::rename(archive, &target).map_err(|error| failed("cannot put the archive into its place", &error))?;
        printer.line(&shown(&target))?;
    }
    Ok(exit::SUCCESS)
}

fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> CliError {
    CliError::new(format!("error retrieving results: {what}"))
        .caused_by(error)
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

/// `r.tar.gz`, `r-01.tar.gz`, …
fn numbered(name: &Path, index: usize) -> PathBuf {
    if index == 0 {
        return name.to_owned();
    }
    let text = name.to_string_lossy();
    let split = text.strip_suffix(".tar.gz").map(|stem| (stem, ".tar.gz"));
    let (stem, extension) = split.unwrap_or((&text, ""));
    PathBuf::from(format!("{stem}-{index:02}{extension}"))
}

/// Without the `./` in front that the default directory would give.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// Streams the aggregator's archives into `incoming`. `false` where the aggregator has none, or says that it failed.
async fn fetch(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    retrieve_path: &str,
    incoming: &Path,
) -> Result<bool, CliError> {
    let command = ["/sonobuoy", "splat", retrieve_path];
    let stream = cluster
        .exec(namespace, pod, constants::AGGREGATOR_CONTAINER, &command)
        .await;
    let stream = stream.map_err(|error| {
        CliError::of_cluster("error retrieving results: cannot reach into the aggregator", &error)
            .exit_with(exit::RETRIEVE_FAILURE)
    })?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let directory = incoming.to_owned();
    let unpacking = tokio::task::spawn_blocking(move || {
        let limits = UploadLimits {
            max_unpacked_bytes: 1 << 50,
            max_entries: 10_000,
            max_ratio: u64::MAX,
            ..UploadLimits::default()
        };
        let mut pieces = Pieces {
            receiver,
            rest: Bytes::new(),
        };
        let unpacked = unpack_tar_gz(&mut pieces, &directory, &limits);
        // To the end: what is not read would hold up the command.
        while pieces.receiver.blocking_recv().is_some() {}
        unpacked
    });
    let (transferred, stream) = transfer(stream, sender).await;
    let outcome = stream.finish().await;
    let unpacked = unpacking.await.map_err(|error| failed("unpacking broke", &error))?;
    match outcome {
        Ok(outcome) if outcome.code != 0 => {
            tracing::debug!(code = outcome.code, stderr = outcome.stderr, "splat failed");
            return Ok(false);
        }
        Ok(_) => {}
        Err(error) => return Err(failed("the transfer was not complete", &error)),
    }
    transferred.map_err(|error| failed("the transfer was not complete", &error))?;
    let unpacked = unpacked.map_err(|error| failed("the transfer cannot be read", &error))?;
    Ok(unpacked.entries > 0)
}

async fn transfer(mut stream: ExecStream, sender: mpsc::Sender<Bytes>) -> (io::Result<()>, ExecStream) {
    let mut piece = vec![0; PIECE];
    loop {
        match stream.stdout.read(&mut piece).await {
            Ok(0) => return (Ok(()), stream),
            Ok(length) => {
                if sender.send(Bytes::copy_from_slice(&piece[..length])).await.is_err() {
                    return (Err(io::Error::other("unpacking ended early")), stream);
                }
            }
            Err(error) => return (Err(error), stream),
        }
    }
}

/// What comes over the channel, as a reader for code that waits.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}

/// The files that came, the run's own archive compared with what its status says.
fn check(incoming: &Path, expected: Option<&TarInfo>) -> Result<Vec<PathBuf>, CliError> {
    let mut archives = Vec::new();
    for entry in fs_err::read_dir(incoming).map_err(|error| failed("cannot list what came", &error))? {
        let path = entry.map_err(|error| failed("cannot list what came", &error))?.path();
        if path.is_file() {
            archives.push(path);
        }
    }
    archives.sort();
    let Some(expected) = expected else { return Ok(archives) };
    let own = archives
        .iter()
        .find(|path| path.file_name().is_some_and(|name| name == expected.name.as_str()));
    let Some(own) = own else {
        return Err(CliError::new(format!(
            "error retrieving results: the aggregator did not send `{}`",
            expected.name
        ))
        .exit_with(exit::RETRIEVE_FAILURE));
    };
    let mut file = fs_err::File::open(own).map_err(|error| failed("cannot read what came", &error))?;
    let (mut hasher, mut size, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let length = file
            .read(&mut piece)
            .map_err(|error| failed("cannot read what came", &error))?;
        if length == 0 {
            break;
        }
        hasher.update(&piece[..length]);
        size += length as u64;
    }
    let digest: Vec<String> = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = digest.concat();
    if size != expected.size || digest != expected.sha256 {
        return Err(
            CliError::new("error retrieving results: what came is not what the aggregator packed")
                .details([
                    format!("expected {} bytes, SHA-256 {}", expected.size, expected.sha256),
                    format!("received {size} bytes, SHA-256 {digest}"),
                ])
                .hint("try again")
                .exit_with(exit::RETRIEVE_FAILURE),
        );
    }
    file.sync_all()
        .map_err(|error| failed("cannot write the archive", &error))?;
    Ok(archives)
}

/// Extracts beside the target first, so that a broken archive leaves nothing half done.
fn unpack_into(archive: &Path, directory: &Path) -> Result<(), CliError> {
    let staging = tempfile::Builder::new()
        .prefix(".sono-")
        .tempdir_in(directory)
        .map_err(|error| failed("cannot make a directory", &error))?;
    let file = fs_err::File::open(archive).map_err(|error| failed("cannot read what came", &error))?;
    let limits = UploadLimits {
        max_unpacked_bytes: 1 << 50,
        max_entries: 100_000_000,
        max_ratio: u64::MAX,
        ..UploadLimits::default()
    };
    unpack_tar_gz(file, staging.path(), &limits).map_err(|error| failed("the archive cannot be extracted", &error))?;
    for entry in fs_err::read_dir(staging.path()).map_err(|error| failed("cannot list the archive", &error))? {
        let entry = entry.map_err(|error| failed("cannot list the archive", &error))?;
        let target = directory.join(entry.file_name());
        if target.exists() {
            return Err(CliError::new(format!(
                "error retrieving results: `{}` is there already",
                shown(&target)
            ))
            .hint("choose an empty directory: sono retrieve -x DIRECTORY")
            .exit_with(exit::RETRIEVE_FAILURE));
        }
        fs_err::rename(entry.path(), &target)
            .map_err(|error| failed("cannot put the files into their place", &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_in_front_of_the_extension() {
        let name = |text: &str, index| numbered(Path::new(text), index).display().to_string();
        assert_eq!(name("r.tar.gz", 0), "r.tar.gz");
        assert_eq!(name("r.tar.gz", 2), "r-02.tar.gz");
        assert_eq!(name("r", 1), "r-01");
    }

    #[test]
    fn an_archive_that_is_not_the_packed_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("a.tar.gz"), "abc").unwrap();
        let info = |size, sha256: &str| TarInfo {
            name: "a.tar.gz".to_owned(),
            size,
            sha256: sha256.to_owned(),
            ..TarInfo::default()
        };
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(check(directory.path(), Some(&info(3, digest))).unwrap().len(), 1);
        assert_eq!(
            check(directory.path(), Some(&info(4, digest))).unwrap_err().text(),
            format!(
                "error: error retrieving results: what came is not what the aggregator packed\n  expected 4 bytes, SHA-256 {digest}\n  received 3 bytes, SHA-256 {digest}\n  hint:  try again\n"
            )
        );
        let other = TarInfo {
            name: "b.tar.gz".to_owned(),
            ..info(3, digest)
        };
        assert_eq!(
            check(directory.path(), Some(&other)).unwrap_err().text(),
            "error: error retrieving results: the aggregator did not send `b.tar.gz`\n"
        );
    }

    #[test]
    fn pieces_make_one_stream() {
        let (sender, receiver) = mpsc::channel(4);
        for piece in ["ab", "", "cde"] {
            sender.try_send(Bytes::from(piece)).unwrap();
        }
        drop(sender);
        let mut text = String::new();
        Pieces {
            receiver,
            rest: Bytes::new(),
        }
        .read_to_string(&mut text)
        .unwrap();
        assert_eq!(text, "abcde");
    }
}
