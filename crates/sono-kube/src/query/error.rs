//! Errors of queries.

use std::{io, time::Duration};

use crate::KubeError;

/// Why a query is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The server refused the request or was not reached.
    #[error(transparent)]
    Kube(#[from] KubeError),
    /// The response stalled.
    #[error("{path}: the response stalled for {} s", .limit.as_secs())]
    Stalled {
        /// The request path.
        path: String,
        /// The stall timeout.
        limit: Duration,
    },
    /// The response is not a list.
    #[error("{path}: the response is not a list")]
    NoList {
        /// The request path.
        path: String,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
    /// The response is not JSON.
    #[error("{path}: the response is not JSON")]
    NoJson {
        /// The request path.
        path: String,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
    /// The response exceeds the size limit.
    #[error("{path}: the response is longer than {limit} bytes")]
    TooLong {
        /// The request path.
        path: String,
        /// Bytes.
        limit: usize,
    },
    /// The response could not be written to the local disk.
    #[error("cannot store the response to {path} on disk")]
    Disk {
        /// The request path.
        path: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

impl QueryError {
    /// Whether the account lacks the permission.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Kube(error) if error.is_forbidden())
    }

    pub(super) fn disk(path: &str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path, source }
    }
}
