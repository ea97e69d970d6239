//! Names of a run that become paths.

use std::path::{Path, PathBuf};

use sono_types::ArchiveName;

use crate::error::{RecordError, RunError};

/// The path of the archive that a journal or Secret names; the root if the run has no archive.
pub(crate) fn archive_path(root: &Path, name: &str) -> Result<PathBuf, RunError> {
    if name.is_empty() {
        return Ok(root.to_owned());
    }
    let parsed = ArchiveName::parse(name).map_err(|source| {
        let name = name.to_owned();
        RecordError::Archive { name, source }
    })?;
    Ok(root.join(parsed))
}

/// Name of a file that outlives the process. Without an identity in the configuration, a directory belongs to one run.
pub(crate) fn stable_name(what: &str, uuid: &str) -> String {
    if uuid.is_empty() {
        format!(".sono-{what}")
    } else {
        format!(".sono-{what}-{uuid}")
    }
}

/// Whether the directory has only a journal of commit baf4e4a or earlier, whose name lacks the run's identity.
pub(crate) fn has_nameless_journal(root: &Path, identity: &str) -> bool {
    !root.join(stable_name("journal", identity)).exists() && root.join(stable_name("journal", "")).exists()
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
    }

    #[test]
    fn runs_of_one_volume_have_journals_of_their_own() {
        assert_eq!(stable_name("journal", "a-b"), ".sono-journal-a-b");
        assert_eq!(stable_name("journal", ""), ".sono-journal");
    }
}
