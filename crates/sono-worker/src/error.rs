//! Errors that end a worker.

use std::{io, path::PathBuf};

/// An error after which a worker gives up.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The client certificate, its key or the CA certificate is invalid.
    #[error("cannot set up the connection to the aggregator")]
    Tls(#[source] sono_tls::TlsError),
    /// The HTTP client could not be built.
    #[error("cannot build the HTTP client")]
    Client(#[source] reqwest::Error),
    /// The results directory does not exist and could not be created.
    #[error("cannot create the results directory {}", path.display())]
    ResultsDirectory {
        /// The directory.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The aggregator rejected the result permanently.
    #[error("got a {status} response when dialing aggregator to {url}: {message}")]
    Refused {
        /// Status code.
        status: u16,
        /// The URL of the upload.
        url: String,
        /// The aggregator's message.
        message: String,
    },
    /// The upload did not succeed before its deadline.
    #[error("upload failed after attempt {tries}: {last}")]
    GaveUp {
        /// The number of attempts.
        tries: usize,
        /// The error of the last attempt.
        last: String,
    },
    /// The worker was terminated before the upload succeeded.
    #[error("terminated before the results were transmitted")]
    Interrupted,
}
