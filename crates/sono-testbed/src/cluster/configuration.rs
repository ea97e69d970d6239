//! Configuration files of a node's components.

use serde_json::{Value, json};

use super::{
    certificates,
    node::{DNS_ADDRESS, Node, POD_BRIDGE, POD_NETWORK},
    programs::Programs,
    state,
};
use crate::{debian::CNI_PLUGINS, images::reference::PAUSE};

pub(crate) fn containerd(node: Node, programs: &Programs) -> String {
    format!(
        r#"version = 3
root = "{root}"
state = "{state}"

[grpc]
address = "{socket}"

[ttrpc]
address = "{socket}.ttrpc"

[plugins."io.containerd.cri.v1.runtime"]
# Without CAP_SYS_RESOURCE (containers, small virtual machines) runc cannot lower the score, and sandboxes do not start.
restrict_oom_score_adj = true
# Adding a node's network namespace to /run/netns would hide the pods' namespaces there.
netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{CNI_PLUGINS}"]
conf_dir = "{network}"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE}"

[plugins."io.containerd.internal.v1.opt"]
path = "{opt}"

[plugins."io.containerd.nri.v1.nri"]
disable = true
"#,
        root = node.file("containerd").display(),
        state = node.file("run").display(),
        socket = node.runtime_socket().display(),
        network = node.file("network").display(),
        runc = programs.runc.display(),
        opt = node.file("opt").display(),
    )
}

pub(crate) fn network(node: Node) -> Value {
    json!({
        "cniVersion": "1.0.0",
        // The plugins store addresses and results under this name, so every node has its own.
        "name": format!("sono-{}", node.name()),
        "plugins": [
            {
                "type": "bridge",
                "bridge": POD_BRIDGE,
                "isDefaultGateway": true,
                "hairpinMode": true,
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": node.file("addresses"),
                    "ranges": [[{ "subnet": node.pod_subnet() }]],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

pub(crate) fn kubelet(node: Node) -> Value {
    let authority = certificates::pair(certificates::AUTHORITY);
    let own = certificates::pair(&certificates::kubelet(node));
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": authority.certificate },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": own.certificate,
        "tlsPrivateKeyFile": own.key,
        "containerRuntimeEndpoint": format!("unix://{}", node.runtime_socket().display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", node.control_group()),
        "failCgroupV1": false,
        "failSwapOn": false,
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_ADDRESS],
        "resolvConf": state::path("resolv.conf"),
        "podLogsDir": node.file("pod-logs"),
        "volumePluginDir": node.file("volume-plugins"),
        "oomScoreAdj": 0,
        "maxPods": 200,
        // Tests wait for pods: disable client limits and serial image pulls.
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "eventRecordQPS": 0,
        "registryPullQPS": 0,
        "serializeImagePulls": false,
        // Otherwise an image that a test pulled under one name would be pulled again under the name it was loaded as.
        "featureGates": { "KubeletEnsureSecretPulledImages": false },
        // Images are loaded from archives and cannot be pulled again, so a full disk must not evict images or pods.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
        },
        // The kubelet's own iptables chains are obsolete.
        "makeIPTablesUtilChains": false,
    })
}

pub(crate) fn proxy(node: Node) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": node.name(),
        "clusterCIDR": POD_NETWORK,
        "clientConnection": { "kubeconfig": node.file("kube-proxy.kubeconfig") },
        // Kernel limits belong to the machine and are often read-only here.
        "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
        "iptables": { "minSyncPeriod": "50ms", "localhostNodePorts": false },
        "oomScoreAdj": 0,
    })
}
