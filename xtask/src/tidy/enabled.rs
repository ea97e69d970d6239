//! The packages that are built for Linux, from `cargo tree`. `cargo metadata` also lists dependencies of disabled features,
//! such as `ring`.

use std::collections::{BTreeMap, BTreeSet};

/// A second TLS provider besides aws-lc-rs.
const BANNED: &str = "ring";
/// Packages that must have one version, because types of different versions are incompatible.
const SINGLE: &[&str] = &["hyper", "rustls", "tower", "http"];

/// Versions by name.
pub(super) type Enabled = BTreeMap<String, BTreeSet<String>>;

/// Parses `cargo tree --prefix none --format '{p}'`: lines such as `name v1.2.3 (source) (*)`, with empty lines between trees.
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
        .then(|| format!("`{BANNED}` is built: `cargo tree --workspace --invert {BANNED}` shows the dependents"));
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
    fn single_versions_without_banned_package_are_accepted() {
        let tree = "sono v0.1.0 (/somewhere)\nhttp v1.4.0\nsyn v2.0.1 (proc-macro)\n\nxtask v0.1.0 (/x)\nhttp v1.4.0 (*)\nsyn v3.0.0\n";
        let enabled = parse(tree);
        assert_eq!(enabled.keys().collect::<Vec<_>>(), ["http", "sono", "syn", "xtask"]);
        assert_eq!(check(&enabled), Vec::<String>::new());
    }

    #[test]
    fn second_version_and_ring_are_reported() {
        assert_eq!(
            check(&parse("hyper v0.14.1\nhyper v1.8.0\nring v0.17.8\n")),
            [
                "`ring` is built: `cargo tree --workspace --invert ring` shows the dependents",
                "more than one `hyper` is built: 0.14.1, 1.8.0",
            ]
        );
    }
}
