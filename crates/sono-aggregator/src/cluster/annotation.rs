//! The status as the text of an annotation.

use serde_json::Error;
use sono_types::{RunStatus, fold::ANNOTATION_BYTES, fold_status};

/// The status as JSON, folded where it would be too long.
pub(super) fn text(status: &RunStatus) -> Result<String, Error> {
    serde_json::to_string(&fold_status(status, ANNOTATION_BYTES))
}
