//! Reasons why an object is not deleted yet.

use serde_json::Value;

use crate::aggregator::text;

/// Conditions of a namespace that explain a blocked deletion
/// (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/#NamespaceStatus>).
const BLOCKING_CONDITIONS: [&str; 5] = [
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceContentRemaining",
    "NamespaceFinalizersRemaining",
];

/// One line for each remaining object.
pub(super) fn why<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    objects.into_iter().map(reason).collect()
}

fn reason(object: &Value) -> String {
    let name = text(object, "/metadata/name");
    let kind = match text(object, "/kind") {
        "" if object.pointer("/spec/containers").is_some() => "pod",
        "" | "Namespace" => "namespace",
        "Pod" => "pod",
        other => other,
    };
    let mut reasons = Vec::new();
    let own = names(object.pointer("/metadata/finalizers"));
    if !own.is_empty() {
        reasons.push(format!("finalizers must be removed: {own}"));
    }
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    for condition in conditions.into_iter().flatten() {
        let holds = BLOCKING_CONDITIONS.contains(&text(condition, "/type")) && text(condition, "/status") == "True";
        let message = text(condition, "/message").trim();
        if holds && !message.is_empty() {
            reasons.push(message.to_owned());
        }
    }
    let node = text(object, "/spec/nodeName");
    if kind == "pod" && !node.is_empty() && own.is_empty() {
        reasons.push(format!(
            "node {node} has not confirmed that its containers have terminated"
        ));
    }
    if reasons.is_empty() {
        reasons.push("its objects are being deleted; pods have a termination grace period".to_owned());
    }
    format!("{kind} `{name}`: {}", reasons.join("; "))
}

fn names(list: Option<&Value>) -> String {
    let names: Vec<&str> = list
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finalizers_conditions_and_nodes_are_named() {
        let namespace = json!({
            "metadata": {"name": "sonobuoy", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Terminating", "conditions": [
                {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "All resources successfully discovered"},
                {"type": "NamespaceContentRemaining", "status": "True", "message": "Some resources are remaining: configmaps. has 1 resource instances"},
                {"type": "NamespaceFinalizersRemaining", "status": "True",
                 "message": "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"}
            ]}
        });
        let held = json!({"metadata": {"name": "p", "finalizers": ["a/b", "c/d"]}, "spec": {"containers": [], "nodeName": "n1"}});
        let silent = json!({"metadata": {"name": "q"}, "spec": {"containers": [], "nodeName": "n1"}});
        assert_eq!(
            why([&namespace, &held, &silent]),
            [
                "namespace `sonobuoy`: Some resources are remaining: configmaps. has 1 resource instances; Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
                "pod `p`: finalizers must be removed: a/b, c/d",
                "pod `q`: node n1 has not confirmed that its containers have terminated",
            ]
        );
    }
}
