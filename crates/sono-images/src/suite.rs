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
    pub images: Vec<SuiteImage>,
}

/// One image of the suite.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SuiteImage {
    pub name: String,
    /// Under which the suite looks for it in the one repository that `KUBE_TEST_REPO` names. Those without one are not moved:
    /// they do not exist, or stand for a registry that asks for a login.
    #[serde(default)]
    pub mapped_tag: Option<String>,
}

impl SuiteImage {
    /// Whether a tool that copies images can get it.
    pub fn can_be_pulled(&self) -> bool {
        self.mapped_tag.is_some()
    }
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
    fn versions_without_a_list_are_told_which_have_one() {
        assert_eq!(suite_images("v1.2.3"), None);
        assert_eq!(suite_images("latest"), None);
        assert!(suite_versions().contains(&"1.37".to_owned()));
    }
}
