//! Period in which the API server does not return the status, during `status --watch`.

use std::time::{Duration, Instant};

use crate::error::CliError;

/// Pauses before retries. The last one repeats.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(5),
];

/// Minimum time between two lines about outages. A server that fails now and then would otherwise fill the screen.
const BETWEEN_NOTES: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    retries: usize,
    noted: Option<Instant>,
}

impl Outage {
    /// Time since the first error.
    pub(super) fn duration(&self, now: Instant) -> Duration {
        self.since.map(|since| now.duration_since(since)).unwrap_or_default()
    }

    /// The server returned the status.
    pub(super) fn end(&mut self) {
        (self.since, self.retries) = (None, 0);
    }

    /// Line about the first error of an outage. `None` for further errors, and soon after the line of an earlier outage.
    pub(super) fn note(&mut self, error: CliError, now: Instant) -> Option<String> {
        if self.since.is_some() {
            return None;
        }
        self.since = Some(now);
        if self
            .noted
            .is_some_and(|noted| now.duration_since(noted) < BETWEEN_NOTES)
        {
            return None;
        }
        self.noted = Some(now);
        let mut lines = error.lines();
        // The first line names the step, such as the search for the run.
        if lines.len() > 1 {
            lines.remove(0);
        }
        Some(format!("cannot read the status: {}; trying again", lines.join(": ")))
    }

    /// Pause before the next try.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = PAUSES.get(self.retries).or(PAUSES.last()).copied();
        self.retries += 1;
        pause.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outage_is_reported_once_and_retried_more_slowly() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let error = || CliError::new("cannot search").caused_by(&std::io::Error::other("connection refused"));
        let line = Some("cannot read the status: connection refused; trying again".to_owned());
        assert_eq!(outage.note(error(), at(0)), line);
        assert_eq!(outage.note(error(), at(70)), None);
        assert_eq!(outage.duration(at(75)), Duration::from_secs(75));
        let pauses: Vec<u64> = (0..6).map(|_| outage.pause().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5, 5]);
        outage.end();
        assert_eq!(outage.duration(at(80)), Duration::ZERO);
        assert_eq!(outage.note(error(), at(80)), line);
        for seconds in [90, 139] {
            outage.end();
            assert_eq!(outage.note(error(), at(seconds)), None, "{seconds}");
        }
        assert_eq!(outage.pause(), Duration::from_secs(1));
        assert_eq!(
            Outage::default()
                .note(CliError::new("cannot read it"), start)
                .as_deref(),
            Some("cannot read the status: cannot read it; trying again")
        );
    }
}
