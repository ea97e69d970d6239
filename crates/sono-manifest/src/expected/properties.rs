//! Compares the expected nodes for any podSpec and any nodes with a small, typed model of the DaemonSet controller that is
//! based on Kubernetes' documentation.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::{Images, builtin};

#[derive(Debug, Clone)]
struct Node {
    labels: BTreeMap<&'static str, &'static str>,
    taints: Vec<Taint>,
    cordoned: bool,
}

#[derive(Debug, Clone)]
struct Taint {
    key: &'static str,
    value: &'static str,
    effect: &'static str,
}

#[derive(Debug, Clone)]
enum Operator {
    In(Vec<&'static str>),
    NotIn(Vec<&'static str>),
    Exists,
    DoesNotExist,
    Above(i64),
    Below(i64),
}

#[derive(Debug, Clone)]
struct Term {
    labels: Vec<(&'static str, Operator)>,
    names: Vec<Operator>,
}

#[derive(Debug, Clone)]
struct Toleration {
    /// `None` matches every key.
    key: Option<&'static str>,
    /// `None` matches every value.
    value: Option<&'static str>,
    effect: Option<&'static str>,
}

#[derive(Debug, Clone)]
struct Spec {
    /// A null value is the empty text.
    selector: Option<BTreeMap<&'static str, Option<&'static str>>>,
    terms: Option<Vec<Term>>,
    tolerations: Vec<Toleration>,
    on_host: bool,
    pinned: Option<usize>,
}

const KEYS: [&str; 2] = ["a", "b"];
const VALUES: [&str; 4] = ["", "x", "3", "12"];
const TAINTS: [&str; 4] = [
    "t",
    "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/network-unavailable",
];
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn name(number: usize) -> String {
    format!("n{number}")
}

impl Operator {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::In(values) => value.is_some_and(|value| values.contains(&value)),
            Self::NotIn(values) => value.is_none_or(|value| !values.contains(&value)),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
            Self::Above(limit) => number.is_some_and(|number| number > *limit),
            Self::Below(limit) => number.is_some_and(|number| number < *limit),
        }
    }

    fn to_json(&self, key: &str) -> Value {
        let (operator, values) = match self {
            Self::In(values) => ("In", json!(values)),
            Self::NotIn(values) => ("NotIn", json!(values)),
            Self::Exists => ("Exists", Value::Null),
            Self::DoesNotExist => ("DoesNotExist", json!([])),
            Self::Above(limit) => ("Gt", json!([limit.to_string()])),
            Self::Below(limit) => ("Lt", json!([limit.to_string()])),
        };
        json!({ "key": key, "operator": operator, "values": values })
    }
}

impl Spec {
    /// The model: whether the DaemonSet runs on the node.
    fn picks(&self, number: usize, node: &Node) -> bool {
        let label = |key: &str| node.labels.get(key).copied();
        let selected = self
            .selector
            .iter()
            .flatten()
            .all(|(key, value)| label(key) == Some(value.unwrap_or_default()));
        let term = |term: &Term| {
            (!term.labels.is_empty() || !term.names.is_empty())
                && term.labels.iter().all(|(key, operator)| operator.holds(label(key)))
                && term.names.iter().all(|operator| operator.holds(Some(&name(number))))
        };
        let matched = self.terms.as_ref().is_none_or(|terms| terms.iter().any(term));
        let tolerated = node.taints.iter().all(|taint| self.tolerates(taint));
        self.pinned.is_none_or(|pinned| pinned == number) && selected && matched && tolerated
    }

    fn tolerates(&self, taint: &Taint) -> bool {
        let by_controller = match (taint.key, taint.effect) {
            (_, "PreferNoSchedule")
            | ("node.kubernetes.io/unschedulable", "NoSchedule")
            | ("node.kubernetes.io/not-ready", "NoExecute") => true,
            ("node.kubernetes.io/network-unavailable", "NoSchedule") => self.on_host,
            _ => false,
        };
        by_controller
            || self.tolerations.iter().any(|toleration| {
                toleration.key.is_none_or(|key| key == taint.key)
                    && toleration.value.is_none_or(|value| value == taint.value)
                    && toleration.effect.is_none_or(|effect| effect == taint.effect)
            })
    }

    fn to_json(&self) -> Value {
        let mut spec = json!({ "hostNetwork": self.on_host });
        spec["nodeSelector"] = json!(self.selector);
        if let Some(terms) = &self.terms {
            let term = |term: &Term| {
                let labels = term.labels.iter().map(|(key, operator)| operator.to_json(key));
                let names = term.names.iter().map(|operator| operator.to_json("metadata.name"));
                json!({ "matchExpressions": labels.collect::<Vec<_>>(), "matchFields": names.collect::<Vec<_>>() })
            };
            let terms: Vec<Value> = terms.iter().map(term).collect();
            let required = json!({ "nodeSelectorTerms": terms });
            spec["affinity"] =
                json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } });
        }
        let toleration = |toleration: &Toleration| {
            let mut fields = Map::new();
            if let Some(key) = toleration.key {
                fields.insert("key".to_owned(), json!(key));
            }
            match toleration.value {
                // `Equal` is the default operator.
                Some(value) => fields.insert("value".to_owned(), json!(value)),
                None => fields.insert("operator".to_owned(), json!("Exists")),
            };
            if let Some(effect) = toleration.effect {
                fields.insert("effect".to_owned(), json!(effect));
            }
            Value::Object(fields)
        };
        spec["tolerations"] = self.tolerations.iter().map(toleration).collect();
        if let Some(pinned) = self.pinned {
            spec["nodeName"] = json!(name(pinned));
        }
        spec
    }
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let taint = (
        prop::sample::select(&TAINTS[..]),
        prop::sample::select(&VALUES[..2]),
        prop::sample::select(&EFFECTS[..]),
    )
        .prop_map(|(key, value, effect)| Taint { key, value, effect });
    let labels = prop::collection::btree_map(prop::sample::select(&KEYS[..]), prop::sample::select(&VALUES[..]), 0..3);
    let node =
        (labels, prop::collection::vec(taint, 0..3), any::<bool>()).prop_map(|(labels, taints, cordoned)| Node {
            labels,
            taints,
            cordoned,
        });
    prop::collection::vec(node, 0..4)
}

fn operator(values: &'static [&'static str]) -> impl Strategy<Value = Operator> {
    let some = move || prop::collection::vec(prop::sample::select(values), 1..3);
    prop_oneof![
        some().prop_map(Operator::In),
        some().prop_map(Operator::NotIn),
        Just(Operator::Exists),
        Just(Operator::DoesNotExist),
        (0_i64..14).prop_map(Operator::Above),
        (0_i64..14).prop_map(Operator::Below),
    ]
}

fn specs() -> impl Strategy<Value = Spec> {
    let value = prop::option::of(prop::sample::select(&VALUES[..]));
    let selector = prop::collection::btree_map(prop::sample::select(&KEYS[..]), value, 0..2);
    let requirement = (prop::sample::select(&KEYS[..]), operator(&VALUES));
    let term = (
        prop::collection::vec(requirement, 0..3),
        prop::collection::vec(operator(&["n0", "n1"]), 0..2),
    )
        .prop_map(|(labels, names)| Term { labels, names });
    let key = prop::option::of(prop::sample::select(&TAINTS[..]));
    let effect = prop::option::of(prop::sample::select(&EFFECTS[..]));
    // Without a key, a toleration matches every value: the API server accepts no other.
    let toleration =
        (key, prop::option::of(prop::sample::select(&VALUES[..2])), effect).prop_map(|(key, value, effect)| {
            let value = key.and(value);
            Toleration { key, value, effect }
        });
    (
        prop::option::of(selector),
        prop::option::of(prop::collection::vec(term, 0..3)),
        prop::collection::vec(toleration, 0..3),
        any::<bool>(),
        prop::option::weighted(0.1, 0_usize..3),
    )
        .prop_map(|(selector, terms, tolerations, on_host, pinned)| Spec {
            selector,
            terms,
            tolerations,
            on_host,
            pinned,
        })
}

proptest! {
    /// W-53: selectors, affinity terms, fields, numbers, taints and tolerations are evaluated like by the controller;
    /// cordons are ignored.
    #[test]
    fn nodes_are_those_that_the_model_picks(nodes in nodes(), spec in specs()) {
        let mut definition = builtin("systemd-logs", &Images::default()).unwrap();
        definition.pod_spec = Some(spec.to_json());
        let labels = node_labels(&definition);
        let facts: Vec<NodeFacts> = nodes.iter().enumerate().map(|(number, node)| {
            let taint = |taint: &Taint| json!({ "key": taint.key, "value": taint.value, "effect": taint.effect });
            let taints: Vec<Value> = node.taints.iter().map(taint).collect();
            let object = json!({ "metadata": { "name": name(number), "labels": node.labels },
                "spec": { "unschedulable": node.cordoned, "taints": taints } });
            let mut facts: NodeFacts = serde_json::from_value(object).unwrap();
            // The aggregator stores only these labels.
            facts.labels.retain(|label, _| labels.contains(label));
            facts
        }).collect();
        let found = expected_results(&definition, &facts);
        let found: Vec<String> = found.iter().map(|key| key.target.to_string()).collect();
        let expected = nodes.iter().enumerate().filter(|(number, node)| spec.picks(*number, node));
        let expected: Vec<String> = expected.map(|(number, _)| name(number)).collect();
        prop_assert_eq!(found, expected, "{}", spec.to_json());
    }
}
