use serde_json::json;

use super::*;
use crate::{Images, builtin};

fn facts(node: Value) -> NodeFacts {
    serde_json::from_value(node).unwrap()
}

/// Names of the nodes from which results of a DaemonSet with this podSpec are expected.
fn nodes(pod_spec: Value) -> Vec<String> {
    let nodes: Vec<NodeFacts> = [
        json!({ "metadata": { "name": "n1" } }),
        json!({ "metadata": { "name": "n2", "labels": { "foo": "bar" } }, "spec": { "unschedulable": true } }),
        json!({ "metadata": { "name": "n3", "labels": { "foo": "baz" } } }),
        json!({ "metadata": { "name": "n4", "labels": { "foo": "bar2", "size": "12" } } }),
    ]
    .into_iter()
    .map(facts)
    .collect();
    let mut definition = builtin("systemd-logs", &Images::default()).unwrap();
    definition.pod_spec = (!pod_spec.is_null()).then_some(pod_spec);
    let results = expected_results(&definition, &nodes);
    assert!(results.iter().all(|key| key.plugin == definition.name));
    results.iter().map(|key| key.target.to_string()).collect()
}

fn terms(terms: &Value) -> Value {
    json!({ "affinity": { "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms },
    } } })
}

fn require(operator: &str, values: &[&str]) -> Value {
    json!({ "key": "foo", "operator": operator, "values": values })
}

#[test]
fn nodes_are_selected_as_kubernetes_does() {
    let one = |requirement: Value| terms(&json!([{ "matchExpressions": [requirement] }]));
    let size = |operator: &str, value: &str| json!({ "key": "size", "operator": operator, "values": [value] });
    let named = |operator: &str| json!([{ "matchFields": [{ "key": "metadata.name", "operator": operator, "values": ["n3"] }] }]);
    for (pod_spec, expected) in [
        (Value::Null, "n1 n2 n3 n4"),
        (json!({}), "n1 n2 n3 n4"),
        (json!({ "nodeSelector": null, "affinity": null }), "n1 n2 n3 n4"),
        (json!({ "nodeSelector": { "foo": null } }), ""),
        (one(require("Exists", &[])), "n2 n3 n4"),
        (one(require("DoesNotExist", &[])), "n1"),
        (one(require("In", &["bar", "baz"])), "n2 n3"),
        (one(require("NotIn", &["bar", "baz"])), "n1 n4"),
        (one(require("Like", &["bar"])), ""),
        (
            terms(&json!([
                { "matchExpressions": [require("NotIn", &["bar", "baz"])] },
                { "matchExpressions": [require("In", &["bar"])] },
            ])),
            "n1 n2 n4",
        ),
        (
            terms(&json!([{ "matchExpressions": [require("In", &["bar", "baz"]), require("In", &["baz", "bar2"])] }])),
            "n3",
        ),
        (json!({ "nodeSelector": { "foo": "bar" } }), "n2"),
        (one(size("Gt", "11")), "n4"),
        (one(size("Gt", "12")), ""),
        (one(size("Lt", "13")), "n4"),
        (terms(&named("In")), "n3"),
        (terms(&named("NotIn")), "n1 n2 n4"),
        (terms(&json!([{}])), ""),
        (
            terms(&json!([{}, { "matchExpressions": [require("Exists", &[])] }])),
            "n2 n3 n4",
        ),
        (terms(&json!([])), ""),
    ] {
        assert_eq!(nodes(pod_spec.clone()).join(" "), expected, "{pod_spec}");
    }
    let mut contradiction = one(require("In", &["baz"]));
    contradiction["nodeSelector"] = json!({ "foo": "bar" });
    assert_eq!(nodes(contradiction), Vec::<String>::new());
}

#[test]
fn a_job_has_one_result_for_any_nodes() {
    let definition = builtin("e2e", &Images::default()).unwrap();
    assert_eq!(
        expected_results(&definition, &[]),
        [ResultKey::new(definition.name.clone(), Target::Global)]
    );
}

#[test]
fn facts_are_read_from_a_node() {
    let taint = json!({ "key": "k", "effect": "NoSchedule" });
    let node = json!({
        "metadata": { "name": "n", "labels": { "a": "b" } },
        "spec": { "unschedulable": true, "taints": [taint] },
    });
    let expected = NodeFacts {
        name: "n".to_owned(),
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        unschedulable: true,
        taints: vec![taint],
    };
    assert_eq!(facts(node), expected);
}

/// W-53: taints exclude nodes as in the cluster, cordons and node pressure do not.
#[test]
fn taints_are_evaluated_like_by_the_controller() {
    let taint = |key: &str, value: &str, effect: &str| json!({ "key": key, "value": value, "effect": effect });
    let toleration = |key: &str, operator: &str, value: &str, effect: &str| json!({ "key": key, "operator": operator, "value": value, "effect": effect });
    let runs = |taint: Value, tolerations: Value, more: Value| {
        let node = NodeFacts {
            name: "n".to_owned(),
            taints: vec![taint],
            ..NodeFacts::default()
        };
        let mut pod_spec = json!({ "containers": [], "tolerations": tolerations });
        pod_spec
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        is_selected(&pod_spec, &node) && node.taints.iter().all(|taint| is_tolerated(taint, &pod_spec))
    };
    let none = || json!({});
    let gpu = || taint("gpu", "yes", "NoSchedule");
    assert!(!runs(gpu(), json!([]), none()));
    assert!(runs(gpu(), json!([{ "operator": "Exists" }]), none()));
    assert!(runs(gpu(), json!([toleration("gpu", "Exists", "", "")]), none()));
    assert!(runs(
        gpu(),
        json!([toleration("gpu", "Equal", "yes", "NoSchedule")]),
        none()
    ));
    assert!(runs(gpu(), json!([toleration("gpu", "", "yes", "")]), none()));
    assert!(!runs(gpu(), json!([toleration("gpu", "Equal", "no", "")]), none()));
    assert!(!runs(
        gpu(),
        json!([toleration("gpu", "Exists", "", "NoExecute")]),
        none()
    ));
    assert!(!runs(gpu(), json!([toleration("", "Equal", "yes", "")]), none()));
    assert!(runs(taint("gpu", "yes", "PreferNoSchedule"), json!([]), none()));
    for (key, effect) in TOLERATED {
        assert!(runs(taint(key, "", effect), json!([]), none()), "{key}");
    }
    let (network, effect) = HOST_NETWORK_TOLERATED;
    assert!(!runs(taint(network, "", effect), json!([]), none()));
    assert!(runs(
        taint(network, "", effect),
        json!([]),
        json!({ "hostNetwork": true })
    ));
}

#[test]
fn a_pinned_pod_runs_only_on_its_node() {
    let on = |name: &str| {
        let node = NodeFacts {
            name: name.to_owned(),
            ..NodeFacts::default()
        };
        is_selected(&json!({ "containers": [], "nodeName": "a" }), &node)
    };
    assert_eq!((on("a"), on("b")), (true, false));
}

/// Nodes with an untolerated taint are left out; nodes that are not selected are ignored.
#[test]
fn nodes_with_taints_that_are_not_tolerated_are_left_out_by_name() {
    let taint = |name: &str, taints: Value| {
        facts(json!({"metadata": {"name": name, "labels": {"name": name}}, "spec": {"taints": taints}}))
    };
    let nodes = [
        taint("n1", json!([])),
        taint("n2", json!([{"key": "bad", "value": "yes", "effect": "NoSchedule"}])),
        taint(
            "n3",
            json!([{"key": "soft", "effect": "PreferNoSchedule"}, {"key": "gone", "effect": "NoExecute"}]),
        ),
        taint(
            "n4",
            json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]),
        ),
        taint("n5", json!([{"key": "bad", "value": "yes", "effect": "NoSchedule"}])),
    ];
    let of = |pod_spec: Value| {
        let mut definition = builtin("systemd-logs", &Images::default()).unwrap();
        definition.pod_spec = Some(pod_spec);
        let expected: Vec<String> = expected_results(&definition, &nodes)
            .iter()
            .map(|key| key.target.to_string())
            .collect();
        (expected.join(" "), json!(left_out(&definition, &nodes)))
    };
    assert_eq!(
        of(json!({})),
        (
            "n1 n4".to_owned(),
            json!({"taint bad=yes:NoSchedule": ["n2", "n5"], "taint gone:NoExecute": ["n3"]})
        )
    );
    assert_eq!(
        of(json!({"tolerations": [{"key": "bad", "operator": "Exists"}]})),
        ("n1 n2 n4 n5".to_owned(), json!({"taint gone:NoExecute": ["n3"]}))
    );
    assert_eq!(of(json!({"tolerations": [{"operator": "Exists"}]})).1, json!({}));
    assert_eq!(
        of(json!({"nodeSelector": {"name": "n2"}})),
        (String::new(), json!({"taint bad=yes:NoSchedule": ["n2"]}))
    );
}

#[test]
fn node_labels_are_those_used_by_the_pod_spec() {
    let mut definition = builtin("systemd-logs", &Images::default()).unwrap();
    let mut labels = |pod_spec: Value| {
        definition.pod_spec = Some(pod_spec);
        node_labels(&definition).into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(labels(json!({})), "");
    let mut pod_spec = terms(&json!([
        { "matchExpressions": [require("In", &["a"]), { "key": "zone", "operator": "Exists" }] },
        { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n"] }] },
    ]));
    pod_spec["nodeSelector"] = json!({ "kubernetes.io/os": "linux" });
    assert_eq!(labels(pod_spec), "foo kubernetes.io/os zone");
}
