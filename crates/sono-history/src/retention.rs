//! Which runs are removed.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::entry::Entry;

/// How many runs are kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Maximum number of runs of one cluster.
    pub of_cluster: usize,
    /// Maximum number of runs.
    pub runs: usize,
    /// Maximum age in days of the order time.
    pub days: u32,
    /// Number of newest runs of each cluster that are kept at any age, since clocks can be wrong.
    pub at_any_age: usize,
}

impl Retention {
    /// The limits that apply whenever a run is recorded.
    pub const DEFAULT: Self = Self {
        of_cluster: 200,
        runs: 2_000,
        days: 180,
        at_any_age: 20,
    };

    /// The runs to remove. `entries` are sorted, the oldest first.
    pub(crate) fn outdated<'a>(&self, entries: &'a [Entry], now: Timestamp) -> Vec<&'a Entry> {
        let age = SignedDuration::from_hours(24).checked_mul(i32::try_from(self.days).unwrap_or(i32::MAX));
        let oldest = age.and_then(|age| now.checked_sub(age).ok()).unwrap_or(Timestamp::MIN);
        let mut of_cluster: BTreeMap<&str, usize> = BTreeMap::new();
        let mut kept = 0;
        let mut outdated = Vec::new();
        for entry in entries.iter().rev() {
            let newer = of_cluster.entry(&entry.cluster).or_default();
            let is_old = entry.time < oldest && *newer >= self.at_any_age;
            if is_old || *newer >= self.of_cluster || kept >= self.runs {
                outdated.push(entry);
            } else {
                *newer += 1;
                kept += 1;
            }
        }
        outdated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_surplus_runs_are_removed() {
        let now: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let entry = |days: i64, cluster: &str| Entry {
            run: format!("{cluster}-{days}"),
            time: now - SignedDuration::from_hours(24 * days),
            start: None,
            seconds: None,
            cluster: cluster.to_owned(),
            kubernetes: String::new(),
            plugins: Vec::new(),
            file: String::new(),
            bytes: 0,
        };
        let entries = [
            entry(400, "b"),
            entry(300, "a"),
            entry(200, "a"),
            entry(100, "a"),
            entry(2, "c"),
            entry(1, "a"),
        ];
        let removed = |of_cluster, runs, days, at_any_age| -> Vec<String> {
            let retention = Retention {
                of_cluster,
                runs,
                days,
                at_any_age,
            };
            retention
                .outdated(&entries, now)
                .iter()
                .map(|entry| entry.run.clone())
                .collect()
        };
        assert_eq!(removed(9, 9, 999, 0), [""; 0]);
        assert_eq!(removed(9, 9, 180, 0), ["a-200", "a-300", "b-400"]);
        assert_eq!(removed(9, 9, 180, 3), ["a-300"]);
        assert_eq!(removed(2, 9, 999, 0), ["a-200", "a-300"]);
        assert_eq!(removed(9, 3, 999, 0), ["a-200", "a-300", "b-400"]);
        assert_eq!(removed(9, 9, u32::MAX, 0), [""; 0]);
        // A clock in the future removes no more than the old runs beyond the newest ones.
        assert_eq!(removed(9, 9, 0, 9), [""; 0]);
    }
}
