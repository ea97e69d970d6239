//! Why a run ends without an archive.

use std::path::PathBuf;

use sono_run::{NotRecorded, StartError};
use sono_types::{ArchiveNameError, SharedError};

use crate::backend::BackendError;

/// Why a run ended without an archive.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run's directory could not be made.
    #[error("cannot prepare {path}")]
    Prepare {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of the run could not be written.
    #[error("cannot write the run's files")]
    Write(#[source] sono_bundle::StoreError),
    /// The nodes could not be listed.
    #[error("cannot list nodes")]
    Nodes(#[source] BackendError),
    /// Certificates could not be made.
    #[error("cannot make the run's certificates")]
    Certificates(#[source] sono_tls::TlsError),
    /// The server ended.
    #[error("cannot serve workers")]
    Serve(#[source] std::io::Error),
    /// The archive could not be written; the run's directory is retained.
    #[error("cannot pack the archive; its content is retained in {directory}")]
    Pack {
        /// The run's directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: SharedError,
    },
    /// The journal of the run cannot be opened.
    #[error("cannot resume the run")]
    Journal(#[source] JournalError),
    /// The content of the journal or the checkpoint, or writing it.
    #[error("cannot use the run's records")]
    Record(#[from] RecordError),
    /// Another process has the run now. This one does nothing more to it.
    #[error("this aggregator is stopping: {0}")]
    Superseded(String),
    /// A task that others depend on ended.
    #[error("{task} ended unexpectedly, which is a bug in sono: {reason}")]
    Task {
        /// Its purpose.
        task: &'static str,
        /// How it ended.
        reason: String,
    },
    /// Stopped before the end.
    #[error("stopped before the run was complete")]
    Stopped,
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Superseded => Self::Superseded(error.to_string()),
            StartError::Version(_) | StartError::NoIdentity | StartError::Identity(_) => Self::Record(error.into()),
        }
    }
}

/// Why the records of a run cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The journal or the checkpoint names another archive than a run writes.
    #[error("the archive name {name:?} is invalid")]
    Archive {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: ArchiveNameError,
    },
    /// They do not allow a start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A record is not on disk.
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
    /// The checkpoint may not be read.
    #[error(
        "cannot read the checkpoint; --aggregator-workload deployment needs get, create and update on Secrets in the run's namespace"
    )]
    CheckpointRefused(#[source] BackendError),
    /// The checkpoint cannot be read.
    #[error("cannot read the checkpoint")]
    ReadCheckpoint(#[source] SharedError),
    /// The checkpoint cannot be written.
    #[error("cannot write the checkpoint")]
    WriteCheckpoint(#[source] SharedError),
    /// The files of an earlier process cannot be cleaned up or completed.
    #[error("cannot restore the run's files")]
    Files(#[source] SharedError),
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened, locked or read.
    #[error("cannot {step} the journal {}", path.display())]
    File {
        /// The attempted operation.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process is running this run.
    #[error("another aggregator holds the journal {}", .0.display())]
    Held(PathBuf),
    /// Its content is damaged beyond a torn end.
    #[error("the journal {} is damaged: {reason}; move it away to start the run from the beginning", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and how.
        reason: String,
    },
}
