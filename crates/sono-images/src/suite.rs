//! The images that the Kubernetes suite uses, by its version.
//!
//! What `e2e.test --list-images` prints; `cargo xtask gen` reads it out of the suite's sources
//! (`test/utils/image/manifest.go` and the CSI manifests beside it).

use serde::Deserialize;

/// One minor version's list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SuiteImages {
    /// The release that the list was read from, as `1.37.2`.
    pub version: String,
    pub images: Vec<String>,
}

/// The list of the minor version that `version` (`v1.37.2`, `1.37`, with any vendor's suffix) belongs to, if there is one.
pub fn suite_images(version: &str) -> Option<SuiteImages> {
    let minor = minor(version)?;
    lists()
        .into_iter()
        .find(|list| self::minor(&list.version) == Some(minor))
}

/// The minor versions that there is a list for, as `1.37`.
pub fn suite_versions() -> Vec<String> {
    lists()
        .iter()
        .filter_map(|list| minor(&list.version))
        .map(|(major, minor)| format!("{major}.{minor}"))
        .collect()
}

fn lists() -> Vec<SuiteImages> {
    serde_json::from_str(include_str!("../data/suite-images.json")).expect("a test reads the file")
}

fn minor(version: &str) -> Option<(u32, u32)> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let mut parts = version.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_release_has_the_list_of_its_minor_version() {
        let newest = suite_images("v1.37.0-gke.100").unwrap();
        assert_eq!(newest.version, "1.37.2");
        assert!(
            newest
                .images
                .contains(&"registry.k8s.io/e2e-test-images/agnhost:2.66.1".to_owned())
        );
        assert_eq!(suite_images("1.37"), Some(newest));
    }

    #[test]
    fn versions_without_a_list_are_told_which_have_one() {
        assert_eq!(suite_images("v1.2.3"), None);
        assert_eq!(suite_images("latest"), None);
        assert!(suite_versions().contains(&"1.37".to_owned()));
    }
}
