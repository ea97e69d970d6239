//! Runs one step of a task and says what was done and how long it took.

use std::time::{Duration, Instant};

use crate::say;

/// `done` is said after the step, in the past tense: "built kubelet".
pub(crate) fn step<T>(done: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let start = Instant::now();
    let value = work()?;
    say::progress(format_args!("{done} in {}", human(start.elapsed())));
    Ok(value)
}

/// For steps that may take minutes: says so before it starts.
pub(crate) fn long_step<T>(announce: &str, done: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    say::progress(format_args!("{announce} …"));
    step(done, work)
}

pub(crate) fn human(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds {
        0 => format!("{} ms", elapsed.as_millis()),
        1..60 => format!("{:.1} s", elapsed.as_secs_f64()),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_a_person_writes_them() {
        let cases = [
            (7, "7 ms"),
            (999, "999 ms"),
            (3_400, "3.4 s"),
            (59_900, "59.9 s"),
            (252_000, "4m12s"),
        ];
        for (milliseconds, expected) in cases {
            assert_eq!(human(Duration::from_millis(milliseconds)), expected);
        }
    }
}
