//! One node: everything about it follows from its number, counted from 1.

use std::{path::PathBuf, process::Command};

use super::state;
use crate::command;

/// Joins the nodes on the host; carries the first node's address.
pub(crate) const NODE_BRIDGE: &str = "sono-nodes";
/// Joins the pods of one node; every further node has its own of this name in its namespace.
pub(crate) const POD_BRIDGE: &str = "sono-pods";
pub(crate) const POD_NETWORK: &str = "10.244.0.0/16";
pub(crate) const SERVICE_NETWORK: &str = "10.96.0.0/16";
/// The first of the Service network: the API server's Service.
pub(crate) const API_SERVICE_ADDRESS: &str = "10.96.0.1";
pub(crate) const DNS_ADDRESS: &str = "10.96.0.10";
/// The address of the host on the node network: API server and first node.
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

    /// The first node lives in the host's network, so that Services can be reached from the host.
    pub(crate) fn namespace(self) -> Option<String> {
        (self.number > 1).then(|| format!("sono-node{}", self.number))
    }

    /// The host's end of the cable into the namespace.
    pub(crate) fn cable(self) -> String {
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

    /// Relative to the root of every control group hierarchy.
    pub(crate) fn control_group(self) -> String {
        format!("{}/{}", super::cgroup::ROOT, self.name())
    }

    /// A program in this node's network. Not `ip netns exec`: that makes a mount namespace as well, and containerd
    /// must see the volumes that the kubelet mounts.
    pub(crate) fn command(self, program: &str) -> Command {
        match self.namespace() {
            None => Command::new(program),
            Some(namespace) => command::new("nsenter", [format!("--net=/run/netns/{namespace}"), program.to_owned()]),
        }
    }
}
