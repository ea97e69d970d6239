//! Workers that all report at once, each over a connection of its own, and how long each takes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::{Body, Client, header};
use serde::Serialize;
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

/// Size of the pieces in which a body is sent, as workers have it.
const PIECE: usize = 64 << 10;
/// How often one upload is tried.
const MOST_TRIES: usize = 50;
/// What stalled clients send half of.
const STALLED_BODY: usize = 1 << 20;

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Load {
    /// A URL for each worker.
    pub(super) urls: Vec<String>,
    /// URLs over which a body begins and never ends.
    pub(super) stalled: Vec<String>,
    pub(super) body: Bytes,
    /// How many are at it at the same time.
    pub(super) clients: usize,
}

/// How it went.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Measured {
    pub(super) seconds: f64,
    pub(super) uploads_per_second: f64,
    pub(super) mib_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// Tries that were made again.
    pub(super) failed_tries: usize,
    /// Workers that gave up.
    pub(super) lost: usize,
}

/// Runs the load. `new_client` makes a client for one worker: nothing is shared between them.
pub(super) async fn run(load: &Load, client: &Client) -> anyhow::Result<Measured> {
    let mut stalled = JoinSet::new();
    let unfinished = Bytes::from(vec![b'x'; STALLED_BODY]);
    for url in &load.stalled {
        let (client, url) = (client.clone(), url.clone());
        let body = unfinished.clone();
        stalled.spawn(async move {
            let half = body.slice(..body.len() / 2);
            let pieces = pieces(half)
                .map(Ok::<_, std::io::Error>)
                .chain(futures::stream::pending());
            let request = client
                .put(url)
                .header(header::CONTENT_LENGTH, body.len())
                .timeout(Duration::from_hours(1))
                .body(Body::wrap_stream(pieces));
            // It ends with the measurement.
            request.send().await.ok();
        });
    }
    if !load.stalled.is_empty() {
        // They are to stand there before anybody else comes.
        sleep(Duration::from_secs(1)).await;
    }
    let gate = Arc::new(Semaphore::new(load.clients));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for url in &load.urls {
        let (client, url, body, gate) = (client.clone(), url.clone(), load.body.clone(), Arc::clone(&gate));
        tasks.spawn(async move {
            let _turn = gate.acquire_owned().await;
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

/// From the first connection to the last answer; and how many tries failed.
async fn upload(client: &Client, url: &str, body: &Bytes) -> (Option<Duration>, usize) {
    let began = Instant::now();
    for failed in 0..MOST_TRIES {
        let pieces = pieces(body.clone()).map(Ok::<_, std::io::Error>);
        let request = client
            .put(url)
            .header(header::CONTENT_LENGTH, body.len())
            .header(header::CONTENT_DISPOSITION, "attachment;filename=result.bin")
            .body(Body::wrap_stream(pieces));
        let status = request.send().await.map(|answer| answer.status().as_u16());
        // An answer that was lost is known by the next try.
        if matches!(status, Ok(200 | 409)) {
            return (Some(began.elapsed()), failed);
        }
        sleep(Duration::from_millis(50)).await;
    }
    (None, MOST_TRIES)
}

fn pieces(body: Bytes) -> impl futures::Stream<Item = Bytes> + Send + Unpin {
    let count = body.len().div_ceil(PIECE);
    futures::stream::iter((0..count).map(move |number| {
        let from = number * PIECE;
        body.slice(from..(from + PIECE).min(body.len()))
    }))
}
