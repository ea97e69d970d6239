//! The rate limit of requests.

use std::time::Duration;

/// A rate of requests, with bursts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Requests per second; negative: unlimited.
    pub per_second: f64,
    /// Requests that may start at once.
    pub burst: u32,
}

impl Rate {
    /// From `QPS` and `Burst` of the configuration. Zero means the defaults of client-go: 5 and 10.
    pub fn from_config(qps: f64, burst: i64) -> Self {
        Self {
            per_second: if qps == 0.0 || qps.is_nan() { 5.0 } else { qps },
            burst: if burst == 0 {
                10
            } else {
                u32::try_from(burst).unwrap_or(1).max(1)
            },
        }
    }
}

/// A token bucket without a clock of its own: times are durations since any fixed start and must not decrease.
#[derive(Debug)]
pub(super) struct TokenBucket {
    rate: Rate,
    /// Tokens left; a negative number counts tokens promised to waiting requests.
    tokens: f64,
    at: Duration,
}

impl TokenBucket {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            tokens: f64::from(rate.burst),
            at: Duration::ZERO,
        }
    }

    /// Takes one token and returns how long to wait before using it.
    pub(super) fn take(&mut self, at: Duration) -> Duration {
        if self.rate.per_second < 0.0 {
            return Duration::ZERO;
        }
        let passed = at.saturating_sub(self.at);
        self.at = self.at.max(at);
        self.tokens = (self.tokens + passed.as_secs_f64() * self.rate.per_second).min(f64::from(self.rate.burst)) - 1.0;
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.tokens / self.rate.per_second).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_and_then_a_steady_rate() {
        let mut bucket = TokenBucket::new(Rate {
            per_second: 10.0,
            burst: 2,
        });
        let waits: Vec<u128> = (0..4).map(|_| bucket.take(Duration::ZERO).as_millis()).collect();
        assert_eq!(waits, [0, 0, 100, 200]);
        assert_eq!(bucket.take(Duration::from_mins(1)), Duration::ZERO);
        let mut free = TokenBucket::new(Rate::from_config(-1.0, 0));
        assert!((0..1_000).all(|_| free.take(Duration::ZERO).is_zero()));
        assert_eq!(
            Rate::from_config(0.0, 0),
            Rate {
                per_second: 5.0,
                burst: 10
            }
        );
    }

    proptest! {
        /// In every interval there are at most `burst` requests plus the rate's share.
        #[test]
        fn never_more_than_the_rate(gaps in prop::collection::vec(0_u64..400, 1..80), burst in 1_u32..6, rate in 1_u32..50) {
            let mut bucket = TokenBucket::new(Rate { per_second: f64::from(rate), burst });
            let mut now = Duration::ZERO;
            let mut starts = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                starts.push((now + bucket.take(now)).as_secs_f64());
            }
            for (first, from) in starts.iter().enumerate() {
                for (last, to) in starts.iter().enumerate().skip(first) {
                    let allowed = f64::from(burst) + (to - from) * f64::from(rate) + 1e-6;
                    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                    let seen = (last - first) as f64;
                    prop_assert!(seen <= allowed, "{seen} requests between {from} and {to}");
                }
            }
        }
    }
}
