//! Durations in Go's format (`1h30m0s`, `5s`, `19.3723ms`), used in environment variables, error messages and
//! `meta/query-time.json`.

use std::time::Duration;

use jiff::SignedDuration;

/// Error of a text that is not a Go duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration such as 5s, 1m30s or 250ms")]
pub struct DurationError {
    text: String,
}

/// Parses a Go duration. A bare `0` is valid, negative durations are rejected.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    if trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    let error = || DurationError { text: text.to_owned() };
    let signed: SignedDuration = trimmed.parse().map_err(|_| error())?;
    Duration::try_from(signed).map_err(|_| error())
}

/// Formats a duration like Go's `Duration.String`: `0s`, `1.5µs`, `19.3723ms`, `5s`, `1m30s`, `6h0m0s`.
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |value: u128, unit: u128, suffix: &str| {
        let digits = unit.to_string().len() - 1;
        let rest = format!("{:0digits$}", value % unit);
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() { "" } else { "." };
        format!("{}{point}{rest}{suffix}", value / unit)
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => fraction(nanos, 1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(nanos, 1_000_000, "ms"),
        _ => {
            let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000, "s");
            let minutes = nanos / 60_000_000_000;
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_go_writes() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (19_372_300, "19.3723ms"),
            (5_000_000_000, "5s"),
            (90_500_000_000, "1m30.5s"),
            (21_600_000_000_000, "6h0m0s"),
        ] {
            assert_eq!(format(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn reads_what_go_reads() {
        for (text, millis) in [
            ("0", 0),
            ("5s", 5_000),
            ("1m30s", 90_000),
            ("250ms", 250),
            ("1.5h", 5_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)));
        }
        for bad in ["", "5", "-5s", "soon"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
