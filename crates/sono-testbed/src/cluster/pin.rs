//! Writes the small Go module that builds one Kubernetes version: the packages to build and their checksums.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fs_err as fs;
use serde::Deserialize;

use super::settings::KubernetesVersion;
use crate::{
    cache, command, repository, say,
    step::{long_step, step},
};

pub(crate) const KUBERNETES_PROGRAMS: [&str; 6] = [
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kubelet",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "k8s.io/kubernetes/cmd/kube-proxy",
    "k8s.io/kubernetes/cmd/kubectl",
];

pub(crate) const SUITE_PROGRAMS: [&str; 3] = [
    "github.com/onsi/ginkgo/v2/ginkgo",
    "k8s.io/kubernetes/test/conformance/image/go-runner",
    "k8s.io/kubernetes/test/images/agnhost",
];
/// The package with the e2e suite as its tests.
pub(crate) const SUITE: &str = "k8s.io/kubernetes/test/e2e";

/// A pinned module of a version. The suite has its own module, since it needs many more dependencies than the programs.
#[derive(Clone, Copy)]
pub(crate) enum Pinned {
    Programs,
    Suite,
}

impl Pinned {
    /// The committed module, or for other versions a module created in the cache.
    pub(crate) fn module(self, version: &KubernetesVersion) -> anyhow::Result<PathBuf> {
        let committed = self.committed(version);
        if committed.join("go.sum").exists() {
            return Ok(committed);
        }
        let created = cache::directory(&format!("modules/{}-{version}", self.name()))?;
        if !created.join("go.sum").exists() {
            say::progress(format_args!(
                "deploy/testbed does not pin {} {version}; resolving it now (to pin it: `cargo xtask cluster pin {version}`)",
                self.name()
            ));
            self.write(version, &created)?;
        }
        Ok(created)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Programs => "kubernetes",
            Self::Suite => "conformance",
        }
    }

    fn packages(self) -> Vec<&'static str> {
        match self {
            Self::Programs => KUBERNETES_PROGRAMS.to_vec(),
            Self::Suite => SUITE_PROGRAMS.into_iter().chain([SUITE]).collect(),
        }
    }

    fn committed(self, version: &KubernetesVersion) -> PathBuf {
        repository::root()
            .join("deploy/testbed")
            .join(self.name())
            .join(version.to_string())
    }

    fn write(self, version: &KubernetesVersion, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory)?;
        let upstream = long_step(
            "downloading the Kubernetes module",
            "downloaded the Kubernetes module",
            || upstream_go_mod(version),
        )?;
        fs::write(directory.join("go.mod"), self.go_mod(version, &upstream))?;
        step("resolved its requirements", || {
            command::run(command::new("go", ["mod", "tidy"]).current_dir(directory))
        })
    }

    /// Creates the go.mod. Kubernetes' go.mod replaces its staging modules by directories outside the published module; each
    /// is published under the same name as v0 with the same minor and patch.
    fn go_mod(self, version: &KubernetesVersion, upstream: &str) -> String {
        let language = upstream
            .lines()
            .find(|line| line.starts_with("go "))
            .unwrap_or("go 1.24");
        let packages = self.packages().join("\n\t");
        let staging = upstream
            .lines()
            .filter_map(|line| line.trim().trim_start_matches("replace ").split_once(" => ./staging/"));
        let replacements = staging
            .map(|(name, _)| format!("\t{name} => {name} v0.{}\n", version.after_major()))
            .collect::<Vec<_>>()
            .concat();
        let name = self.name();
        format!(
            "// Kubernetes {version} for `cargo xtask`: no code of our own, only what to build and which sums it must have.\n\
             // Written by `cargo xtask cluster pin {version}`.\n\
             module sono.local/testbed/{name}\n\n\
             {language}\n\n\
             tool (\n\t{packages}\n)\n\n\
             require k8s.io/kubernetes v{version}\n\n\
             // Kubernetes' own go.mod points these at directories that its module does not carry.\n\
             replace (\n{replacements})\n"
        )
    }
}

/// Pins both modules of a version.
pub(crate) fn run(version: &KubernetesVersion) -> anyhow::Result<()> {
    for pinned in [Pinned::Programs, Pinned::Suite] {
        pinned.write(version, &pinned.committed(version))?;
    }
    Ok(())
}

fn upstream_go_mod(version: &KubernetesVersion) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Download {
        go_mod: PathBuf,
    }
    let module = format!("k8s.io/kubernetes@v{version}");
    // Run outside of any module, so that other go.mod files have no effect.
    let json = command::output(command::new("go", ["mod", "download", "-json", &module]).current_dir("/"))?;
    let download: Download = serde_json::from_str(&json).context("cannot parse the output of `go mod download`")?;
    Ok(fs::read_to_string(download.go_mod)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_modules_are_replaced_by_their_published_versions() {
        let upstream =
            "module k8s.io/kubernetes\n\ngo 1.24.0\n\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n";
        let ours = Pinned::Programs.go_mod(&"1.34.4".parse().unwrap(), upstream);
        assert!(ours.contains("\ngo 1.24.0\n"), "{ours}");
        assert!(
            ours.ends_with("replace (\n\tk8s.io/api => k8s.io/api v0.34.4\n)\n"),
            "{ours}"
        );
    }
}
