//! The ways to bytes inside the aggregator's pod: a command in its container, or a port-forward to its loopback listener.

use bytes::{Bytes, BytesMut};
use http::header;
use sono_kube::{Cluster, ExecStream, Forwarded, KubeError};
use sono_types::{constants, routes};
use tokio::io::AsyncReadExt as _;

use super::{
    announced::Announced,
    download::{Closed, Flow},
};

/// Bytes of one piece on its way from the connection to the disk.
pub(super) const PIECE: usize = 256 << 10;

/// An aggregator's pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    /// Where it keeps archives.
    pub(super) directory: &'a str,
}

/// Bytes from there.
#[derive(Debug)]
pub(super) enum Bytestream {
    Exec(Option<ExecStream>),
    Forwarded(Box<Forwarded>),
}

impl Flow for Bytestream {
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        match self {
            Self::Forwarded(forwarded) => forwarded.chunk().await.map_err(|error| chain(&error)),
            Self::Exec(stream) => {
                let Some(open) = stream else { return Ok(None) };
                let mut piece = BytesMut::with_capacity(PIECE);
                let length = open
                    .stdout
                    .read_buf(&mut piece)
                    .await
                    .map_err(|error| error.to_string())?;
                if length > 0 {
                    return Ok(Some(piece.freeze()));
                }
                let Some(ended) = stream.take() else { return Ok(None) };
                match ended.finish().await {
                    Ok(outcome) if outcome.code != 0 => Err(outcome.stderr),
                    Ok(_) => Ok(None),
                    Err(error) => Err(chain(&error)),
                }
            }
        }
    }
}

/// Which way is tried next. The other one's turn comes when a way does not bring a byte.
#[derive(Debug, Default)]
pub(super) struct Turns {
    forward: bool,
    /// What the command said where it does not know how to send a part.
    too_old: Option<String>,
    /// What the account may not do: run a command, forward a port.
    refused: [Option<String>; 2],
}

impl Reach<'_> {
    /// The archive from `offset` on.
    pub(super) async fn part(&self, archive: &Announced, offset: u64, turns: &mut Turns) -> Result<Bytestream, Closed> {
        loop {
            // A way that was refused stays so; the other is tried at once.
            let by_forward = turns.forward ^ turns.refused[usize::from(turns.forward)].is_some();
            turns.forward = !by_forward;
            let opened = if by_forward {
                self.forwarded(archive, offset).await
            } else {
                self.by_command(archive, offset).await
            };
            let causes = match opened {
                Err(Closed::Refused(causes)) => causes,
                opened => return outcome(opened, by_forward, turns),
            };
            turns.refused[usize::from(by_forward)] = Some(causes.join(": "));
            match (&turns.too_old, &turns.refused) {
                (Some(said), _) => return Err(Closed::ForEver(said.clone())),
                (None, [Some(command), Some(forward)]) => {
                    return Err(Closed::Refused(vec![
                        format!("exec: {command}"),
                        format!("port-forward: {forward}"),
                    ]));
                }
                _ => {}
            }
        }
    }

    async fn by_command(&self, archive: &Announced, offset: u64) -> Result<Bytestream, Closed> {
        let from = offset.to_string();
        let command = [
            "/sonobuoy",
            "splat",
            self.directory,
            "--file",
            archive.name.as_str(),
            "--offset",
            &from,
        ];
        let mut stream = self.exec(&command).await.map_err(|error| closed(&error))?;
        // An aggregator that does not know these flags says so instead of sending the first byte.
        let mut first = BytesMut::with_capacity(PIECE);
        match stream.stdout.read_buf(&mut first).await {
            Ok(length) if length > 0 => {
                let rest = std::mem::replace(&mut stream.stdout, Box::new(tokio::io::empty()));
                stream.stdout = Box::new(std::io::Cursor::new(first.freeze()).chain(rest));
                Ok(Bytestream::Exec(Some(stream)))
            }
            Ok(_) => match stream.finish().await {
                Ok(outcome) if outcome.code != 0 => Err(Closed::ForEver(outcome.stderr)),
                Ok(_) => Err(Closed::Now("the connection ended".to_owned())),
                Err(error) => Err(Closed::Now(chain(&error))),
            },
            Err(error) => Err(Closed::Now(error.to_string())),
        }
    }

    async fn forwarded(&self, archive: &Announced, offset: u64) -> Result<Bytestream, Closed> {
        let headers = [
            (header::RANGE, format!("bytes={offset}-")),
            (header::IF_RANGE, format!("\"{}\"", archive.sha256)),
        ];
        let answer = self.get(routes::LOCAL_ARCHIVE, &headers).await;
        let answer = answer.map_err(|error| closed(&error))?;
        match answer.status {
            206 => Ok(Bytestream::Forwarded(Box::new(answer))),
            200 if offset == 0 => Ok(Bytestream::Forwarded(Box::new(answer))),
            status => Err(Closed::Now(format!("the aggregator answers with status {status}"))),
        }
    }

    pub(super) async fn exec(&self, command: &[&str]) -> Result<ExecStream, KubeError> {
        self.cluster
            .exec(self.namespace, self.pod, constants::AGGREGATOR_CONTAINER, command)
            .await
    }

    /// `GET` at the aggregator's loopback listener.
    pub(super) async fn get(
        &self,
        path: &str,
        headers: &[(header::HeaderName, String)],
    ) -> Result<Forwarded, KubeError> {
        self.cluster
            .get_forwarded(self.namespace, self.pod, constants::LOCAL_PORT, path, headers)
            .await
    }
}

/// What an attempt means for the next ones.
fn outcome(opened: Result<Bytestream, Closed>, by_forward: bool, turns: &mut Turns) -> Result<Bytestream, Closed> {
    match opened {
        Ok(stream) => {
            // What works is used again.
            turns.forward = by_forward;
            Ok(stream)
        }
        Err(Closed::ForEver(said)) if !by_forward => {
            turns.too_old = Some(said.clone());
            Err(Closed::Now(said))
        }
        Err(Closed::Now(cause) | Closed::ForEver(cause)) => match &turns.too_old {
            // Neither way: an aggregator that is older than both, or has no such file.
            Some(said) if by_forward => Err(Closed::ForEver(said.clone())),
            _ => Err(Closed::Now(cause)),
        },
        Err(refused @ Closed::Refused(_)) => Err(refused),
    }
}

fn closed(error: &KubeError) -> Closed {
    if error.is_forbidden() {
        Closed::Refused(vec![chain(error)])
    } else {
        Closed::Now(chain(error))
    }
}

/// An error and what is behind it, in one line.
pub(super) fn chain(error: &KubeError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
