//! Expected results of a run (core §2.7).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};
use sono_types::{NodeName, ResultKey, Target};

use crate::{Definition, DriverKind, containers::each, pod_spec};

/// Properties of a node at the start of the run, parsed from a Node object.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(from = "Node")]
pub struct NodeFacts {
    /// Name of the node.
    pub name: String,
    /// Labels of the node.
    pub labels: BTreeMap<String, String>,
    /// Whether the node is cordoned. DaemonSets run there anyway.
    pub unschedulable: bool,
    /// Taints of the node, as objects with `key`, `value` and `effect`.
    pub taints: Vec<Value>,
}

/// The parsed fields of a Node object. A real node has 10 to 30 kB of other fields.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Node {
    metadata: Option<Metadata>,
    spec: Option<Spec>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    name: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
struct Spec {
    unschedulable: Option<bool>,
    taints: Option<Vec<Value>>,
}

impl From<Node> for NodeFacts {
    fn from(node: Node) -> Self {
        let (metadata, spec) = (node.metadata.unwrap_or_default(), node.spec.unwrap_or_default());
        Self {
            name: metadata.name.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            unschedulable: spec.unschedulable.unwrap_or_default(),
            taints: spec.taints.unwrap_or_default(),
        }
    }
}

/// Keys of the node labels that determine where the plugin's pods run.
pub fn node_labels(definition: &Definition) -> BTreeSet<String> {
    let Some(pod_spec) = &definition.pod_spec else {
        return BTreeSet::new();
    };
    let selector = pod_spec.get("nodeSelector").and_then(Value::as_object);
    let selected = selector.into_iter().flat_map(Map::keys).cloned();
    let terms = pod_spec
        .pointer("/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution")
        .into_iter()
        .flat_map(|required| each(required, "nodeSelectorTerms"));
    let required = terms
        .flat_map(|term| each(term, "matchExpressions"))
        .filter_map(|requirement| Some(requirement.get("key")?.as_str()?.to_owned()));
    selected.chain(required).collect()
}

/// Expected results of a plugin: one for a Job, one per node for a DaemonSet.
///
/// Nodes are selected like by the DaemonSet controller (Kubernetes, "DaemonSet"): by node selector, required affinity, and
/// taints that are not tolerated. Cordons and node pressure do not matter, because the controller tolerates them.
pub fn expected_results(definition: &Definition, nodes: &[NodeFacts]) -> Vec<ResultKey> {
    let key = |target| ResultKey::new(definition.name.clone(), target);
    match definition.driver {
        DriverKind::Job => vec![key(Target::Global)],
        DriverKind::DaemonSet => selected(definition, nodes)
            .filter(|node| untolerated(definition, node).is_none())
            .filter_map(|node| NodeName::parse(&node.name).ok())
            .map(|name| key(Target::Node(name)))
            .collect(),
    }
}

/// Selected nodes on which a DaemonSet plugin does not run, by the taint that it does not tolerate, such as
/// `taint bad=yes:NoSchedule`. Always empty for a Job.
pub fn left_out(definition: &Definition, nodes: &[NodeFacts]) -> BTreeMap<String, Vec<String>> {
    let mut left_out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if definition.driver == DriverKind::DaemonSet {
        for node in selected(definition, nodes) {
            if let Some(taint) = untolerated(definition, node) {
                left_out.entry(described(taint)).or_default().push(node.name.clone());
            }
        }
    }
    left_out
}

/// `taint bad=yes:NoSchedule`
fn described(taint: &Value) -> String {
    let text = |key: &str| taint.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("value") {
        "" => format!("taint {}:{}", text("key"), text("effect")),
        value => format!("taint {}={value}:{}", text("key"), text("effect")),
    }
}

fn selected<'a>(definition: &'a Definition, nodes: &'a [NodeFacts]) -> impl Iterator<Item = &'a NodeFacts> {
    nodes.iter().filter(move |node| {
        let pod_spec = definition.pod_spec.as_ref();
        pod_spec.is_none_or(|pod_spec| is_selected(pod_spec, node))
    })
}

/// The first taint of the node that the plugin's pod does not tolerate.
fn untolerated<'a>(definition: &Definition, node: &'a NodeFacts) -> Option<&'a Value> {
    let pod_spec = definition.pod_spec.as_ref()?;
    node.taints.iter().find(|taint| !is_tolerated(taint, pod_spec))
}

fn is_selected(pod_spec: &Value, node: &NodeFacts) -> bool {
    let pinned = pod_spec
        .get("nodeName")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty());
    pinned.is_none_or(|name| name == node.name) && matches_selectors(pod_spec, node)
}

/// Taints that the DaemonSet controller tolerates for all its pods.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// Taint that the DaemonSet controller tolerates for pods with `hostNetwork`.
const HOST_NETWORK_TOLERATED: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

fn is_tolerated(taint: &Value, pod_spec: &Value) -> bool {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (key, value, effect) = (text(taint, "key"), text(taint, "value"), text(taint, "effect"));
    if !["NoSchedule", "NoExecute"].contains(&effect.as_str()) {
        return true;
    }
    let on_host_network = pod_spec::is_on_host_network(pod_spec);
    let by_controller = |(tolerated, of): (&str, &str)| tolerated == key && of == effect;
    if TOLERATED.into_iter().any(by_controller) || on_host_network && by_controller(HOST_NETWORK_TOLERATED) {
        return true;
    }
    each(pod_spec, "tolerations").any(|toleration| {
        let of_effect = text(toleration, "effect");
        let of_key = text(toleration, "key");
        let all_values = text(toleration, "operator") == "Exists";
        // A toleration without a key matches every taint; it requires the operator `Exists`.
        (of_effect.is_empty() || of_effect == effect)
            && (of_key == key || of_key.is_empty() && all_values)
            && (all_values || text(toleration, "value") == value)
    })
}

fn matches_selectors(pod_spec: &Value, node: &NodeFacts) -> bool {
    let selector = pod_spec.get("nodeSelector").and_then(Value::as_object);
    // The API server stores null as an empty value.
    let labelled = |(label, value): (&String, &Value)| {
        let own = node.labels.get(label);
        own.is_some_and(|own| own == value.as_str().unwrap_or_default())
    };
    let required = pod_spec.pointer("/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    selector.is_none_or(|selector| selector.iter().all(labelled))
        && required
            .filter(|required| !required.is_null())
            .is_none_or(|required| each(required, "nodeSelectorTerms").any(|term| term_matches(term, node)))
}

/// Whether all requirements of a term hold. As in Kubernetes, a term without requirements matches nothing.
fn term_matches(term: &Value, node: &NodeFacts) -> bool {
    let expressions = || each(term, "matchExpressions");
    let fields = || each(term, "matchFields");
    let field = |key: &str| (key == "metadata.name").then_some(node.name.as_str());
    (expressions().next().is_some() || fields().next().is_some())
        && expressions().all(|requirement| holds(requirement, |key| node.labels.get(key).map(String::as_str)))
        && fields().all(|requirement| holds(requirement, field))
}

fn holds<'a>(requirement: &Value, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
    let text = |key: &str| requirement.get(key).and_then(Value::as_str).unwrap_or_default();
    let value = value_of(text("key"));
    let mut values = each(requirement, "values").filter_map(Value::as_str);
    let mut compared = |is_right: fn(i64, i64) -> bool| {
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
        number(value)
            .zip(number(values.next()))
            .is_some_and(|(own, given)| is_right(own, given))
    };
    match text("operator") {
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "In" => value.is_some_and(|value| values.any(|given| given == value)),
        "NotIn" => value.is_none_or(|value| values.all(|given| given != value)),
        "Gt" => compared(|own, given| own > given),
        "Lt" => compared(|own, given| own < given),
        _ => false,
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
