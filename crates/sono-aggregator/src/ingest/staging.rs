//! Staging of complete bodies: small ones from memory, to be stored in the journal, and large ones from a temporary file. Both
//! are checked and unpacked next to their destination first.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use sono_bundle::{ArchiveError, PlaceError, Staged, UnpackError};
use sono_run::SmallBody;
use sono_types::{UploadLimits, constants, error_chain};

use crate::{durability::disk_full::IsDiskFull, ingest::error::UploadError};

/// A complete body.
pub(crate) enum Content {
    /// At most [`SmallBody::MAX_BYTES`].
    Memory(Bytes),
    /// A temporary file, removed when this is dropped.
    File(tempfile::TempPath),
}

/// Checks a body and stages its result in `incoming`, next to its destination. The second value is the unpacked size of an
/// archive in bytes. Blocking.
pub(crate) fn stage(
    content: &Content,
    incoming: &Path,
    file_name: &str,
    content_type: &str,
    limits: &UploadLimits,
) -> Result<(Staged, Option<u64>), UploadError> {
    if content_type == constants::GZIP_MIME {
        let staged = match content {
            Content::Memory(bytes) => sono_bundle::stage_archive(bytes.as_ref(), incoming, limits),
            Content::File(path) => {
                let file = fs_err::File::open(path).map_err(|error| UploadError::Storage(error.to_string()))?;
                sono_bundle::stage_archive(file, incoming, limits)
            }
        };
        let (staged, unpacked) = staged.map_err(|error| not_staged(&error))?;
        return Ok((staged, Some(unpacked.bytes)));
    }
    let name =
        sono_bundle::safe_file_name(file_name, limits).map_err(|error| UploadError::Content(error_chain(&error)))?;
    let staged = match content {
        Content::Memory(bytes) => sono_bundle::stage_bytes(bytes, &name, incoming),
        Content::File(path) => sono_bundle::stage_file(path, &name),
    };
    Ok((staged.map_err(|error| not_staged(&error.into()))?, None))
}

fn not_staged(error: &PlaceError) -> UploadError {
    let reason = error_chain(error);
    let reason = exceeded_limit(error).map_or_else(|| reason.clone(), |key| format!("{reason} (UploadLimits.{key})"));
    match error {
        PlaceError::Unpack(UnpackError::Archive(ArchiveError::TooLarge { .. })) if error.is_content() => {
            UploadError::TooLarge(reason)
        }
        _ if error.is_content() => UploadError::Content(reason),
        _ if error.is_full() => UploadError::Full(reason),
        _ => UploadError::Storage(reason),
    }
}

/// Key below `UploadLimits` of the exceeded limit.
fn exceeded_limit(error: &PlaceError) -> Option<&'static str> {
    let PlaceError::Unpack(error) = error else { return None };
    match error {
        UnpackError::TooManyEntries { .. } => Some("MaxEntries"),
        UnpackError::LongName { .. } => Some("MaxNameBytes"),
        UnpackError::Archive(ArchiveError::TooLarge { .. }) => Some("MaxUnpackedBytes"),
        UnpackError::Archive(ArchiveError::Ratio { .. }) => Some("MaxRatio"),
        UnpackError::Archive(_)
        | UnpackError::Name { .. }
        | UnpackError::Conflict { .. }
        | UnpackError::Write { .. } => None,
    }
}

/// Why the files of a result in the journal cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot restore {}: {reason}", destination.display())]
pub(crate) struct RestoreError {
    destination: PathBuf,
    reason: String,
    /// The disk is full.
    pub(crate) full: bool,
}

impl IsDiskFull for RestoreError {
    fn is_full(&self) -> bool {
        self.full
    }
}

/// Commits a result from the journal. An earlier, incomplete copy is replaced, and removed first if the disk is full.
/// Blocking.
pub(crate) fn restore(
    body: &SmallBody,
    incoming: &Path,
    destination: &Path,
    limits: &UploadLimits,
) -> Result<(), RestoreError> {
    let failed = |reason, full| RestoreError {
        destination: destination.to_path_buf(),
        reason,
        full,
    };
    let bytes = body.bytes().map_err(|error| failed(error.to_string(), false))?;
    let content = Content::Memory(bytes.into());
    let put = || {
        let staged = stage(&content, incoming, &body.file_name, &body.content_type, limits);
        let (staged, _) = staged.map_err(|error| match error {
            UploadError::Full(reason) => failed(reason, true),
            other => failed(other.to_string(), false),
        })?;
        let put = staged.commit_unsynced(destination);
        put.map_err(|error| failed(error_chain(&error), error.is_full()))
    };
    match put() {
        Err(error) if error.full && fs_err::remove_dir_all(destination).is_ok() => put(),
        done => done,
    }
}
