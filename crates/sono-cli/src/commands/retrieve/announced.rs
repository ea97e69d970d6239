//! Archive announced by a status, validated before use.

use sono_types::{ArchiveName, TarInfo};

use super::refused;
use crate::error::CliError;

/// Archive announced by a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) name: ArchiveName,
    /// Size in bytes.
    pub(super) size: u64,
    /// 64 lower-case hexadecimal digits.
    pub(super) sha256: String,
}

impl Announced {
    pub(super) fn parse(archive: &TarInfo) -> Result<Self, CliError> {
        let TarInfo {
            name,
            created: _,
            sha256,
            size,
        } = archive;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if sha256.len() != 64 || !sha256.bytes().all(is_digit) {
            let cause = "its SHA-256 is not 64 lower-case hexadecimal digits";
            return Err(refused("the status of the run announces an invalid archive", cause));
        }
        Ok(Self {
            name: archive_name(name)?,
            size: *size,
            sha256: sha256.clone(),
        })
    }
}

/// Parses the name of an archive from a cluster.
pub(super) fn archive_name(name: &str) -> Result<ArchiveName, CliError> {
    ArchiveName::parse(name).map_err(|error| {
        let cause = format!("{name:?} {error}");
        refused("the archive name from the cluster is invalid", &cause)
            .hint("the run may have been tampered with: inspect its pod before you trust it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_of_an_announced_archive_are_validated() {
        let info = |name: &str, sha256: &str| TarInfo {
            name: name.to_owned(),
            size: 3,
            sha256: sha256.to_owned(),
            ..TarInfo::default()
        };
        let digest = "0a".repeat(32);
        let parsed = Announced::parse(&info("a.tar.gz", &digest)).unwrap();
        let Announced { name, size, sha256 } = parsed;
        assert_eq!((name.as_str(), size, sha256), ("a.tar.gz", 3, digest.clone()));
        assert_eq!(
            Announced::parse(&info("../../.bashrc", &digest)).unwrap_err().text(),
            "error: cannot retrieve the results: the archive name from the cluster is invalid\n  cause: \"../../.bashrc\" has characters other than 0-9, A-Z, a-z, '.', '_' and '-'\n  hint:  the run may have been tampered with: inspect its pod before you trust it\n"
        );
        for sha256 in ["ab", &"0A".repeat(32), &format!("{}\r\nX: y", "0a".repeat(29)), ""] {
            assert!(Announced::parse(&info("a.tar.gz", sha256)).is_err(), "{sha256:?}");
        }
    }
}
