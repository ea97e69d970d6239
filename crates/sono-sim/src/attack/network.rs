//! Network namespaces: one for a scenario's aggregator and bystander and one for each attacker, connected by veth pairs.

use std::{net::Ipv4Addr, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::{
    process::{Child, Command},
    time::sleep,
};

/// The aggregator's address in its network namespace.
pub(super) const AGGREGATOR: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// Whether network namespaces are available here.
pub(super) fn is_possible() -> bool {
    let mut command = std::process::Command::new("unshare");
    let mapped = (!rustix::process::getuid().is_root()).then_some("--map-root-user");
    let probe = "ip link set lo up && ip link add cable0 type veth peer name cable1";
    let command = command.args(mapped).args(["--net", "sh", "-c", probe]);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// A command for this program, in a separate network namespace if `own_network`.
pub(super) fn command(own_network: bool) -> anyhow::Result<Command> {
    let own = std::env::current_exe()?;
    if !own_network {
        return Ok(Command::new(own));
    }
    let mut command = Command::new("unshare");
    if !rustix::process::getuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--"]).arg(own);
    Ok(command)
}

/// Configures the network namespace of this process.
pub(super) async fn set_up() -> anyhow::Result<()> {
    sh(&format!("ip link set lo up && ip addr add {AGGREGATOR}/32 dev lo")).await
}

/// Connects this network namespace to that of attacker `number`, which has just been started.
pub(super) async fn connect(attacker: &Child, number: usize) -> anyhow::Result<()> {
    let process = attacker.id().context("the attacker has ended")?;
    let network = |process: &str| fs_err::read_link(format!("/proc/{process}/ns/net"));
    let own: PathBuf = network("self")?;
    // Wait until `unshare` has created the attacker's network namespace.
    while network(&process.to_string())? == own {
        sleep(Duration::from_millis(5)).await;
    }
    let (here, there) = (format!("10.99.{number}.1"), format!("10.99.{number}.2"));
    sh(&format!(
        "ip link add cable{number} type veth peer name eth0 netns {process} && \
         ip addr add {here}/24 dev cable{number} && ip link set cable{number} up && \
         nsenter --net=/proc/{process}/ns/net sh -c \
         'ip link set lo up && ip addr add {there}/24 dev eth0 && ip link set eth0 up && ip route add default via {here}'"
    ))
    .await
}

async fn sh(script: &str) -> anyhow::Result<()> {
    let output = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::null())
        .output()
        .await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot set up the network: {errors}");
    Ok(())
}
