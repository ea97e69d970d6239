//! All archives of an aggregator as one stream, which every version of Sonobuoy supports. An interrupted transfer restarts.

use std::{
    io::{self, Read},
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use sono_bundle::{ReadLimits, unpack_private};
use sono_kube::ExecStream;
use sono_types::exit;
use tokio::{io::AsyncReadExt as _, sync::mpsc};

use super::{
    failed,
    pod_access::{CHUNK_BYTES, PodAccess},
};
use crate::error::CliError;

/// Maximum number of chunks that wait for the disk.
const QUEUE_CHUNKS: usize = 16;
/// Maximum number of attempts, and the delay between them.
const MAX_TRIES: u32 = 3;
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Outcome of a transfer.
enum Transfer {
    /// Archives were received.
    Complete,
    /// No archives exist yet.
    Empty,
    /// A retry may succeed.
    Interrupted(CliError),
}

/// Fetches the aggregator's archives into the empty directory `incoming`. `false` if the aggregator has none or fails.
pub(super) async fn fetch(access: PodAccess<'_>, incoming: &Path, limits: ReadLimits) -> Result<bool, CliError> {
    let mut tries = 1;
    loop {
        match attempt(access, incoming, limits).await? {
            Transfer::Complete => return Ok(true),
            Transfer::Empty => return Ok(false),
            Transfer::Interrupted(error) if tries == MAX_TRIES => return Err(error),
            Transfer::Interrupted(error) => {
                tracing::warn!(error = error.clone().lines().join(": "), "retrying from the start");
                tries += 1;
                super::clear(incoming)?;
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

async fn attempt(access: PodAccess<'_>, incoming: &Path, limits: ReadLimits) -> Result<Transfer, CliError> {
    let stream = match access.exec(&["/sonobuoy", "splat", access.directory]).await {
        Ok(stream) => stream,
        Err(error) => {
            let what = CliError::of_cluster(
                "cannot retrieve the results: cannot access the aggregator's pod",
                &error,
            )
            .exit_with(exit::RETRIEVE_FAILURE);
            return if error.is_unreachable() {
                Ok(Transfer::Interrupted(what))
            } else {
                Err(what)
            };
        }
    };
    let (sender, receiver) = mpsc::channel(QUEUE_CHUNKS);
    let directory = incoming.to_owned();
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut chunks = ChunkReader {
            receiver,
            rest: Bytes::new(),
        };
        let unpacked = unpack_private(&mut chunks, &directory, &limits);
        // Drain the channel: unread data would block the command.
        while chunks.receiver.blocking_recv().is_some() {}
        unpacked
    });
    let (transferred, stream) = transfer(stream, sender).await;
    let outcome = stream.finish().await;
    let unpacked = unpacking.await.map_err(|error| failed("unpacking failed", &error))?;
    match outcome {
        Ok(outcome) if outcome.code != 0 => {
            tracing::debug!(code = outcome.code, stderr = outcome.stderr, "splat failed");
            return Ok(Transfer::Empty);
        }
        Ok(_) => {}
        Err(error) => return Ok(Transfer::Interrupted(failed("the transfer was not complete", &error))),
    }
    let unpacked = match (transferred, unpacked) {
        (_, Ok(unpacked)) => unpacked,
        (_, Err(error)) if error.is_limit() => {
            let what = "the archives do not fit on the disk";
            return Err(failed(what, &error).hint("choose another directory, or use --no-limits to try anyway"));
        }
        (Err(error), _) => return Ok(Transfer::Interrupted(failed("the transfer was not complete", &error))),
        (_, Err(error)) => {
            return Ok(Transfer::Interrupted(failed(
                "cannot read the transferred data",
                &error,
            )));
        }
    };
    Ok(if unpacked.entries > 0 {
        Transfer::Complete
    } else {
        Transfer::Empty
    })
}

async fn transfer(mut stream: ExecStream, sender: mpsc::Sender<Bytes>) -> (io::Result<()>, ExecStream) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match stream.stdout.read(&mut chunk).await {
            Ok(0) => return (Ok(()), stream),
            Ok(length) => {
                if sender.send(Bytes::copy_from_slice(&chunk[..length])).await.is_err() {
                    return (Err(io::Error::other("unpacking ended early")), stream);
                }
            }
            Err(error) => return (Err(error), stream),
        }
    }
}

/// Blocking reader of chunks from a channel.
struct ChunkReader {
    receiver: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.rest = chunk,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_read_as_one_stream() {
        let (sender, receiver) = mpsc::channel(4);
        for chunk in ["ab", "", "cde"] {
            sender.try_send(Bytes::from(chunk)).unwrap();
        }
        drop(sender);
        let mut text = String::new();
        ChunkReader {
            receiver,
            rest: Bytes::new(),
        }
        .read_to_string(&mut text)
        .unwrap();
        assert_eq!(text, "abcde");
    }
}
