//! Synthetic histories of 200 runs of 450 tests with known failure rates.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "random numbers of a test"
)]

use super::*;

const RUNS: usize = 200;
const TESTS: usize = 450;

/// A seeded generator (xorshift64*).
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Stable,
    Flaky(f64),
    /// Fails from the first to before the second run.
    Broken(usize, usize),
}

/// Tests by kind, and whether each failed in each run: 300 stable, 90 flaky, 60 broken, of which half are fixed.
fn suite(seed: u64) -> Vec<(Kind, Vec<bool>)> {
    let mut random = Random(seed);
    (0..TESTS)
        .map(|test| {
            let kind = match test {
                0..300 => Kind::Stable,
                300..390 => Kind::Flaky(0.05 + 0.45 * random.unit()),
                _ => {
                    let first = random.below(RUNS - 3);
                    let length = if test % 2 == 0 { 3 + random.below(20) } else { RUNS };
                    Kind::Broken(first, (first + length).min(RUNS))
                }
            };
            let failed = (0..RUNS).map(|run| match kind {
                Kind::Stable => false,
                Kind::Flaky(rate) => random.unit() < rate,
                Kind::Broken(first, end) => (first..end).contains(&run),
            });
            (kind, failed.collect())
        })
        .collect()
}

fn judge(failed: &[bool]) -> TestHistory {
    let outcome = |failed: &bool| if *failed { Outcome::Failed } else { Outcome::Passed };
    let observations: Vec<Observation<'_>> = failed
        .iter()
        .map(|failed| Observation {
            run: "r",
            outcome: outcome(failed),
        })
        .collect();
    TestHistory::of(&observations)
}

#[test]
fn flaky_tests_are_found_after_twenty_runs() {
    for end in [20, 40, 80, 200] {
        let (mut found, mut right, mut flaky, mut broken) = (0, 0, 0, 0);
        for seed in 1..=10 {
            for (kind, failed) in suite(seed) {
                let is_flaky = matches!(kind, Kind::Flaky(_));
                let verdict = judge(&failed[..end]).verdict;
                flaky += usize::from(is_flaky);
                found += usize::from(verdict == Verdict::Flaky);
                right += usize::from(verdict == Verdict::Flaky && is_flaky);
                if let Kind::Broken(first, last) = kind {
                    broken += usize::from(verdict == Verdict::Flaky);
                    let is_broken = first + 3 <= end && last >= end;
                    assert!(
                        !is_broken || verdict == Verdict::Broken,
                        "seed {seed}, {first} to {last} of {end}"
                    );
                }
            }
        }
        println!("{end} runs: precision {right}/{found}, recall {right}/{flaky}, broken called flaky {broken}");
        assert!(
            right * 100 >= found * 95,
            "precision after {end} runs: {right} of {found}"
        );
        assert!(right * 100 >= flaky * 90, "recall after {end} runs: {right} of {flaky}");
        assert_eq!(broken, 0, "after {end} runs");
    }
}

/// The last ten runs against the earlier ones: unchanged rates are not regressions, breakages are.
#[test]
fn unchanged_rates_are_not_regressions() {
    let counts = |failed: &[bool]| Counts::new(failed.iter().filter(|failed| **failed).count(), failed.len());
    let (mut reported, mut wrong, mut suites) = (0, 0, 0);
    for seed in 1..=40 {
        let tests = suite(seed);
        let pairs: Vec<_> = tests
            .iter()
            .map(|(_, failed)| (counts(&failed[..RUNS - 10]), counts(&failed[RUNS - 10..])))
            .collect();
        let found = regressions(&pairs);
        let mut is_wrong = false;
        for ((kind, _), is_found) in tests.iter().zip(found) {
            reported += usize::from(is_found);
            let is_false = is_found && !matches!(kind, Kind::Broken(_, end) if *end > RUNS - 10);
            wrong += usize::from(is_false);
            is_wrong |= is_false;
        }
        suites += usize::from(is_wrong);
    }
    println!("{reported} regressions, {wrong} false, in {suites} of 40 suites");
    assert!(
        reported > 0 && wrong * 100 <= reported * 5,
        "{wrong} of {reported} are false"
    );

    // Suites without any breakage.
    let mut wrong = 0;
    for seed in 101..=140 {
        let pairs: Vec<_> = suite(seed)
            .iter()
            .filter(|(kind, _)| !matches!(kind, Kind::Broken(..)))
            .map(|(_, failed)| (counts(&failed[..RUNS - 10]), counts(&failed[RUNS - 10..])))
            .collect();
        wrong += usize::from(regressions(&pairs).contains(&true));
    }
    println!("{wrong} of 40 suites without a breakage have a false regression");
    assert!(wrong <= 2, "{wrong} of 40");
}
