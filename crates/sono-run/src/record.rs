//! The records of the journal. Their replay restores the run, except for progress, which has its own file: updates are frequent,
//! and each replaces the previous one.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sono_types::{PluginName, ResultKey, RunStatus, SessionId, SharedError, Target};

use super::event::{Failure, PluginPlan};

/// Version of the journal that this program writes and reads.
pub const JOURNAL_VERSION: u32 = 1;

/// One entry. New kinds may be added; an old program refuses a journal with an unknown one. Some stored names are older than
/// the names here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// Always the first: identity and plugins of the run.
    #[serde(rename = "Begun")]
    Started(RunStart),
    /// A plugin's objects are about to be created.
    Launching {
        /// The plugin.
        plugin: PluginName,
        /// The plugin's deadline.
        deadline: Option<Timestamp>,
    },
    /// The plugin's objects are created.
    Launched {
        /// The plugin.
        plugin: PluginName,
    },
    /// Another target of the plugin was discovered: its result is expected, too.
    #[serde(rename = "Expected")]
    TargetDiscovered {
        /// The result.
        key: ResultKey,
    },
    /// All targets of a plugin whose targets are discovered are known.
    #[serde(rename = "Counted")]
    DiscoveryEnded {
        /// The plugin.
        plugin: PluginName,
    },
    /// The result is committed and synced.
    Stored {
        /// The result.
        key: ResultKey,
    },
    /// The result is stored in this record: its files need not be on disk.
    #[serde(rename = "Kept")]
    StoredInJournal {
        /// The result.
        key: ResultKey,
        /// The body.
        body: SmallBody,
    },
    /// The result failed.
    Failed {
        /// The result.
        key: ResultKey,
        /// The reason.
        failure: Failure,
    },
    /// Takeover without the files of the previous process: its results are collected again. No result is stored until later
    /// records say so.
    #[serde(rename = "Adopted")]
    TakenOver {
        /// When.
        at: Timestamp,
        /// Plugins that were done.
        ended: BTreeSet<PluginName>,
    },
    /// The writer of this record is about to acquire the run, or has acquired it; see [`Checkpoint`](super::Checkpoint).
    Owned {
        /// Its epoch.
        epoch: u64,
        /// Its name.
        holder: String,
    },
    /// All results are settled; no more are accepted.
    Finishing,
    /// Post-processing of the plugin begins. Without a later [`Record::Processed`], it ended the process.
    Processing {
        /// The plugin.
        plugin: PluginName,
    },
    /// Post-processing of these plugins is over, or was stopped with the process.
    Processed {
        /// The plugins.
        plugins: BTreeSet<PluginName>,
    },
    /// The archive is on disk; the final status.
    Sealed {
        /// The last status.
        status: RunStatus,
    },
}

/// Why records are not on disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    /// They could not be written or synced.
    #[error("cannot write the journal")]
    Write(#[source] SharedError),
    /// The journal's thread has ended.
    #[error("the journal's thread has ended")]
    Ended,
}

/// A body in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmallBody {
    /// Name of the file that it is stored under.
    pub file_name: String,
    /// The exact content type, which determines whether it is unpacked.
    pub content_type: String,
    /// The bytes, in base64.
    pub base64: String,
}

impl SmallBody {
    /// Maximum size of bodies in the journal, in bytes: one sync serves a batch of them. A journal of 10,000 results stays
    /// below 60 MB, one of 10,000 errors, of whose text it holds at most 8 KiB each, below 90 MB.
    pub const MAX_BYTES: u64 = 4 << 10;

    /// Wraps a body.
    pub fn new(file_name: String, content_type: String, bytes: &[u8]) -> Self {
        Self {
            file_name,
            content_type,
            base64: STANDARD.encode(bytes),
        }
    }

    /// The bytes as they were sent.
    pub fn bytes(&self) -> Result<Vec<u8>, base64::DecodeError> {
        STANDARD.decode(&self.base64)
    }
}

/// The identity and the plugins of a run, fixed when it starts.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStart {
    /// Version of the journal's format.
    pub version: u32,
    /// Identity of the run.
    pub uuid: String,
    /// When it started.
    pub start: Timestamp,
    /// PEM of the CA's certificate.
    pub ca_certificate: String,
    /// PEM of its key.
    pub ca_key: String,
    /// The plugins.
    pub plugins: Vec<Planned>,
}

impl std::fmt::Debug for RunStart {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RunStart")
            .field("version", &self.version)
            .field("uuid", &self.uuid)
            .field("start", &self.start)
            .field("plugins", &self.plugins)
            .finish_non_exhaustive()
    }
}

/// One plugin of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The plugin.
    pub plugin: PluginName,
    /// The session, which distinguishes its objects from those of other runs.
    pub session: SessionId,
    /// Its order group.
    pub order: i64,
    /// Time limit in seconds from its launch; `None` means no limit.
    pub timeout: Option<u64>,
    /// Its targets, in the order of the status.
    pub targets: Vec<String>,
    /// Further targets are discovered while it runs.
    #[serde(rename = "learns", default, skip_serializing_if = "std::ops::Not::not")]
    pub discovers_targets: bool,
}

impl Planned {
    /// Its expected results. Invalid target names, which only a damaged journal contains, are ignored.
    pub fn expected(&self) -> Vec<ResultKey> {
        let target = |target: &String| Target::parse(target).ok();
        let key = |target| ResultKey::new(self.plugin.clone(), target);
        self.targets.iter().filter_map(target).map(key).collect()
    }

    /// Its plan for the state machine.
    pub fn plan(&self) -> PluginPlan {
        PluginPlan {
            plugin: self.plugin.clone(),
            order: self.order,
            expected: self.expected(),
            timeout: self.timeout.map(Duration::from_secs),
            discovers_targets: self.discovers_targets,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sono_types::NodeName;

    use super::*;

    /// Journals of earlier versions have these names.
    #[test]
    fn stored_names_are_those_of_earlier_versions() {
        let plugin = PluginName::parse("p").unwrap();
        let key = ResultKey::new(plugin.clone(), Target::Node(NodeName::parse("n1").unwrap()));
        let key_text = serde_json::to_value(&key).unwrap();
        let body = SmallBody::new("result".to_owned(), "text/plain".to_owned(), b"x");
        let body_text = json!({"file_name": "result", "content_type": "text/plain", "base64": "eA=="});
        let ended = BTreeSet::from([plugin.clone()]);
        let stored = [
            (
                Record::TargetDiscovered { key: key.clone() },
                json!({"Expected": {"key": key_text}}),
            ),
            (Record::DiscoveryEnded { plugin }, json!({"Counted": {"plugin": "p"}})),
            (
                Record::StoredInJournal { key, body },
                json!({"Kept": {"key": key_text, "body": body_text}}),
            ),
            (
                Record::TakenOver {
                    at: Timestamp::UNIX_EPOCH,
                    ended,
                },
                json!({"Adopted": {"at": "1970-01-01T00:00:00Z", "ended": ["p"]}}),
            ),
        ];
        for (record, text) in stored {
            assert_eq!(serde_json::to_value(&record).unwrap(), text);
            assert_eq!(serde_json::from_value::<Record>(text).unwrap(), record);
        }
    }

    #[test]
    fn planned_plugin_with_discovery_has_the_stored_name() {
        let text = json!({"plugin": "p", "session": "0707070707070707", "order": 0, "timeout": null, "targets": []});
        let known: Planned = serde_json::from_value(text.clone()).unwrap();
        assert!(!known.discovers_targets);
        assert_eq!(serde_json::to_value(&known).unwrap(), text);
        let Value::Object(mut text) = text else {
            panic!("not an object")
        };
        text.insert("learns".to_owned(), true.into());
        let discovers: Planned = serde_json::from_value(text.clone().into()).unwrap();
        assert!(discovers.discovers_targets);
        assert_eq!(serde_json::to_value(&discovers).unwrap(), Value::Object(text));
    }
}
