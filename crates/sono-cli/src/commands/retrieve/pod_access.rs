//! Access to the aggregator's pod: exec in its container, or port-forward to its loopback listener.

use bytes::{Bytes, BytesMut};
use http::header;
use sono_kube::{Cluster, ExecStream, Forwarded, KubeError};
use sono_types::{constants, error_chain, routes};
use tokio::io::AsyncReadExt as _;

use super::{
    announced::Announced,
    download::{ByteSource, OpenError},
};

/// Size of a chunk between connection and disk.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// Access to an aggregator's pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct PodAccess<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    /// Directory of its archives.
    pub(super) directory: &'a str,
}

/// Stream of bytes from a pod.
#[derive(Debug)]
pub(super) enum Bytestream {
    Exec(Option<ExecStream>),
    Forwarded(Box<Forwarded>),
}

impl ByteSource for Bytestream {
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        match self {
            Self::Forwarded(forwarded) => forwarded.chunk().await.map_err(|error| error_chain(&error)),
            Self::Exec(stream) => {
                let Some(open) = stream else { return Ok(None) };
                let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
                let length = open
                    .stdout
                    .read_buf(&mut chunk)
                    .await
                    .map_err(|error| error.to_string())?;
                if length > 0 {
                    return Ok(Some(chunk.freeze()));
                }
                let Some(ended) = stream.take() else { return Ok(None) };
                match ended.finish().await {
                    Ok(outcome) if outcome.code != 0 => Err(outcome.stderr),
                    Ok(_) => Ok(None),
                    Err(error) => Err(error_chain(&error)),
                }
            }
        }
    }
}

/// Transport to try next. A transport that delivers no data is followed by the other one.
#[derive(Debug, Default)]
pub(super) struct TransportFallback {
    forward: bool,
    /// Error of an older aggregator that cannot send parts.
    too_old: Option<String>,
    /// Missing permissions: for exec, for port-forward.
    refused: [Option<String>; 2],
}

impl PodAccess<'_> {
    /// Opens the archive at `offset`.
    pub(super) async fn part(
        &self,
        archive: &Announced,
        offset: u64,
        fallback: &mut TransportFallback,
    ) -> Result<Bytestream, OpenError> {
        loop {
            // A missing permission is permanent: try the other transport immediately.
            let by_forward = fallback.forward ^ fallback.refused[usize::from(fallback.forward)].is_some();
            fallback.forward = !by_forward;
            let opened = if by_forward {
                self.forwarded(archive, offset).await
            } else {
                self.by_command(archive, offset).await
            };
            let causes = match opened {
                Err(OpenError::Refused(causes)) => causes,
                opened => return outcome(opened, by_forward, fallback),
            };
            fallback.refused[usize::from(by_forward)] = Some(causes.join(": "));
            match (&fallback.too_old, &fallback.refused) {
                (Some(reason), _) => return Err(OpenError::Unsupported(reason.clone())),
                (None, [Some(command), Some(forward)]) => {
                    return Err(OpenError::Refused(vec![
                        format!("exec: {command}"),
                        format!("port-forward: {forward}"),
                    ]));
                }
                _ => {}
            }
        }
    }

    async fn by_command(&self, archive: &Announced, offset: u64) -> Result<Bytestream, OpenError> {
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
        // An older aggregator rejects these flags before it sends any data.
        let mut first = BytesMut::with_capacity(CHUNK_BYTES);
        match stream.stdout.read_buf(&mut first).await {
            Ok(length) if length > 0 => {
                let rest = std::mem::replace(&mut stream.stdout, Box::new(tokio::io::empty()));
                stream.stdout = Box::new(std::io::Cursor::new(first.freeze()).chain(rest));
                Ok(Bytestream::Exec(Some(stream)))
            }
            Ok(_) => match stream.finish().await {
                Ok(outcome) if outcome.code != 0 => Err(OpenError::Unsupported(outcome.stderr)),
                Ok(_) => Err(OpenError::Transient("the connection ended".to_owned())),
                Err(error) => Err(OpenError::Transient(error_chain(&error))),
            },
            Err(error) => Err(OpenError::Transient(error.to_string())),
        }
    }

    async fn forwarded(&self, archive: &Announced, offset: u64) -> Result<Bytestream, OpenError> {
        let headers = [
            (header::RANGE, format!("bytes={offset}-")),
            (header::IF_RANGE, format!("\"{}\"", archive.sha256)),
        ];
        let answer = self.get(routes::LOCAL_ARCHIVE, &headers).await;
        let answer = answer.map_err(|error| closed(&error))?;
        match answer.status {
            206 => Ok(Bytestream::Forwarded(Box::new(answer))),
            200 if offset == 0 => Ok(Bytestream::Forwarded(Box::new(answer))),
            status => Err(OpenError::Transient(format!("the aggregator returned status {status}"))),
        }
    }

    pub(super) async fn exec(&self, command: &[&str]) -> Result<ExecStream, KubeError> {
        self.cluster
            .exec(self.namespace, self.pod, constants::AGGREGATOR_CONTAINER, command)
            .await
    }

    /// `GET` request to the aggregator's loopback listener.
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

/// Chooses the transport of the next attempt.
fn outcome(
    opened: Result<Bytestream, OpenError>,
    by_forward: bool,
    fallback: &mut TransportFallback,
) -> Result<Bytestream, OpenError> {
    match opened {
        Ok(stream) => {
            // Reuse a working transport.
            fallback.forward = by_forward;
            Ok(stream)
        }
        Err(OpenError::Unsupported(reason)) if !by_forward => {
            fallback.too_old = Some(reason.clone());
            Err(OpenError::Transient(reason))
        }
        Err(OpenError::Transient(cause) | OpenError::Unsupported(cause)) => match &fallback.too_old {
            // Neither transport works: the aggregator is too old, or the file does not exist.
            Some(reason) if by_forward => Err(OpenError::Unsupported(reason.clone())),
            _ => Err(OpenError::Transient(cause)),
        },
        Err(refused @ OpenError::Refused(_)) => Err(refused),
    }
}

fn closed(error: &KubeError) -> OpenError {
    if error.is_forbidden() {
        OpenError::Refused(vec![error_chain(error)])
    } else {
        OpenError::Transient(error_chain(error))
    }
}
