//! `--wait`: minutes, or a duration with units.

use std::{str::FromStr, time::Duration};

use sono_types::go_duration;

/// Time limit of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitTime(pub Duration);

impl WaitTime {
    /// Limit of `--wait` without a value.
    pub(crate) const fn default_limit() -> Self {
        Self(Duration::from_hours(24))
    }
}

/// Text that is neither minutes nor a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected minutes, such as 30, or a duration, such as 1h30m")]
pub struct WaitTimeError;

impl FromStr for WaitTime {
    type Err = WaitTimeError;

    fn from_str(text: &str) -> Result<Self, WaitTimeError> {
        if let Ok(minutes) = text.parse::<u32>() {
            return Ok(Self(Duration::from_mins(u64::from(minutes))));
        }
        go_duration::parse(text).map(Self).map_err(|_| WaitTimeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BUG 20: durations have units, and a number is minutes.
    #[test]
    fn minutes_or_units() {
        let parsed = |text: &str| text.parse::<WaitTime>().map(|time| time.0.as_secs());
        assert_eq!(parsed("10"), Ok(600));
        assert_eq!(parsed("1h30m"), Ok(5400));
        assert_eq!(parsed("90s"), Ok(90));
        assert_eq!(parsed("soon"), Err(WaitTimeError));
        assert_eq!(parsed("-3"), Err(WaitTimeError));
    }
}
