//! The input and output of the state machine: plans, events and effects.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sono_types::{PluginName, ProgressUpdate, ResultKey, RunStatus, TarInfo, UploadLimits};

use super::record::{NotRecorded, Record};

/// The plan of one plugin: its expected results, order and time limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginPlan {
    /// The plugin.
    pub plugin: PluginName,
    /// Its order group.
    pub order: i64,
    /// Its expected results, in the order of the status.
    pub expected: Vec<ResultKey>,
    /// Time limit from its launch; `None` means no limit.
    pub timeout: Option<Duration>,
    /// The nodes could not be listed: targets are discovered from the pods that the cluster creates, until
    /// [`Event::DiscoveryEnded`].
    pub discovers_targets: bool,
}

/// Settings of a run for failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPolicy {
    /// After a plugin ends without a result, no further plugins are started.
    pub stop_on_failure: bool,
    /// How often storing a complete result may fail.
    pub store_tries: u32,
    /// The run has a checkpoint, from which another process can collect the results again: workers retain their results, and
    /// plugins are not removed, until the archive is sealed.
    pub checkpointed: bool,
}

impl Default for RunPolicy {
    fn default() -> Self {
        Self {
            stop_on_failure: false,
            store_tries: UploadLimits::DEFAULT.max_store_tries,
            checkpointed: false,
        }
    }
}

/// The reason for a missing result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// One sentence: the event, its object, and what to do.
    pub message: String,
    /// More keys for `error.json`, such as the pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, Value>,
}

impl Failure {
    /// A failure without details.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            details: BTreeMap::new(),
        }
    }

    /// The failure for the journal: message and details of at most 8 KiB each. A worker may have sent any text, and a pod may be
    /// large; the archive's error file contains everything. Omitted parts are listed in the details, with their size in bytes.
    #[must_use]
    pub fn for_record(&self) -> Self {
        let end = self.message.floor_char_boundary(RECORD_BYTES);
        let mut left_out = Map::new();
        if end < self.message.len() {
            left_out.insert("error".to_owned(), (self.message.len() - end).into());
        }
        let (mut details, mut taken) = (BTreeMap::new(), 0);
        for (name, detail) in &self.details {
            let bytes = name.len() + detail.to_string().len();
            if taken + bytes > RECORD_BYTES {
                left_out.insert(name.clone(), bytes.into());
            } else {
                taken += bytes;
                details.insert(name.clone(), detail.clone());
            }
        }
        if !left_out.is_empty() {
            details.insert(LEFT_OUT.to_owned(), left_out.into());
        }
        Self {
            message: self.message[..end].to_owned(),
            details,
        }
    }

    /// Whether parts were omitted for the journal.
    pub fn is_cut(&self) -> bool {
        self.details.contains_key(LEFT_OUT)
    }

    /// The message for the status, with a limit: a worker may have sent any text.
    pub(crate) fn reason(&self) -> String {
        let end = self.message.floor_char_boundary(REASON_BYTES);
        self.message[..end].to_owned()
    }
}

/// Maximum size of a message in the status in bytes: more than any message of sono.
const REASON_BYTES: usize = 1024;
/// Bytes of a message, and of all details, in the journal.
const RECORD_BYTES: usize = 8 << 10;
/// The detail that lists omitted parts.
const LEFT_OUT: &str = "leftOut";

/// Everything that can change the run, except for uploads ([`begin`](super::Run::begin),
/// [`request_commit`](super::Run::request_commit), [`finish`](super::Run::finish)).
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Start the first group.
    Start,
    /// The plugin's objects are created.
    Launched {
        /// The plugin.
        plugin: PluginName,
    },
    /// The plugin's objects could not be created, or were deleted.
    LaunchFailed {
        /// The plugin.
        plugin: PluginName,
        /// Why.
        failure: Failure,
    },
    /// The cluster runs the plugin on another target: a node that joined, or one that could not be listed.
    /// Its result is expected from now on.
    TargetDiscovered {
        /// The result.
        key: ResultKey,
    },
    /// All targets of a plugin whose targets are discovered are known.
    DiscoveryEnded {
        /// The plugin.
        plugin: PluginName,
    },
    /// The last known state of these pending results, shortly before the time limit of their plugin.
    LastSeen(Vec<(ResultKey, String)>),
    /// A monitor found that this result will not arrive.
    Failed {
        /// The result.
        key: ResultKey,
        /// Why.
        failure: Failure,
    },
    /// A progress update arrived.
    Progress {
        /// Its plugin and target.
        key: ResultKey,
        /// The update.
        update: ProgressUpdate,
    },
    /// Time passed; see [`Run::next_deadline`](super::Run::next_deadline).
    Tick,
    /// Post-processing of these plugins is over.
    Processed {
        /// The plugins.
        plugins: BTreeSet<PluginName>,
    },
    /// Post-processing of all results is over, with their summaries.
    Summarized(Vec<ResultSummary>),
    /// The archive is on disk.
    Packed(TarInfo),
    /// [`Effect::Commit`] is done, or why it could not be.
    Committed(Result<(), NotRecorded>),
    /// The archive cannot be written.
    Broken,
}

/// Status and counts of one result after post-processing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultSummary {
    /// The result.
    pub key: ResultKey,
    /// Status of its part of the item tree.
    pub status: String,
    /// Its leaves by status.
    pub counts: BTreeMap<String, i64>,
}

/// An action for the shell. Effects are carried out in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Create the plugin's objects and watch them.
    Launch {
        /// The plugin.
        plugin: PluginName,
        /// The plugin's deadline.
        deadline: Option<Timestamp>,
    },
    /// Watch the plugin's objects, which an earlier process created.
    Watch {
        /// The plugin.
        plugin: PluginName,
        /// The plugin's deadline.
        deadline: Option<Timestamp>,
    },
    /// The plugin is settled: stop watching it.
    StopMonitor(PluginName),
    /// Write the error file of this result.
    RecordError {
        /// The result.
        key: ResultKey,
        /// The reason.
        failure: Failure,
    },
    /// Write this record; the reply to the current request waits until it is on disk.
    Record(Record),
    /// Store the progress; see [`Run::progress`](super::Run::progress).
    Progressed,
    /// The status changed.
    Publish,
    /// All results are settled: query the cluster, post-process and pack.
    Finish,
    /// Write this to the journal and the checkpoint, and handle [`Event::Committed`] once it is on disk: it must not be published
    /// before.
    Commit(Record),
    /// Wait until all earlier records are on disk, or cannot be written.
    Flush,
    /// Let workers discard their results, and remove the plugins.
    Release,
    /// Serve the archive.
    Serve(TarInfo),
    /// Publish the final status.
    Show(RunStatus),
    /// Remove the packed directory.
    RemoveResults,
    /// Retain the packed directory, for this reason: another process would pack it again.
    KeepResults(NotRecorded),
    /// The run is over.
    End,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2,000 nodes that each fail with 64 KiB of text made a journal of 130 MB.
    #[test]
    fn failure_in_a_record_is_bounded_and_says_what_is_left_out() {
        let failure = |message: &str, details: &[(&str, Value)]| Failure {
            message: message.to_owned(),
            details: details
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        };
        let (small, large) = (json!({"kind": "Pod"}), json!("x".repeat(RECORD_BYTES)));
        let whole = failure(&"m".repeat(RECORD_BYTES), &[("pod", small.clone())]);
        assert_eq!(whole.for_record(), whole);
        assert!(!whole.is_cut());

        let long = "é".repeat(RECORD_BYTES);
        let cut = failure(&format!("x{long}"), &[("a", small.clone()), ("pod", large)]).for_record();
        let left = json!({"error": RECORD_BYTES + 2, "pod": RECORD_BYTES + 5});
        assert_eq!(
            cut,
            failure(
                &format!("x{}", "é".repeat(RECORD_BYTES / 2 - 1)),
                &[("a", small), (LEFT_OUT, left)]
            )
        );
        assert!(cut.is_cut());
        assert_eq!(cut.for_record(), cut);
    }
}
