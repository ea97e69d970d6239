//! Durations for humans.

use std::time::Duration;

/// Formats a duration with its two largest units: `412ms`, `6s`, `4m12s`, `2h03m`.
pub fn elapsed(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => format!("{}ms", span.as_millis()),
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, 0) => format!("{minutes}m"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, 0, _) => format!("{hours}h"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_are_enough() {
        let said = |milliseconds| elapsed(Duration::from_millis(milliseconds));
        assert_eq!(said(412), "412ms");
        assert_eq!(said(6_900), "6s");
        assert_eq!(said(252_000), "4m12s");
        assert_eq!(said(300_000), "5m");
        assert_eq!(said(3_600_000), "1h");
        assert_eq!(said(7_389_000), "2h03m");
    }
}
