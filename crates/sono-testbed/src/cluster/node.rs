//! A node; its names and addresses are derived from its number, counted from 1.

use std::{path::PathBuf, process::Command};

use super::state;
use crate::command;

/// Bridge of the nodes on the host; has the first node's address.
pub(crate) const NODE_BRIDGE: &str = "sono-nodes";
/// Bridge of a node's pods; every further node has its own with this name in its namespace.
pub(crate) const POD_BRIDGE: &str = "sono-pods";
pub(crate) const POD_NETWORK: &str = "10.244.0.0/16";
pub(crate) const SERVICE_NETWORK: &str = "10.96.0.0/16";
/// The API server's Service: the first address of the Service network.
pub(crate) const API_SERVICE_ADDRESS: &str = "10.96.0.1";
pub(crate) const DNS_ADDRESS: &str = "10.96.0.10";
/// The host's address on the node network, for API server and first node.
pub(crate) const HOST_ADDRESS: &str = "10.250.0.1";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Node {
    number: u8,
}

impl Node {
    pub(crate) fn numbered(number: u8) -> Self {
        Self { number }
    }

    pub(crate) fn up_to(count: u8) -> Vec<Self> {
        (1..=count).map(Self::numbered).collect()
    }

    pub(crate) fn name(self) -> String {
        format!("node{}", self.number)
    }

    pub(crate) fn address(self) -> String {
        format!("10.250.0.{}", self.number)
    }

    pub(crate) fn pod_subnet(self) -> String {
        format!("10.244.{}.0/24", self.number)
    }

    /// The node's network namespace. The first node uses the host's network, so that the host can reach Services.
    pub(crate) fn namespace(self) -> Option<String> {
        (self.number > 1).then(|| format!("sono-node{}", self.number))
    }

    /// The host's end of the veth pair into the namespace.
    pub(crate) fn veth(self) -> String {
        format!("sono-veth{}", self.number)
    }

    pub(crate) fn directory(self) -> PathBuf {
        state::path(&self.name())
    }

    pub(crate) fn file(self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    pub(crate) fn runtime_socket(self) -> PathBuf {
        self.file("containerd.sock")
    }

    /// The node's control group, relative to the root of every hierarchy.
    pub(crate) fn control_group(self) -> String {
        format!("{}/{}", super::cgroup::ROOT, self.name())
    }

    /// A command in this node's network namespace. `ip netns exec` would also create a mount namespace, but containerd must see
    /// the kubelet's volume mounts.
    pub(crate) fn command(self, program: &str) -> Command {
        match self.namespace() {
            None => Command::new(program),
            Some(namespace) => command::new("nsenter", [format!("--net=/run/netns/{namespace}"), program.to_owned()]),
        }
    }
}
