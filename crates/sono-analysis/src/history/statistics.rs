//! Wilson's interval, Fisher's exact test, and the correction by Benjamini and Hochberg.

use std::fmt;

use serde::Serialize;

/// Maximum number of runs in a count. Larger counts are cut, failures in proportion to runs.
const MAX_COUNT: u32 = 10_000;
/// Quantile of the normal distribution for 95 %, two-sided.
const Z: f64 = 1.959_963_984_540_054;

/// Failures and runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    failures: u32,
    runs: u32,
}

impl Counts {
    /// Failures of runs. More failures than runs count as all runs.
    pub fn new(failures: usize, runs: usize) -> Self {
        let maximum = usize::try_from(MAX_COUNT).unwrap_or(usize::MAX);
        let failures = failures.min(runs);
        let (failures, runs) = if runs > maximum {
            let share = failures as u128 * u128::from(MAX_COUNT) / runs as u128;
            (u32::try_from(share).unwrap_or(MAX_COUNT), MAX_COUNT)
        } else {
            let small = |count: usize| u32::try_from(count).unwrap_or(MAX_COUNT);
            (small(failures), small(runs))
        };
        Self { failures, runs }
    }
}

/// Interval of a failure rate, each end from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl fmt::Display for Interval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.0}–{:.0} %", self.low * 100.0, self.high * 100.0)
    }
}

/// Confidence interval of a failure rate at 95 %, by Wilson. Without runs it is 0 to 1.
pub fn wilson(counts: Counts) -> Interval {
    if counts.runs == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let runs = f64::from(counts.runs);
    let rate = f64::from(counts.failures) / runs;
    let spread = Z * Z / runs;
    let center = (rate + spread / 2.0) / (1.0 + spread);
    let half = Z * (rate * (1.0 - rate) / runs + spread / (4.0 * runs)).sqrt() / (1.0 + spread);
    Interval {
        low: if counts.failures == 0 {
            0.0
        } else {
            (center - half).max(0.0)
        },
        high: if counts.failures == counts.runs {
            1.0
        } else {
            (center + half).min(1.0)
        },
    }
}

/// Probability of at least as many failures after as observed, if the failure rate did not change: Fisher's exact test,
/// one-sided.
pub fn fisher(before: Counts, after: Counts) -> f64 {
    let runs = before.runs + after.runs;
    let failures = before.failures + after.failures;
    let logarithms = log_factorials(runs);
    let factorial = |number: u32| -> f64 {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        logarithms.get(index).copied().unwrap_or(f64::INFINITY)
    };
    let choose = |of: u32, number: u32| factorial(of) - factorial(number) - factorial(of - number);
    let all = choose(runs, failures);
    let highest = after.runs.min(failures);
    let probability: f64 = (after.failures..=highest)
        .filter(|number| failures - number <= before.runs)
        .map(|number| (choose(after.runs, number) + choose(before.runs, failures - number) - all).exp())
        .sum();
    probability.min(1.0)
}

/// Logarithms of the factorials from 0 to `highest`.
fn log_factorials(highest: u32) -> Vec<f64> {
    let mut sum = 0.0;
    let rest = (1..=highest).map(|number| {
        sum += f64::from(number).ln();
        sum
    });
    std::iter::once(0.0).chain(rest).collect()
}

/// Which hypotheses are rejected so that the expected share of false ones among them is at most `rate`.
pub fn benjamini_hochberg(probabilities: &[f64], rate: f64) -> Vec<bool> {
    let mut order: Vec<f64> = probabilities.to_vec();
    order.sort_by(f64::total_cmp);
    let count = f64::from(u32::try_from(order.len()).unwrap_or(u32::MAX));
    let ranks = (1..=u32::MAX).map(f64::from);
    let limit = order
        .iter()
        .zip(ranks)
        .filter(|(probability, rank)| **probability <= rank / count * rate)
        .map(|(probability, _)| *probability)
        .last();
    probabilities
        .iter()
        .map(|probability| limit.is_some_and(|limit| *probability <= limit))
        .collect()
}
