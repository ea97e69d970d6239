//! Queries of kubelets through the API server.

use serde_json::json;

use super::{Bench, names};

/// `minimal` has no right to get `nodes/proxy`. The missing data is one row, and the health of nodes is not invented.
#[tokio::test]
async fn kubelets_without_the_right_to_nodes_proxy_cost_one_row() {
    let bench = Bench::new();
    for node in ["n1", "n2", "n3"] {
        bench
            .api
            .put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}));
        for what in ["configz", "healthz"] {
            let refusal = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"nodes \"n\" is forbidden","reason":"Forbidden","code":403}"#;
            bench
                .api
                .put_text(&format!("/api/v1/nodes/{node}/proxy/{what}"), 403, refusal);
        }
    }
    let (problems, files) = bench.query("{}").await;
    let message = "configz and healthz of kubelets require permission to get nodes/proxy, which allows its holder to run commands in every pod: nodes \"n\" is forbidden";
    assert_eq!(problems, [format!("Nodes: {message}")]);
    assert_eq!(
        names(&files)
            .into_iter()
            .filter(|name| name.starts_with("hosts/"))
            .count(),
        0
    );
    let rows = &files["meta/query-time.json"];
    let row = json!({"queryobj": "Nodes", "items": 0, "outcome": "failed", "error": {"message": message}});
    let found: Vec<&str> = rows.lines().filter(|line| line.contains("proxy")).collect();
    assert_eq!(found, [row.to_string()]);
}
