//! Output of one test or plugin: the texts of a leaf, within limits.

use serde_json::Value;
use sono_results::Leaf;
use sono_types::{constants::ERROR_LOG, item::status};

use crate::{
    limits,
    lines::{Piece, head, pieces},
};

/// Prefix of test names in Ginkgo 2.
const GINKGO_PREFIX: &str = "[It]";
/// Details with the log of a test, the most specific first.
const LOGS: [&str; 4] = ["system-err", "system-out", ERROR_LOG, "output"];
/// Line with which the suite begins to print the nodes, after all that it prints about the namespace.
const NODE_DUMP: &str = "Logging node info for node";
/// Start of a node's description in one line.
const NODE_INFO: &str = "Node Info: &Node{ObjectMeta:{";

/// Texts of a test or plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutput {
    /// Plugin that reported it.
    pub plugin: String,
    /// Name without the prefix of Ginkgo.
    pub name: String,
    /// File in the archive.
    pub file: Option<String>,
    /// Result status.
    pub status: String,
    /// Failure message.
    pub message: String,
    /// Name of the detail with the log, such as `system-err`.
    pub log_part: &'static str,
    /// Bad conditions of nodes when the test failed.
    pub nodes: Vec<NodeState>,
    /// Whether it replaces a missing result of a plugin.
    pub is_error_result: bool,
    pub(crate) log: Vec<Piece>,
}

/// Bad condition of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// Name of the node.
    pub name: String,
    /// `Ready=False KubeletNotReady: message`
    pub condition: String,
}

/// Log of a container in a test's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerLog {
    /// File in the archive.
    pub file: String,
    /// Plugin with the test.
    pub plugin: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Start of the log.
    pub text: String,
}

impl ContainerLog {
    /// Plugin and namespace of a log by its file in the archive: `plugins/e2e/results/global/dns-1/pod/container/logs.txt`.
    pub fn place(file: &str) -> Option<(&str, &str)> {
        let parts: Vec<&str> = file.split('/').collect();
        match parts.as_slice() {
            ["plugins", plugin, "results", _, namespace, _, _, "logs.txt"] => Some((plugin, namespace)),
            _ => None,
        }
    }
}

impl TestOutput {
    /// Texts of a leaf. `None` unless it failed, timed out, or passed with a log.
    pub fn of(plugin: &str, leaf: Leaf<'_>) -> Option<Self> {
        let item = leaf.item;
        let is_failed = matches!(item.status.as_str(), status::FAILED | status::TIMEOUT);
        let detail = |key: &str| item.details.get(key).map(text).filter(|text| !text.trim().is_empty());
        let log = LOGS.iter().find_map(|key| Some((*key, detail(key)?)));
        if !is_failed && (item.status != status::PASSED || log.is_none()) {
            return None;
        }
        let mut messages: Vec<String> = ["failure", "error"].into_iter().filter_map(detail).collect();
        if messages.is_empty() {
            messages.extend(item.meta.get("error").cloned());
        }
        let message = messages.join("\n");
        let (log_part, log) = log.unwrap_or_default();
        let end = log.find(NODE_DUMP).map_or(log.len(), |at| start_of_line(&log, at));
        let (before, after) = log.split_at(end);
        let file = leaf.file.map(|file| format!("plugins/{plugin}/{file}"));
        Some(Self {
            plugin: plugin.to_owned(),
            name: head(item.name.trim_start_matches(GINKGO_PREFIX).trim(), limits::NAME_BYTES).to_owned(),
            is_error_result: leaf.file.is_some_and(|file| file.starts_with("errors/")),
            file,
            status: item.status.clone(),
            message: head(&message, limits::MESSAGE_BYTES).to_owned(),
            log_part,
            nodes: nodes(after),
            log: pieces(before, limits::LOG_END_BYTES),
        })
    }

    /// Whether it failed or timed out.
    pub fn is_failed(&self) -> bool {
        self.status != status::PASSED
    }

    /// Approximate size in memory in bytes.
    pub fn bytes(&self) -> u64 {
        let log: usize = self.log.iter().map(|piece| piece.text.len()).sum();
        (log + self.message.len() + self.name.len() + 512) as u64
    }

    /// All lines of the log with their numbers.
    pub(crate) fn log_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.log
            .iter()
            .flat_map(|piece| (piece.first_line..).zip(piece.text.lines()))
    }
}

/// Text of a detail.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

fn start_of_line(text: &str, at: usize) -> usize {
    text.get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |line_end| line_end + 1)
}

/// Bad conditions in the descriptions of nodes.
fn nodes(dump: &str) -> Vec<NodeState> {
    let mut found = Vec::new();
    for line in dump.lines() {
        let Some((_, node)) = line.split_once(NODE_INFO) else {
            continue;
        };
        let name = node.split([' ', '}']).next().unwrap_or_default();
        for condition in node.split("NodeCondition{Type:").skip(1) {
            let Some(condition) = bad_condition(condition) else {
                continue;
            };
            if found.len() == limits::NODES {
                return found;
            }
            found.push(NodeState {
                name: head(name, limits::KEY_BYTES).to_owned(),
                condition: head(&condition, limits::ROW_BYTES).to_owned(),
            });
        }
    }
    found
}

/// `Ready=False KubeletNotReady: message`, unless the condition is good. The text is Go's notation of the condition.
fn bad_condition(text: &str) -> Option<String> {
    let (kind, rest) = text.split_once(",Status:")?;
    let (status, rest) = rest.split_once(',')?;
    let is_good = if kind == "Ready" {
        status == "True"
    } else {
        status != "True"
    };
    if is_good {
        return None;
    }
    let reason = rest
        .split_once("Reason:")
        .and_then(|(_, reason)| reason.split(',').next())
        .unwrap_or_default();
    let message = rest
        .split_once("Message:")
        .and_then(|(_, message)| message.split(",}").next())
        .unwrap_or_default();
    Some(format!("{kind}={status} {reason}: {message}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use sono_types::Item;

    use super::*;

    fn output(status: &str, details: &[(&str, Value)]) -> Option<TestOutput> {
        let details: BTreeMap<String, Value> = details
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        let item = Item {
            name: "[It] works".to_owned(),
            status: status.to_owned(),
            details,
            ..Item::default()
        };
        TestOutput::of(
            "e2e",
            Leaf {
                item: &item,
                path: &[],
                file: Some("results/global/j.xml"),
            },
        )
    }

    #[test]
    fn output_ends_before_the_nodes() {
        let condition = |kind: &str, status: &str| {
            format!("NodeCondition{{Type:{kind},Status:{status},LastHeartbeatTime:x,Reason:Why,Message:a, b,}},")
        };
        let log = format!(
            "STEP: x\nlast\nI1122 19:00:00.0 1 dump.go:109] \nLogging node info for node n1\nNode Info: &Node{{ObjectMeta:{{n1  uid{}{}{}",
            condition("MemoryPressure", "False"),
            condition("DiskPressure", "True"),
            condition("Ready", "Unknown"),
        );
        let found = output("failed", &[("failure", json!("broken")), ("system-err", json!(log))]).unwrap();
        let state = |condition: &str| NodeState {
            name: "n1".to_owned(),
            condition: condition.to_owned(),
        };
        assert_eq!(
            found,
            TestOutput {
                plugin: "e2e".to_owned(),
                name: "works".to_owned(),
                file: Some("plugins/e2e/results/global/j.xml".to_owned()),
                status: "failed".to_owned(),
                message: "broken".to_owned(),
                log_part: "system-err",
                nodes: vec![state("DiskPressure=True Why: a, b"), state("Ready=Unknown Why: a, b")],
                is_error_result: false,
                log: vec![Piece {
                    first_line: 1,
                    text: "STEP: x\nlast\nI1122 19:00:00.0 1 dump.go:109] \n".to_owned()
                }],
            }
        );
    }

    #[test]
    fn passed_test_without_a_log_has_no_output() {
        assert_eq!(output("passed", &[]), None);
        assert_eq!(output("skipped", &[("system-err", json!("x"))]), None);
        assert!(!output("passed", &[("system-out", json!("x"))]).unwrap().is_failed());
        assert!(output("timeout", &[]).unwrap().is_failed());
    }

    #[test]
    fn log_of_a_container_is_found_by_its_file() {
        let place = ContainerLog::place("plugins/e2e/results/global/dns-1/pod/c/logs.txt");
        assert_eq!(place, Some(("e2e", "dns-1")));
        for other in [
            "plugins/e2e/results/global/e2e.log",
            "podlogs/ns/pod/logs/c.txt",
            "plugins/e2e/results/global/a/b/c/d/logs.txt",
        ] {
            assert_eq!(ContainerLog::place(other), None, "{other}");
        }
    }
}
