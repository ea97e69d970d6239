//! Workers of the bystander plugin, which must not be affected by the attack. Like Sonobuoy's workers they make only three
//! attempts, one second apart, each over a new connection (core §3.4).

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tokio::time::{sleep, timeout};

/// Number of attempts of a worker.
const ATTEMPTS: usize = 3;

/// Statistics of the bystander's uploads.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    pub(super) attempts: usize,
    pub(super) successes: usize,
    times: Vec<Duration>,
}

impl Uploads {
    pub(super) fn p99_ms(&mut self) -> u64 {
        self.times.sort_unstable();
        let index = (self.times.len() * 99 / 100).min(self.times.len().saturating_sub(1));
        self.times
            .get(index)
            .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Starts one worker for each of `urls`, one every `pace`, with a time limit of `attempt` per attempt. Workers without a
/// response after `within` have failed.
pub(super) async fn work(
    client: &reqwest::Client,
    urls: impl IntoIterator<Item = String>,
    body: &'static str,
    pace: Duration,
    attempt: Duration,
    within: Duration,
) -> Uploads {
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
    let mut uploads = Uploads::default();
    let mut workers: futures::stream::FuturesUnordered<_> = workers.collect();
    while let Some((attempts, time)) = workers.next().await {
        uploads.attempts += attempts;
        uploads.successes += usize::from(time.is_some());
        uploads.times.extend(time);
    }
    uploads
}

/// Uploads the remaining results of a run, with unlimited retries, so that the run can end.
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
                // Accepted, already stored, or reported as missing.
                Ok(200 | 409 | 410) => return,
                _ => sleep(Duration::from_millis(200)).await,
            }
        }
    });
    Ok(timeout(within, all).await?)
}
