//! A fuzzing session of one target.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::{Random, Target, mutate::mutate};

/// An input that takes longer counts as a hang. Inputs are at most 64 KiB.
const HANG_LIMIT: Duration = Duration::from_secs(20);

/// The outcome of a session.
#[derive(Debug)]
pub struct Report {
    /// Number of executed inputs.
    pub executions: u64,
    /// Longest time of one input.
    pub slowest: Duration,
    /// The first failing input.
    pub failure: Option<Failure>,
}

/// A failing input and its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The bytes.
    pub input: Vec<u8>,
    /// The panic's message, or that the input hangs.
    pub message: String,
}

/// Executes the target's seeds, then mutations of them in the order of `seed`, until `limit` or the first failure.
/// A hang leaks its thread: the caller should exit soon after. Calls `before` with each input before its execution.
pub fn fuzz(target: &'static Target, seed: u64, limit: Duration, mut before: impl FnMut(&[u8])) -> Report {
    let (inputs, todo) = mpsc::channel::<Vec<u8>>();
    let (answers, done) = mpsc::channel();
    thread::spawn(move || {
        for input in todo {
            let start = Instant::now();
            let outcome = run_input(target, &input);
            if answers.send((outcome, start.elapsed())).is_err() {
                return;
            }
        }
    });
    let corpus = (target.seeds)();
    let mut random = Random::new(seed);
    let mut report = Report {
        executions: 0,
        slowest: Duration::ZERO,
        failure: None,
    };
    let start = Instant::now();
    let mut seeds = corpus.iter();
    while start.elapsed() < limit {
        let input = seeds
            .next()
            .cloned()
            .unwrap_or_else(|| mutate(&mut random, &corpus, target.dictionary));
        let failed = |message: String| {
            Some(Failure {
                input: input.clone(),
                message,
            })
        };
        before(&input);
        if inputs.send(input.clone()).is_err() {
            report.failure = failed("the thread that executes inputs has ended".to_owned());
            return report;
        }
        report.executions += 1;
        match done.recv_timeout(HANG_LIMIT) {
            Ok((Ok(()), time)) => report.slowest = report.slowest.max(time),
            Ok((Err(message), _)) => {
                report.failure = failed(message);
                return report;
            }
            Err(_) => {
                report.failure = failed(format!("takes more than {} s", HANG_LIMIT.as_secs()));
                return report;
            }
        }
    }
    report
}

/// Executes one input; the error is the panic's message.
pub fn run_input(target: &Target, input: &[u8]) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| {
        panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "panic without a message".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static FRAGILE: Target = Target {
        name: "fragile",
        run: |input| assert!(!input.contains(&b'!'), "an exclamation mark"),
        seeds: || vec![b"quiet".to_vec()],
        dictionary: &["!"],
    };

    #[test]
    fn fuzz_panicking_input_found_and_reproduced() {
        let mut seen = Vec::new();
        let report = fuzz(&FRAGILE, 1, Duration::from_mins(1), |input| seen = input.to_vec());
        let failure = report.failure.unwrap();
        assert_eq!(failure.message, "an exclamation mark");
        assert_eq!(seen, failure.input, "`before` is called first");
        assert_eq!(run_input(&FRAGILE, &failure.input), Err(failure.message));
        assert_eq!(run_input(&FRAGILE, b"quiet"), Ok(()));
        assert!(report.executions > 1, "seeds are executed first");
    }
}
