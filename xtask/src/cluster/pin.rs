//! Writes the small Go module through which one Kubernetes version is built: what to build, and which sums it must have.

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
    "kube-apiserver",
    "kubelet",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubectl",
];

/// The committed module, or for other versions one made on the spot and kept in the cache.
pub(crate) fn module(version: &KubernetesVersion) -> anyhow::Result<PathBuf> {
    let committed = committed(version);
    if committed.join("go.sum").exists() {
        return Ok(committed);
    }
    let made = cache::directory(&format!("modules/kubernetes-{version}"))?;
    if !made.join("go.sum").exists() {
        say::progress(format_args!(
            "deploy/testbed pins no Kubernetes {version}; resolving it now (`cargo xtask cluster pin {version}` pins it)"
        ));
        write(version, &made)?;
    }
    Ok(made)
}

pub(crate) fn run(version: &KubernetesVersion) -> anyhow::Result<()> {
    write(version, &committed(version))
}

fn committed(version: &KubernetesVersion) -> PathBuf {
    repository::root()
        .join("deploy/testbed/kubernetes")
        .join(version.to_string())
}

fn write(version: &KubernetesVersion, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    let theirs = long_step("downloading the Kubernetes module", "downloaded it", || {
        their_go_mod(version)
    })?;
    fs::write(directory.join("go.mod"), go_mod(version, &theirs))?;
    step("resolved its requirements", || {
        command::run(command::new("go", ["mod", "tidy"]).current_dir(directory))
    })
}

fn their_go_mod(version: &KubernetesVersion) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Download {
        go_mod: PathBuf,
    }
    let module = format!("k8s.io/kubernetes@v{version}");
    // Outside of any module, so that no go.mod nearby has a say.
    let json = command::output(command::new("go", ["mod", "download", "-json", &module]).current_dir("/"))?;
    let download: Download = serde_json::from_str(&json).context("read what go mod download said")?;
    Ok(fs::read_to_string(download.go_mod)?)
}

/// Kubernetes' go.mod replaces its staging modules by directories that are not in its module; each is published
/// under the same name as v0 with the same minor and patch.
fn go_mod(version: &KubernetesVersion, theirs: &str) -> String {
    let language = theirs.lines().find(|line| line.starts_with("go ")).unwrap_or("go 1.24");
    let tools = KUBERNETES_PROGRAMS
        .map(|program| format!("\tk8s.io/kubernetes/cmd/{program}\n"))
        .concat();
    let staging = theirs
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("replace ").split_once(" => ./staging/"));
    let replacements = staging
        .map(|(name, _)| format!("\t{name} => {name} v0.{}\n", version.after_major()))
        .collect::<Vec<_>>()
        .concat();
    format!(
        "// Kubernetes {version} for `cargo xtask cluster`: no code of our own, only what to build and which sums it must have.\n\
         // Written by `cargo xtask cluster pin {version}`.\n\
         module sono.local/testbed/kubernetes\n\n\
         {language}\n\n\
         tool (\n{tools})\n\n\
         require k8s.io/kubernetes v{version}\n\n\
         // Kubernetes' own go.mod points these at directories that its module does not carry.\n\
         replace (\n{replacements})\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_modules_are_replaced_by_their_published_versions() {
        let theirs =
            "module k8s.io/kubernetes\n\ngo 1.24.0\n\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n";
        let ours = go_mod(&"1.34.4".parse().unwrap(), theirs);
        assert!(ours.contains("\ngo 1.24.0\n"), "{ours}");
        assert!(
            ours.ends_with("replace (\n\tk8s.io/api => k8s.io/api v0.34.4\n)\n"),
            "{ours}"
        );
    }
}
