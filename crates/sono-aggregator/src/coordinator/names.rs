//! Names that a run reads from ConfigMaps, Secrets and journals, before they become paths.

use std::path::{Path, PathBuf};

use sono_types::{ArchiveName, RunId};

use crate::error::RunError;

/// Refuses an identity that leads out of the run's directory: it is text of a ConfigMap, of a Secret or of a journal.
pub(crate) fn check_id(uuid: &str) -> Result<(), RunError> {
    if uuid.is_empty() {
        return Ok(());
    }
    RunId::parse(uuid)
        .map(drop)
        .map_err(|error| RunError::Record(error.to_string()))
}

/// Where the archive is that a journal or a Secret names; a run that failed has none.
pub(crate) fn archive_path(root: &Path, name: &str) -> Result<PathBuf, RunError> {
    if name.is_empty() {
        return Ok(root.to_owned());
    }
    ArchiveName::parse(name)
        .map(|name| root.join(name))
        .map_err(|error| RunError::Record(format!("the name of the archive, {name:?}, {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_the_directory_are_refused() {
        let root = Path::new("/r");
        assert_eq!(archive_path(root, "a.tar.gz").unwrap(), Path::new("/r/a.tar.gz"));
        assert_eq!(archive_path(root, "").unwrap(), root);
        for name in ["/etc/shadow", "../a.tar.gz", "a"] {
            assert!(archive_path(root, name).is_err(), "{name}");
        }
        for uuid in ["", "u", "12345678-90ab-4cde-8f01-234567890abc"] {
            check_id(uuid).unwrap();
        }
        for uuid in ["..", "../x", "/x", "a/b"] {
            assert!(check_id(uuid).is_err(), "{uuid}");
        }
    }
}
