//! History of a test over several runs: flaky, broken, or too few runs to say.

mod ledger;
mod statistics;
#[cfg(test)]
mod synthetic;
#[cfg(test)]
mod tests;

use std::fmt;

pub use ledger::{Ledger, RecordedTest};
use serde::Serialize;
pub use statistics::{Counts, Interval, benjamini_hochberg, fisher, wilson};

/// Number of runs below which a test is neither flaky nor broken.
const MIN_RUNS: usize = 5;
/// Maximum number of runs that are judged, the newest ones.
const MAX_RUNS: usize = 200;
/// Number of consecutive failures from which a test is broken.
const BROKEN_STREAK: usize = 3;
/// Accepted share of false regressions among all reported ones.
const FALSE_REGRESSIONS: f64 = 0.05;

/// Outcome of a test in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Passed.
    Passed,
    /// Failed or timed out.
    Failed,
    /// Failed because of the cluster; not evidence about the test.
    Infrastructure,
}

/// Outcome of a test with its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation<'a> {
    /// The run's id.
    pub run: &'a str,
    /// The outcome.
    pub outcome: Outcome,
}

/// State of a test over its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Fewer than five runs.
    TooFewRuns,
    /// Passed in the last run, and is not flaky.
    Passing,
    /// Failed in the last run or the last two runs, and is not flaky.
    Failing,
    /// Failed once or twice in a row between passes; not broken.
    Flaky,
    /// Failed in at least the last three runs.
    Broken,
}

/// Judgement of a test over its runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TestHistory {
    /// The state.
    pub verdict: Verdict,
    /// Number of runs without infrastructure failures.
    pub runs: usize,
    /// Number of runs in which it failed.
    pub failures: usize,
    /// Number of infrastructure failures.
    pub infrastructure: usize,
    /// Confidence interval of the failure rate at 95 %.
    pub interval: Interval,
    /// Number of changes between passed and failed.
    pub flips: usize,
    /// Number of consecutive failures up to the last run.
    pub streak: usize,
    /// First run of these failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Last run in which it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failed: Option<String>,
    /// Last run in which it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_passed: Option<String>,
}

impl TestHistory {
    /// Judges a test by its outcomes, the oldest first. The caller decides the order, because clocks can step back.
    pub fn of(observations: &[Observation<'_>]) -> Self {
        let skipped = observations.len().saturating_sub(MAX_RUNS);
        let newest = observations.get(skipped..).unwrap_or_default();
        let judged: Vec<&Observation<'_>> = newest
            .iter()
            .filter(|one| one.outcome != Outcome::Infrastructure)
            .collect();
        let failed = |one: &&&Observation<'_>| one.outcome == Outcome::Failed;
        let streak = judged.iter().rev().take_while(failed).count();
        let flips = judged
            .windows(2)
            .filter(|pair| matches!(pair, [before, after] if failed(&before) != failed(&after)))
            .count();
        let failures = judged.iter().filter(|one| one.outcome != Outcome::Passed).count();
        let verdict = if judged.len() >= MIN_RUNS && streak >= BROKEN_STREAK {
            Verdict::Broken
        } else if judged.len() < MIN_RUNS {
            Verdict::TooFewRuns
        } else if streak < BROKEN_STREAK && has_short_failure(&judged) {
            Verdict::Flaky
        } else if streak > 0 {
            Verdict::Failing
        } else {
            Verdict::Passing
        };
        let run = |one: &&Observation<'_>| one.run.to_owned();
        Self {
            verdict,
            runs: judged.len(),
            failures,
            infrastructure: newest.len() - judged.len(),
            interval: wilson(Counts::new(failures, judged.len())),
            flips,
            streak,
            since: judged.iter().rev().take(streak).next_back().map(run),
            last_failed: judged.iter().rev().find(failed).map(run),
            last_passed: judged.iter().rev().find(|one| !failed(one)).map(run),
        }
    }
}

/// Whether the test failed once or twice in a row with a pass before and after. Longer failures are breakages that were fixed.
fn has_short_failure(judged: &[&Observation<'_>]) -> bool {
    let mut is_after_pass = false;
    let mut failures = 0;
    for one in judged {
        if one.outcome == Outcome::Failed {
            failures += 1;
            continue;
        }
        if is_after_pass && (1..BROKEN_STREAK).contains(&failures) {
            return true;
        }
        is_after_pass = true;
        failures = 0;
    }
    false
}

impl fmt::Display for TestHistory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, failures, .. } = self;
        match self.verdict {
            Verdict::TooFewRuns => write!(
                formatter,
                "too few runs: failed {failures} of {runs}; {MIN_RUNS} are required"
            )?,
            Verdict::Passing if *failures == 0 => write!(formatter, "passed all {runs} runs")?,
            Verdict::Passing => write!(formatter, "passing; failed {failures} of {runs} runs")?,
            Verdict::Failing => write!(
                formatter,
                "failed in the last {} of {runs} runs; not yet decided",
                self.streak
            )?,
            Verdict::Flaky => write!(formatter, "flaky: failed {failures} of {runs} runs ({})", self.interval)?,
            Verdict::Broken => write!(
                formatter,
                "broken since {}: failed in the last {} runs",
                self.since.as_deref().unwrap_or("the first run"),
                self.streak
            )?,
        }
        match self.infrastructure {
            0 => Ok(()),
            1 => formatter.write_str("; one failure of the cluster is not counted"),
            number => write!(formatter, "; {number} failures of the cluster are not counted"),
        }
    }
}

/// Which tests fail more often than before, by Fisher's exact test. The list is corrected for the number of tests: at most
/// 5 % of the reported regressions are expected to be false. Each pair is (before, after).
pub fn regressions(tests: &[(Counts, Counts)]) -> Vec<bool> {
    let probabilities: Vec<f64> = tests.iter().map(|(before, after)| fisher(*before, *after)).collect();
    benjamini_hochberg(&probabilities, FALSE_REGRESSIONS)
}
