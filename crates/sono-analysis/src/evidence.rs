//! Evidence of one failure, parsed from the log that the Kubernetes suite writes when a test fails.
//!
//! The suite prints the events and pods of the test's namespace (`test/e2e/framework/debug/dump.go`,
//! `test/e2e/framework/pod/resource.go`). Logs of other producers have no such lines; their evidence is the text alone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    lines::{begins_record, content, head},
    output::{ContainerLog, TestOutput},
};

/// Event in the test's namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Time as printed.
    pub time: String,
    /// Name of the object that it is about.
    pub object: String,
    /// Component and node.
    pub source: String,
    /// Reason, such as `BackOff`.
    pub reason: String,
    /// Message.
    pub message: String,
    /// Line in the log, from 1.
    pub line: usize,
}

/// Pod in the test's namespace when the test had failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Name.
    pub name: String,
    /// Node; empty if it is not scheduled.
    pub node: String,
    /// Phase.
    pub phase: String,
    /// Whether it was running and ready, or had succeeded.
    pub ready: bool,
    /// Conditions as printed.
    #[serde(skip)]
    pub conditions: String,
    /// Line in the log, from 1.
    pub line: usize,
}

/// Evidence of one failure.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// Texts of the test.
    pub output: &'a TestOutput,
    /// Namespace of the test.
    pub namespace: Option<String>,
    /// Source file and line of the failed assertion.
    pub location: Option<String>,
    /// Time of the failure as printed.
    pub time: Option<String>,
    /// Events in the order of the log, by time.
    pub events: Vec<Event>,
    /// Pods.
    pub pods: Vec<Pod>,
    /// Logs of containers in the namespace.
    pub logs: Vec<&'a ContainerLog>,
    /// Numbers of the log's lines that are events or pods.
    pub(crate) rows: BTreeSet<usize>,
}

impl<'a> Evidence<'a> {
    /// Parses the evidence in the texts of a test; `logs` are those of all tests.
    pub fn of(output: &'a TestOutput, logs: &'a [ContainerLog]) -> Self {
        let mut found = Evidence {
            output,
            namespace: None,
            location: None,
            time: None,
            events: Vec::new(),
            pods: Vec::new(),
            logs: Vec::new(),
            rows: BTreeSet::new(),
        };
        found.locate();
        let mut columns = None;
        let mut continued: Option<usize> = None;
        for (number, line) in output.log_lines() {
            if let Some(left) = continued
                && !begins_record(line)
            {
                found.rows.insert(number);
                if left > 0
                    && let Some(event) = found.events.last_mut()
                {
                    let message = format!("{} {}", event.message, line.trim());
                    head(&message, limits::ROW_BYTES).clone_into(&mut event.message);
                }
                continued = Some(left.saturating_sub(1));
                continue;
            }
            continued = None;
            if let Some(namespace) = namespace(line) {
                found.namespace = Some(namespace.to_owned());
                continue;
            }
            let text = content(line);
            if let Some(event) = event(text, number) {
                found.rows.insert(number);
                if found.events.len() < limits::EVENTS {
                    found.events.push(event);
                    continued = Some(limits::EVENT_LINES);
                }
            } else if let Some(header) = Columns::of(text) {
                found.rows.insert(number);
                columns = Some(header);
            } else if let Some(header) = &columns {
                match header.pod(text, number) {
                    Some(pod) if found.pods.len() < limits::PODS => {
                        found.rows.insert(number);
                        found.pods.push(pod);
                    }
                    Some(_) => {}
                    None => columns = None,
                }
            }
        }
        if let Some(namespace) = &found.namespace {
            let in_namespace = |log: &&ContainerLog| log.plugin == output.plugin && log.namespace == *namespace;
            found.logs = logs.iter().filter(in_namespace).collect();
        }
        found
    }

    /// Finds the failed assertion: `In [It] at: k8s.io/kubernetes@v1.37.2/test/e2e/apps/rc.go:195 @ 11/22/26 19:26:22.588`, or a
    /// line that is the path of a source file.
    fn locate(&mut self) {
        for line in self.output.message.lines() {
            if let Some((_, place)) = line.split_once("] at: ") {
                let (location, time) = place.split_once(" @ ").unwrap_or((place, ""));
                self.location = Some(head(location.trim(), limits::KEY_BYTES).to_owned());
                self.time = Some(time.trim().to_owned()).filter(|time| !time.is_empty());
                return;
            }
            if line.starts_with('/') && is_source_line(line) {
                self.location = Some(head(line, limits::KEY_BYTES).to_owned());
            }
        }
    }

    /// Pod by name.
    pub(crate) fn pod(&self, name: &str) -> Option<&Pod> {
        self.pods.iter().find(|pod| pod.name == name)
    }
}

fn is_source_line(line: &str) -> bool {
    line.rsplit_once(".go:")
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `STEP: Collecting events from namespace "x".`
fn namespace(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("Collecting events from namespace \"")?;
    let (name, _) = rest.split_once('"')?;
    (name.len() <= limits::KEY_BYTES).then_some(name)
}

/// `At 2026-11-22 19:21:23 +0000 UTC - event for rc-test-x: {kubelet node1} Failed: Error: ErrImagePull`
fn event(text: &str, line: usize) -> Option<Event> {
    let (time, rest) = text.strip_prefix("At ")?.split_once(" - event for ")?;
    let (object, rest) = rest.split_once(": {")?;
    let (source, rest) = rest.split_once("} ")?;
    let (reason, message) = rest.split_once(": ")?;
    let short = |text: &str| head(text.trim(), limits::KEY_BYTES).to_owned();
    Some(Event {
        time: short(time),
        object: short(object),
        source: short(source),
        reason: short(reason),
        message: head(message.trim(), limits::ROW_BYTES).to_owned(),
        line,
    })
}

/// Positions of the columns of the pod table.
#[derive(Debug, Clone, Copy)]
struct Columns {
    node: usize,
    phase: usize,
    grace: usize,
    conditions: usize,
}

impl Columns {
    /// `POD            NODE   PHASE    GRACE  CONDITIONS`
    fn of(text: &str) -> Option<Self> {
        if !text.starts_with("POD ") {
            return None;
        }
        let position = |word: &str| text.find(word);
        Some(Self {
            node: position("NODE")?,
            phase: position("PHASE")?,
            grace: position("GRACE")?,
            conditions: position("CONDITIONS")?,
        })
    }

    fn pod(&self, text: &str, line: usize) -> Option<Pod> {
        let cell = |from: usize, to: usize| text.get(from..to.min(text.len())).map(str::trim);
        let name = cell(0, self.node).filter(|name| !name.is_empty())?;
        let phase = cell(self.phase, self.grace)?;
        let conditions = text.get(self.conditions..).unwrap_or_default();
        Some(Pod {
            name: head(name, limits::KEY_BYTES).to_owned(),
            node: head(cell(self.node, self.phase)?, limits::KEY_BYTES).to_owned(),
            phase: head(phase, limits::KEY_BYTES).to_owned(),
            ready: phase == "Succeeded" || (phase == "Running" && is_true(conditions, "Ready")),
            conditions: head(conditions, limits::ROW_BYTES).to_owned(),
            line,
        })
    }
}

/// Whether a condition is true: `{Ready 1 True …}`, or `{Ready True …}` before generations were printed.
fn is_true(conditions: &str, kind: &str) -> bool {
    conditions.split('{').any(|condition| {
        let mut words = condition.split(' ').filter(|word| word.parse::<u64>().is_err());
        words.next() == Some(kind) && words.next() == Some("True")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sono_results::Leaf;
    use sono_types::Item;

    use super::*;

    pub(crate) fn output(message: &str, log: &str) -> TestOutput {
        let item = Item {
            name: "t".to_owned(),
            status: "failed".to_owned(),
            details: [
                ("failure".to_owned(), json!(message)),
                ("system-err".to_owned(), json!(log)),
            ]
            .into(),
            ..Item::default()
        };
        let leaf = Leaf {
            item: &item,
            path: &[],
            file: None,
        };
        TestOutput::of("e2e", leaf).unwrap()
    }

    const LOG: &str = "\
STEP: Creating a pod @ 11/22/26 19:19:42.1
STEP: Collecting events from namespace \"dns-12\". - k8s.io/kubernetes@v1.37.2/test/e2e/framework/debug/dump.go:42 @ 11/22/26 19:35:45.565
I1122 19:21:59.9      28 dump.go:53] At 2026-11-22 19:21:58 +0000 UTC - event for a-1: {kubelet n1} Failed: Error: first
second
I1122 19:21:59.9      28 dump.go:53] At 0001-01-01 00:00:00 +0000 UTC - event for a-2: { } Scheduled: assigned
I1122 19:22:00.0      28 resource.go:151] POD  NODE  PHASE    GRACE  CONDITIONS
I1122 19:22:00.0      28 resource.go:158] a-1  n1    Running         [{Ready 1 True 0001-01-01 00:00:00 +0000 UTC 2026-11-22 19:19:48 +0000 UTC  }]
I1122 19:22:00.0      28 resource.go:158] a-2        Pending  30s    [{PodScheduled 1 False x y Unschedulable 0/1 nodes}]
I1122 19:22:00.0      28 resource.go:158] a-3  n1    Running         [{Ready False z}]
I1122 19:22:00.0      28 resource.go:161] 
I1122 19:22:00.0      28 other.go:161] not a pod of the table
";

    #[test]
    fn evidence_of_the_suite_is_parsed() {
        let output = output("[FAILED] no\nIn [It] at: k8s.io/x.go:19 @ 11/22/26 19:35:45.56\n", LOG);
        let log = |namespace: &str| ContainerLog {
            file: String::new(),
            plugin: "e2e".to_owned(),
            namespace: namespace.to_owned(),
            text: String::new(),
        };
        let logs = [log("dns-1"), log("dns-12")];
        let found = Evidence::of(&output, &logs);
        assert_eq!(found.namespace.as_deref(), Some("dns-12"));
        assert_eq!(found.location.as_deref(), Some("k8s.io/x.go:19"));
        assert_eq!(found.time.as_deref(), Some("11/22/26 19:35:45.56"));
        let event = |time: &str, object: &str, source: &str, reason: &str, message: &str, line: usize| Event {
            time: time.to_owned(),
            object: object.to_owned(),
            source: source.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            line,
        };
        assert_eq!(
            found.events,
            [
                event(
                    "2026-11-22 19:21:58 +0000 UTC",
                    "a-1",
                    "kubelet n1",
                    "Failed",
                    "Error: first second",
                    3
                ),
                event("0001-01-01 00:00:00 +0000 UTC", "a-2", "", "Scheduled", "assigned", 5),
            ]
        );
        let pods: Vec<_> = found
            .pods
            .iter()
            .map(|pod| {
                (
                    pod.name.as_str(),
                    pod.node.as_str(),
                    pod.phase.as_str(),
                    pod.ready,
                    pod.line,
                )
            })
            .collect();
        assert_eq!(
            pods,
            [
                ("a-1", "n1", "Running", true, 7),
                ("a-2", "", "Pending", false, 8),
                ("a-3", "n1", "Running", false, 9)
            ]
        );
        assert_eq!(found.logs, [&logs[1]]);
        assert_eq!(found.rows.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn log_of_an_older_suite_is_parsed() {
        let output = output(
            "/workspace/src/k8s.io/framework.go:630\nAug 17 17:10:15.362: too small.\n/workspace/src/k8s.io/daemon_set.go:424",
            "STEP: Collecting events from namespace \"daemonsets-2796\".\nSTEP: Found 0 events.\n\
             Aug 17 17:10:15.387: INFO: POD  NODE  PHASE  GRACE  CONDITIONS\nAug 17 17:10:15.387: INFO: \n",
        );
        let found = Evidence::of(&output, &[]);
        assert_eq!(found.namespace.as_deref(), Some("daemonsets-2796"));
        assert_eq!(
            found.location.as_deref(),
            Some("/workspace/src/k8s.io/daemon_set.go:424")
        );
        assert_eq!((found.events, found.pods), (vec![], vec![]));
    }

    #[test]
    fn number_of_events_is_limited() {
        let line = "At t - event for a: {x } R: m\n";
        let output = output("", &line.repeat(limits::EVENTS + 5));
        let found = Evidence::of(&output, &[]);
        assert_eq!(found.events.len(), limits::EVENTS);
        assert_eq!(found.rows.len(), limits::EVENTS + 5);
    }

    #[test]
    fn hostile_rows_are_not_pods_or_events() {
        for line in [
            "At ",
            "At x - event for y",
            "At x - event for y: {z",
            "POD \u{1f600}NODE",
            "POD NODE PHASE GRACE CONDITIONS\n\u{1f600}\u{1f600}\u{1f600}",
        ] {
            let output = output("", line);
            let found = Evidence::of(&output, &[]);
            assert_eq!(found.events, [], "{line}");
        }
    }
}
