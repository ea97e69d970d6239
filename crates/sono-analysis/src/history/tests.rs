#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "small counts, and values that are exact"
)]

use super::*;

/// Outcomes as letters: p(assed), f(ailed), i(nfrastructure). The runs are named by their position.
fn judge(letters: &str) -> TestHistory {
    let runs: Vec<String> = (0..letters.len()).map(|run| format!("r{run}")).collect();
    let outcomes = letters.chars().zip(&runs).map(|(letter, run)| Observation {
        run,
        outcome: match letter {
            'p' => Outcome::Passed,
            'f' => Outcome::Failed,
            _ => Outcome::Infrastructure,
        },
    });
    TestHistory::of(&outcomes.collect::<Vec<_>>())
}

#[test]
fn outcomes_of_runs_decide_the_verdict() {
    for (letters, expected) in [
        ("", "too few runs: failed 0 of 0; 5 are required"),
        ("pfp", "too few runs: failed 1 of 3; 5 are required"),
        ("ffff", "too few runs: failed 4 of 4; 5 are required"),
        ("ppppp", "passed all 5 runs"),
        ("pppfp", "flaky: failed 1 of 5 runs (4–62 %)"),
        ("pppffpp", "flaky: failed 2 of 7 runs (8–64 %)"),
        ("ppfffpp", "passing; failed 3 of 7 runs"),
        ("ffppppp", "passing; failed 2 of 7 runs"),
        ("ppppf", "failed in the last 1 of 5 runs; not yet decided"),
        ("pppfff", "broken since r3: failed in the last 3 runs"),
        ("pfpfff", "broken since r3: failed in the last 3 runs"),
        ("fffff", "broken since r0: failed in the last 5 runs"),
        (
            "pppififp",
            "flaky: failed 2 of 6 runs (10–70 %); 2 failures of the cluster are not counted",
        ),
        ("ppppip", "passed all 5 runs; one failure of the cluster is not counted"),
        (
            "iiiiii",
            "too few runs: failed 0 of 0; 5 are required; 6 failures of the cluster are not counted",
        ),
    ] {
        assert_eq!(judge(letters).to_string(), expected, "{letters}");
    }
}

#[test]
fn test_history_names_its_runs() {
    let found = judge("ppfpff");
    assert_eq!(
        (
            found.since.as_deref(),
            found.last_failed.as_deref(),
            found.last_passed.as_deref(),
            found.flips
        ),
        (Some("r4"), Some("r5"), Some("r3"), 3)
    );
}

/// Only the newest runs are judged.
#[test]
fn old_runs_are_forgotten() {
    let letters = format!("pfp{}", "p".repeat(MAX_RUNS));
    let found = judge(&letters);
    assert_eq!((found.verdict, found.runs), (Verdict::Passing, MAX_RUNS));
}

/// Every sequence of up to nine outcomes: three failures at the end are never flaky.
#[test]
fn broken_test_is_never_flaky() {
    for length in 0..=9_u32 {
        for bits in 0..1_u32 << length {
            let letter = |at: u32| if bits >> at & 1 == 1 { 'f' } else { 'p' };
            let letters: String = (0..length).map(letter).collect();
            let found = judge(&letters).verdict;
            if letters.ends_with("fff") {
                assert_ne!(found, Verdict::Flaky, "{letters}");
                assert_eq!(found == Verdict::Broken, length >= 5, "{letters}");
            } else {
                assert_ne!(found, Verdict::Broken, "{letters}");
            }
            // A model of its own: the failures between passes.
            let is_short = |run: &str| run.len() == 1 || run.len() == 2;
            let inner = letters.trim_matches('f');
            let is_flaky = inner.split('p').any(is_short) && length >= 5 && !letters.ends_with("fff");
            assert_eq!(found == Verdict::Flaky, is_flaky, "{letters}");
        }
    }
}

/// Number of ways to choose.
fn choose(of: u64, number: u64) -> u64 {
    (0..number).fold(1, |ways, step| ways * (of - step) / (step + 1))
}

/// Every table of up to eight runs on each side, by whole numbers.
#[test]
fn fisher_equals_the_count_of_tables() {
    for before_runs in 0..=8_u64 {
        for after_runs in 0..=8_u64 {
            for before in 0..=before_runs {
                for after in 0..=after_runs {
                    let failed = before + after;
                    let tables = (after..=after_runs.min(failed)).filter(|number| failed - number <= before_runs);
                    let extreme: u64 = tables
                        .map(|number| choose(after_runs, number) * choose(before_runs, failed - number))
                        .sum();
                    let all = choose(before_runs + after_runs, failed);
                    let counts = |failures: u64, runs: u64| Counts::new(failures as usize, runs as usize);
                    let found = fisher(counts(before, before_runs), counts(after, after_runs));
                    let expected = extreme as f64 / all as f64;
                    assert!(
                        (found - expected).abs() < 1e-9,
                        "{before}/{before_runs} {after}/{after_runs}"
                    );
                }
            }
        }
    }
}

#[test]
fn one_failure_after_few_runs_is_not_significant() {
    let rounded = |before: (usize, usize), after: (usize, usize)| {
        (fisher(Counts::new(before.0, before.1), Counts::new(after.0, after.1)) * 1000.0).round()
    };
    assert_eq!(rounded((0, 20), (1, 1)), 48.0);
    assert_eq!(rounded((0, 5), (1, 1)), 167.0);
    assert_eq!(rounded((0, 5), (3, 3)), 18.0);
    assert_eq!(rounded((0, 0), (0, 0)), 1000.0);
}

#[test]
fn interval_of_a_rate_is_wilsons() {
    for (failures, runs, expected) in [
        (3, 41, "3–19 %"),
        (0, 10, "0–28 %"),
        (10, 10, "72–100 %"),
        (0, 0, "0–100 %"),
        (usize::MAX, usize::MAX, "100–100 %"),
        (9, 3, "44–100 %"),
    ] {
        assert_eq!(
            wilson(Counts::new(failures, runs)).to_string(),
            expected,
            "{failures}/{runs}"
        );
    }
}

#[test]
fn correction_rejects_up_to_the_last_small_probability() {
    let rejected = benjamini_hochberg(&[0.041, 0.01, 0.9, 0.02, 0.03], 0.05);
    assert_eq!(rejected, [false, true, false, true, true]);
    assert_eq!(benjamini_hochberg(&[0.04], 0.05), [true]);
    assert_eq!(benjamini_hochberg(&[0.04; 2], 0.05), [true; 2]);
    assert_eq!(benjamini_hochberg(&[], 0.05), [] as [bool; 0]);
    // The second is above its own limit, the third not.
    assert_eq!(benjamini_hochberg(&[0.045, 0.05, 0.04], 0.05), [true; 3]);
    assert_eq!(benjamini_hochberg(&[f64::NAN, 1.0], 0.05), [false; 2]);
}
