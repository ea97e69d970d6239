//! One request: its turn, its tries, its answer as a stream.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use kube::{
    Client,
    client::Body,
    core::{Status, response::StatusSummary},
};
use serde_json::Value;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{QueryError, Rate, throttle::Turns};
use crate::{Cluster, KubeError};

/// Answers that are read at the same time.
const AT_ONCE: usize = 8;
/// How long an answer may take to begin.
const BEGIN: Duration = Duration::from_mins(1);
/// How long an answer may pause.
const PAUSE: Duration = Duration::from_secs(30);
/// Tries of one request that the server is too busy for, or that gets lost on the way.
const TRIES: u32 = 4;
/// The longest rest between two tries, whatever the server asks for.
const REST: Duration = Duration::from_secs(10);
/// Bytes of an answer that is held in memory: texts of errors, discovery, kubelet configurations.
const HELD: usize = 32 << 20;

/// Reads from one cluster at a steady rate, a bounded number of answers at a time. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

struct Shared {
    cluster: Cluster,
    client: Client,
    turns: Mutex<Turns>,
    start: Instant,
    at_once: Arc<Semaphore>,
    /// Where answers wait to be read.
    scratch: PathBuf,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Reader")
            .field("cluster", &self.shared.cluster)
            .finish_non_exhaustive()
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// HTTP status code.
    pub status: u16,
    /// What it says.
    pub body: Vec<u8>,
}

/// An answer with status 2xx that is still to be read.
pub struct Opened {
    body: Body,
    path: String,
    shared: Arc<Shared>,
    _turn: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Opened")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Opened {
    /// The next part of the answer; nothing at its end.
    ///
    /// # Cancel safety
    /// A part is either returned or still to come.
    pub async fn next(&mut self) -> Result<Option<Bytes>, QueryError> {
        loop {
            let frame = tokio::time::timeout(PAUSE, self.body.frame())
                .await
                .map_err(|_| QueryError::Stalled {
                    path: self.path.clone(),
                    limit: PAUSE,
                })?;
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data)),
                    // Trailers.
                    Err(_) => {}
                },
                Some(Err(error)) => {
                    let request = format!("reading {}", self.path);
                    return Err(self.shared.cluster.failure(error, &request).into());
                }
            }
        }
    }

    /// Writes the answer, at most `limit` bytes of it. Returns how many, and whether that is all there is.
    pub async fn copy_to(
        &mut self,
        target: &mut (impl AsyncWrite + Unpin),
        limit: u64,
    ) -> Result<(u64, bool), QueryError> {
        let mut written = 0;
        while let Some(data) = self.next().await? {
            let room = usize::try_from(limit - written).unwrap_or(usize::MAX);
            let part = &data[..data.len().min(room)];
            target.write_all(part).await.map_err(QueryError::disk(&self.path))?;
            written += part.len() as u64;
            if part.len() < data.len() {
                target.flush().await.map_err(QueryError::disk(&self.path))?;
                return Ok((written, false));
            }
        }
        target.flush().await.map_err(QueryError::disk(&self.path))?;
        Ok((written, true))
    }

    async fn held(mut self) -> Result<Vec<u8>, QueryError> {
        let mut held = Vec::new();
        while let Some(data) = self.next().await? {
            if held.len() + data.len() > HELD {
                return Err(QueryError::TooLong {
                    path: self.path,
                    limit: HELD,
                });
            }
            held.extend_from_slice(&data);
        }
        Ok(held)
    }
}

impl Reader {
    /// A reader whose answers wait in files without a name, in `scratch`.
    pub fn new(cluster: &Cluster, rate: Rate, scratch: &Path) -> Result<Self, KubeError> {
        Ok(Self {
            shared: Arc::new(Shared {
                client: cluster.plain_client()?,
                cluster: cluster.clone(),
                turns: Mutex::new(Turns::new(rate)),
                start: Instant::now(),
                at_once: Arc::new(Semaphore::new(AT_ONCE)),
                scratch: scratch.to_path_buf(),
            }),
        })
    }

    pub(super) fn scratch(&self) -> &Path {
        &self.shared.scratch
    }

    /// Asks for a path and waits for the answer to begin. A server that is too busy is asked again, when it says; so is
    /// one whose connection broke.
    pub async fn open(&self, path: &str) -> Result<Opened, QueryError> {
        self.open_as(path, "application/json, */*").await
    }

    pub(super) async fn open_as(&self, path: &str, accept: &str) -> Result<Opened, QueryError> {
        let mut tries = 1;
        loop {
            let failure = match self.send(path, accept).await {
                Ok((status, _, opened)) if (200..300).contains(&status) => return Ok(opened),
                Ok((status, after, opened)) => {
                    let error = self.refusal(path, status, &opened.held().await?);
                    ([429, 502, 503, 504].contains(&status), after, error)
                }
                // Without any answer it has waited long enough.
                Err(error) => {
                    let lost = error.is_unreachable() && !matches!(error, KubeError::NoAnswer { .. });
                    (lost, None, error)
                }
            };
            let (again, after, error) = failure;
            if !again || tries >= TRIES {
                return Err(error.into());
            }
            let rest = after
                .unwrap_or_else(|| Duration::from_millis(250) * 2_u32.pow(tries))
                .min(REST);
            tracing::debug!(path, tries, rest = ?rest, error = %error, "asking again");
            tokio::time::sleep(rest).await;
            tries += 1;
        }
    }

    /// Asks once, and takes every answer for one.
    pub async fn probe(&self, path: &str) -> Result<Probe, QueryError> {
        let (status, _, opened) = self.send(path, "*/*").await?;
        Ok(Probe {
            status,
            body: opened.held().await?,
        })
    }

    /// The JSON at a path.
    pub async fn json(&self, path: &str) -> Result<Value, QueryError> {
        self.json_as(path, "application/json").await
    }

    pub(super) async fn json_as(&self, path: &str, accept: &str) -> Result<Value, QueryError> {
        let held = self.open_as(path, accept).await?.held().await?;
        serde_json::from_slice(&held).map_err(|source| QueryError::NoJson {
            path: path.to_owned(),
            source,
        })
    }

    /// Status, how long the server asks to wait, and the answer.
    async fn send(&self, path: &str, accept: &str) -> Result<(u16, Option<Duration>, Opened), KubeError> {
        let shared = &self.shared;
        let turn = Arc::clone(&shared.at_once)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let wait = {
            let mut turns = shared.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.take(shared.start.elapsed())
        };
        tokio::time::sleep(wait).await;
        let request = format!("reading {path}");
        let made = http::Request::get(path)
            .header(http::header::ACCEPT, accept)
            .body(Body::empty())
            .map_err(|error| {
                let error = kube::Error::BuildRequest(kube::core::request::Error::BuildRequest(error));
                shared.cluster.failure(error, &request)
            })?;
        let answer = tokio::time::timeout(BEGIN, shared.client.send(made))
            .await
            .map_err(|_| KubeError::NoAnswer {
                server: shared.cluster.server_url().to_owned(),
                request: request.clone(),
                limit: BEGIN,
            })?
            .map_err(|error| shared.cluster.failure(error, &request))?;
        let after = answer
            .headers()
            .get(http::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let status = answer.status().as_u16();
        tracing::trace!(path, status, "asked the API server");
        let opened = Opened {
            path: path.to_owned(),
            shared: Arc::clone(shared),
            _turn: turn,
            body: answer.into_body(),
        };
        Ok((status, after, opened))
    }

    /// What a refusal says, be it a `Status` or any text.
    pub(super) fn refusal(&self, path: &str, code: u16, body: &[u8]) -> KubeError {
        let server = self.shared.cluster.server_url().to_owned();
        let request = format!("reading {path}");
        match serde_json::from_slice::<Status>(body) {
            Ok(mut status) if status.status == Some(StatusSummary::Failure) => {
                status.code = code;
                KubeError::from_status(&status, server, request)
            }
            _ => {
                let text = String::from_utf8_lossy(body);
                let message: String = text.trim().chars().take(500).collect();
                KubeError::Refused { request, code, message }
            }
        }
    }
}
