//! Pods on a real API server: bound to nodes behind which there is no machine, so that nobody runs them.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use anyhow::{bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{access::Access, objects};

/// Requests at the same time.
const AT_ONCE: usize = 32;
/// How long a namespace may take to have its account, or to be gone.
const LIMIT: Duration = Duration::from_mins(4);
const PAUSE: Duration = Duration::from_millis(200);
const JSON: &str = "application/json";

/// Creates the pods of these numbers, and says in place of a kubelet that they run.
pub(super) async fn create(access: &Access, numbers: Range<usize>) -> anyhow::Result<()> {
    // As `cargo xtask cluster up --fake-nodes` names them. Pods on real nodes would be run.
    let nodes = access.get("/api/v1/nodes?labelSelector=sono.local/fake=true").await?;
    let nodes: Vec<&str> = nodes["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|node| node["metadata"]["name"].as_str())
        .collect();
    ensure!(
        !nodes.is_empty(),
        "this cluster has no node without a machine: `cargo xtask cluster up --fake-nodes 100` makes some"
    );
    let namespaces: BTreeSet<String> = numbers.clone().map(objects::namespace_name).collect();
    for name in &namespaces {
        let body = objects::namespace(name);
        expect(access, Method::POST, "/api/v1/namespaces", JSON, &body, &[201, 409]).await?;
    }
    for name in &namespaces {
        // Without it pods are refused.
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
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

/// Removes all namespaces of ours with what is in them, and waits until they are gone.
pub(super) async fn clear(access: &Access) -> anyhow::Result<()> {
    let found = access
        .get(&format!("/api/v1/namespaces?labelSelector={}=true", objects::LABEL))
        .await?;
    let names = found["items"].as_array().into_iter().flatten();
    let names = names.filter_map(|namespace| namespace["metadata"]["name"].as_str());
    stream::iter(names)
        .map(|name| async move {
            let path = format!("/api/v1/namespaces/{name}");
            // Nobody would ever say that they have ended.
            let at_once = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
            expect(access, Method::DELETE, &format!("{path}/pods"), JSON, &at_once, &[200]).await?;
            expect(access, Method::DELETE, &path, JSON, &Value::Null, &[200, 202, 404, 409]).await?;
            wait_for(access, &path, 404).await
        })
        .buffer_unordered(AT_ONCE)
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
    fine: &[u16],
) -> anyhow::Result<()> {
    let (status, answer) = access.send(method.clone(), path, kind, body).await?;
    ensure!(
        fine.contains(&status),
        "{method} {path}: {status}: {}",
        answer["message"]
    );
    Ok(())
}

async fn wait_for(access: &Access, path: &str, wanted: u16) -> anyhow::Result<()> {
    let until = Instant::now() + LIMIT;
    loop {
        let (status, _) = access.send(Method::GET, path, JSON, &Value::Null).await?;
        if status == wanted {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("{path}: still {status} after {} s", LIMIT.as_secs());
        }
        sleep(PAUSE).await;
    }
}
