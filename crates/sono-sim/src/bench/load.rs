//! Load of concurrent workers, each with its own connection, and their times.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::{Body, Client, header};
use serde::Serialize;
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

/// Size of a body's chunks in bytes, as in workers.
const CHUNK_BYTES: usize = 64 << 10;
/// Maximum number of attempts for an upload.
const MAX_ATTEMPTS: usize = 50;
/// Size in bytes of a stalled client's body; it sends half of it.
const STALLED_BODY: usize = 1 << 20;

/// The uploads of a measurement.
#[derive(Debug, Clone)]
pub(super) struct Load {
    /// A URL for each worker.
    pub(super) urls: Vec<String>,
    /// URLs of uploads that stall halfway.
    pub(super) stalled: Vec<String>,
    pub(super) body: Bytes,
    /// Number of concurrent uploads.
    pub(super) clients: usize,
}

/// The measured times and counts.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Measured {
    pub(super) seconds: f64,
    pub(super) uploads_per_second: f64,
    pub(super) mib_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// Number of failed and retried attempts.
    pub(super) failed_tries: usize,
    /// Number of workers without a success.
    pub(super) lost: usize,
}

/// Runs the load with this client, which must not share connections between workers.
pub(super) async fn run(load: &Load, client: &Client) -> anyhow::Result<Measured> {
    let mut stalled = JoinSet::new();
    let unfinished = Bytes::from(vec![b'x'; STALLED_BODY]);
    for url in &load.stalled {
        let (client, url) = (client.clone(), url.clone());
        let body = unfinished.clone();
        stalled.spawn(async move {
            let half = body.slice(..body.len() / 2);
            let chunks = chunks(half)
                .map(Ok::<_, std::io::Error>)
                .chain(futures::stream::pending());
            let request = client
                .put(url)
                .header(header::CONTENT_LENGTH, body.len())
                .timeout(Duration::from_hours(1))
                .body(Body::wrap_stream(chunks));
            // The request ends with the measurement.
            request.send().await.ok();
        });
    }
    if !load.stalled.is_empty() {
        // Stalled clients must be connected before the other workers start.
        sleep(Duration::from_secs(1)).await;
    }
    let slots = Arc::new(Semaphore::new(load.clients));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for url in &load.urls {
        let (client, url, body, slots) = (client.clone(), url.clone(), load.body.clone(), Arc::clone(&slots));
        tasks.spawn(async move {
            let _slot = slots.acquire_owned().await;
            upload(&client, &url, &body).await
        });
    }
    let (mut times, mut measured) = (Vec::new(), Measured::default());
    while let Some(outcome) = tasks.join_next().await {
        let (time, failed) = outcome?;
        measured.failed_tries += failed;
        match time {
            Some(time) => times.push(time),
            None => measured.lost += 1,
        }
    }
    measured.seconds = began.elapsed().as_secs_f64();
    stalled.shutdown().await;
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    measured.p50_ms = at(50);
    measured.p99_ms = at(99);
    measured.max_ms = at(100);
    measured.uploads_per_second = f64::from(u32::try_from(times.len())?) / measured.seconds;
    measured.mib_per_second =
        measured.uploads_per_second * f64::from(u32::try_from(load.body.len())?) / f64::from(1 << 20);
    Ok(measured)
}

/// Uploads a body with retries. Returns the time from the first connection to the final response, and the failed attempts.
async fn upload(client: &Client, url: &str, body: &Bytes) -> (Option<Duration>, usize) {
    let began = Instant::now();
    for failed in 0..MAX_ATTEMPTS {
        let chunks = chunks(body.clone()).map(Ok::<_, std::io::Error>);
        let request = client
            .put(url)
            .header(header::CONTENT_LENGTH, body.len())
            .header(header::CONTENT_DISPOSITION, "attachment;filename=result.bin")
            .body(Body::wrap_stream(chunks));
        let status = request.send().await.map(|answer| answer.status().as_u16());
        // 409: an earlier attempt was accepted, but its response was lost.
        if matches!(status, Ok(200 | 409)) {
            return (Some(began.elapsed()), failed);
        }
        sleep(Duration::from_millis(50)).await;
    }
    (None, MAX_ATTEMPTS)
}

fn chunks(body: Bytes) -> impl futures::Stream<Item = Bytes> + Send + Unpin {
    let count = body.len().div_ceil(CHUNK_BYTES);
    futures::stream::iter((0..count).map(move |number| {
        let from = number * CHUNK_BYTES;
        body.slice(from..(from + CHUNK_BYTES).min(body.len()))
    }))
}
