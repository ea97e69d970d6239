//! Identity of a test across versions of a suite.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Tags that a new version of the suite adds, removes or moves without changing the test.
const VOLATILE: &[&str] = &[
    "Alpha",
    "Beta",
    "Conformance",
    "Disruptive",
    "Feature",
    "FeatureGate",
    "Flaky",
    "LinuxOnly",
    "MinimumKubeletVersion",
    "NodeConformance",
    "Serial",
    "Slow",
];

/// Texts of renamed conformance tests, the former one first. From 1.33 to 1.37 all other tests with new names are new: see
/// `test/conformance/testdata/conformance.yaml` of Kubernetes.
const RENAMES: &[(&str, &str)] = &[
    // 1.35
    (
        "EndpointSlice should have Endpoints and EndpointSlices pointing to API Server",
        "API Server should have Endpoints and EndpointSlices pointing to API Server",
    ),
    (
        "Services should provide secure master service",
        "API Server should provide secure master service",
    ),
    (
        "Services should test the lifecycle of an Endpoint",
        "Endpoints should test the lifecycle of an Endpoint",
    ),
];

/// Prefix of test names in Ginkgo 2.
const GINKGO_PREFIX: &str = "[It]";

/// Identity of a test: the first 12 hexadecimal digits of a SHA-256 over its plugin, its text and its lasting tags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TestId(String);

impl TestId {
    /// Identity of a test by its name: text without tags, and the sorted set of lasting tags.
    pub fn of(plugin: &str, name: &str) -> Self {
        let (text, tags) = parts(name);
        let renamed = RENAMES.iter().find(|(former, _)| *former == text);
        let text = renamed.map_or(text.as_str(), |(_, text)| text);
        Self::hash([plugin, text].into_iter().chain(tags.iter().map(String::as_str)))
    }

    /// Identity of a test by its full name, for tests that differ only in tags that do not last.
    fn of_full_name(plugin: &str, name: &str) -> Self {
        Self::hash([plugin, name, "full name"])
    }

    fn hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // The length separates the parts.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut digits = hex::encode(hash.finalize());
        digits.truncate(12);
        Self(digits)
    }
}

impl fmt::Display for TestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Identities of all tests of a plugin in one run, in their order. Tests with the same text and lasting tags are identified by
/// their full names.
pub fn identities(plugin: &str, names: &[&str]) -> Vec<TestId> {
    let mut seen: BTreeMap<TestId, &str> = BTreeMap::new();
    let mut collided = Vec::new();
    for name in names {
        let id = TestId::of(plugin, name);
        match seen.get(&id) {
            Some(other) if other != name => collided.push(id),
            Some(_) => {}
            None => drop(seen.insert(id, name)),
        }
    }
    collided.sort();
    let id = |name: &&str| {
        let id = TestId::of(plugin, name);
        if collided.binary_search(&id).is_ok() {
            TestId::of_full_name(plugin, name)
        } else {
            id
        }
    };
    names.iter().map(id).collect()
}

/// Text without tags, and the sorted set of lasting tags.
fn parts(name: &str) -> (String, Vec<String>) {
    let mut text = String::with_capacity(name.len());
    let mut tags = Vec::new();
    let mut rest = name.trim().trim_start_matches(GINKGO_PREFIX);
    while let Some((before, after)) = rest.split_once('[') {
        text.push_str(before);
        if let Some((tag, after)) = after.split_once(']') {
            if !is_volatile(tag) {
                tags.push(tag.trim().to_owned());
            }
            // Tags are separate words.
            text.push(' ');
            rest = after;
        } else {
            text.push('[');
            rest = after;
        }
    }
    text.push_str(rest);
    tags.sort();
    tags.dedup();
    (text.split_whitespace().collect::<Vec<_>>().join(" "), tags)
}

fn is_volatile(tag: &str) -> bool {
    let kind = tag.split(':').next().unwrap_or_default().trim();
    VOLATILE.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 1.36 to 1.37, 176 conformance tests only changed the order of two tags.
    #[test]
    fn tags_that_move_do_not_change_the_identity() {
        let old = "[It] [sig-node] Pods should run [NodeConformance] [Conformance]";
        for same in [
            "[sig-node] Pods should run [Conformance] [NodeConformance]",
            "[It] [sig-node]  Pods should run [MinimumKubeletVersion:1.37] [Conformance]",
            "[sig-node] [Slow] [FeatureGate:X] [Feature:Y] Pods should run [Serial] [Beta] [Flaky]",
        ] {
            assert_eq!(TestId::of("e2e", same), TestId::of("e2e", old), "{same}");
        }
        for other in [
            "[sig-storage] Pods should run [Conformance]",
            "[sig-node] Pods should run [Privileged:ClusterAdmin] [Conformance]",
            "[sig-node] Pods should stop [Conformance]",
        ] {
            assert_ne!(TestId::of("e2e", other), TestId::of("e2e", old), "{other}");
        }
        assert_ne!(TestId::of("other", old), TestId::of("e2e", old));
    }

    #[test]
    fn renamed_test_has_the_same_identity() {
        for (former, name) in RENAMES {
            let old = format!("[sig-network] {former} [Conformance]");
            assert_eq!(
                TestId::of("e2e", &old),
                TestId::of("e2e", &format!("[sig-network] {name}"))
            );
            assert!(RENAMES.iter().all(|(other, _)| other != name), "{name}");
        }
    }

    #[test]
    fn colliding_tests_are_identified_by_their_full_names() {
        let names = ["a [Slow]", "a [Serial]", "b", "b"];
        let ids = identities("p", &names);
        assert_ne!(ids[0], ids[1]);
        assert_ne!(ids[0], TestId::of("p", "a"));
        assert_eq!(ids[2..], [TestId::of("p", "b"), TestId::of("p", "b")]);
        assert_eq!(identities("p", &names[..1]), [TestId::of("p", "a")]);
    }

    #[test]
    fn unclosed_tag_is_text() {
        assert_eq!(parts("a [b c"), ("a [b c".to_owned(), vec![]));
        assert_eq!(
            parts("[x][y] a[Slow]b"),
            ("a b".to_owned(), vec!["x".to_owned(), "y".to_owned()])
        );
        assert_eq!(TestId::of("p", "").to_string().len(), 12);
    }
}
