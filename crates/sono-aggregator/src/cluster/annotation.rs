//! The status as the text of an annotation. Kubernetes limits all annotations of an object to 256 KiB, and every write
//! and every watch event carries it: it is kept far below (weakness W-10).

use serde_json::Error;
use sono_types::{RunStatus, fold_status};

/// Bytes of the text at most.
const LIMIT: usize = 64 << 10;

/// The status as JSON, folded where it would be too long.
pub(super) fn text(status: &RunStatus) -> Result<String, Error> {
    serde_json::to_string(&fold_status(status, LIMIT))
}
