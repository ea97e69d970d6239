//! Why a run ends without an archive.

use std::path::PathBuf;

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
    #[error("cannot list nodes: {0}")]
    Nodes(String),
    /// Certificates could not be made.
    #[error("cannot make the run's certificates")]
    Certificates(#[source] sono_tls::TlsError),
    /// The server ended.
    #[error("cannot serve workers")]
    Serve(#[source] std::io::Error),
    /// The archive could not be written; the run's directory is retained.
    #[error("cannot pack the archive; its content is retained in {directory}: {reason}")]
    Pack {
        /// The run's directory.
        directory: PathBuf,
        /// Why.
        reason: String,
    },
    /// The journal of the run cannot be opened.
    #[error("cannot resume the run")]
    Journal(#[source] JournalError),
    /// The journal's content, or writing it.
    #[error("cannot use the run's records: {0}")]
    Record(String),
    /// Another process has the run now. This one does nothing more to it.
    #[error("this aggregator stops: {0}")]
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
