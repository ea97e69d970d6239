//! Cluster health, computed from an archive: `meta/clusterhealth.json` (core §7.7, cli §12).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, BufRead, BufReader, Read},
    marker::PhantomData,
    sync::LazyLock,
};

use regex::bytes::Regex;
use serde::{Deserialize, Deserializer, Serialize, de};
use sono_types::{ResultFiles, constants, layout};

use crate::process::{Problem, base};

mod text;

pub use text::{health_lines, health_report};

/// Health of nodes and pods, and numbers of errors and warnings in logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Nodes.
    pub node_health: ComponentHealth,
    /// Pods.
    pub pod_health: ComponentHealth,
    /// `gitVersion` of the API server.
    pub api_version: String,
    /// Number of lines by log file, for `Errors` and `Warnings`.
    pub error_summary: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Health of all nodes or of all pods. The JSON keys contain `nodes` in both cases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComponentHealth {
    /// Number of nodes or pods.
    pub total_nodes: u64,
    /// Number of healthy ones.
    pub healthy_nodes: u64,
    /// Health of each node or pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<HealthDetail>,
}

/// Health of one node or pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthDetail {
    /// Name of the node or pod.
    pub name: String,
    /// Whether it is healthy.
    pub healthy: bool,
    /// Status of the relevant condition, or `Ready`.
    pub ready: String,
    /// Reason of the condition.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Message of the condition.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Namespace of a pod.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// Computes the health from an archive, with `files` rooted at the archive's root. Missing and unreadable files are ignored.
/// Unhealthy pods of plugins and their logs are not counted: the results of the plugins report them.
pub fn cluster_health(files: &dyn ResultFiles) -> Health {
    read_health(files).0
}

/// Like [`cluster_health`], and returns the problems of unreadable files.
pub fn read_health(files: &dyn ResultFiles) -> (Health, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut health = Health::default();
    let nodes_file = layout::cluster_resource("", "v1", "nodes");
    for node in objects(files, &nodes_file, &mut problems) {
        health.node_health.add(node_detail(node));
    }
    let mut ignored = BTreeSet::new();
    let pods_file = layout::cluster_resource("", "v1", "pods");
    for file in list(files, "resources", &mut problems) {
        if base(&file) == base(&pods_file) {
            for pod in objects(files, &file, &mut problems) {
                let is_plugin = pod.is_of_plugin();
                let detail = pod_detail(pod);
                if is_plugin && !detail.healthy {
                    ignored.insert((detail.namespace, detail.name));
                } else {
                    health.pod_health.add(detail);
                }
            }
        }
    }
    if let Some(version) = json::<Version>(files, layout::SERVER_VERSION, &mut problems) {
        health.api_version = version.git_version.unwrap_or_default();
    }
    let counts = |file: &&String| log_of(file).is_some_and(|pod| !ignored.contains(&pod));
    for file in list(files, "podlogs", &mut problems).iter().filter(counts) {
        let counted = files
            .open(file)
            .and_then(|reader| count_lines(BufReader::with_capacity(MAX_LINE_BYTES, reader)));
        match counted {
            Ok(counts) => {
                for (class, count) in [("Errors", counts.errors), ("Warnings", counts.warnings)] {
                    if count > 0 {
                        let files = health.error_summary.entry(class.to_owned()).or_default();
                        files.insert(file.clone(), count);
                    }
                }
            }
            Err(error) => problems.push(problem(file, &error)),
        }
    }
    (health, problems)
}

impl ComponentHealth {
    fn add(&mut self, detail: HealthDetail) {
        self.total_nodes += 1;
        self.healthy_nodes += u64::from(detail.healthy);
        self.details.push(detail);
    }
}

fn problem(file: &str, error: &impl ToString) -> Problem {
    Problem {
        file: file.to_owned(),
        message: error.to_string(),
    }
}

fn list(files: &dyn ResultFiles, below: &str, problems: &mut Vec<Problem>) -> Vec<String> {
    files.list(below).unwrap_or_else(|error| {
        problems.push(problem(below, &error));
        Vec::new()
    })
}

fn json<T: de::DeserializeOwned>(files: &dyn ResultFiles, file: &str, problems: &mut Vec<Problem>) -> Option<T> {
    let reader = match files.open(file) {
        Ok(reader) => reader,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            problems.push(problem(file, &error));
            return None;
        }
    };
    serde_json::from_reader(BufReader::new(reader))
        .map_err(|error| problems.push(problem(file, &error)))
        .ok()
}

fn objects(files: &dyn ResultFiles, file: &str, problems: &mut Vec<Problem>) -> Vec<Object> {
    json::<List>(files, file, problems).map_or_else(Vec::new, |list| list.0)
}

/// A list of objects: a JSON array in archives before v0.56, an object with `items` since.
struct List(Vec<Object>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor(PhantomData<()>);
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = List;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of objects")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<List, A::Error> {
                let mut objects = Vec::new();
                while let Some(object) = access.next_element()? {
                    objects.push(object);
                }
                Ok(List(objects))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<List, A::Error> {
                let mut objects = Vec::new();
                while let Some(key) = access.next_key::<String>()? {
                    if key == "items" {
                        objects = access.next_value::<Option<Vec<Object>>>()?.unwrap_or_default();
                    } else {
                        access.next_value::<de::IgnoredAny>()?;
                    }
                }
                Ok(List(objects))
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

/// The parsed fields of a node or pod; all others are skipped.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: Metadata,
    status: Status,
}

impl Object {
    /// Whether this is the pod of a plugin.
    fn is_of_plugin(&self) -> bool {
        let component = |labels: &BTreeMap<String, String>| labels.get(constants::COMPONENT_LABEL).cloned();
        self.metadata.labels.as_ref().and_then(component).as_deref() == Some("plugin")
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
    conditions: Option<Vec<Condition>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "gitVersion")]
    git_version: Option<String>,
}

fn node_detail(node: Object) -> HealthDetail {
    let conditions = node.status.conditions.unwrap_or_default();
    let ready = conditions.into_iter().find(|condition| condition.r#type == "Ready");
    let ready = ready.unwrap_or_default();
    HealthDetail {
        name: node.metadata.name,
        healthy: ready.status == "True",
        ready: ready.status,
        reason: ready.reason,
        message: ready.message,
        namespace: String::new(),
    }
}

fn pod_detail(pod: Object) -> HealthDetail {
    let detail = HealthDetail {
        name: pod.metadata.name,
        namespace: pod.metadata.namespace,
        ..HealthDetail::default()
    };
    if pod.status.phase == "Running" || pod.status.phase == "Succeeded" {
        return HealthDetail {
            healthy: true,
            ready: "Ready".to_owned(),
            ..detail
        };
    }
    let conditions = pod.status.conditions.unwrap_or_default();
    let cause = conditions.into_iter().find(|condition| condition.status != "True");
    let cause = cause.unwrap_or_default();
    HealthDetail {
        ready: cause.status,
        reason: cause.reason,
        message: cause.message,
        ..detail
    }
}

/// Namespace and name of the pod of a log, `podlogs/<namespace>/<pod>/logs/<container>.txt`.
fn log_of(file: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = file.splitn(5, '/').collect();
    let ["podlogs", namespace, pod, "logs", name] = parts.as_slice() else {
        return None;
    };
    name.strip_suffix(".txt").filter(|stem| !stem.is_empty())?;
    Some(((*namespace).to_owned(), (*pod).to_owned()))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct LineCounts {
    errors: u64,
    warnings: u64,
}

/// Number of bytes at the start of a line that are checked.
const MAX_LINE_BYTES: usize = 64 << 10;

static ERROR: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?-u)[fF]ailed|[eE]rror|^E[0-9]|level=error"));
static WARNING: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?-u)[wW]arn|^W[0-9]|level=warn"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant that the tests compile")
}

/// Counts lines with errors and warnings. A line counts at most once for each.
fn count_lines(mut reader: impl BufRead) -> io::Result<LineCounts> {
    let mut counts = LineCounts::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        reader
            .by_ref()
            .take(MAX_LINE_BYTES as u64)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(counts);
        }
        counts.errors += u64::from(ERROR.is_match(&line));
        counts.warnings += u64::from(WARNING.is_match(&line));
        if !line.ends_with(b"\n") {
            reader.skip_until(b'\n')?;
        }
    }
}
