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

#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    retries: usize,
}

impl Outage {
    /// Time since the first error.
    pub(super) fn duration(&self) -> Duration {
        self.since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Line about the first error of an outage. `None` for further errors.
    pub(super) fn note(&mut self, error: CliError) -> Option<String> {
        if self.since.is_some() {
            return None;
        }
        self.since = Some(Instant::now());
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
        let mut outage = Outage::default();
        let error = || CliError::new("cannot search").caused_by(&std::io::Error::other("connection refused"));
        assert_eq!(
            outage.note(error()).as_deref(),
            Some("cannot read the status: connection refused; trying again")
        );
        assert_eq!(outage.note(error()), None);
        let pauses: Vec<u64> = (0..6).map(|_| outage.pause().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5, 5]);
        assert_eq!(
            Outage::default().note(CliError::new("cannot read it")).as_deref(),
            Some("cannot read the status: cannot read it; trying again")
        );
    }
}
