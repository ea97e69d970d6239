//! The time as an argument.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;

/// A source of the current time. Tests pass their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine's clock, read once; later times add the elapsed monotonic time. Setting the machine's clock does not change a
/// plugin's time limit.
pub fn system_clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the only use of the system clock")]
    let start = Timestamp::now();
    let began = Instant::now();
    // The last representable time is thousands of years away.
    Arc::new(move || start.checked_add(began.elapsed()).unwrap_or(Timestamp::MAX))
}

/// Endless pauses between attempts: each is twice as long as the previous one, up to a maximum.
pub(crate) fn backoff(first: Duration, longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_factor(2.0)
        .without_max_times()
        .build()
}

/// Waits until `deadline`; without one it never resolves. Cancel safe.
pub(crate) async fn until(deadline: Option<Timestamp>, clock: &Clock) {
    match deadline {
        None => std::future::pending().await,
        Some(deadline) => {
            let left = Duration::try_from(deadline.duration_since(clock())).unwrap_or(Duration::ZERO);
            tokio::time::sleep(left).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = backoff(Duration::from_millis(250), Duration::from_secs(3)).take(6);
        let milliseconds: Vec<u128> = pauses.map(|pause| pause.as_millis()).collect();
        assert_eq!(milliseconds, [250, 500, 1000, 2000, 3000, 3000]);
    }
}
