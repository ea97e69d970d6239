//! Durations of flags: with units, such as `1h30m`, or a bare number.

use std::{fmt, str::FromStr, time::Duration};

use sono_types::go_duration;

/// Time limit of a wait. A bare number is minutes, as in Sonobuoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitTime {
    /// The limit.
    pub limit: Duration,
    /// Whether the user gave a bare number other than 0.
    is_bare: bool,
}

impl WaitTime {
    /// Limit of `--wait` without a value.
    pub(crate) const fn default_limit() -> Self {
        Self::new(Duration::from_hours(24))
    }

    pub(crate) const fn new(limit: Duration) -> Self {
        Self { limit, is_bare: false }
    }

    /// How a bare number was read, for a note.
    pub(crate) fn interpretation(self) -> Option<String> {
        let minutes = self.limit.as_secs() / 60;
        let unit = if minutes == 1 { "minute" } else { "minutes" };
        self.is_bare
            .then(|| format!("note: --wait={minutes} means {minutes} {unit}; for seconds: --wait={minutes}s"))
    }
}

/// Text that is neither a number nor a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration, such as 90s, 5m or 1h30m, or a number of {unit}")]
pub struct TimeError {
    unit: &'static str,
}

impl FromStr for WaitTime {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        if let Ok(minutes) = text.parse::<u32>() {
            return Ok(Self {
                limit: Duration::from_mins(u64::from(minutes)),
                is_bare: minutes > 0,
            });
        }
        let limit = go_duration::parse(text).map_err(|_| TimeError { unit: "minutes" })?;
        Ok(Self::new(limit))
    }
}

/// Duration in whole seconds. A bare number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub u64);

impl FromStr for Seconds {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        if let Ok(seconds) = text.parse() {
            return Ok(Self(seconds));
        }
        let duration = go_duration::parse(text).map_err(|_| TimeError { unit: "seconds" })?;
        // A limit below a second must not mean no limit.
        Ok(Self(duration.as_secs() + u64::from(duration.subsec_nanos() > 0)))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BUG 20: durations have units, and a number is minutes.
    #[test]
    fn wait_time_is_minutes_or_has_units() {
        let parsed = |text: &str| text.parse::<WaitTime>().map(|time| time.limit.as_secs());
        let refused = Err(TimeError { unit: "minutes" });
        assert_eq!(parsed("10"), Ok(600));
        assert_eq!(parsed("1h30m"), Ok(5400));
        assert_eq!(parsed("90s"), Ok(90));
        assert_eq!(parsed("soon"), refused);
        assert_eq!(parsed("-3"), refused);
    }

    #[test]
    fn interpretation_of_a_bare_number_is_named() {
        let interpretation = |text: &str| text.parse::<WaitTime>().unwrap().interpretation();
        assert_eq!(
            interpretation("5").as_deref(),
            Some("note: --wait=5 means 5 minutes; for seconds: --wait=5s")
        );
        assert_eq!(
            interpretation("1").as_deref(),
            Some("note: --wait=1 means 1 minute; for seconds: --wait=1s")
        );
        assert_eq!(interpretation("0"), None);
        assert_eq!(interpretation("5m"), None);
    }

    #[test]
    fn seconds_are_a_number_or_have_units() {
        let parsed = |text: &str| text.parse::<Seconds>().map(|seconds| seconds.0);
        assert_eq!(
            ["300", "5m", "90s", "0", "0s"].map(parsed),
            [300, 300, 90, 0, 0].map(Ok)
        );
        assert_eq!(parsed("1500ms"), Ok(2));
        assert_eq!(parsed("1ns"), Ok(1));
        for text in ["-1", "soon", "", "1.5"] {
            assert_eq!(parsed(text), Err(TimeError { unit: "seconds" }), "{text}");
        }
    }
}
