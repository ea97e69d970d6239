//! The krew manifest of `kubectl sono`, with `${…}` for values that only a release has.

/// Operating system and architecture as in Go, and the archive's file extension.
const PLATFORMS: [(&str, &str, &str); 5] = [
    ("linux", "amd64", "tar.gz"),
    ("linux", "arm64", "tar.gz"),
    ("darwin", "amd64", "tar.gz"),
    ("darwin", "arm64", "tar.gz"),
    ("windows", "amd64", "zip"),
];

const HEAD: &str = "\
# Written by `cargo xtask gen krew`; do not edit. A release fills in ${RELEASE_URL} and the checksums of its SHA256SUMS; until
# then krew rejects this file.
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: sono
spec:
";

const TEXTS: &str = "shortDescription: Run diagnostic and conformance plugins on a cluster
  description: |
    Runs diagnostic and conformance plugins (any container, once per cluster or once per node), collects their results
    and downloads them as one archive. Compatible with Sonobuoy's protocol, plugin definitions and archives.
  caveats: |
    Shell completion for `kubectl sono` requires a link named kubectl_complete-sono in PATH:
      ln -s \"$(command -v kubectl-sono)\" ~/.local/bin/kubectl_complete-sono
  platforms:
";

/// The manifest of a version.
pub(crate) fn manifest(version: &str) -> String {
    let platforms: Vec<String> = PLATFORMS
        .iter()
        .map(|(system, architecture, ending)| {
            let program = if *system == "windows" { "sono.exe" } else { "sono" };
            let sum = format!("SHA256_{system}_{architecture}").to_uppercase();
            format!(
                "  - selector:
      matchLabels:
        os: {system}
        arch: {architecture}
    uri: ${{RELEASE_URL}}/sono_{version}_{system}_{architecture}.{ending}
    sha256: ${{{sum}}}
    bin: {program}
    files:
    - from: {program}
      to: .
    - from: LICENSE
      to: .
"
            )
        })
        .collect();
    format!("{HEAD}  version: v{version}\n  {TEXTS}{}", platforms.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn krew_manifest_is_up_to_date() {
        let file = sono_testbed::repository::root().join("deploy/krew/sono.yaml");
        let found = fs_err::read_to_string(file).unwrap_or_default().replace("\r\n", "\n");
        assert_eq!(found, manifest(env!("CARGO_PKG_VERSION")), "cargo xtask gen krew");
    }

    #[test]
    fn manifest_has_archive_and_checksum_of_each_platform() {
        let text = manifest("1.2.3");
        assert!(text.contains("\n  version: v1.2.3\n  shortDescription: "), "{text}");
        for line in [
            "    uri: ${RELEASE_URL}/sono_1.2.3_linux_arm64.tar.gz\n    sha256: ${SHA256_LINUX_ARM64}\n    bin: sono\n",
            "    uri: ${RELEASE_URL}/sono_1.2.3_windows_amd64.zip\n    sha256: ${SHA256_WINDOWS_AMD64}\n    bin: sono.exe\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert_eq!(text.matches("- selector:").count(), PLATFORMS.len());
    }
}
