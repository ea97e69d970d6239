//! Small results: checked and unpacked beside their place, kept in the journal, put in place without a sync of their own.

use std::{io::Write as _, path::Path};

use sono_bundle::{ArchiveError, PlaceError, Staged, UnpackError};
use sono_types::{UploadLimits, constants};

use crate::{run::SmallBody, upload::chain};

/// Why a body was not staged.
pub(crate) enum NotStaged {
    /// The content is at fault.
    Content {
        reason: String,
        /// It unpacks to more than it may.
        too_large: bool,
    },
    /// Our disk.
    Storage {
        reason: String,
        /// There is no room on it.
        full: bool,
    },
}

/// Checks a body and makes the result of it, beside its place; the second value is how many bytes an archive became.
pub(crate) fn stage(
    file: &Path,
    file_name: &str,
    content_type: &str,
    limits: &UploadLimits,
) -> Result<(Staged, Option<u64>), NotStaged> {
    if content_type == constants::GZIP_MIME {
        let staged = sono_bundle::stage_archive(file, limits).map_err(|error| not_staged(&error))?;
        return Ok((staged.0, Some(staged.1.bytes)));
    }
    let name = sono_bundle::safe_file_name(file_name, limits).map_err(|error| NotStaged::Content {
        reason: chain(&error),
        too_large: false,
    })?;
    let staged = sono_bundle::stage_file(file, &name).map_err(|error| not_staged(&error.into()))?;
    Ok((staged, None))
}

fn not_staged(error: &PlaceError) -> NotStaged {
    let reason = chain(error);
    if error.is_content() {
        let too_large = matches!(
            error,
            PlaceError::Unpack(UnpackError::Archive(ArchiveError::TooLarge { .. }))
        );
        NotStaged::Content { reason, too_large }
    } else {
        let full = error.is_full();
        NotStaged::Storage { reason, full }
    }
}

/// Puts a result in place from the journal. What is there may be half of it.
pub(crate) fn restore(
    body: &SmallBody,
    incoming: &Path,
    destination: &Path,
    limits: &UploadLimits,
) -> Result<(), String> {
    let bytes = body.bytes().map_err(|error| error.to_string())?;
    let mut file = tempfile::NamedTempFile::new_in(incoming).map_err(|error| error.to_string())?;
    file.write_all(&bytes).map_err(|error| error.to_string())?;
    let path = file.into_temp_path();
    let (staged, _) = stage(&path, &body.file_name, &body.content_type, limits).map_err(|error| match error {
        NotStaged::Content { reason, .. } | NotStaged::Storage { reason, .. } => reason,
    })?;
    staged.appear(destination).map_err(|error| chain(&error))
}
