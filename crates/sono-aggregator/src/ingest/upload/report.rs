//! Error reports: bodies in which a worker reports why it has no result.

use std::{
    io::{self, Read as _},
    path::Path,
};

use sono_types::constants;

use super::{Head, blocking};
use crate::ingest::{error::UploadError, staging::Content};

/// Maximum size of an error report in bytes.
const MAX_ERROR_BODY: u64 = 64 << 10;

/// The reason in an error report, which a worker sends if it cannot read its result: `{"error": "…"}`, marked by a header (sono's
/// workers), or without a file name (Sonobuoy's workers: weakness W-6).
pub(super) async fn reported_error(head: &Head, content: Content) -> Result<(Content, Option<String>), UploadError> {
    let (is_error, unnamed) = (head.is_error, head.file_name == constants::DEFAULT_FILE_NAME);
    if !is_error && !unnamed {
        return Ok((content, None));
    }
    match content {
        Content::Memory(bytes) => {
            let reported = error_in(&bytes, is_error);
            Ok((Content::Memory(bytes), reported))
        }
        Content::File(path) => {
            blocking(move || {
                let bytes = beginning(&path, is_error).map_err(|error| UploadError::Storage(error.to_string()))?;
                let reported = bytes.and_then(|bytes| error_in(&bytes, is_error));
                Ok((Content::File(path), reported))
            })
            .await
        }
    }
}

/// The bytes to check: the beginning of a marked report, otherwise the whole of a small body.
fn beginning(path: &Path, is_error: bool) -> io::Result<Option<Vec<u8>>> {
    let file = fs_err::File::open(path)?;
    if !is_error && file.metadata()?.len() > MAX_ERROR_BODY {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(MAX_ERROR_BODY).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn error_in(bytes: &[u8], is_error: bool) -> Option<String> {
    let fields: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(bytes).ok();
    let message = fields.as_ref().and_then(|fields| fields.get("error")?.as_str());
    match (is_error, message) {
        (true, Some(message)) => Some(message.to_owned()),
        // A marked body is an error report, whatever its content.
        (true, None) => Some(String::from_utf8_lossy(bytes).into_owned()),
        (false, message) => message
            .filter(|_| fields.as_ref().is_some_and(|fields| fields.len() == 1))
            .map(str::to_owned),
    }
}
