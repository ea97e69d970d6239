//! Facts about a cluster, from the cluster queries in an archive. Names of nodes, addresses and generated names are not facts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{BufReader, Read},
};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use sha2::{Digest as _, Sha256};
use sono_types::layout;

use crate::{limits, lines::head};

/// Namespace of the cluster's own workloads. Its UID identifies the cluster.
const SYSTEM_NAMESPACE: &str = "kube-system";
/// Words in the names of DaemonSets that provide the network of pods.
const NETWORKS: [&str; 15] = [
    "antrea",
    "aws-node",
    "azure-cni",
    "calico",
    "canal",
    "cilium",
    "flannel",
    "kindnet",
    "kube-ovn",
    "kube-router",
    "multus",
    "ovnkube",
    "ovs-cni",
    "tke-bridge",
    "weave-net",
];

/// Facts by kind.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// UID of the namespace `kube-system`.
    pub(crate) id: String,
    /// Version of the API server.
    pub(crate) server: String,
    /// Number of nodes.
    pub(crate) nodes: u64,
    sets: BTreeMap<&'static str, BTreeSet<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeInfo {
    kubelet_version: String,
    os_image: String,
    kernel_version: String,
    container_runtime_version: String,
    architecture: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    node_info: Option<NodeInfo>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    image: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodSpec {
    containers: Option<Vec<Container>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Template {
    spec: Option<PodSpec>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    replicas: Option<u64>,
    template: Option<Template>,
}

/// The fields of an object that are facts.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: Metadata,
    provisioner: Option<String>,
    spec: Option<Spec>,
    status: Option<Status>,
}

impl Facts {
    /// Reads a file of the archive. Files without facts are not read, and unreadable ones have none.
    pub(crate) fn file(&mut self, name: &str, content: &mut dyn Read) {
        if name == layout::SERVER_VERSION {
            #[derive(Deserialize)]
            struct Version {
                #[serde(rename = "gitVersion")]
                git_version: String,
            }
            let version: Option<Version> = serde_json::from_reader(content.take(limits::SMALL_FILE_BYTES)).ok();
            self.server = version.map(|version| fact(&version.git_version)).unwrap_or_default();
            return;
        }
        let Some((namespace, resource)) = place(name) else {
            return;
        };
        let mut each = |object: Object| self.object(namespace, resource, &object);
        let list = List { each: &mut each };
        // What precedes an error is used.
        let mut json = serde_json::Deserializer::from_reader(BufReader::new(content.take(limits::FACT_FILE_BYTES)));
        drop(list.deserialize(&mut json));
    }

    fn object(&mut self, namespace: Option<&str>, resource: &str, object: &Object) {
        let name = fact(&object.metadata.name);
        match (namespace, resource) {
            (None, "core_v1_nodes") => {
                self.nodes += 1;
                let info = object.status.as_ref().and_then(|status| status.node_info.as_ref());
                if let Some(info) = info {
                    self.add("kubelet", &info.kubelet_version);
                    self.add("operating system", &info.os_image);
                    self.add("kernel", &info.kernel_version);
                    self.add("container runtime", &info.container_runtime_version);
                    self.add("architecture", &info.architecture);
                }
            }
            (None, "core_v1_namespaces") if name == SYSTEM_NAMESPACE => self.id = fact(&object.metadata.uid),
            (None, "storage.k8s.io_v1_storageclasses") => {
                let annotations = object.metadata.annotations.as_ref();
                let is_default = annotations
                    .and_then(|all| all.get("storageclass.kubernetes.io/is-default-class"))
                    .is_some_and(|value| value == "true");
                let provisioner = object.provisioner.as_deref().unwrap_or_default();
                let suffix = if is_default { ", default" } else { "" };
                self.add("storage class", &format!("{name} ({provisioner}{suffix})"));
            }
            (None, "storage.k8s.io_v1_csidrivers") => self.add("CSI driver", &name),
            (None, "admissionregistration.k8s.io_v1_validatingwebhookconfigurations") => {
                self.add("validating webhook", &name);
            }
            (None, "admissionregistration.k8s.io_v1_mutatingwebhookconfigurations") => {
                self.add("mutating webhook", &name);
            }
            (Some(namespace), "apps_v1_deployments" | "apps_v1_daemonsets" | "apps_v1_statefulsets") => {
                self.workload(namespace, resource, &name, object);
            }
            _ => {}
        }
    }

    /// A workload of the system, or the network of pods.
    fn workload(&mut self, namespace: &str, resource: &str, name: &str, object: &Object) {
        let is_network = resource == "apps_v1_daemonsets" && NETWORKS.iter().any(|network| name.contains(network));
        if namespace != SYSTEM_NAMESPACE && !is_network {
            return;
        }
        let spec = object.spec.as_ref();
        let containers = spec
            .and_then(|spec| spec.template.as_ref())
            .and_then(|template| template.spec.as_ref())
            .and_then(|spec| spec.containers.as_deref())
            .unwrap_or_default();
        let images: Vec<&str> = containers.iter().map(|container| container.image.as_str()).collect();
        let kind = match resource {
            "apps_v1_deployments" => "Deployment",
            "apps_v1_daemonsets" => "DaemonSet",
            _ => "StatefulSet",
        };
        let replicas = match spec.and_then(|spec| spec.replicas) {
            Some(1) => ", 1 replica".to_owned(),
            Some(replicas) => format!(", {replicas} replicas"),
            None => String::new(),
        };
        let text = format!("{kind} {namespace}/{name}: {}{replicas}", images.join(", "));
        self.add(if is_network { "network" } else { "system workload" }, &text);
    }

    fn add(&mut self, kind: &'static str, value: &str) {
        let value = fact(value);
        let values = self.sets.entry(kind).or_default();
        if !value.is_empty() && values.len() < limits::FACTS {
            values.insert(value);
        }
    }

    /// The facts, sorted, and their fingerprint: a SHA-256 as hexadecimal digits, of facts and server version.
    pub(crate) fn finish(&self) -> (BTreeMap<String, Vec<String>>, String) {
        let filled = self.sets.iter().filter(|(_, values)| !values.is_empty());
        let facts: BTreeMap<String, Vec<String>> = filled
            .map(|(kind, values)| ((*kind).to_owned(), values.iter().cloned().collect()))
            .collect();
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            // The length separates the parts.
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        part(&self.server);
        for (kind, values) in &facts {
            part(kind);
            for value in values {
                part(value);
            }
        }
        (facts, hex::encode(hash.finalize()))
    }
}

/// A text as a fact: one line within the limit.
fn fact(text: &str) -> String {
    let shown: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    head(shown.trim(), limits::FACT_BYTES).to_owned()
}

/// Namespace and resource of a file: `resources/ns/kube-system/apps_v1_deployments.json`.
fn place(name: &str) -> Option<(Option<&str>, &str)> {
    let rest = name.strip_prefix("resources/")?.strip_suffix(".json")?;
    let parts: Vec<&str> = rest.split('/').collect();
    match parts.as_slice() {
        ["cluster", resource] => Some((None, resource)),
        ["ns", namespace, resource] if resource.starts_with("apps_v1_") => Some((Some(namespace), resource)),
        _ => None,
    }
}

/// A list of objects that are visited one by one: a JSON array in archives before Sonobuoy 0.56, an object with `items` since.
struct List<'a> {
    each: &'a mut dyn FnMut(Object),
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of objects")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while let Some(object) = access.next_element::<Object>()? {
            (self.each)(object);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while let Some(key) = access.next_key::<String>()? {
            if key == "items" {
                access.next_value_seed(List { each: &mut *self.each })?;
            } else {
                access.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::default();
        for (name, text) in files {
            facts.file(name, &mut text.as_bytes());
        }
        facts
    }

    const NODE: &str = r#"{"metadata": {"name": "n1"}, "status": {"nodeInfo": {"kubeletVersion": "v1.37.2", "osImage": "Debian 12",
        "kernelVersion": "6.18", "containerRuntimeVersion": "containerd://2.4.2", "architecture": "amd64"}}}"#;

    #[test]
    fn facts_are_read_from_lists_of_both_forms() {
        let nodes = format!("[{NODE}, {NODE}]");
        let deployments = r#"{"kind": "List", "items": [{"metadata": {"name": "coredns", "namespace": "kube-system"},
            "spec": {"replicas": 0, "template": {"spec": {"containers": [{"image": "coredns:1.12"}]}}}}]}"#;
        let files = [
            ("serverversion.json", r#"{"gitVersion": "v1.37.2"}"#),
            ("resources/cluster/core_v1_nodes.json", nodes.as_str()),
            (
                "resources/cluster/core_v1_namespaces.json",
                r#"{"items": [{"metadata": {"name": "kube-system", "uid": "u-1"}}, {"metadata": {"name": "other", "uid": "u-2"}}]}"#,
            ),
            ("resources/ns/kube-system/apps_v1_deployments.json", deployments),
            ("resources/ns/other/apps_v1_deployments.json", deployments),
            (
                "resources/ns/net/apps_v1_daemonsets.json",
                r#"{"items": [{"metadata": {"name": "calico-node"},
                    "spec": {"template": {"spec": {"containers": [{"image": "calico:3"}]}}}}]}"#,
            ),
            (
                "resources/cluster/storage.k8s.io_v1_storageclasses.json",
                r#"{"items": [{"metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
                    "provisioner": "csi.x"}]}"#,
            ),
            (
                "resources/cluster/storage.k8s.io_v1_csidrivers.json",
                r#"{"items": null}"#,
            ),
        ];
        let facts = read(&files);
        assert_eq!(
            (facts.id.as_str(), facts.server.as_str(), facts.nodes),
            ("u-1", "v1.37.2", 2)
        );
        let (sets, fingerprint) = facts.finish();
        let expected: Vec<(&str, Vec<&str>)> = vec![
            ("architecture", vec!["amd64"]),
            ("container runtime", vec!["containerd://2.4.2"]),
            ("kernel", vec!["6.18"]),
            ("kubelet", vec!["v1.37.2"]),
            ("network", vec!["DaemonSet net/calico-node: calico:3"]),
            ("operating system", vec!["Debian 12"]),
            ("storage class", vec!["fast (csi.x, default)"]),
            (
                "system workload",
                vec!["Deployment kube-system/coredns: coredns:1.12, 0 replicas"],
            ),
        ];
        let shown: Vec<(&str, Vec<&str>)> = sets
            .iter()
            .map(|(kind, values)| (kind.as_str(), values.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(shown, expected);
        assert_eq!(read(&files).finish().1, fingerprint);
        assert_ne!(read(&files[..4]).finish().1, fingerprint);
    }

    #[test]
    fn hostile_files_have_bounded_facts() {
        let many: Vec<String> = (0..2_000)
            .map(|n| format!(r#"{{"metadata": {{"name": "w{n}"}}}}"#))
            .collect();
        let many = format!("[{}", many.join(","));
        let long = format!(
            r#"{{"items": [{{"status": {{"nodeInfo": {{"kernelVersion": "a\u0007{}"}}}}}}]}}"#,
            "x".repeat(10_000)
        );
        let facts = read(&[
            (
                "resources/cluster/admissionregistration.k8s.io_v1_validatingwebhookconfigurations.json",
                &many,
            ),
            ("resources/cluster/core_v1_nodes.json", &long),
            ("resources/cluster/core_v1_namespaces.json", "[[[["),
            ("serverversion.json", "\u{0}"),
            ("resources/cluster/../../x.json", "[]"),
        ]);
        let (sets, _) = facts.finish();
        assert_eq!(sets.get("validating webhook").map(Vec::len), Some(limits::FACTS));
        let kernel = sets.get("kernel").and_then(|values| values.first()).unwrap();
        assert_eq!((kernel.len(), kernel.starts_with("a x")), (limits::FACT_BYTES, true));
        assert_eq!((facts.id.as_str(), facts.server.as_str()), ("", ""));
    }
}
