//! The images of the Kubernetes test suite, by version.
//!
//! The output of `e2e.test --list-images`, which `cargo xtask gen` extracts from the suite's sources
//! (`test/utils/image/manifest.go` and the CSI manifests next to it).

use serde::Deserialize;

/// The list of one minor version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SuiteImages {
    /// The release of the list, such as `1.37.2`.
    pub version: String,
    pub images: Vec<SuiteImage>,
}

/// One image of the suite.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SuiteImage {
    pub name: String,
    /// The tag in the single repository of `KUBE_TEST_REPO`. Images without one are not copied: they do not exist, or
    /// require a login for a test.
    #[serde(default)]
    pub mapped_tag: Option<String>,
}

/// The list for the minor version of `version` (`v1.37.2`, `1.37`, with any vendor suffix), if it exists.
pub fn suite_images(version: &str) -> Option<SuiteImages> {
    let minor = minor(version)?;
    lists()
        .into_iter()
        .find(|list| self::minor(&list.version) == Some(minor))
}

/// The minor versions with a list, such as `1.37`.
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
        let agnhost = newest
            .images
            .iter()
            .find(|image| image.name.ends_with("/agnhost:2.66.1"));
        assert_eq!(
            agnhost.and_then(|image| image.mapped_tag.as_deref()),
            Some("e2e-2-registry-k8s-io-e2e-test-images-agnhost-2-66-1-8pEi_JtcQ76yB5-r")
        );
        assert_eq!(suite_images("1.37"), Some(newest));
    }

    #[test]
    fn unknown_version_has_no_list() {
        assert_eq!(suite_images("v1.2.3"), None);
        assert_eq!(suite_images("latest"), None);
        assert!(suite_versions().contains(&"1.37".to_owned()));
    }
}
