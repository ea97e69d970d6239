//! All archives of an aggregator as one stream: what every aggregator since Sonobuoy's first can send. It cannot go on
//! after a cut, so it begins again.

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
    reach::{PIECE, Reach},
};
use crate::error::CliError;

/// Pieces that may wait for the disk.
const QUEUE: usize = 16;
/// Attempts, and what lies between two of them.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// What came of a transfer.
enum Transfer {
    /// Archives are there.
    Whole,
    /// There are none yet.
    Nothing,
    /// It may go better next time.
    Cut(CliError),
}

/// Fetches the aggregator's archives into `incoming`, which is empty. `false` where the aggregator has none, or says that
/// it failed.
pub(super) async fn fetch(reach: Reach<'_>, incoming: &Path, limits: ReadLimits) -> Result<bool, CliError> {
    let mut tries = 1;
    loop {
        match attempt(reach, incoming, limits).await? {
            Transfer::Whole => return Ok(true),
            Transfer::Nothing => return Ok(false),
            Transfer::Cut(error) if tries == TRIES => return Err(error),
            Transfer::Cut(error) => {
                tracing::warn!(error = error.clone().lines().join(": "), "trying again from the start");
                tries += 1;
                super::empty(incoming)?;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn attempt(reach: Reach<'_>, incoming: &Path, limits: ReadLimits) -> Result<Transfer, CliError> {
    let stream = match reach.exec(&["/sonobuoy", "splat", reach.directory]).await {
        Ok(stream) => stream,
        Err(error) => {
            let what = CliError::of_cluster("cannot retrieve the results: cannot reach into the aggregator", &error)
                .exit_with(exit::RETRIEVE_FAILURE);
            return if error.is_unreachable() {
                Ok(Transfer::Cut(what))
            } else {
                Err(what)
            };
        }
    };
    let (sender, receiver) = mpsc::channel(QUEUE);
    let directory = incoming.to_owned();
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces {
            receiver,
            rest: Bytes::new(),
        };
        let unpacked = unpack_private(&mut pieces, &directory, &limits);
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
            return Ok(Transfer::Nothing);
        }
        Ok(_) => {}
        Err(error) => return Ok(Transfer::Cut(failed("the transfer was not complete", &error))),
    }
    let unpacked = match (transferred, unpacked) {
        (_, Ok(unpacked)) => unpacked,
        (_, Err(error)) if error.is_limit() => {
            let what = "the archives do not fit on the disk";
            return Err(failed(what, &error).hint("choose another directory; --no-limits fetches them all the same"));
        }
        (Err(error), _) => return Ok(Transfer::Cut(failed("the transfer was not complete", &error))),
        (_, Err(error)) => return Ok(Transfer::Cut(failed("the transfer cannot be read", &error))),
    };
    Ok(if unpacked.entries > 0 {
        Transfer::Whole
    } else {
        Transfer::Nothing
    })
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

#[cfg(test)]
mod tests {
    use super::*;

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
