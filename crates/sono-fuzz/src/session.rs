//! Running one target for a while.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::{Random, Target, mutate::mutate};

/// An input that takes longer counts as a hang. Inputs have at most 64 KiB.
const SLOW: Duration = Duration::from_secs(20);

/// How a session ended.
#[derive(Debug)]
pub struct Report {
    /// Inputs that were tried.
    pub executions: u64,
    /// The longest time that one took.
    pub slowest: Duration,
    /// The first input that something is wrong with.
    pub failure: Option<Failure>,
}

/// An input, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The bytes.
    pub input: Vec<u8>,
    /// The panic's message, or that it takes too long.
    pub message: String,
}

/// Tries the target's seeds, then mutations of them in the order that `seed` gives, until the time is over or one fails.
/// A hang leaves its thread behind: the caller is expected to end soon after. `before` is given each input before it is
/// tried.
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
            report.failure = failed("the thread that runs inputs has gone".to_owned());
            return report;
        }
        report.executions += 1;
        match done.recv_timeout(SLOW) {
            Ok((Ok(()), time)) => report.slowest = report.slowest.max(time),
            Ok((Err(message), _)) => {
                report.failure = failed(message);
                return report;
            }
            Err(_) => {
                report.failure = failed(format!("takes more than {} s", SLOW.as_secs()));
                return report;
            }
        }
    }
    report
}

/// Tries one input; the error is the panic's message.
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
    fn what_panics_is_found_and_can_be_tried_again() {
        let mut seen = Vec::new();
        let report = fuzz(&FRAGILE, 1, Duration::from_mins(1), |input| seen = input.to_vec());
        let failure = report.failure.unwrap();
        assert_eq!(failure.message, "an exclamation mark");
        assert_eq!(seen, failure.input, "it was shown before it was tried");
        assert_eq!(run_input(&FRAGILE, &failure.input), Err(failure.message));
        assert_eq!(run_input(&FRAGILE, b"quiet"), Ok(()));
        assert!(report.executions > 1, "the seeds come first");
    }
}
