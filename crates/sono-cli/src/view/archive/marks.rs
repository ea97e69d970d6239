//! Marks of failures: waived ones, and what an earlier run says about them. Pure.

use std::collections::BTreeMap;

use sono_results::Failure;

/// Plugin, file relative to the plugin's directory, and name of a failure.
type FailureKey = (String, Option<String>, String);

/// Waived failures.
#[derive(Debug, Default)]
pub(crate) struct Waived(BTreeMap<FailureKey, String>);

impl Waived {
    /// Adds a failure that the waiver with this id covers.
    pub(crate) fn insert(&mut self, plugin: &str, file: Option<&str>, name: &str, waiver: &str) {
        let key = (plugin.to_owned(), file.map(str::to_owned), name.to_owned());
        self.0.insert(key, waiver.to_owned());
    }

    /// Plugin, name and waiver of all failures.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0
            .iter()
            .map(|((plugin, _, name), waiver)| (plugin.as_str(), name.as_str(), waiver.as_str()))
    }

    /// Number of waived failures of a plugin.
    pub(super) fn count(&self, plugin: &str) -> u64 {
        self.0.keys().filter(|(of, _, _)| of == plugin).count() as u64
    }
}

/// Marks of failures in an archive.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pub(crate) waived: Waived,
    /// What an earlier run says, by plugin and name.
    pub(crate) since: BTreeMap<(String, String), String>,
    /// Sentences about the run, below its verdict.
    pub(crate) notes: Vec<String>,
}

/// Marks of one failure.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Mark<'a> {
    /// Id of the waiver.
    pub(super) waiver: Option<&'a str>,
    pub(super) since: Option<&'a str>,
}

impl Marks {
    pub(super) fn of(&self, plugin: &str, failure: &Failure) -> Mark<'_> {
        let key = (plugin.to_owned(), failure.file.clone(), failure.name.clone());
        let by_name = (key.0.clone(), key.2.clone());
        Mark {
            waiver: self.waived.0.get(&key).map(String::as_str),
            since: self.since.get(&by_name).map(String::as_str),
        }
    }
}

impl Mark<'_> {
    /// `   (waived: dns; failed in 1a2b3c4d too)`; empty without a mark.
    pub(super) fn words(self) -> String {
        let waived = self.waiver.map(|id| format!("waived: {id}"));
        let words: Vec<String> = waived.into_iter().chain(self.since.map(str::to_owned)).collect();
        if words.is_empty() {
            String::new()
        } else {
            format!("   ({})", words.join("; "))
        }
    }
}
