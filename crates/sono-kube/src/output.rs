//! The last lines of a failed container's log.

use std::time::Duration;

use futures::AsyncReadExt as _;
use sono_redact::{Layers, Redactions, Redactor};
use sono_types::shortened;

use crate::{Cluster, LogOptions, PodView, view::ContainerState};

/// Maximum number of lines.
const LINES: usize = 10;
/// Maximum number of characters of a line.
const LINE_CHARACTERS: usize = 300;
/// Maximum number of bytes that are read.
const MAX_BYTES: u64 = 256 << 10;
/// Time limit: a failure is more important than its log.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The last lines of a failed container's log, without secrets of a known shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedOutput {
    /// Name of the container.
    pub container: String,
    /// Whether the container was restarted since.
    pub previous: bool,
    /// At most ten shortened lines, the last one last.
    pub lines: Vec<String>,
}

impl PodView {
    /// The first container that ended with an error, and whether it was restarted since.
    pub fn failed_container(&self) -> Option<(&str, bool)> {
        let failed = |ended: Option<&crate::view::Ended>| ended.is_some_and(|ended| ended.code != 0);
        let mut containers = self.init_containers.iter().chain(&self.containers);
        containers.find_map(|container| {
            if failed(container.state.ended()) {
                return Some((&*container.name, false));
            }
            // The current log of a waiting container is that of its last start.
            let is_waiting = matches!(container.state, ContainerState::Waiting { .. });
            failed(container.last.as_deref()).then_some((&*container.name, !is_waiting))
        })
    }
}

impl Cluster {
    /// Reads the end of the log of the pod's failed container. Best effort: `None` if no container failed, or if the log
    /// is empty or cannot be read in time.
    pub async fn failed_output(&self, namespace: &str, pod: &PodView) -> Option<FailedOutput> {
        let (container, previous) = pod.failed_container()?;
        let options = LogOptions {
            previous,
            tail_lines: i64::try_from(LINES).ok(),
            ..LogOptions::default()
        };
        let read = async {
            let log = self.pod_logs(namespace, &pod.name, container, &options).await?;
            let mut bytes = Vec::new();
            // The lines before an interruption are still useful.
            drop(log.take(MAX_BYTES).read_to_end(&mut bytes).await);
            Ok::<_, crate::KubeError>(bytes)
        };
        let bytes = match tokio::time::timeout(TIME_LIMIT, read).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => {
                tracing::debug!(%error, "cannot read the log of a failed container");
                return None;
            }
            Err(_) => return None,
        };
        let lines = last_lines(&bytes);
        (!lines.is_empty()).then(|| FailedOutput {
            container: container.to_owned(),
            previous,
            lines,
        })
    }
}

/// The last lines of a log, shortened, without secrets of a known shape.
fn last_lines(log: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let text = lines[lines.len().saturating_sub(LINES)..].join("\n");
    Redactor::default()
        .text(&text, Layers::All, &mut Redactions::default())
        .lines()
        .map(|line| shortened(line, LINE_CHARACTERS))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn last_lines_are_short_and_without_secrets() {
        let log = (1..=12).map(|number| format!("line {number}")).collect::<Vec<_>>();
        let log = log.join("\r\n\n");
        let expected: Vec<String> = (3..=12).map(|number| format!("line {number}")).collect();
        assert_eq!(last_lines(log.as_bytes()), expected);
        let long = "x".repeat(400);
        let token = format!("ghp_{}", "a1B2".repeat(9));
        assert_eq!(
            last_lines(format!("{long}\nuse {token}\npassword=hunter22x\n\u{ff}").as_bytes()),
            [
                format!("{}…", "x".repeat(300)),
                "use [redacted]".to_owned(),
                "password=[redacted]".to_owned(),
                "\u{ff}".to_owned()
            ]
        );
        assert_eq!(last_lines(b"\n\n"), Vec::<String>::new());
        assert_eq!(last_lines(b"a\xff"), ["a\u{fffd}"]);
    }

    #[test]
    fn first_failed_container_is_found() {
        let (fine, failed) = (
            json!({"terminated": {"exitCode": 0}}),
            json!({"terminated": {"exitCode": 3}}),
        );
        let (running, waiting) = (
            json!({"running": {}}),
            json!({"waiting": {"reason": "CrashLoopBackOff"}}),
        );
        let found = |containers: &[(&str, &Value, &Value)]| {
            let statuses: Vec<Value> = containers
                .iter()
                .map(|(name, state, last)| {
                    json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state, "lastState": last})
                })
                .collect();
            let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": []}, "status": {"containerStatuses": statuses}});
            let view = PodView::from(&serde_json::from_value::<crate::Pod>(pod).unwrap());
            view.failed_container()
                .map(|(name, previous)| (name.to_owned(), previous))
        };
        let none = json!({});
        let expected = |name: &str, previous| Some((name.to_owned(), previous));
        assert_eq!(found(&[("a", &fine, &none), ("b", &running, &none)]), None);
        assert_eq!(
            found(&[("a", &fine, &none), ("b", &failed, &none)]),
            expected("b", false)
        );
        assert_eq!(found(&[("a", &running, &failed)]), expected("a", true));
        assert_eq!(found(&[("a", &waiting, &failed)]), expected("a", false));
        assert_eq!(found(&[("a", &fine, &failed)]), expected("a", true));
    }
}
