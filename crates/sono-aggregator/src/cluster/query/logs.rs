//! Logs of pods (core §7.5), streamed to disk: of all containers, including init and ephemeral ones, and of previous instances
//! of restarted containers.

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use serde_json::Value;
use sono_kube::{
    KubeError, LogOptions,
    query::{ListRequest, QueryError, Reader, ResponseBody, encode},
};
use sono_redact::TextStream;
use sono_types::{error_chain, layout};
use tokio::io::AsyncWriteExt as _;

use super::{
    file::is_segment,
    plan::Logs,
    redaction::Redaction,
    row::{Failure, Row},
};
use crate::clock::Clock;

/// Maximum number of logs that are fetched concurrently.
const MAX_CONCURRENT: usize = 8;
/// Time limit of one log.
const LIMIT: Duration = Duration::from_mins(5);
/// Maximum size of one log in bytes, unless the configuration sets a limit.
const DEFAULT_MAX_BYTES: u64 = 256 << 20;

/// One log to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Log {
    container: String,
    /// Of the container before the last restart.
    previous: bool,
    /// An additional log: if it no longer exists, nothing is reported as missing.
    extra: bool,
}

/// A pod and its logs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pod {
    uid: String,
    namespace: String,
    name: String,
    logs: Vec<Log>,
}

#[derive(Debug, Default)]
struct Pods {
    /// Only logs of containers that were restarted.
    previous: bool,
    pods: Vec<Pod>,
}

impl sono_kube::query::Sink for Pods {
    fn restart(&mut self) -> io::Result<()> {
        self.pods.clear();
        Ok(())
    }

    fn item(&mut self, item: Value) -> io::Result<()> {
        self.pods.extend(read_pod(&item, self.previous));
        Ok(())
    }
}

/// The logs that a pod can have: evicted pods and containers that did not start have none.
fn read_pod(pod: &Value, previous: bool) -> Option<Pod> {
    let text = |pointer| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let phase = text("/status/phase");
    if (phase == "Failed" && text("/status/reason") == "Evicted") || !is_segment(namespace) || !is_segment(name) {
        return None;
    }
    let list = |pointer| {
        pod.pointer(pointer)
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
    };
    let mut logs = Vec::new();
    for (containers, statuses) in [
        ("/spec/initContainers", "/status/initContainerStatuses"),
        ("/spec/containers", "/status/containerStatuses"),
        ("/spec/ephemeralContainers", "/status/ephemeralContainerStatuses"),
    ] {
        for container in list(containers) {
            let Some(container) = container
                .get("name")
                .and_then(Value::as_str)
                .filter(|name| is_segment(name))
            else {
                continue;
            };
            let status = list(statuses)
                .iter()
                .find(|status| status.get("name").and_then(Value::as_str) == Some(container));
            let has = |pointer: &str| status.is_some_and(|status| status.pointer(pointer).is_some());
            let restarts = status
                .and_then(|status| status.get("restartCount")?.as_u64())
                .unwrap_or_default();
            let restarted = restarts > 0 || has("/lastState/terminated");
            let started = restarted
                || has("/state/running")
                || has("/state/terminated")
                || (status.is_none_or(|status| status.get("state").is_none()) && phase != "Pending");
            let log = |previous, extra| Log {
                container: container.to_owned(),
                previous,
                extra,
            };
            if previous {
                logs.extend(restarted.then(|| log(true, false)));
            } else {
                logs.extend(started.then(|| log(false, false)));
                logs.extend(restarted.then(|| log(true, true)));
            }
        }
    }
    Some(Pod {
        uid: text("/metadata/uid").to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        logs,
    })
}

/// Pods of one namespace, or of all by field selector.
struct Selection {
    namespace: Option<String>,
    fields: String,
}

/// Fetches all logs, once per pod. Returns one row per namespace and field selector.
pub(super) async fn logs(
    reader: &Reader,
    logs: &Logs,
    namespaces: &[String],
    (directory, redaction): (&Path, &Redaction),
    clock: &Clock,
) -> Vec<Row> {
    let by_namespace = namespaces
        .iter()
        .filter(|namespace| logs.includes_namespace(namespace))
        .map(|namespace| Selection {
            namespace: Some(namespace.clone()),
            fields: String::new(),
        });
    let by_field = logs.fields.iter().map(|fields| Selection {
        namespace: None,
        fields: fields.clone(),
    });
    let selections: Vec<Selection> = by_namespace.chain(by_field).collect();
    let found = stream::iter(selections).map(|selection| async move {
        let (start, began) = (clock(), Instant::now());
        let pods = pods(reader, logs, &selection).await;
        (selection, start, began, pods)
    });
    let found: Vec<_> = found.buffered(MAX_CONCURRENT).collect().await;
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    let mut wanted = Vec::new();
    for (selection, start, began, pods) in found {
        let index = rows.len();
        let failure = match pods {
            Ok(pods) => {
                for mut pod in pods {
                    if seen.insert(std::mem::take(&mut pod.uid)) {
                        wanted.push((index, Arc::new(pod)));
                    }
                }
                None
            }
            Err(error) => Some(super::failure(&error)),
        };
        let row = Row {
            object: "PodLogs".to_owned(),
            namespace: selection.namespace,
            about: (!selection.fields.is_empty()).then_some(("fieldSelector", selection.fields)),
            start,
            took: began.elapsed(),
            items: 0,
            failure,
        };
        rows.push((row, began, Vec::new()));
    }
    drop(seen);
    let options = &logs.options;
    // One selector after another, because a large cluster has tens of thousands of pods.
    let wanted = wanted.into_iter().flat_map(|(index, pod)| {
        let count = pod.logs.len();
        (0..count).map(move |log| (index, Arc::clone(&pod), log))
    });
    let mut fetched = stream::iter(wanted)
        .map(|(index, pod, log)| async move {
            let log = &pod.logs[log];
            let outcome = tokio::time::timeout(LIMIT, fetch(reader, options, (directory, redaction), &pod, log)).await;
            let late = || {
                Err(NotFetched(format!(
                    "the log was not complete after {} s",
                    LIMIT.as_secs()
                )))
            };
            let part = format!("{}/{} {}", pod.namespace, pod.name, log.container);
            let part = if log.previous {
                format!("{part} (previous)")
            } else {
                part
            };
            (index, part, outcome.unwrap_or_else(|_| late()))
        })
        .buffer_unordered(MAX_CONCURRENT);
    while let Some((index, part, outcome)) = fetched.next().await {
        let Some((row, began, missing)) = rows.get_mut(index) else {
            continue;
        };
        row.took = began.elapsed();
        match outcome {
            Ok(written) => row.items += u64::from(written),
            Err(NotFetched(message)) => missing.push((part, message)),
        }
    }
    rows.into_iter()
        .map(|(mut row, _, missing)| {
            row.failure = row.failure.or_else(|| Failure::parts(missing));
            row
        })
        .collect()
}

async fn pods(reader: &Reader, logs: &Logs, selection: &Selection) -> Result<Vec<Pod>, QueryError> {
    let request = ListRequest {
        path: match &selection.namespace {
            Some(namespace) => format!("/api/v1/namespaces/{}/pods", encode(namespace)),
            None => "/api/v1/pods".to_owned(),
        },
        labels: logs.labels.clone(),
        fields: selection.fields.clone(),
    };
    let sink = Pods {
        previous: logs.options.previous,
        pods: Vec::new(),
    };
    Ok(reader.list(&request, sink).await?.0.pods)
}

/// Why a log is missing, or not complete.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotFetched(String);

/// Streams one log to its file, redacted. Returns whether the log exists.
async fn fetch(
    reader: &Reader,
    options: &LogOptions,
    (directory, redaction): (&Path, &Redaction),
    pod: &Pod,
    log: &Log,
) -> Result<bool, NotFetched> {
    let mut opened = match reader.open(&path(options, pod, log)).await {
        Err(QueryError::Kube(KubeError::Refused { code: 400 | 404, .. } | KubeError::NotFound { .. })) if log.extra => {
            return Ok(false);
        }
        opened => opened.map_err(|error| NotFetched(error_chain(&error)))?,
    };
    let name = if log.extra {
        layout::previous_pod_log(&pod.namespace, &pod.name, &log.container)
    } else {
        layout::pod_log(&pod.namespace, &pod.name, &log.container)
    };
    let target = directory.join(&name);
    let disk = |error: io::Error| NotFetched(format!("cannot be written: {error}"));
    if let Some(parent) = target.parent() {
        fs_err::tokio::create_dir_all(parent).await.map_err(disk)?;
    }
    let mut file = fs_err::tokio::File::create(&target).await.map_err(disk)?;
    // The server limits bytes before it splits lines, so it may send slightly more.
    let limit = options
        .limit_bytes
        .and_then(|limit| u64::try_from(limit).ok())
        .unwrap_or(DEFAULT_MAX_BYTES);
    let mut redacted = redaction.log();
    let mut out = Vec::new();
    let copied = copy(&mut opened, &mut file, limit, &mut redacted, &mut out).await;
    // An incomplete log is stored as well.
    let redactions = redacted.finish(&mut out);
    file.write_all(&out).await.map_err(disk)?;
    file.flush().await.map_err(disk)?;
    let stored = file.metadata().await.map_err(disk)?.len();
    redaction.record(&name, stored, redactions);
    match copied {
        Ok((_, true)) => Ok(true),
        Ok((_, false)) if options.limit_bytes.is_some() => Ok(true),
        Ok((written, false)) => Err(NotFetched(format!(
            "only the first {written} bytes of the log were stored"
        ))),
        Err(NotFetched(message)) => Err(NotFetched(format!("the log is incomplete: {message}"))),
    }
}

/// Writes at most `limit` bytes of a log, redacted. Returns the number of bytes read and whether the log ended within the
/// limit. What is not decided yet stays in the stream.
async fn copy(
    opened: &mut ResponseBody,
    file: &mut fs_err::tokio::File,
    limit: u64,
    redacted: &mut TextStream<'_>,
    out: &mut Vec<u8>,
) -> Result<(u64, bool), NotFetched> {
    let mut read = 0;
    loop {
        let next = opened.next().await.map_err(|error| NotFetched(error_chain(&error)))?;
        let Some(data) = next else {
            return Ok((read, true));
        };
        let left = usize::try_from(limit - read).unwrap_or(usize::MAX);
        let part = data.slice(..data.len().min(left));
        redacted.push(&part, out);
        read += part.len() as u64;
        let written = file.write_all(out).await;
        written.map_err(|error| NotFetched(format!("cannot be written: {error}")))?;
        out.clear();
        if part.len() < data.len() {
            return Ok((read, false));
        }
    }
}

fn path(options: &LogOptions, pod: &Pod, log: &Log) -> String {
    let LogOptions {
        follow: _,
        previous: _,
        timestamps,
        since_seconds,
        since_time,
        tail_lines,
        limit_bytes,
    } = options;
    let number = |number: &Option<i64>| number.map(|number| number.to_string());
    let parameters = [
        ("container", Some(encode(&log.container))),
        ("previous", log.previous.then(|| "true".to_owned())),
        ("timestamps", timestamps.then(|| "true".to_owned())),
        ("sinceSeconds", number(since_seconds)),
        ("sinceTime", since_time.map(|time| encode(&time.to_string()))),
        ("tailLines", number(tail_lines)),
        ("limitBytes", number(limit_bytes)),
    ];
    let query: Vec<String> = parameters
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value?)))
        .collect();
    let (namespace, name) = (encode(&pod.namespace), encode(&pod.name));
    format!("/api/v1/namespaces/{namespace}/pods/{name}/log?{}", query.join("&"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(pod: &Value, previous: bool) -> Option<Vec<String>> {
        let name = |log: &Log| {
            let mark = match (log.previous, log.extra) {
                (false, _) => "",
                (true, true) => " before, too",
                (true, false) => " before",
            };
            format!("{}{mark}", log.container)
        };
        read_pod(pod, previous).map(|pod| pod.logs.iter().map(name).collect())
    }

    fn pod(status: &Value) -> Value {
        json!({"metadata": {"namespace": "n", "name": "p", "uid": "u"}, "status": status, "spec": {
            "initContainers": [{"name": "init"}], "containers": [{"name": "main"}, {"name": "side"}],
            "ephemeralContainers": [{"name": "debug"}]}})
    }

    #[test]
    fn containers_that_ran_have_logs() {
        let running = json!({"running": {"startedAt": "t"}});
        let crashing = pod(&json!({"phase": "Running",
            "initContainerStatuses": [{"name": "init", "restartCount": 0, "state": {"terminated": {"exitCode": 0}}, "lastState": {}}],
            "containerStatuses": [
                {"name": "main", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1}}},
                {"name": "side", "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}, "lastState": {}}],
            "ephemeralContainerStatuses": [{"name": "debug", "restartCount": 0, "state": running, "lastState": {}}]}));
        let owned = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(
            names(&crashing, false),
            owned(&["init", "main", "main before, too", "debug"])
        );
        assert_eq!(names(&crashing, true), owned(&["main before"]));
        assert_eq!(names(&pod(&json!({"phase": "Pending"})), false), owned(&[]));
        assert_eq!(
            names(&pod(&json!({"phase": "Running"})), false),
            owned(&["init", "main", "side", "debug"])
        );
        assert_eq!(
            names(&pod(&json!({"phase": "Failed", "reason": "Evicted"})), false),
            None
        );
    }

    #[test]
    fn every_limit_reaches_the_server() {
        let options = LogOptions {
            follow: false,
            previous: false,
            timestamps: true,
            since_seconds: Some(60),
            since_time: Some("2026-01-02T03:04:05Z".parse().unwrap()),
            tail_lines: Some(0),
            limit_bytes: Some(7),
        };
        let pod = read_pod(&pod(&json!({"phase": "Running"})), false).unwrap();
        let log = Log {
            container: "c".to_owned(),
            previous: true,
            extra: true,
        };
        assert_eq!(
            path(&options, &pod, &log),
            "/api/v1/namespaces/n/pods/p/log?container=c&previous=true&timestamps=true&sinceSeconds=60&sinceTime=2026-01-02T03%3A04%3A05Z&tailLines=0&limitBytes=7"
        );
        let plain = Log { previous: false, ..log };
        assert_eq!(
            path(&LogOptions::default(), &pod, &plain),
            "/api/v1/namespaces/n/pods/p/log?container=c"
        );
    }
}
