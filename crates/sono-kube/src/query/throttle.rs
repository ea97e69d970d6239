//! How many requests a second.

use std::time::Duration;

/// A steady rate, and how far a burst may go beyond it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Requests a second; below zero there is no limit.
    pub a_second: f64,
    /// Requests at once after a rest.
    pub burst: u32,
}

impl Rate {
    /// From `QPS` and `Burst` of the configuration. Zero means what Kubernetes' own clients take then: 5 and 10.
    pub fn from_config(qps: f64, burst: i64) -> Self {
        Self {
            a_second: if qps == 0.0 || qps.is_nan() { 5.0 } else { qps },
            burst: if burst == 0 {
                10
            } else {
                u32::try_from(burst).unwrap_or(1).max(1)
            },
        }
    }
}

/// Hands out turns. It knows no clock: times are since any fixed start, and must not go back.
#[derive(Debug)]
pub(super) struct Turns {
    rate: Rate,
    /// Turns that are left; below zero those that are promised.
    left: f64,
    at: Duration,
}

impl Turns {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            left: f64::from(rate.burst),
            at: Duration::ZERO,
        }
    }

    /// Takes the next turn, and says how long to wait for it.
    pub(super) fn take(&mut self, at: Duration) -> Duration {
        if self.rate.a_second < 0.0 {
            return Duration::ZERO;
        }
        let passed = at.saturating_sub(self.at);
        self.at = self.at.max(at);
        self.left = (self.left + passed.as_secs_f64() * self.rate.a_second).min(f64::from(self.rate.burst)) - 1.0;
        if self.left >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.left / self.rate.a_second).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_and_then_a_steady_rate() {
        let mut turns = Turns::new(Rate {
            a_second: 10.0,
            burst: 2,
        });
        let waits: Vec<u128> = (0..4).map(|_| turns.take(Duration::ZERO).as_millis()).collect();
        assert_eq!(waits, [0, 0, 100, 200]);
        assert_eq!(turns.take(Duration::from_mins(1)), Duration::ZERO);
        let mut free = Turns::new(Rate::from_config(-1.0, 0));
        assert!((0..1_000).all(|_| free.take(Duration::ZERO).is_zero()));
        assert_eq!(
            Rate::from_config(0.0, 0),
            Rate {
                a_second: 5.0,
                burst: 10
            }
        );
    }

    proptest! {
        /// However requests come, no stretch of time has more than the burst and its share of the rate.
        #[test]
        fn never_more_than_the_rate(gaps in prop::collection::vec(0_u64..400, 1..80), burst in 1_u32..6, rate in 1_u32..50) {
            let mut turns = Turns::new(Rate { a_second: f64::from(rate), burst });
            let mut now = Duration::ZERO;
            let mut starts = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                starts.push((now + turns.take(now)).as_secs_f64());
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
