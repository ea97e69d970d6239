//! Backends run plugins: one trait for the cluster and for local processes, with the drivers and the checkpoint store of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use sono_manifest::{Definition, NodeFacts};
use sono_redact::Redactor;
use sono_run::Failure;
use sono_tls::Identity;
use sono_types::{
    ContainersState, PluginName, ResultFormat, ResultKey, RunStatus, SessionId, SharedError, fold::ANNOTATION_BYTES,
};
use tokio::sync::mpsc;

/// Settings of one plugin for its workers.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The URL to which workers upload.
    pub url: String,
    /// A second URL of the same server.
    pub fallback_url: Option<String>,
    /// PEM of the run's CA.
    pub ca_pem: String,
    /// The plugin's certificate and key.
    pub identity: Identity,
    /// The plugin's deadline.
    pub deadline: Option<Timestamp>,
    /// Its expected results.
    pub expected: Vec<ResultKey>,
    /// The nodes could not be listed: further targets are discovered from the pods that the cluster creates.
    pub discovers_targets: bool,
    /// Until then a running worker may still deliver a result although its plugin has failed: after a takeover it may have to
    /// send the result again.
    pub grace_until: Option<Timestamp>,
}

/// A report of a driver about a running plugin.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// This result will not arrive.
    Failed(ResultKey, Failure),
    /// No pending result of the plugin will arrive.
    Lost(Failure),
    /// The plugin runs on another target: expect this result too.
    TargetDiscovered(ResultKey),
    /// The last known state of these pending results, shortly before the plugin's time limit: the reason if they do not arrive.
    LastSeen(Vec<(ResultKey, String)>),
    /// All targets are known. Reported once, if [`Launch::discovers_targets`].
    DiscoveryEnded,
}

/// How workers reach the aggregator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// `https://host:port`, tried first.
    pub url: String,
    /// `https://host:port`, tried when the first does not answer.
    pub fallback_url: Option<String>,
    /// Addresses and names in the server's certificate.
    pub names: Vec<String>,
}

/// A sentence about the run, written as a Kubernetes Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEvent {
    /// The reason in the form that Kubernetes uses, for filters.
    pub reason: &'static str,
    /// Whether the Event is a warning.
    pub is_warning: bool,
    /// The sentence.
    pub message: String,
    /// The subject. Two events with the same reason and subject are the same, whichever process writes them.
    pub subject: String,
}

impl RunEvent {
    pub(crate) fn new(reason: &'static str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason,
            is_warning: false,
            message: message.into(),
            subject: subject.into(),
        }
    }

    pub(crate) fn warning(reason: &'static str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            is_warning: true,
            ..Self::new(reason, subject, message)
        }
    }
}

/// Why an event was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The cluster refuses all events.
    #[error("refused")]
    Refused(#[source] BackendError),
    /// This event was not written.
    #[error("failed")]
    Failed(#[source] BackendError),
}

/// Why a call to the backend failed: an error of any backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct BackendError(SharedError);

impl BackendError {
    /// Wraps the backend's error, or a text that has no source.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(SharedError::new(error))
    }
}

/// One plugin of one run: starts it, watches it and removes it.
pub trait Driver: Send + Sync {
    /// The plugin's definition.
    fn definition(&self) -> &Definition;

    /// The session, which distinguishes this plugin's objects from those of other runs.
    fn session(&self) -> &SessionId;

    /// The plugin's name.
    fn name(&self) -> &PluginName {
        &self.definition().name
    }

    /// Whether the plugin's objects stay after the run.
    fn skip_cleanup(&self) -> bool {
        self.definition().skip_cleanup
    }

    /// The format of its result files.
    fn result_format(&self) -> ResultFormat {
        self.definition().format()
    }

    /// The files to read; empty means all files that match the format.
    fn result_files(&self) -> &[String] {
        &self.definition().result_files
    }

    /// The results to expect from it on these nodes.
    fn expected_results(&self, nodes: &[NodeFacts]) -> Vec<ResultKey> {
        sono_manifest::expected_results(self.definition(), nodes)
    }

    /// The nodes without a pod of it, with the taint that it does not tolerate.
    fn left_out(&self, nodes: &[NodeFacts]) -> BTreeMap<String, Vec<String>> {
        sono_manifest::left_out(self.definition(), nodes)
    }

    /// Creates the plugin's objects. Dropping the future may leave some of them, which [`Driver::cleanup`] removes. Objects that an
    /// earlier process of the same run created (recognized by the session in their names) are used.
    fn run<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, Result<(), Failure>>;

    /// Reports missing and discovered results, each once, until it is dropped.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any point: it only reads, and reports what it has seen.
    fn monitor<'a>(&'a self, launch: &'a Launch, reports: mpsc::Sender<Report>) -> BoxFuture<'a, ()>;

    /// Removes the objects that [`Driver::run`] created.
    fn cleanup(&self) -> BoxFuture<'_, Result<(), BackendError>>;
}

/// Why a [`CheckpointStore`] was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointStoreError {
    /// The store holds another version than the one to be replaced.
    #[error("another process has written a newer version")]
    Changed,
    /// Permanently refused, for example because of a missing permission.
    #[error("refused")]
    Refused(#[source] BackendError),
    /// The attempt failed, or its outcome is unknown.
    #[error("failed")]
    Failed(#[source] BackendError),
}

/// The version of a stored checkpoint, which changes with each write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

/// The content of a checkpoint store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The version of exactly this content.
    pub version: Version,
    /// The content; `None` if it belongs to another run.
    pub content: Option<Vec<u8>>,
}

/// A checkpoint store outside of this process' volume, for one process at a time.
pub trait CheckpointStore: Send + Sync {
    /// Reads the checkpoint.
    fn read(&self) -> BoxFuture<'_, Result<Option<StoredCheckpoint>, CheckpointStoreError>>;

    /// Replaces exactly the version `over`, or creates it. Returns the new version.
    fn write<'a>(
        &'a self,
        content: &'a [u8],
        over: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Version, CheckpointStoreError>>;
}

/// Where a run happens: a cluster or this machine.
pub trait Backend: Send + Sync {
    /// All nodes, with the labels in `labels` only; `None` without the permission to list nodes.
    fn nodes<'a>(&'a self, labels: &'a BTreeSet<String>)
    -> BoxFuture<'a, Result<Option<Vec<NodeFacts>>, BackendError>>;

    /// The driver of one plugin.
    fn driver(&self, definition: Definition, session: SessionId) -> Box<dyn Driver>;

    /// The state of the containers next to a worker, as last seen, for workers that may not query the API server.
    fn containers(&self, _: &ResultKey) -> ContainersState {
        ContainersState::Unknown
    }

    /// Maximum size of a published status as JSON in bytes; a longer one is folded. `None` means no limit.
    fn max_status_bytes(&self) -> Option<usize> {
        Some(ANNOTATION_BYTES)
    }

    /// Publishes the status for users.
    fn publish<'a>(&'a self, status: &'a RunStatus) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Writes a run event. Best effort: a failure does not affect the run.
    fn record_event<'a>(&'a self, _: &'a RunEvent) -> BoxFuture<'a, Result<(), EventError>> {
        Box::pin(async { Ok(()) })
    }

    /// Whether plugins continue to run after this process ends, so that the next process on the same directory can resume the run.
    /// Plugins are then not removed at the end of the process.
    fn plugins_survive_restart(&self) -> bool {
        false
    }

    /// The run's identity if the configuration has none and the backend knows it.
    fn identity(&self) -> Option<String> {
        None
    }

    /// The store of the run's checkpoint, if the run has one.
    fn checkpoint_store(&self) -> Option<Arc<dyn CheckpointStore>> {
        None
    }

    /// Reads the values of Secrets at the start of a run, so that those that are replaced during the run are found, too.
    fn read_secrets(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// The redaction of everything that is packed, with the values of Secrets that exist now and at the start of the run.
    fn redactor(&self) -> BoxFuture<'_, Redactor> {
        Box::pin(async { Redactor::default() })
    }

    /// Queries the backend and writes the answers below `directory`, in the archive's layout, redacted. Returns the failed
    /// queries, one line each; they do not fail the run.
    fn query<'a>(&'a self, directory: &'a std::path::Path, redactor: &'a Arc<Redactor>) -> BoxFuture<'a, Vec<String>>;
}
