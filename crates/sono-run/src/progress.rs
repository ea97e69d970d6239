//! The progress of plugins, bounded in bytes for the whole run.

use std::{collections::BTreeMap, sync::Arc};

use sono_types::{ProgressUpdate, ResultKey};

/// Bytes that the progress of all results takes in memory, about. Beyond it names of failed tests are counted only.
pub(crate) const RUN_BYTES: usize = 32 << 20;

/// The last update of each result.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Shared with the statuses and files that are made of them.
    updates: BTreeMap<ResultKey, Arc<ProgressUpdate>>,
    bytes: usize,
    most: usize,
}

impl Default for Progress {
    fn default() -> Self {
        Self::within(RUN_BYTES)
    }
}

impl Progress {
    fn within(most: usize) -> Self {
        Self {
            updates: BTreeMap::new(),
            bytes: 0,
            most,
        }
    }

    /// Takes an update in.
    pub(super) fn fold(&mut self, key: ResultKey, update: ProgressUpdate) {
        let stored = self.updates.remove(&key);
        self.bytes -= stored.as_ref().map_or(0, |stored| stored.bytes());
        // The previous update may still be in use by a status.
        let folded = ProgressUpdate::fold(stored.map(Arc::unwrap_or_clone), update);
        self.keep(key, folded);
    }

    /// Takes up what was said to an earlier process.
    pub(super) fn restore(&mut self, key: ResultKey, update: ProgressUpdate) {
        if !self.updates.contains_key(&key) {
            self.fold(key, update);
        }
    }

    fn keep(&mut self, key: ResultKey, mut update: ProgressUpdate) {
        update.shrink(self.most.saturating_sub(self.bytes));
        self.bytes += update.bytes();
        self.updates.insert(key, Arc::new(update));
    }

    /// The last update of a result.
    pub fn get(&self, key: &ResultKey) -> Option<&Arc<ProgressUpdate>> {
        self.updates.get(key)
    }

    /// All of them.
    pub fn updates(&self) -> &BTreeMap<ResultKey, Arc<ProgressUpdate>> {
        &self.updates
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sono_types::{PluginName, Target};

    use super::*;

    fn key(node: usize) -> ResultKey {
        let target = Target::parse(&format!("n{node}")).unwrap();
        ResultKey::new(PluginName::parse("p").unwrap(), target)
    }

    proptest! {
        /// Whatever is posted, the sum stays within the bound but for what each result always has; and no failed test is lost.
        #[test]
        fn progress_of_any_posts_stays_within_the_bound(
            posts in prop::collection::vec((0_usize..5, 0_usize..30, 0_usize..60, any::<bool>()), 1..60),
        ) {
            let most = 8_000;
            let mut progress = Progress::within(most);
            let mut failed = BTreeMap::new();
            for (node, names, length, appends) in posts {
                let list = vec!["x".repeat(length); names];
                let number = i64::try_from(names).unwrap();
                let mut update = ProgressUpdate { msg: "m".repeat(length), ..ProgressUpdate::default() };
                if appends && names > 0 {
                    update.append_failing = list;
                    *failed.entry(node).or_insert(0) += number;
                } else {
                    update.errors.clone_from(&list);
                    update.failures = list;
                    failed.insert(node, number);
                }
                progress.fold(key(node), update);
                let bytes: usize = progress.updates.values().map(|update| update.bytes()).sum();
                prop_assert_eq!(bytes, progress.bytes);
                let always = ProgressUpdate::default().bytes();
                prop_assert!(bytes <= most + always * progress.updates.len());
                for (node, failed) in &failed {
                    prop_assert_eq!(progress.get(&key(*node)).unwrap().failed(), *failed);
                }
            }
        }
    }

    /// 40 nodes with 20,000 names and errors of 1 KiB each once took 800 MB.
    #[test]
    fn progress_of_forty_nodes_with_the_longest_lists_stays_within_the_bound() {
        let mut progress = Progress::default();
        let list = vec!["x".repeat(1024); 10_000];
        for node in 0..40 {
            let update = ProgressUpdate {
                errors: list.clone(),
                failures: list.clone(),
                ..ProgressUpdate::default()
            };
            progress.fold(key(node), update);
        }
        let always = ProgressUpdate::default().bytes();
        assert!(progress.bytes <= RUN_BYTES + 40 * always, "{}", progress.bytes);
        assert_eq!(progress.get(&key(39)).unwrap().failed(), 10_000);
    }
}
