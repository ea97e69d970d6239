//! Pods on a real API server, bound to nodes without machines, so that they never run.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use anyhow::{bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{access::Access, objects};

/// Maximum number of concurrent requests.
const MAX_CONCURRENT: usize = 32;
/// Time limit for the creation of a namespace's service account and for a namespace's deletion.
const NAMESPACE_LIMIT: Duration = Duration::from_mins(4);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
const JSON: &str = "application/json";

/// Creates the pods with these numbers and sets their status to running, in place of a kubelet.
pub(super) async fn create(access: &Access, numbers: Range<usize>) -> anyhow::Result<()> {
    // The label of `cargo xtask cluster up --fake-nodes`. Real nodes would run the pods.
    let nodes = access.get("/api/v1/nodes?labelSelector=sono.local/fake=true").await?;
    let nodes: Vec<&str> = nodes["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|node| node["metadata"]["name"].as_str())
        .collect();
    ensure!(
        !nodes.is_empty(),
        "this cluster has no fake nodes: create them with `cargo xtask cluster up --fake-nodes 100`"
    );
    let namespaces: BTreeSet<String> = numbers.clone().map(objects::namespace_name).collect();
    for name in &namespaces {
        let body = objects::namespace(name);
        expect(access, Method::POST, "/api/v1/namespaces", JSON, &body, &[201, 409]).await?;
    }
    for name in &namespaces {
        // The API server rejects pods without the service account.
        wait_for(
            access,
            &format!("/api/v1/namespaces/{name}/serviceaccounts/default"),
            200,
        )
        .await?;
    }
    let nodes = &nodes;
    stream::iter(numbers)
        .map(|number| async move {
            let pods = format!("/api/v1/namespaces/{}/pods", objects::namespace_name(number));
            let pod = objects::pod(number, nodes[number % nodes.len()]);
            expect(access, Method::POST, &pods, JSON, &pod, &[201]).await?;
            let status = format!("{pods}/{}/status", objects::pod_name(number));
            let body = json!({"status": objects::status(number)});
            expect(
                access,
                Method::PATCH,
                &status,
                "application/merge-patch+json",
                &body,
                &[200],
            )
            .await
        })
        .buffer_unordered(MAX_CONCURRENT)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

/// Deletes all namespaces of the benchmark and waits until they are deleted.
pub(super) async fn clear(access: &Access) -> anyhow::Result<()> {
    let found = access
        .get(&format!("/api/v1/namespaces?labelSelector={}=true", objects::LABEL))
        .await?;
    let names = found["items"].as_array().into_iter().flatten();
    let names = names.filter_map(|namespace| namespace["metadata"]["name"].as_str());
    stream::iter(names)
        .map(|name| async move {
            let path = format!("/api/v1/namespaces/{name}");
            // Without a kubelet the pods would never terminate gracefully.
            let immediately = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
            expect(
                access,
                Method::DELETE,
                &format!("{path}/pods"),
                JSON,
                &immediately,
                &[200],
            )
            .await?;
            expect(access, Method::DELETE, &path, JSON, &Value::Null, &[200, 202, 404, 409]).await?;
            wait_for(access, &path, 404).await
        })
        .buffer_unordered(MAX_CONCURRENT)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

async fn expect(
    access: &Access,
    method: Method,
    path: &str,
    kind: &str,
    body: &Value,
    expected: &[u16],
) -> anyhow::Result<()> {
    let (status, answer) = access.send(method.clone(), path, kind, body).await?;
    ensure!(
        expected.contains(&status),
        "{method} {path}: {status}: {}",
        answer["message"]
    );
    Ok(())
}

async fn wait_for(access: &Access, path: &str, expected: u16) -> anyhow::Result<()> {
    let until = Instant::now() + NAMESPACE_LIMIT;
    loop {
        let (status, _) = access.send(Method::GET, path, JSON, &Value::Null).await?;
        if status == expected {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("{path}: still {status} after {} s", NAMESPACE_LIMIT.as_secs());
        }
        sleep(POLL_INTERVAL).await;
    }
}
