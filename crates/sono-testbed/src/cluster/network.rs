//! Creates and removes bridges, network namespaces and routes.

use std::path::Path;

use fs_err as fs;

use super::node::{HOST_ADDRESS, NODE_BRIDGE, Node, POD_BRIDGE, SERVICE_NETWORK};
use crate::command;

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    command::run(&mut command::new("ip", arguments))
}

/// Creates the host's network, which contains the first node and the bridge to the others.
pub(crate) fn create_host() -> anyhow::Result<()> {
    ip(&["link", "add", NODE_BRIDGE, "type", "bridge"])?;
    ip(&["address", "add", &format!("{HOST_ADDRESS}/24"), "dev", NODE_BRIDGE])?;
    ip(&["link", "set", NODE_BRIDGE, "up"])?;
    // Pods on the host network must reach Services even without a default route on the machine.
    ip(&["route", "add", SERVICE_NETWORK, "dev", NODE_BRIDGE])?;
    allow_forwarding(Node::numbered(1))
}

/// Creates a node's network namespace, its veth pair to the bridge, and routes between its pods and those of other nodes.
pub(crate) fn create_node(node: Node, others: &[Node]) -> anyhow::Result<()> {
    let Some(namespace) = node.namespace() else {
        return Ok(());
    };
    let veth = node.veth();
    ip(&["netns", "add", &namespace])?;
    ip(&[
        "link", "add", &veth, "type", "veth", "peer", "name", "eth0", "netns", &namespace,
    ])?;
    ip(&["link", "set", &veth, "master", NODE_BRIDGE, "up"])?;
    let inside = |arguments: &[&str]| ip(&[&["-n", namespace.as_str()], arguments].concat());
    inside(&["link", "set", "lo", "up"])?;
    inside(&["address", "add", &format!("{}/24", node.address()), "dev", "eth0"])?;
    inside(&["link", "set", "eth0", "up"])?;
    inside(&["route", "add", "default", "via", HOST_ADDRESS])?;
    allow_forwarding(node)?;
    for other in others.iter().filter(|other| **other != node) {
        add_route(node, *other)?;
        add_route(*other, node)?;
    }
    Ok(())
}

/// Adds a route with `replace`, because two nodes created at the same time both add the routes between them.
fn add_route(at: Node, to: Node) -> anyhow::Result<()> {
    let mut command = at.command("ip");
    command::run(command.args(["route", "replace", &to.pod_subnet(), "via", &to.address()]))
}

fn allow_forwarding(node: Node) -> anyhow::Result<()> {
    let settings = ["net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1"];
    command::run(node.command("busybox").args(["sysctl", "-w"]).args(settings))?;
    command::run(node.command("iptables").args(["-w", "-P", "FORWARD", "ACCEPT"]))
}

/// Removes all namespaces, links and rules of the cluster from the host's network.
pub(crate) fn remove() -> anyhow::Result<()> {
    if let Ok(entries) = fs::read_dir("/run/netns") {
        for name in entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
        {
            if name.starts_with("sono-node") {
                ip(&["netns", "delete", &name])?;
            }
        }
    }
    // The kernel removes the veth pairs of a deleted namespace later; delete the bridges' ports now.
    for bridge in [POD_BRIDGE, NODE_BRIDGE] {
        let ports = format!("/sys/class/net/{bridge}/brif");
        if let Ok(entries) = fs::read_dir(&ports) {
            for port in entries
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok())
            {
                command::succeeds(&mut command::new("ip", ["link", "delete", &port]));
            }
        }
        if Path::new("/sys/class/net").join(bridge).exists() {
            ip(&["link", "delete", bridge])?;
        }
    }
    remove_rules()
}

/// Removes only the iptables chains of Kubernetes and the network plugins, and the rules that jump to them.
fn remove_rules() -> anyhow::Result<()> {
    for program in ["iptables", "ip6tables"] {
        if command::find_program(program).is_none() {
            continue;
        }
        let saved = command::output(&mut command::new(format!("{program}-save"), [] as [&str; 0]))?;
        let removal = removal(&saved);
        if !removal.is_empty() {
            let mut restore = command::new(format!("{program}-restore"), ["--wait", "--noflush"]);
            command::output_with_input(&mut restore, removal.as_bytes())?;
        }
    }
    Ok(())
}

/// Converts the output of `iptables-save` to the input of `iptables-restore --noflush` that removes the cluster's rules.
fn removal(saved: &str) -> String {
    let ours = |chain: &str| chain.starts_with("KUBE-") || chain.starts_with("CNI-");
    let mut script = String::new();
    let mut table = "";
    let (mut declare, mut delete_rules, mut delete_chains) = (String::new(), String::new(), String::new());
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(chain) = line.strip_prefix(':').and_then(|rest| rest.split(' ').next()) {
            if ours(chain) {
                // Declaring a chain flushes it, so that chains with mutual references can be deleted in any order.
                declare = declare + ":" + chain + " - [0:0]\n";
                delete_chains = delete_chains + "-X " + chain + "\n";
            }
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let mut words = rule.split(' ');
            if !words.next().is_some_and(ours) && words.any(ours) {
                delete_rules = delete_rules + "-D " + rule + "\n";
            }
        } else if line == "COMMIT" {
            if !declare.is_empty() || !delete_rules.is_empty() {
                script = script + "*" + table + "\n" + &declare + &delete_rules + &delete_chains + "COMMIT\n";
            }
            (declare, delete_rules, delete_chains) = Default::default();
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kubernetes_rules_are_removed() {
        let saved = "\
*mangle
:PREROUTING ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-A - [0:0]
-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A PREROUTING -j DOCKER
-A KUBE-SERVICES -j KUBE-SVC-A
COMMIT
";
        let expected = "\
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-A - [0:0]
-D PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-X KUBE-SERVICES
-X KUBE-SVC-A
COMMIT
";
        assert_eq!(removal(saved), expected);
        assert_eq!(
            removal("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j DOCKER\nCOMMIT\n"),
            ""
        );
    }
}
