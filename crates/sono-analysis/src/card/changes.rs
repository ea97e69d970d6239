//! What changed in the cluster between two runs.

use serde::Serialize;

use super::CardCluster;

/// A difference between the clusters of two runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterChange {
    /// Kind of fact, such as `kubelet` or `system workload`.
    pub kind: String,
    /// Values of the first run only.
    pub before: Vec<String>,
    /// Values of the second run only.
    pub after: Vec<String>,
}

/// What changed in the cluster between two runs: the version of the API server, the number of nodes, and the facts. Archives without
/// facts are not compared.
pub fn cluster_changes(before: &CardCluster, after: &CardCluster) -> Vec<ClusterChange> {
    let number = |nodes: u64| {
        if nodes == 0 {
            Vec::new()
        } else {
            vec![nodes.to_string()]
        }
    };
    let version = |server: &str| {
        if server.is_empty() {
            Vec::new()
        } else {
            vec![server.to_owned()]
        }
    };
    let facts = before.facts.iter().map(|(kind, values)| {
        let other = after.facts.get(kind).cloned().unwrap_or_default();
        (kind.clone(), values.clone(), other)
    });
    let singles = [
        ("Kubernetes".to_owned(), version(&before.server), version(&after.server)),
        ("nodes".to_owned(), number(before.nodes), number(after.nodes)),
    ];
    // An archive without any fact was made without permission to read the cluster.
    let is_known = !before.facts.is_empty() && !after.facts.is_empty();
    let only_after = after.facts.iter().filter(|(kind, _)| !before.facts.contains_key(*kind));
    let only_after = only_after.map(|(kind, values)| (kind.clone(), Vec::new(), values.clone()));
    let facts = facts.chain(only_after).filter(|_| is_known);
    let singles = singles
        .into_iter()
        .filter(|(_, before, after)| !before.is_empty() && !after.is_empty());
    let without = |values: &[String], others: &[String]| -> Vec<String> {
        let own = values.iter().filter(|value| !others.contains(value));
        own.cloned().collect()
    };
    singles
        .chain(facts)
        .map(|(kind, before, after)| ClusterChange {
            kind,
            before: without(&before, &after),
            after: without(&after, &before),
        })
        .filter(|change| !change.before.is_empty() || !change.after.is_empty())
        .collect()
}
