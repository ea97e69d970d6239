//! The programs of a cluster and their paths.

use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{
    go::Build,
    pin::{self, Pinned},
    settings::KubernetesVersion,
};
use crate::{command, debian, repository};

/// Must match `deploy/testbed/containerd/go.mod`.
const CONTAINERD: &str = "2.4.2";
/// Must match `deploy/testbed/coredns/go.mod`.
const COREDNS: &str = "1.15.0";
/// Must match `deploy/testbed/registry/go.mod`.
const REGISTRY: &str = "3.0.0";

const OWN_CLUSTER: &str = ", or set KUBECONFIG to use your own cluster";

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Programs {
    pub(crate) kubernetes: PathBuf,
    pub(crate) containerd: PathBuf,
    pub(crate) coredns: PathBuf,
    pub(crate) etcd: PathBuf,
    pub(crate) runc: PathBuf,
}

pub(crate) fn ensure(version: &KubernetesVersion) -> anyhow::Result<Programs> {
    debian::ensure(&debian::CLUSTER)?;
    let installed = |name: &str| command::find_program(name).with_context(|| format!("{name} is not installed"));
    Ok(Programs {
        containerd: containerd().ensure()?,
        coredns: coredns().ensure()?.join("coredns"),
        kubernetes: kubernetes(version)?.ensure()?,
        etcd: installed("etcd")?,
        runc: installed("runc")?,
    })
}

/// Versions of the cluster's other programs, for display.
pub(crate) fn versions() -> String {
    format!("containerd {CONTAINERD}, CoreDNS {COREDNS}")
}

fn containerd() -> Build {
    Build {
        name: format!("containerd-{CONTAINERD}"),
        module: repository::root().join("deploy/testbed/containerd"),
        packages: ["containerd", "containerd-shim-runc-v2", "ctr"]
            .map(|program| format!("github.com/containerd/containerd/v2/cmd/{program}"))
            .to_vec(),
        tests: Vec::new(),
        // These snapshotters require C libraries or are not needed here.
        tags: "no_btrfs no_devmapper no_zfs",
        linker_flags: format!("-X github.com/containerd/containerd/v2/version.Version=v{CONTAINERD}"),
        without_go: OWN_CLUSTER,
    }
}

/// Builds the registry server for image tests.
pub fn registry() -> anyhow::Result<PathBuf> {
    let build = Build {
        name: format!("registry-{REGISTRY}"),
        module: repository::root().join("deploy/testbed/registry"),
        packages: vec!["github.com/distribution/distribution/v3/cmd/registry".to_owned()],
        tests: Vec::new(),
        tags: "",
        linker_flags: String::new(),
        without_go: " (image tests require a real registry server)",
    };
    Ok(build.ensure()?.join("registry"))
}

fn coredns() -> Build {
    Build {
        name: format!("coredns-{COREDNS}"),
        module: repository::root().join("deploy/testbed/coredns"),
        packages: vec!["github.com/coredns/coredns".to_owned()],
        tests: Vec::new(),
        tags: "",
        linker_flags: String::new(),
        without_go: OWN_CLUSTER,
    }
}

fn kubernetes(version: &KubernetesVersion) -> anyhow::Result<Build> {
    Ok(Build {
        name: format!("kubernetes-{version}"),
        module: Pinned::Programs.module(version)?,
        packages: pin::KUBERNETES_PROGRAMS.map(ToOwned::to_owned).to_vec(),
        tests: Vec::new(),
        tags: "",
        linker_flags: version_stamps(version),
        without_go: OWN_CLUSTER,
    })
}

/// Linker flags with the version. Without them programs report v0.0.0-master, and version checks fail.
fn version_stamps(version: &KubernetesVersion) -> String {
    let stamp = |name: &str, value: &str| format!("-X k8s.io/component-base/version.{name}={value}");
    let stamps = [
        stamp("gitVersion", &format!("v{version}")),
        stamp("gitMajor", "1"),
        stamp("gitMinor", version.minor()),
    ];
    stamps.join(" ")
}

/// Builds the real Kubernetes suite (`ginkgo`, `go-runner`, `agnhost`, `e2e.test`) and returns its directory.
pub fn suite(version: &KubernetesVersion) -> anyhow::Result<PathBuf> {
    let build = Build {
        name: format!("conformance-{version}"),
        module: Pinned::Suite.module(version)?,
        packages: pin::SUITE_PROGRAMS.map(ToOwned::to_owned).to_vec(),
        tests: vec![pin::SUITE.to_owned()],
        tags: "",
        linker_flags: version_stamps(version),
        without_go: "",
    };
    build.ensure()
}

/// Builds kubectl and the other programs of Kubernetes and returns their directory.
pub(crate) fn of_kubernetes(version: &KubernetesVersion) -> anyhow::Result<PathBuf> {
    kubernetes(version)?.ensure()
}
