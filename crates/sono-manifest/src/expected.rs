//! Which results a plugin will send (core spec §2.7).

use std::collections::BTreeMap;

use serde_json::Value;
use sono_types::{NodeName, ResultKey, Target};

use crate::{
    definition::{Definition, DriverKind},
    edit::{entries, text},
};

/// What of a node decides whether a pod may run there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl NodeFacts {
    /// The facts of a core/v1 Node.
    pub fn from_node(node: &Value) -> Self {
        let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
        let labels = labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        let name = node
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Self {
            name: name.to_owned(),
            labels: labels.collect(),
        }
    }
}

/// One result for a Job; for a DaemonSet one for each node that its selector and required affinity let it run on.
pub fn expected_results(definition: &Definition, nodes: &[NodeFacts]) -> Vec<ResultKey> {
    let key = |target| ResultKey::new(definition.name.clone(), target);
    match definition.driver {
        DriverKind::Job => vec![key(Target::Global)],
        DriverKind::DaemonSet => nodes
            .iter()
            .filter(|node| definition.pod_spec.as_ref().is_none_or(|pod| admits(pod, node)))
            .filter_map(|node| NodeName::parse(&node.name).ok())
            .map(|node| key(Target::Node(node)))
            .collect(),
    }
}

fn admits(pod: &Value, node: &NodeFacts) -> bool {
    let selector = pod.get("nodeSelector").and_then(Value::as_object).into_iter().flatten();
    let selected = selector
        .into_iter()
        .all(|(key, value)| node.labels.get(key).map(String::as_str) == value.as_str());
    let required = pod.pointer("/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    let wanted = required.is_none_or(|required| entries(required, "nodeSelectorTerms").any(|term| matches(term, node)));
    selected && wanted
}

/// All expressions and fields of a term hold. A term without any matches nothing (Kubernetes, unlike Sonobuoy).
fn matches(term: &Value, node: &NodeFacts) -> bool {
    let mut rules = entries(term, "matchExpressions")
        .map(|rule| (rule, node.labels.get(text(rule, "key"))))
        .chain(
            entries(term, "matchFields")
                .map(|rule| (rule, (text(rule, "key") == "metadata.name").then_some(&node.name))),
        )
        .peekable();
    rules.peek().is_some() && rules.all(|(rule, value)| holds(rule, value.map(String::as_str)))
}

fn holds(rule: &Value, value: Option<&str>) -> bool {
    let values: Vec<&str> = entries(rule, "values").filter_map(Value::as_str).collect();
    let compare = |wanted: fn(i64, i64) -> bool| {
        let number = |text: &str| text.parse::<i64>().ok();
        value
            .and_then(number)
            .zip(values.first().and_then(|text| number(text)))
            .is_some_and(|(a, b)| wanted(a, b))
    };
    match text(rule, "operator") {
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "In" => value.is_some_and(|value| values.contains(&value)),
        "NotIn" => value.is_none_or(|value| !values.contains(&value)),
        "Gt" => compare(|a, b| a > b),
        "Lt" => compare(|a, b| a < b),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nodes() -> Vec<NodeFacts> {
        [
            ("n1", None),
            ("n2", Some("bar")),
            ("n3", Some("baz")),
            ("n4", Some("bar4")),
            ("n5", Some("5")),
        ]
        .iter()
        .map(|(name, foo)| NodeFacts {
            name: (*name).to_owned(),
            labels: foo.map(|foo| ("foo".to_owned(), foo.to_owned())).into_iter().collect(),
        })
        .collect()
    }

    fn expected(pod: Option<Value>) -> String {
        let definition = Definition {
            driver: DriverKind::DaemonSet,
            pod_spec: pod,
            ..crate::builtin("systemd-logs", &crate::Images::default()).unwrap()
        };
        let keys = expected_results(&definition, &nodes());
        keys.iter()
            .map(|key| key.target.to_string().replace('n', ""))
            .collect::<Vec<_>>()
            .join(",")
    }

    fn terms(terms: Value) -> String {
        let required = json!({ "nodeSelectorTerms": terms });
        let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } });
        expected(Some(json!({ "affinity": affinity })))
    }

    fn rule(operator: &str, values: &[&str]) -> Value {
        json!({ "key": "foo", "operator": operator, "values": values })
    }

    #[test]
    fn nodes_are_chosen_as_the_scheduler_does() {
        assert_eq!(expected(None), "1,2,3,4,5");
        assert_eq!(expected(Some(json!({}))), "1,2,3,4,5");
        assert_eq!(expected(Some(json!({ "nodeSelector": { "foo": "bar" } }))), "2");
        let one = |rule: Value| terms(json!([{ "matchExpressions": [rule] }]));
        assert_eq!(one(rule("Exists", &[])), "2,3,4,5");
        assert_eq!(one(rule("DoesNotExist", &[])), "1");
        assert_eq!(one(rule("In", &["bar", "baz"])), "2,3");
        assert_eq!(one(rule("NotIn", &["bar", "baz"])), "1,4,5");
        assert_eq!(one(rule("Gt", &["4"])), "5");
        assert_eq!(one(rule("Lt", &["4"])), "");
        let both = json!([{ "matchExpressions": [rule("In", &["bar", "baz"]), rule("In", &["baz", "bar4"])] }]);
        assert_eq!(terms(both), "3");
        let either = json!([{ "matchExpressions": [rule("NotIn", &["bar", "baz"])] },
            { "matchExpressions": [rule("In", &["bar"])] }]);
        assert_eq!(terms(either), "1,2,4,5");
        assert_eq!(terms(json!([{}])), "");
        let field = json!({ "key": "metadata.name", "operator": "In", "values": ["n3"] });
        assert_eq!(terms(json!([{ "matchFields": [field] }])), "3");
    }
}
