//! Growing intervals between attempts.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

/// Intervals from `first` up to `longest`, each `factor` times the one before, with jitter; without an end.
pub(crate) fn growing(first: Duration, longest: Duration, factor: f32) -> impl Iterator<Item = Duration> {
    let growing = ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_factor(factor)
        .without_max_times()
        .with_jitter()
        .build();
    growing.map(move |interval| interval.min(longest))
}
