//! What a query can end with.

use std::{io, time::Duration};

use crate::KubeError;

/// Why a query has no complete answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The server refused, or was not reached.
    #[error(transparent)]
    Kube(#[from] KubeError),
    /// The answer stopped in the middle.
    #[error("{path}: nothing more came for {} s", .limit.as_secs())]
    Stalled {
        /// What was asked for.
        path: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The answer is not what was asked for.
    #[error("{path}: the answer is no list")]
    NoList {
        /// What was asked for.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The answer is no JSON.
    #[error("{path}: the answer is no JSON")]
    NoJson {
        /// What was asked for.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The answer is larger than anything of its sort.
    #[error("{path}: the answer is longer than {limit} bytes")]
    TooLong {
        /// What was asked for.
        path: String,
        /// Bytes.
        limit: usize,
    },
    /// An answer could not be kept, here.
    #[error("cannot keep the answer to {path} on this side")]
    Disk {
        /// What was asked for.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl QueryError {
    /// The account may not do that.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Kube(error) if error.is_forbidden())
    }

    pub(super) fn disk(path: &str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path, source }
    }
}
