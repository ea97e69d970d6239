//! Why an upload is not answered with 200: one enum from the body to the response.

use axum::http::StatusCode;
use sono_run::{Refusal, UploadOutcome};
use sono_types::ResultKey;

use crate::{handle::Closed, observe::metrics::Refused};

/// Why an upload failed. The texts are reasons; [`UploadError::message`] is the response to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UploadError {
    /// The result is not expected, received already, or too late.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The content is not acceptable; sending it again does not help.
    #[error("{0}")]
    Content(String),
    /// An archive unpacks to more than it may.
    #[error("{0}")]
    TooLarge(String),
    /// The same result is being stored for another request.
    #[error("it is being stored for another request")]
    Busy,
    /// Too many requests at once for this result.
    #[error("{0}")]
    TooManyRequests(String),
    /// The part that this one continues is not available.
    #[error("{0}")]
    Gap(String),
    /// The body broke off, stalled or took too long; sending it again may help.
    #[error("{0}")]
    Broken(String),
    /// The body stalled while other requests waited for its slot.
    #[error("{0}")]
    Preempted(String),
    /// The aggregator's disk failed; sending it again may help.
    #[error("{0}")]
    Storage(String),
    /// The disk, or the run's quota of it, is full.
    #[error("{0}")]
    Full(String),
    /// The aggregator is ending; the next process accepts the result.
    #[error("the run is over")]
    Closed,
}

impl UploadError {
    /// The status code of the response.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Refused(Refusal::Unexpected(_)) => StatusCode::FORBIDDEN,
            Self::Refused(Refusal::AlreadyReceived(_)) => StatusCode::CONFLICT,
            // Not 5xx: Sonobuoy's workers try those again, and end at any 4xx.
            Self::Refused(Refusal::TooLate(_)) => StatusCode::GONE,
            Self::Content(_) | Self::TooLarge(_) => StatusCode::BAD_REQUEST,
            Self::Gap(_) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Busy | Self::TooManyRequests(_) | Self::Preempted(_) | Self::Closed => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Broken(_) | Self::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The text of the response.
    pub(crate) fn message(&self, key: &ResultKey) -> String {
        match self {
            Self::Refused(_) | Self::Closed => self.to_string(),
            Self::Busy => format!("result {key} is being stored for another request, try again"),
            Self::TooManyRequests(_) => format!("{self}, try again"),
            Self::Content(_)
            | Self::TooLarge(_)
            | Self::Gap(_)
            | Self::Broken(_)
            | Self::Preempted(_)
            | Self::Storage(_)
            | Self::Full(_) => format!("error handling result {key}: {self}"),
        }
    }

    /// The label of its metric.
    pub(crate) fn kind(&self) -> Refused {
        match self {
            Self::Refused(Refusal::Unexpected(_)) => Refused::Unexpected,
            Self::Refused(Refusal::AlreadyReceived(_)) => Refused::AlreadyReceived,
            Self::Refused(Refusal::TooLate(_)) => Refused::TooLate,
            Self::Content(_) | Self::TooLarge(_) => Refused::Content,
            Self::Busy | Self::TooManyRequests(_) | Self::Preempted(_) => Refused::Busy,
            Self::Broken(_) | Self::Gap(_) => Refused::Broken,
            Self::Storage(_) => Refused::Storage,
            Self::Full(_) => Refused::DiskFull,
            Self::Closed => Refused::Ending,
        }
    }

    /// The outcome for the ledger.
    pub(crate) fn outcome(&self) -> UploadOutcome {
        match self {
            Self::Content(reason) | Self::TooLarge(reason) => UploadOutcome::Refused(reason.clone()),
            Self::Storage(reason) | Self::Full(reason) => UploadOutcome::Unstored(reason.clone()),
            Self::Refused(_)
            | Self::Busy
            | Self::TooManyRequests(_)
            | Self::Gap(_)
            | Self::Broken(_)
            | Self::Preempted(_)
            | Self::Closed => UploadOutcome::Aborted,
        }
    }
}

impl From<Closed> for UploadError {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}
