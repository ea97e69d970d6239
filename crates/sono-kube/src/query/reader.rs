//! Requests with a rate limit, retries and streamed responses.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
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

use super::{QueryError, Rate, throttle::TokenBucket};
use crate::{Cluster, KubeError};

/// Responses that are read at the same time.
const MAX_CONCURRENT: usize = 8;
/// Timeout until a response starts.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(1);
/// Longest pause within a response.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Retries of one request when the server is busy or the connection breaks.
const MAX_RETRIES: usize = 3;
/// Delay before the first retry; it doubles.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Longest delay before a retry, even if the server's `Retry-After` is longer.
const MAX_DELAY: Duration = Duration::from_secs(10);
/// Largest response in memory, in bytes: error messages, discovery, kubelet configurations.
const MAX_BODY_BYTES: usize = 32 << 20;

/// Reads from one cluster with a rate limit and a limit on concurrent responses. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

struct Shared {
    cluster: Cluster,
    client: Client,
    bucket: Mutex<TokenBucket>,
    start: Instant,
    slots: Arc<Semaphore>,
    /// Directory for responses that wait to be parsed.
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

/// A complete response with any status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// HTTP status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// A response with status 2xx; its body is still to be read.
pub struct ResponseBody {
    body: Body,
    path: String,
    shared: Arc<Shared>,
    _slot: OwnedSemaphorePermit,
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ResponseBody")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ResponseBody {
    /// The next chunk of the body; `None` at its end.
    ///
    /// # Cancel safety
    /// A chunk is either returned or still to be read.
    pub async fn next(&mut self) -> Result<Option<Bytes>, QueryError> {
        loop {
            let frame = tokio::time::timeout(STALL_TIMEOUT, self.body.frame())
                .await
                .map_err(|_| QueryError::Stalled {
                    path: self.path.clone(),
                    limit: STALL_TIMEOUT,
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

    /// Writes at most `limit` bytes of the body. Returns the number of bytes written and whether the body ended within
    /// the limit.
    pub async fn copy_to(
        &mut self,
        target: &mut (impl AsyncWrite + Unpin),
        limit: u64,
    ) -> Result<(u64, bool), QueryError> {
        let mut written = 0;
        while let Some(data) = self.next().await? {
            let left = usize::try_from(limit - written).unwrap_or(usize::MAX);
            let part = &data[..data.len().min(left)];
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

    async fn into_bytes(mut self) -> Result<Vec<u8>, QueryError> {
        let mut bytes = Vec::new();
        while let Some(data) = self.next().await? {
            if bytes.len() + data.len() > MAX_BODY_BYTES {
                return Err(QueryError::TooLong {
                    path: self.path,
                    limit: MAX_BODY_BYTES,
                });
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }
}

impl Reader {
    /// A reader that stores responses in unnamed files in `scratch` until they are parsed.
    pub fn new(cluster: &Cluster, rate: Rate, scratch: &Path) -> Result<Self, KubeError> {
        Ok(Self {
            shared: Arc::new(Shared {
                client: cluster.plain_client()?,
                cluster: cluster.clone(),
                bucket: Mutex::new(TokenBucket::new(rate)),
                start: Instant::now(),
                slots: Arc::new(Semaphore::new(MAX_CONCURRENT)),
                scratch: scratch.to_path_buf(),
            }),
        })
    }

    pub(super) fn scratch(&self) -> &Path {
        &self.shared.scratch
    }

    /// Sends a GET and waits for the response to start. Retries when the server is too busy, after its `Retry-After`,
    /// and when the connection broke.
    pub async fn open(&self, path: &str) -> Result<ResponseBody, QueryError> {
        self.open_as(path, "application/json, */*").await
    }

    pub(super) async fn open_as(&self, path: &str, accept: &str) -> Result<ResponseBody, QueryError> {
        let mut delays = ExponentialBuilder::new()
            .with_min_delay(FIRST_DELAY)
            .with_factor(2.0)
            .with_max_times(MAX_RETRIES)
            .build();
        loop {
            let failure = match self.send(path, accept).await {
                Ok((status, _, body)) if (200..300).contains(&status) => return Ok(body),
                Ok((status, after, body)) => {
                    let error = self.refusal(path, status, &body.into_bytes().await?);
                    ([429, 502, 503, 504].contains(&status), after, error)
                }
                // A request without any response has waited long enough.
                Err(error) => {
                    let lost = error.is_unreachable() && !matches!(error, KubeError::NoAnswer { .. });
                    (lost, None, error)
                }
            };
            let (retry, after, error) = failure;
            let Some(delay) = retry.then(|| delays.next()).flatten() else {
                return Err(error.into());
            };
            let delay = after.unwrap_or(delay).min(MAX_DELAY);
            tracing::debug!(path, ?delay, %error, "retrying");
            tokio::time::sleep(delay).await;
        }
    }

    /// Sends a GET once and returns the response, whatever its status.
    pub async fn probe(&self, path: &str) -> Result<Probe, QueryError> {
        let (status, _, body) = self.send(path, "*/*").await?;
        Ok(Probe {
            status,
            body: body.into_bytes().await?,
        })
    }

    /// The JSON at a path.
    pub async fn json(&self, path: &str) -> Result<Value, QueryError> {
        self.json_as(path, "application/json").await
    }

    pub(super) async fn json_as(&self, path: &str, accept: &str) -> Result<Value, QueryError> {
        let body = self.open_as(path, accept).await?.into_bytes().await?;
        serde_json::from_slice(&body).map_err(|source| QueryError::NoJson {
            path: path.to_owned(),
            source,
        })
    }

    /// Sends one GET. Returns the status, the server's `Retry-After` and the response.
    async fn send(&self, path: &str, accept: &str) -> Result<(u16, Option<Duration>, ResponseBody), KubeError> {
        let shared = &self.shared;
        let slot = Arc::clone(&shared.slots)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let wait = {
            let mut bucket = shared.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(shared.start.elapsed())
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
        let answer = tokio::time::timeout(RESPONSE_TIMEOUT, shared.client.send(made))
            .await
            .map_err(|_| KubeError::NoAnswer {
                server: shared.cluster.server_url().to_owned(),
                request: request.clone(),
                limit: RESPONSE_TIMEOUT,
            })?
            .map_err(|error| shared.cluster.failure(error, &request))?;
        let after = answer
            .headers()
            .get(http::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let status = answer.status().as_u16();
        tracing::trace!(path, status, "API server responded");
        let body = ResponseBody {
            path: path.to_owned(),
            shared: Arc::clone(shared),
            _slot: slot,
            body: answer.into_body(),
        };
        Ok((status, after, body))
    }

    /// The error in a response body, be it a `Status` or plain text.
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
