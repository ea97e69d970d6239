//! Why a worker gave up.

use std::{io, path::PathBuf};

/// A step that failed and cannot be got over.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The certificate, its key or the CA's certificate are of no use.
    #[error("set up the connection to the aggregator")]
    Tls(#[source] sono_tls::TlsError),
    /// The HTTP client could not be built.
    #[error("build the HTTP client")]
    Client(#[source] reqwest::Error),
    /// There is no results directory and none could be made.
    #[error("create the results directory {}", path.display())]
    ResultsDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The aggregator said no, and would say it again.
    #[error("got a {status} response when dialing aggregator to {url}: {message}")]
    Refused {
        /// Status code.
        status: u16,
        /// Where.
        url: String,
        /// What the aggregator said.
        message: String,
    },
    /// The aggregator could not be reached, or could not take the result, until the time was up.
    #[error("gave up on the upload after {tries} tries: {last}")]
    GaveUp {
        /// How often it was tried.
        tries: usize,
        /// What went wrong the last time.
        last: String,
    },
    /// The worker was told to end, and the upload did not succeed in the time that was left.
    #[error("told to end before the results were transmitted")]
    Interrupted,
}
