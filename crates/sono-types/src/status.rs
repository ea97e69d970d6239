//! The status of a run: JSON in the annotation [`crate::constants::STATUS_ANNOTATION`] of the aggregator's pod
//! (core §2.10).

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{constants, count, progress::ProgressUpdate};

/// Go's zero time, `0001-01-01T00:00:00Z`: the value of `tar-info.created` until the archive exists.
pub fn zero_time() -> Timestamp {
    jiff::civil::date(1, 1, 1)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .map_or(Timestamp::UNIX_EPOCH, |time| time.timestamp())
}

/// Phase of the whole run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum OverallStatus {
    /// Plugins are running.
    #[default]
    Running,
    /// All plugins have reported; queries, post-processing and packing are in progress.
    PostProcessing,
    /// The archive is ready.
    Complete,
    /// The run ended without an archive.
    Failed,
    /// A status that this version does not know.
    Other(String),
}

impl OverallStatus {
    /// The status as written in the annotation.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Running => "running",
            Self::PostProcessing => "post-processing",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Other(status) => status,
        }
    }
}

impl From<String> for OverallStatus {
    fn from(status: String) -> Self {
        match status.as_str() {
            "running" => Self::Running,
            "post-processing" => Self::PostProcessing,
            "complete" => Self::Complete,
            "failed" => Self::Failed,
            _ => Self::Other(status),
        }
    }
}

impl From<OverallStatus> for String {
    fn from(status: OverallStatus) -> Self {
        status.as_str().to_owned()
    }
}

impl fmt::Display for OverallStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Status of one expected result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PluginStatus {
    /// The plugin's name.
    pub plugin: String,
    /// The node's name, or `global`.
    pub node: String,
    /// `running`, `complete`, or `failed` (an error in place of a result).
    pub status: String,
    /// Status of the item tree, empty until post-processing.
    #[serde(rename = "result-status", default)]
    pub result_status: String,
    /// Number of leaves by status; `null` until post-processing.
    #[serde(rename = "result-counts", default, deserialize_with = "count::numbers")]
    pub result_counts: Option<BTreeMap<String, i64>>,
    /// The last progress update, if any.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "shared")]
    pub progress: Option<Arc<ProgressUpdate>>,
    /// Error message of a `failed` row, in one sentence. Shortened or omitted in a folded status. Not in Sonobuoy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// Serializes shared progress by value. The snapshots of a run's status share it to save memory.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::progress::ProgressUpdate;

    #[expect(clippy::ref_option, reason = "serde passes fields by reference")]
    pub(super) fn serialize<S: Serializer>(
        progress: &Option<Arc<ProgressUpdate>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        progress.as_deref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<ProgressUpdate>>, D::Error> {
        Ok(Option::deserialize(deserializer)?.map(Arc::new))
    }
}

impl PluginStatus {
    /// Readable form of [`PluginStatus::error`]; see [`reason`].
    pub fn reason(&self) -> Cow<'_, str> {
        reason(&self.error)
    }
}

/// Readable form of an error: timeouts are shortened to a few words and the last known state of the pod.
pub fn reason(error: &str) -> Cow<'_, str> {
    match error.strip_prefix(constants::TIMEOUT_MESSAGE) {
        None => Cow::Borrowed(error),
        Some(rest) => match rest.strip_prefix(constants::LAST_SEEN) {
            Some(seen) => Cow::Owned(format!("timed out: {}", seen.trim_end_matches('.'))),
            None => Cow::Borrowed("timed out"),
        },
    }
}

/// Values of [`PluginStatus::status`].
pub mod plugin_status {
    /// No result yet.
    pub const RUNNING: &str = "running";
    /// A result is stored.
    pub const COMPLETE: &str = "complete";
    /// An error is stored in place of a result.
    pub const FAILED: &str = "failed";
}

/// Node name of a row of the annotation that sums up `nodes` rows: `(9900 nodes)`.
///
/// It is not a valid node name; Sonobuoy's CLI shows it as if it were one. The full status has every row. Not in Sonobuoy.
pub fn folded_node(nodes: usize) -> String {
    format!("({nodes} nodes)")
}

/// Number of rows summed up in this one, up to [`count::MAX`]: the inverse of [`folded_node`].
pub fn folded_count(node: &str) -> Option<usize> {
    let count: usize = node.strip_prefix('(')?.strip_suffix(" nodes)")?.parse().ok()?;
    (count as u64 <= count::MAX.unsigned_abs()).then_some(count)
}

/// The archive. Always present in the status, zero until the archive is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TarInfo {
    /// Base name below [`crate::constants::AGGREGATOR_DIR`].
    pub name: String,
    /// When it was sealed.
    pub created: Timestamp,
    /// SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

impl Default for TarInfo {
    fn default() -> Self {
        Self {
            name: String::new(),
            created: zero_time(),
            sha256: String::new(),
            size: 0,
        }
    }
}

/// Nodes that a DaemonSet plugin leaves out because it does not tolerate a taint. Not in Sonobuoy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The plugin's name.
    pub plugin: String,
    /// Number of nodes.
    #[serde(deserialize_with = "count::nodes")]
    pub count: usize,
    /// The first of them.
    pub nodes: Vec<String>,
    /// The taint, such as `taint bad=yes:NoSchedule`.
    pub reason: String,
}

impl LeftOut {
    /// Maximum number of nodes named per taint; the others are only counted.
    const MAX_NAMES: usize = 2;
    /// Maximum number of taints listed separately; the others share one entry.
    const MAX_REASONS: usize = 3;

    /// The nodes that a plugin leaves out, by taint.
    pub fn of(plugin: &str, nodes: &BTreeMap<String, Vec<String>>) -> Vec<Self> {
        let one = |reason: &str, nodes: Vec<&String>| Self {
            plugin: plugin.to_owned(),
            count: nodes.len(),
            nodes: nodes.into_iter().take(Self::MAX_NAMES).cloned().collect(),
            reason: reason.to_owned(),
        };
        let with_nodes = || nodes.iter().filter(|(_, nodes)| !nodes.is_empty());
        let mut all: Vec<Self> = with_nodes()
            .take(Self::MAX_REASONS)
            .map(|(reason, nodes)| one(reason, nodes.iter().collect()))
            .collect();
        let others: Vec<&String> = with_nodes()
            .skip(Self::MAX_REASONS)
            .flat_map(|(_, nodes)| nodes)
            .collect();
        if !others.is_empty() {
            all.push(one("other taints", others));
        }
        all
    }
}

impl fmt::Display for LeftOut {
    /// `node1, node2 and 98 more: taint bad=yes:NoSchedule`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.nodes.join(", "))?;
        match self.count.saturating_sub(self.nodes.len()) {
            0 => {}
            more => write!(formatter, " and {more} more")?,
        }
        write!(formatter, ": {}", self.reason)
    }
}

/// Status of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    /// One row for each expected result; `null` until the expected results are known.
    pub plugins: Option<Vec<PluginStatus>>,
    /// Phase of the whole run.
    pub status: OverallStatus,
    /// The archive.
    #[serde(rename = "tar-info", default)]
    pub tarball: TarInfo,
    /// Nodes from which no result is expected. Not in Sonobuoy.
    #[serde(rename = "left-out", default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Why the archive is withheld, in one sentence; empty if it is not. Not in Sonobuoy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub withheld: String,
}

impl RunStatus {
    /// The rows; empty until they are known.
    pub fn rows(&self) -> &[PluginStatus] {
        self.plugins.as_deref().unwrap_or_default()
    }

    /// The archive, once it exists. The status `complete` alone does not prove that (core §2.2).
    pub fn archive(&self) -> Option<&TarInfo> {
        (!self.tarball.name.is_empty() && !self.tarball.sha256.is_empty()).then_some(&self.tarball)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_status_is_what_clients_expect() {
        assert_eq!(
            serde_json::to_string(&RunStatus::default()).unwrap(),
            r#"{"plugins":null,"status":"running","tar-info":{"name":"","created":"0001-01-01T00:00:00Z","sha256":"","size":0}}"#
        );
    }

    #[test]
    fn nodes_left_out_are_named_up_to_a_bound() {
        let names = |from: usize, to: usize| (from..to).map(|number| format!("node{number}")).collect::<Vec<_>>();
        let texts = |nodes: &[(&str, Vec<String>)]| {
            let nodes = nodes
                .iter()
                .map(|(reason, nodes)| ((*reason).to_owned(), nodes.clone()));
            let left_out = LeftOut::of("p", &nodes.collect());
            left_out.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            texts(&[("taint a:NoSchedule", names(2, 3))]),
            ["node2: taint a:NoSchedule"]
        );
        assert_eq!(
            texts(&[("taint a:NoSchedule", names(0, 100))]),
            ["node0, node1 and 98 more: taint a:NoSchedule"]
        );
        assert_eq!(
            texts(&[
                ("1", names(1, 2)),
                ("2", names(2, 3)),
                ("3", names(3, 4)),
                ("4", names(4, 5)),
                ("5", names(5, 10_000)),
                ("6", Vec::new()),
            ]),
            [
                "node1: 1",
                "node2: 2",
                "node3: 3",
                "node4, node5 and 9994 more: other taints"
            ]
        );
    }

    #[test]
    fn folded_rows_contain_their_number() {
        assert_eq!(folded_node(9900), "(9900 nodes)");
        assert_eq!(folded_count("(9900 nodes)"), Some(9900));
        assert_eq!(folded_count("n1"), None);
    }

    #[test]
    fn reason_of_a_timeout_is_short() {
        let reason = |error: String| {
            PluginStatus {
                error,
                ..PluginStatus::default()
            }
            .reason()
            .into_owned()
        };
        let (limit, seen) = (constants::TIMEOUT_MESSAGE, constants::LAST_SEEN);
        assert_eq!(
            reason(format!("{limit}{seen}pod p on node n was still running.")),
            "timed out: pod p on node n was still running"
        );
        assert_eq!(reason(limit.to_owned()), "timed out");
        assert_eq!(reason("pod p was deleted".to_owned()), "pod p was deleted");
    }

    #[test]
    fn a_row_has_all_its_keys() {
        let row = PluginStatus {
            plugin: "e2e".to_owned(),
            node: "global".to_owned(),
            status: plugin_status::RUNNING.to_owned(),
            ..PluginStatus::default()
        };
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(
            text,
            r#"{"plugin":"e2e","node":"global","status":"running","result-status":"","result-counts":null}"#
        );
        assert_eq!(serde_json::from_str::<PluginStatus>(&text).unwrap(), row);
    }

    #[test]
    fn sonobuoys_own_status_reads_back() {
        let text = r#"{"plugins":[{"plugin":"e2e","node":"global","status":"complete","result-status":"passed","result-counts":{"passed":6,"skipped":7065},"progress":{"name":"e2e","node":"global","timestamp":"2022-12-08T15:37:23.007805243Z","msg":"Test Suite completed","total":6,"completed":6}}],"status":"complete","tar-info":{"name":"202212081530_sonobuoy_u.tar.gz","created":"2022-12-08T15:39:01.1Z","sha256":"ab","size":411234}}"#;
        let status: RunStatus = serde_json::from_str(text).unwrap();
        assert_eq!(status.archive().map(|archive| archive.size), Some(411_234));
        assert_eq!(serde_json::to_string(&status).unwrap(), text);
    }
}
