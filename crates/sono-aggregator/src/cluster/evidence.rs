//! The full pod of a failure, fetched once the verdict is known, without secrets.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;
use sono_kube::{Kind, PodView};
use sono_redact::{Redactions, Redactor};
use sono_run::Failure;
use sono_types::{ResultKey, constants::ERROR_LOG, error_chain};

use super::Shared;
use crate::backend::Report;

/// Time limit for fetching one pod: the failure is more important than the pod.
const FETCH_LIMIT: Duration = Duration::from_secs(5);
/// Maximum number of logs for failures that are reported together: many nodes usually fail for one reason.
const MAX_LOGS: usize = 20;
/// The detail that holds the pod.
const POD: &str = "pod";
/// The detail with the reason why the pod has only the watched fields.
const INCOMPLETE: &str = "podIncomplete";

/// Fetches the pods of failures that are reported together.
pub(super) struct Evidence<'a> {
    shared: &'a Shared,
    /// The API server has not answered: further pods are not waited for.
    silent: AtomicBool,
    /// Number of logs that were read.
    logs: AtomicUsize,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            silent: AtomicBool::new(false),
            logs: AtomicUsize::new(0),
        }
    }

    /// Reports a failure; with its pod, where there is one.
    pub(super) async fn report(&self, key: ResultKey, message: String, pod: Option<&PodView>) -> Report {
        let failure = match pod {
            Some(pod) => self.failure(message, pod).await,
            None => Failure::new(message),
        };
        Report::Failed(key, failure)
    }

    /// The failure with its pod, as fetched now or as last watched, and the end of its log.
    pub(super) async fn failure(&self, message: String, pod: &PodView) -> Failure {
        let log = self.log(pod).await;
        let mut failure = match self.fetch(pod).await {
            Ok(whole) => with_pod(message, whole, None),
            Err(NotRead(why)) => with_pod(message, pod.to_json(), Some(why)),
        };
        failure
            .details
            .extend(log.map(|log| (ERROR_LOG.to_owned(), log.into())));
        failure
    }

    /// The last lines of the failed container's log, of the first pods that are reported together.
    async fn log(&self, pod: &PodView) -> Option<String> {
        pod.failed_container()?;
        if self.silent.load(Ordering::Relaxed) || self.logs.fetch_add(1, Ordering::Relaxed) >= MAX_LOGS {
            return None;
        }
        let output = self
            .shared
            .cluster
            .failed_output(&self.shared.config.namespace, pod)
            .await?;
        Some(output.lines.join("\n"))
    }

    async fn fetch(&self, pod: &PodView) -> Result<Value, NotRead> {
        const WATCHED_FIELDS_ONLY: &str = "only the watched fields are shown";
        if self.silent.load(Ordering::Relaxed) {
            return Err(NotRead(format!(
                "the API server did not respond; {WATCHED_FIELDS_ONLY}"
            )));
        }
        let namespace = Some(self.shared.config.namespace.as_str());
        let get = self.shared.cluster.get(Kind::Pod, namespace, &pod.name);
        let error = match tokio::time::timeout(FETCH_LIMIT, get).await {
            Ok(Ok(Some(whole))) if whole.pointer("/metadata/uid").and_then(Value::as_str) == pod.uid.as_deref() => {
                return Ok(whole);
            }
            Ok(Ok(_)) => return Err(NotRead(format!("the pod no longer exists; {WATCHED_FIELDS_ONLY}"))),
            Ok(Err(error)) => {
                if error.is_transient() {
                    self.silent.store(true, Ordering::Relaxed);
                }
                error_chain(&error)
            }
            Err(_) => {
                self.silent.store(true, Ordering::Relaxed);
                format!("no response within {} s", FETCH_LIMIT.as_secs())
            }
        };
        Err(NotRead(format!(
            "the pod cannot be read: {error}; {WATCHED_FIELDS_ONLY}"
        )))
    }
}

/// Why a pod was not read for a failure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotRead(String);

/// The failure with a pod, without the values of environment variables: they may be secrets.
fn with_pod(message: String, mut pod: Value, incomplete: Option<String>) -> Failure {
    let began = Instant::now();
    Redactor::default().object_as("Pod", &mut pod, &|| began.elapsed(), &mut Redactions::default());
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            for variable in container
                .get_mut("env")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                if let Some(value) = variable.get_mut("value") {
                    *value = "removed".into();
                }
            }
        }
    }
    let incomplete = incomplete.map(|why| (INCOMPLETE.to_owned(), why.into()));
    Failure {
        message,
        details: [(POD.to_owned(), pod)].into_iter().chain(incomplete).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failure_contains_the_pod_without_secrets() {
        let failing = json!({"metadata": {"name": "p", "managedFields": [{"manager": "m"}]},
            "spec": {"containers": [{"name": "c", "env": [{"name": "CLIENT_KEY", "value": "secret"}],
                "args": ["--password=hunter2", "x"]}]}});
        let failure = with_pod("why".to_owned(), failing, None);
        assert_eq!(failure.message, "why");
        assert_eq!(
            failure.details["pod"].pointer("/spec/containers/0/env/0"),
            Some(&json!({"name": "CLIENT_KEY", "value": "removed"}))
        );
        assert_eq!(
            failure.details["pod"].pointer("/spec/containers/0/args"),
            Some(&json!(["--password=[redacted]", "x"]))
        );
        assert_eq!(failure.details["pod"].pointer("/metadata"), Some(&json!({"name": "p"})));
    }
}
