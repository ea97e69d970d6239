//! The progress of plugins, bounded in bytes for the whole run.

use std::{collections::BTreeMap, sync::Arc};

use sono_types::{PluginName, ProgressUpdate, ResultKey};

/// Approximate memory of the progress of all results, in bytes; beyond it, names of failed tests are only counted. The process may have
/// four versions of it: in the run, in the last status, in the status that waits for the journal, and in the progress file's writer.
pub(crate) const RUN_BYTES: usize = 8 << 20;
/// Approximate memory of the progress of one plugin, in bytes, so that its names do not displace those of other plugins.
const PLUGIN_BYTES: usize = RUN_BYTES / 2;

/// The last update of each result.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Shared with the statuses and files that contain them.
    updates: BTreeMap<ResultKey, Arc<ProgressUpdate>>,
    /// Memory of the updates by plugin, in bytes.
    bytes: BTreeMap<PluginName, usize>,
    limits: MemoryLimits,
}

/// Limits on memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct MemoryLimits {
    run: usize,
    plugin: usize,
}

impl Default for Progress {
    fn default() -> Self {
        Self::within(MemoryLimits {
            run: RUN_BYTES,
            plugin: PLUGIN_BYTES,
        })
    }
}

impl Progress {
    fn within(limits: MemoryLimits) -> Self {
        Self {
            updates: BTreeMap::new(),
            bytes: BTreeMap::new(),
            limits,
        }
    }

    /// Applies an update.
    pub(super) fn fold(&mut self, key: ResultKey, update: ProgressUpdate) {
        let stored = self.updates.remove(&key);
        let freed = stored.as_ref().map_or(0, |stored| stored.bytes());
        *self.bytes.entry(key.plugin.clone()).or_default() -= freed;
        // The previous update may still be in use by a status.
        let folded = ProgressUpdate::fold(stored.map(Arc::unwrap_or_clone), update);
        self.store(key, folded);
    }

    /// Restores an update that an earlier process received.
    pub(super) fn restore(&mut self, key: ResultKey, update: ProgressUpdate) {
        if !self.updates.contains_key(&key) {
            self.fold(key, update);
        }
    }

    fn store(&mut self, key: ResultKey, mut update: ProgressUpdate) {
        let run = self.bytes.values().sum();
        let plugin = self.bytes.entry(key.plugin.clone()).or_default();
        let left = self.limits.run.saturating_sub(run);
        update.shrink(left.min(self.limits.plugin.saturating_sub(*plugin)));
        *plugin += update.bytes();
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

    fn key_of(plugin: &str, node: usize) -> ResultKey {
        let target = Target::parse(&format!("n{node}")).unwrap();
        ResultKey::new(PluginName::parse(plugin).unwrap(), target)
    }

    fn key(node: usize) -> ResultKey {
        key_of("p", node)
    }

    proptest! {
        /// After any posts the memory stays within the bound, except for the fixed size of each result; no failed test is lost.
        #[test]
        fn progress_of_any_posts_stays_within_the_bound(
            posts in prop::collection::vec((0_usize..9, 0_usize..30, 0_usize..60, any::<bool>()), 1..60),
        ) {
            let limits = MemoryLimits { run: 8_000, plugin: 5_000 };
            let plugins = ["p", "q", "r"];
            let key = |number: usize| key_of(plugins[number % plugins.len()], number);
            let mut progress = Progress::within(limits);
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
                let always = ProgressUpdate::default().bytes();
                let mut sum = 0;
                for (plugin, bytes) in &progress.bytes {
                    let own = progress.updates.iter().filter(|(key, _)| key.plugin == *plugin);
                    let own: Vec<usize> = own.map(|(_, update)| update.bytes()).collect();
                    prop_assert_eq!(own.iter().sum::<usize>(), *bytes);
                    prop_assert!(*bytes <= limits.plugin + always * own.len());
                    sum += bytes;
                }
                prop_assert!(sum <= limits.run + always * progress.updates.len());
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
        let [bytes] = progress.bytes.values().copied().collect::<Vec<_>>()[..] else {
            panic!("it is one plugin");
        };
        assert!(bytes <= PLUGIN_BYTES + 40 * always, "{bytes}");
        assert_eq!(progress.get(&key(39)).unwrap().failed(), 10_000);
        // Another plugin has its own limit.
        let other = ProgressUpdate {
            failures: vec!["x".repeat(150); 7_100],
            ..ProgressUpdate::default()
        };
        progress.fold(key_of("bystander", 0), other.clone());
        assert_eq!(progress.get(&key_of("bystander", 0)).unwrap().failures, other.failures);
    }
}
