//! Workers of the plugin that must not notice the attack. They are Sonobuoy's: three attempts a second apart, each over a new
//! connection, and no patience but that (core spec §3.4).

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tokio::time::{sleep, timeout};

/// Attempts of one worker.
const ATTEMPTS: usize = 3;

/// How it went.
#[derive(Debug, Default)]
pub(super) struct Went {
    pub(super) attempts: usize,
    pub(super) successes: usize,
    times: Vec<Duration>,
}

impl Went {
    pub(super) fn p99_ms(&mut self) -> u64 {
        self.times.sort_unstable();
        let index = (self.times.len() * 99 / 100).min(self.times.len().saturating_sub(1));
        self.times
            .get(index)
            .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }
}

/// One worker for each of `urls`, one every `pace`, with attempts of at most `attempt`; those that have no answer when `within` is over have lost.
pub(super) async fn work(
    client: &reqwest::Client,
    urls: impl IntoIterator<Item = String>,
    body: &'static str,
    pace: Duration,
    attempt: Duration,
    within: Duration,
) -> Went {
    let end = tokio::time::Instant::now() + within;
    let workers = urls.into_iter().zip(0_u32..).map(|(url, number)| async move {
        sleep(pace * number).await;
        let (began, mut attempts) = (Instant::now(), 0);
        let tried = async {
            while attempts < ATTEMPTS {
                if attempts > 0 {
                    sleep(Duration::from_secs(1)).await;
                }
                attempts += 1;
                let sent = client.put(&url).timeout(attempt).body(body).send().await;
                if let Ok(answer) = sent
                    && matches!(answer.status().as_u16(), 200 | 409)
                {
                    return true;
                }
            }
            false
        };
        let succeeded = tokio::time::timeout_at(end, tried).await.unwrap_or(false);
        (attempts, succeeded.then(|| began.elapsed()))
    });
    let mut went = Went::default();
    let mut workers: futures::stream::FuturesUnordered<_> = workers.collect();
    while let Some((attempts, time)) = workers.next().await {
        went.attempts += attempts;
        went.successes += usize::from(time.is_some());
        went.times.extend(time);
    }
    went
}

/// Sends the rest of a run's results, however often that takes, so that the run can end.
pub(super) async fn complete(
    client: &reqwest::Client,
    urls: impl IntoIterator<Item = String>,
    within: Duration,
) -> anyhow::Result<()> {
    let all = futures::stream::iter(urls).for_each_concurrent(16, |url| async move {
        loop {
            let sent = client
                .put(&url)
                .timeout(Duration::from_secs(10))
                .body("late")
                .send()
                .await;
            match sent.map(|answer| answer.status().as_u16()) {
                // New, known, or given up in the meantime.
                Ok(200 | 409 | 410) => return,
                _ => sleep(Duration::from_millis(200)).await,
            }
        }
    });
    Ok(timeout(within, all).await?)
}
