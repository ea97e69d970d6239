//! Runs one step of a task and prints its description and duration.

use std::time::{Duration, Instant};

use crate::say;

/// Runs a step and prints `done` afterwards, in the past tense: "built kubelet".
pub fn step<T>(done: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let start = Instant::now();
    let value = work()?;
    say::progress(format_args!("{done} in {}", human(start.elapsed())));
    Ok(value)
}

/// Like [`step`] for steps that may take minutes: also prints `announce` before the start.
pub fn long_step<T>(announce: &str, done: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    say::progress(format_args!("{announce} …"));
    step(done, work)
}

/// A duration with three significant digits or in minutes and seconds.
pub fn human(elapsed: Duration) -> String {
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
    fn human_formats_durations() {
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
