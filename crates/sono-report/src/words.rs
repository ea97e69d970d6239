//! Words and shapes for verdicts, numbers and durations.

use sono_analysis::TestStatus;

/// Shape and word of a verdict. The shape differs too, so that color alone never carries a meaning.
pub(crate) struct Badge {
    pub(crate) class: &'static str,
    pub(crate) shape: &'static str,
}

/// Badge of the status of a run, a plugin or a test.
pub(crate) fn badge(status: &str) -> Badge {
    let (class, shape) = match status {
        "passed" => ("good", "✓"),
        "failed" | "timeout" | "timed out" => ("bad", "✗"),
        _ => ("unsure", "?"),
    };
    Badge { class, shape }
}

/// `1 failure`, `2 failures`.
pub(crate) fn counted(count: usize, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {word}{plural}")
}

/// `45 s`, `3 min 20 s`, `1 h 2 min`.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The most severe status of the plugins.
pub(crate) fn overall<'a>(statuses: impl Iterator<Item = &'a str>) -> &'static str {
    let mut overall = "passed";
    let mut is_any = false;
    for status in statuses {
        is_any = true;
        match status {
            "passed" | "skipped" => {}
            "failed" | "timeout" => return "failed",
            _ => overall = "unknown",
        }
    }
    if is_any { overall } else { "unknown" }
}

/// Number of tests with each verdict, without those that do not occur.
pub(crate) fn tally(verdicts: impl Iterator<Item = TestStatus>, skipped: u64) -> Vec<(&'static str, u64)> {
    let order = [
        TestStatus::Passed,
        TestStatus::Failed,
        TestStatus::Timeout,
        TestStatus::Unknown,
        TestStatus::Other,
    ];
    let mut counts = [0_u64; 5];
    for verdict in verdicts {
        if let Some(at) = order.iter().position(|status| *status == verdict)
            && let Some(count) = counts.get_mut(at)
        {
            *count += 1;
        }
    }
    let tests = order.iter().map(|status| status.as_str()).zip(counts);
    tests
        .chain([("skipped", skipped)])
        .filter(|(_, count)| *count > 0)
        .collect()
}
