//! The configuration and health of each node's kubelet (core §7.3).

use std::{path::Path, time::Duration};

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use sono_kube::query::{ListRequest, QueryError, Reader, encode};
use sono_types::{error_chain, layout};

use super::{
    file::{Names, write_json},
    redaction::Redaction,
    row::{Cause, Failure},
};

/// Time limit of one response of a node.
const LIMIT: Duration = Duration::from_secs(30);
/// Maximum number of nodes that are queried concurrently.
const MAX_CONCURRENT: usize = 8;
/// Maximum length of a health check's response, in characters.
const MAX_RESPONSE_CHARACTERS: usize = 2_000;

/// Queries all nodes, also if some do not respond. Returns the number of files and the failure.
pub(super) async fn hosts(reader: &Reader, directory: &Path, redaction: &Redaction) -> (u64, Option<Failure>) {
    let request = ListRequest {
        path: "/api/v1/nodes".to_owned(),
        ..ListRequest::default()
    };
    let nodes = match reader.list(&request, Names::default()).await {
        Ok((nodes, _)) => nodes.0,
        Err(error) => return (0, Some(super::failure(&error))),
    };
    if let Some(first) = nodes.first()
        && let Some(failure) = forbidden(reader, first).await
    {
        return (0, Some(failure));
    }
    let answers = stream::iter(nodes).map(|node| async move {
        let (config, health) = tokio::join!(
            configz(reader, directory, redaction, &node),
            healthz(reader, directory, &node)
        );
        let config = config.map_err(|error| (format!("{node} configz"), error.0));
        (config, health.map_err(|error| (format!("{node} healthz"), error.0)))
    });
    let answers: Vec<_> = answers.buffer_unordered(MAX_CONCURRENT).collect().await;
    let (mut files, mut missing) = (0, Vec::new());
    for (config, health) in answers {
        match config {
            Ok(()) => files += 1,
            Err(problem) => missing.push(problem),
        }
        match health {
            Ok(problem) => {
                files += 1;
                missing.extend(problem);
            }
            Err(problem) => missing.push(problem),
        }
    }
    (files, Failure::parts(missing))
}

/// The refusal if this account may not reach kubelets through the API server: one line instead of two per node. Kubelets are
/// not queried directly, because that permission includes more.
async fn forbidden(reader: &Reader, node: &str) -> Option<Failure> {
    let (status, body) = ask(reader, node, "configz").await.ok()?;
    let answer: Value = serde_json::from_slice(&body).ok()?;
    // A kubelet that refuses the API server sends no `Status`.
    let is_refusal = status == 403 && answer.get("reason").and_then(Value::as_str) == Some("Forbidden");
    is_refusal.then(|| Failure::Whole {
        message: format!("configz and healthz of kubelets require permission to get nodes/proxy, which allows its holder to run commands in every pod: {}", shown(&body)),
        cause: Cause::Forbidden,
    })
}

/// Why a kubelet was not queried.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotQueried(String);

async fn configz(reader: &Reader, directory: &Path, redaction: &Redaction, node: &str) -> Result<(), NotQueried> {
    let (status, body) = ask(reader, node, "configz").await?;
    if status != 200 {
        return Err(NotQueried(format!("status {status}: {}", shown(&body))));
    }
    let mut config: Value = serde_json::from_slice(&body).map_err(|error| NotQueried(format!("not JSON: {error}")))?;
    let redactions = redaction.object_as("KubeletConfiguration", &mut config);
    let name = layout::host_config(node);
    write_json(&directory.join(&name), &config).map_err(|error| NotQueried(error_chain(&error)))?;
    redaction.record(&name, body.len() as u64, redactions);
    Ok(())
}

/// Writes the response with any status; a status other than 200 is also a problem.
async fn healthz(reader: &Reader, directory: &Path, node: &str) -> Result<Option<(String, String)>, NotQueried> {
    let (status, body) = ask(reader, node, "healthz").await?;
    let mut health = json!({ "status": status });
    let problem = (status != 200).then(|| {
        let message = shown(&body);
        health["message"] = message.as_str().into();
        (format!("{node} healthz"), format!("status {status}: {message}"))
    });
    write_json(&directory.join(layout::host_health(node)), &health).map_err(|error| NotQueried(error_chain(&error)))?;
    Ok(problem)
}

async fn ask(reader: &Reader, node: &str, what: &str) -> Result<(u16, Vec<u8>), NotQueried> {
    let path = format!("/api/v1/nodes/{}/proxy/{what}", encode(node));
    match tokio::time::timeout(LIMIT, reader.probe(&path)).await {
        Ok(Ok(probe)) => Ok((probe.status, probe.body)),
        Ok(Err(error)) => Err(NotQueried(said(&error))),
        Err(_) => Err(NotQueried(format!("no response within {} s", LIMIT.as_secs()))),
    }
}

fn said(error: &QueryError) -> String {
    error_chain(error)
}

/// The message of a response: that of a `Status`, or the text.
fn shown(body: &[u8]) -> String {
    let message = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|status| Some(status.get("message")?.as_str()?.to_owned()));
    let text = message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    text.trim().chars().take(MAX_RESPONSE_CHARACTERS).collect()
}
