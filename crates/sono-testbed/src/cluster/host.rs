//! The machine's settings that the cluster changes, recorded so that `down` can restore them.

use std::{collections::BTreeMap, path::Path};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::mounts;
use crate::command;

/// Kernel settings that `up`, the kubelet or kube-proxy change.
const KERNEL_SETTINGS: [&str; 8] = [
    "net/ipv4/ip_forward",
    "net/bridge/bridge-nf-call-iptables",
    "net/ipv4/conf/all/route_localnet",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/keys/root_maxkeys",
];

/// Directories outside the cluster's own with fixed paths in Kubernetes and containerd.
const DIRECTORIES: [&str; 9] = [
    "/run/containerd",
    "/run/netns",
    "/run/nri",
    "/run/kubernetes",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/etc/cni",
    "/opt/containerd",
];

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct HostSettings {
    kernel: BTreeMap<String, String>,
    forward_policy: String,
    absent_directories: Vec<String>,
}

impl HostSettings {
    pub(crate) fn capture() -> anyhow::Result<Self> {
        let kernel = KERNEL_SETTINGS.iter().filter_map(|name| {
            let value = fs::read_to_string(kernel_setting(name)).ok()?;
            Some(((*name).to_owned(), value.trim().to_owned()))
        });
        let rules = command::output(&mut command::new("iptables", ["-S", "FORWARD"]))?;
        let policy = rules.lines().find_map(|line| line.strip_prefix("-P FORWARD "));
        let absent = DIRECTORIES.iter().filter(|path| !Path::new(path).exists());
        Ok(Self {
            kernel: kernel.collect(),
            forward_policy: policy.unwrap_or("ACCEPT").to_owned(),
            absent_directories: absent.map(|path| (*path).to_owned()).collect(),
        })
    }

    /// Whether the directory did not exist before the cluster.
    pub(crate) fn created_directory(&self, directory: &str) -> bool {
        self.absent_directories.iter().any(|absent| absent == directory)
    }

    pub(crate) fn restore(&self) -> anyhow::Result<()> {
        for (name, value) in &self.kernel {
            let path = kernel_setting(name);
            if fs::read_to_string(&path).is_ok_and(|now| now.trim() != value) {
                fs::write(path, value)?;
            }
        }
        command::run(&mut command::new("iptables", ["-P", "FORWARD", &self.forward_policy]))?;
        for directory in &self.absent_directories {
            // The cluster's mounts are already unmounted, so that remaining ones belong to other programs.
            let directory = Path::new(directory);
            if directory.exists() && mounts::below(directory)?.is_empty() {
                fs::remove_dir_all(directory)?;
            }
        }
        Ok(())
    }
}

fn kernel_setting(name: &str) -> String {
    format!("/proc/sys/{name}")
}
