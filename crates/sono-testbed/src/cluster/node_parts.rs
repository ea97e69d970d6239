//! Starts container runtime, kubelet and proxy of a node.

use std::{env, process::Command};

use anyhow::Context;
use fs_err as fs;

use super::{
    certificates, cgroup, configuration,
    daemon::{self, Daemon},
    kubeconfig,
    node::Node,
    programs::Programs,
};

fn command(node: Node, program: &std::path::Path) -> anyhow::Result<Command> {
    Ok(node.command(program.to_str().context("the path of a program is not UTF-8")?))
}

pub(crate) fn start_containerd(node: Node, programs: &Programs) -> anyhow::Result<Daemon> {
    fs::create_dir_all(node.file("network"))?;
    fs::write(
        node.file("network/10-pods.conflist"),
        serde_json::to_vec_pretty(&configuration::network(node))?,
    )?;
    let config = node.file("containerd.toml");
    fs::write(&config, configuration::containerd(node, programs))?;
    let mut containerd = command(node, &programs.containerd.join("containerd"))?;
    containerd.arg("--config").arg(config).args(["--log-level", "warn"]);
    // containerd finds its shim through PATH.
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = [programs.containerd.clone()].into_iter().chain(env::split_paths(&path));
    containerd.env("PATH", env::join_paths(directories)?);
    daemon::start(&format!("containerd-{}", node.name()), &containerd)
}

pub(crate) fn start_kubelet(node: Node, programs: &Programs) -> anyhow::Result<Daemon> {
    cgroup::create(&node.control_group())?;
    let config = node.file("kubelet.json");
    fs::write(&config, serde_json::to_vec_pretty(&configuration::kubelet(node))?)?;
    let credentials = node.file("kubelet.kubeconfig");
    kubeconfig::write(&credentials, &certificates::kubelet(node))?;
    let mut kubelet = command(node, &programs.kubernetes.join("kubelet"))?;
    kubelet.arg("--config").arg(config);
    kubelet.arg("--kubeconfig").arg(credentials);
    kubelet.arg("--root-dir").arg(node.file("kubelet"));
    kubelet.arg("--cert-dir").arg(node.file("kubelet-certificates"));
    kubelet.args(["--node-ip", &node.address(), "--hostname-override", &node.name()]);
    daemon::start(&format!("kubelet-{}", node.name()), &kubelet)
}

pub(crate) fn start_proxy(node: Node, programs: &Programs) -> anyhow::Result<Daemon> {
    kubeconfig::write(&node.file("kube-proxy.kubeconfig"), certificates::PROXY)?;
    let config = node.file("kube-proxy.json");
    fs::write(&config, serde_json::to_vec_pretty(&configuration::proxy(node))?)?;
    let mut proxy = command(node, &programs.kubernetes.join("kube-proxy"))?;
    proxy.arg("--config").arg(config);
    daemon::start(&format!("kube-proxy-{}", node.name()), &proxy)
}
