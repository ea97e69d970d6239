//! Retries while the API server is unavailable or busy: its upgrade takes minutes, and a run can wait for it.

use std::time::Duration;

use sono_kube::KubeError;
use sono_types::error_chain;
use tokio::time::{Instant, sleep};

use crate::clock::backoff;

/// The pause before the second attempt; it doubles up to the longest.
const MIN_PAUSE: Duration = Duration::from_millis(250);
/// Short, because a new process collects no results while it waits.
const MAX_PAUSE: Duration = Duration::from_secs(3);
/// Maximum time for which the API server may be unavailable.
const MAX_UNAVAILABLE: Duration = Duration::from_mins(10);

/// Calls `ask` until it succeeds or fails permanently.
pub(super) async fn patiently<T, F>(what: &str, ask: impl Fn() -> F) -> Result<T, KubeError>
where
    F: Future<Output = Result<T, KubeError>>,
{
    let until = Instant::now() + MAX_UNAVAILABLE;
    let mut pauses = backoff(MIN_PAUSE, MAX_PAUSE);
    loop {
        let pause = pauses.next().unwrap_or(MAX_PAUSE);
        match ask().await {
            Err(error) if error.is_transient() && Instant::now() + pause < until => {
                tracing::warn!(error = error_chain(&error), "{what} failed, retrying");
                sleep(pause).await;
            }
            answered => return answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn refused(code: u16) -> KubeError {
        KubeError::Refused {
            request: "asking".to_owned(),
            code,
            message: "m".to_owned(),
        }
    }

    /// Consecutive responses of a server; the last one repeats.
    async fn asked(answers: &[Result<u8, u16>]) -> (Result<u8, String>, usize, Duration) {
        let tries = Mutex::new(0);
        let began = Instant::now();
        let outcome = patiently("asking", || async {
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            answers[(*tries - 1).min(answers.len() - 1)].map_err(refused)
        })
        .await;
        let tries = *tries.lock().unwrap();
        (outcome.map_err(|error| error.to_string()), tries, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn retry_repeats_transient_errors_only() {
        let (outcome, tries, took) = asked(&[Err(503), Err(409), Ok(7)]).await;
        assert_eq!((outcome, tries, took.as_millis()), (Ok(7), 3, 750));
        let (outcome, tries, _) = asked(&[Err(422), Ok(7)]).await;
        assert_eq!((outcome, tries), (Err("asking was refused (422): m".to_owned()), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn retry_ends_after_the_limit() {
        let (outcome, tries, took) = asked(&[Err(500)]).await;
        assert_eq!(outcome, Err("asking was refused (500): m".to_owned()));
        assert!(
            tries > 50 && took <= MAX_UNAVAILABLE && took + MAX_PAUSE * 2 > MAX_UNAVAILABLE,
            "{tries} {took:?}"
        );
    }
}
