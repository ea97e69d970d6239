//! The packages that are built for Linux. Read from `cargo tree`, since `cargo metadata` also lists what only features that
//! are off would need: it names `ring`, which nothing here builds.

use std::collections::{BTreeMap, BTreeSet};

/// The second TLS provider, beside aws-lc-rs.
const BANNED: &str = "ring";
/// Two versions of these do not understand each other's types.
const SINGLE: &[&str] = &["hyper", "rustls", "tower", "http"];

/// Versions by name.
pub(super) type Enabled = BTreeMap<String, BTreeSet<String>>;

/// Reads `cargo tree --prefix none --format '{p}'`: `name v1.2.3 (where from) (*)` in each line, an empty line between trees.
pub(super) fn parse(tree: &str) -> Enabled {
    let mut enabled = Enabled::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            let version = version.trim_start_matches('v').to_owned();
            enabled.entry(name.to_owned()).or_default().insert(version);
        }
    }
    enabled
}

pub(super) fn check(enabled: &Enabled) -> Vec<String> {
    let banned = enabled
        .contains_key(BANNED)
        .then(|| format!("`{BANNED}` is built: `cargo tree --workspace --invert {BANNED}` says for whom"));
    let twice = SINGLE
        .iter()
        .filter_map(|name| enabled.get(*name).map(|versions| (name, versions)))
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| {
            let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
            format!("more than one `{name}` is built: {}", versions.join(", "))
        });
    banned.into_iter().chain(twice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_version_of_each_and_no_second_provider_is_fine() {
        let tree = "sono v0.1.0 (/somewhere)\nhttp v1.4.0\nsyn v2.0.1 (proc-macro)\n\nxtask v0.1.0 (/x)\nhttp v1.4.0 (*)\nsyn v3.0.0\n";
        let enabled = parse(tree);
        assert_eq!(enabled.keys().collect::<Vec<_>>(), ["http", "sono", "syn", "xtask"]);
        assert_eq!(check(&enabled), Vec::<String>::new());
    }

    #[test]
    fn a_second_version_and_ring_are_found() {
        assert_eq!(
            check(&parse("hyper v0.14.1\nhyper v1.8.0\nring v0.17.8\n")),
            [
                "`ring` is built: `cargo tree --workspace --invert ring` says for whom",
                "more than one `hyper` is built: 0.14.1, 1.8.0",
            ]
        );
    }
}
