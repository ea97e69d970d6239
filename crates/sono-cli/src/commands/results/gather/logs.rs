//! Failed containers' logs next to the report of a plugin.

use sono_results::{Failure, Leaf};

/// Maximum number of logs next to the report of a plugin.
const MAX_LOGS: usize = 100;

/// The first failures with the end of a log, and the number of others.
#[derive(Debug, Default)]
pub(in crate::commands) struct Logs {
    pub(in crate::commands) first: Vec<Failure>,
    pub(in crate::commands) others: u64,
}

impl Logs {
    pub(super) fn add(&mut self, leaf: Leaf<'_>) {
        if self.first.len() < MAX_LOGS {
            self.first.push(Failure::of(leaf));
        } else {
            self.others += 1;
        }
    }
}
