//! Cluster health from files to text.

use serde_json::json;
use sono_results::{Health, Problem, cluster_health, health_report, read_health};

use crate::files::MapFiles;

fn condition(kind: &str, status: &str) -> serde_json::Value {
    json!({"type": kind, "status": status, "reason": format!("{kind}Reason"), "message": format!("{kind} is {status}")})
}

#[test]
fn from_an_archive_to_the_report() {
    let nodes = json!({"apiVersion": "v1", "kind": "NodeList", "items": [
        {"metadata": {"name": "n2"}, "status": {"conditions": [condition("DiskPressure", "False"), condition("Ready", "Unknown")]}},
        {"metadata": {"name": "n1"}, "status": {"conditions": [condition("Ready", "True")]}},
        {"metadata": {"name": "n0"}, "status": {}},
    ]});
    // Archives before v0.56 have JSON arrays.
    let pods = json!([
        {"metadata": {"name": "b", "namespace": "ns"}, "status": {"phase": "Pending", "conditions": [condition("Initialized", "True"), condition("PodScheduled", "False")]}},
        {"metadata": {"name": "a", "namespace": "ns"}, "status": {"phase": "Succeeded"}},
        {"metadata": {"name": "c", "namespace": "ns"}, "status": {"phase": "Running"}},
    ]);
    let log = format!(
        "E1019 one\nwarning: an error\nlevel=error failed\nI1019 fine\n W1 no\nE no\n{}error far behind\nWarn",
        "x".repeat(70_000)
    );
    let (health, problems) = read_health(&MapFiles::new(&[
        ("resources/cluster/core_v1_nodes.json", &nodes.to_string()),
        ("resources/ns/ns/core_v1_pods.json", &pods.to_string()),
        ("resources/ns/broken/core_v1_pods.json", "["),
        ("serverversion.json", r#"{"gitVersion":"v1.37.2","major":"1"}"#),
        ("podlogs/ns/a/logs/c.txt", &log),
        ("podlogs/ns/b/logs/d.txt", &"error\n".repeat(12)),
        ("podlogs/ns/b/logs/silent.txt", "all is well\n"),
        ("podlogs/ns/b/d.txt", "error\n"),
        ("podlogs/ns/b/logs/.txt", "error\n"),
        ("podlogs/ns/b/logs/d.log", "error\n"),
    ]));
    assert_eq!(
        problems,
        [Problem {
            file: "resources/ns/broken/core_v1_pods.json".to_owned(),
            message: "EOF while parsing a list at line 1 column 1".to_owned(),
        }]
    );
    assert_eq!(
        serde_json::to_value(&health).unwrap()["error_summary"],
        json!({
            "Errors": {"podlogs/ns/a/logs/c.txt": 3, "podlogs/ns/b/logs/d.txt": 12},
            "Warnings": {"podlogs/ns/a/logs/c.txt": 2},
        })
    );
    assert_eq!(
        health_report(&health),
        "Run Details:\n\
         API Server version: v1.37.2\n\
         Node health: 1/3 (33%)\n\
         Details for failed nodes:\n\
         n0 Ready:: : \n\
         n2 Ready:Unknown: ReadyReason: Ready is Unknown\n\
         \n\
         Pods health: 2/3 (66%)\n\
         Details for failed pods:\n\
         ns/b Ready:False: PodScheduledReason: PodScheduled is False\n\
         Errors detected in files:\n\
         Errors:\n\
         12 podlogs/ns/b/logs/d.txt\n\
         \x20\x33 podlogs/ns/a/logs/c.txt\n\
         Warnings:\n\
         2 podlogs/ns/a/logs/c.txt\n"
    );
}

/// The results report what a plugin's pod did; the cluster is healthy without it.
#[test]
fn failed_pods_of_plugins_are_not_unhealthy() {
    let pod = |name: &str, phase: &str, labels: serde_json::Value| json!({"metadata": {"name": name, "namespace": "sonobuoy", "labels": labels}, "status": {"phase": phase}});
    let plugin = json!({"sonobuoy-component": "plugin", "sonobuoy-plugin": "p"});
    let pods = json!({"items": [
        pod("p-1", "Failed", plugin.clone()),
        pod("p-2", "Running", plugin),
        pod("sonobuoy", "Running", json!({"sonobuoy-component": "aggregator"})),
        pod("other", "Failed", json!(null)),
    ]});
    let health = cluster_health(&MapFiles::new(&[
        ("resources/ns/sonobuoy/core_v1_pods.json", &pods.to_string()),
        ("podlogs/sonobuoy/p-1/logs/c.txt", "error: none\n"),
        ("podlogs/sonobuoy/p-2/logs/c.txt", "error: none\n"),
        ("podlogs/other/p-1/logs/c.txt", "error: none\n"),
    ]));
    let names: Vec<(&str, bool)> = health
        .pod_health
        .details
        .iter()
        .map(|pod| (pod.name.as_str(), pod.healthy))
        .collect();
    assert_eq!(names, [("p-2", true), ("sonobuoy", true), ("other", false)]);
    assert_eq!((health.pod_health.healthy_nodes, health.pod_health.total_nodes), (2, 3));
    assert_eq!(
        json!(health.error_summary),
        json!({"Errors": {"podlogs/other/p-1/logs/c.txt": 1, "podlogs/sonobuoy/p-2/logs/c.txt": 1}})
    );
}

#[test]
fn health_of_an_empty_archive_is_empty() {
    let (health, problems) = read_health(&MapFiles::new(&[]));
    assert_eq!((&health, problems), (&Health::default(), vec![]));
    let text = r#"{"node_health":{"total_nodes":0,"healthy_nodes":0},"pod_health":{"total_nodes":0,"healthy_nodes":0},"api_version":"","error_summary":{}}"#;
    assert_eq!(serde_json::to_string(&health).unwrap(), text);
    assert_eq!(serde_json::from_str::<Health>(text).unwrap(), health);
    assert_eq!(serde_json::from_str::<Health>("{}").unwrap(), health);
    assert_eq!(
        health_report(&health),
        "Run Details:\nAPI Server version: \nNode health: 0/0\n"
    );
}
