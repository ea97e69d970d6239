//! Verification of downloaded archives.

use std::path::Path;

use sono_types::{ArchiveName, exit};

use super::{
    announced::{Announced, archive_name},
    failed,
    part::digest,
    refused,
};
use crate::error::CliError;

/// Names of the downloaded archives. Fails if the announced archive is missing or its checksum differs.
pub(super) fn check(incoming: &Path, expected: Option<&Announced>) -> Result<Vec<ArchiveName>, CliError> {
    let mut archives = Vec::new();
    for entry in fs_err::read_dir(incoming).map_err(|error| failed("cannot list the downloaded files", &error))? {
        let entry = entry.map_err(|error| failed("cannot list the downloaded files", &error))?;
        archives.push(archive_name(&entry.file_name().to_string_lossy())?);
        let kind = entry.file_type();
        if !kind
            .map_err(|error| failed("cannot list the downloaded files", &error))?
            .is_file()
        {
            let cause = format!("`{}` is a directory", entry.file_name().display());
            return Err(refused("the aggregator sent files that are not archives", &cause));
        }
    }
    archives.sort();
    let Some(expected) = expected else { return Ok(archives) };
    if !archives.contains(&expected.name) {
        return Err(CliError::new(format!(
            "cannot retrieve the results: the aggregator did not send `{}`",
            expected.name
        ))
        .exit_with(exit::RETRIEVE_FAILURE));
    }
    let own = incoming.join(&expected.name);
    let mut file = fs_err::File::open(own).map_err(|error| failed("cannot read the downloaded data", &error))?;
    let (size, sha256) = digest(&mut file).map_err(|error| failed("cannot read the downloaded data", &error))?;
    if (size, &sha256) != (expected.size, &expected.sha256) {
        return Err(checksum_mismatch(expected, size, &sha256));
    }
    file.sync_all()
        .map_err(|error| failed("cannot write the archive", &error))?;
    Ok(archives)
}

pub(super) fn checksum_mismatch(expected: &Announced, size: u64, sha256: &str) -> CliError {
    CliError::new("cannot retrieve the results: checksum mismatch: the download is corrupt")
        .details([
            format!("expected {} bytes, SHA-256 {}", expected.size, expected.sha256),
            format!("received {size} bytes, SHA-256 {sha256}"),
        ])
        .hint("try again")
        .exit_with(exit::RETRIEVE_FAILURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_with_another_checksum_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("a.tar.gz"), "abc").unwrap();
        let info = |size, sha256: &str| Announced {
            name: ArchiveName::parse("a.tar.gz").unwrap(),
            size,
            sha256: sha256.to_owned(),
        };
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(check(directory.path(), Some(&info(3, digest))).unwrap().len(), 1);
        assert_eq!(
            check(directory.path(), Some(&info(4, digest))).unwrap_err().text(),
            format!(
                "error: cannot retrieve the results: checksum mismatch: the download is corrupt\n  expected 4 bytes, SHA-256 {digest}\n  received 3 bytes, SHA-256 {digest}\n  hint:  try again\n"
            )
        );
        let other = Announced {
            name: ArchiveName::parse("b.tar.gz").unwrap(),
            ..info(3, digest)
        };
        assert_eq!(
            check(directory.path(), Some(&other)).unwrap_err().text(),
            "error: cannot retrieve the results: the aggregator did not send `b.tar.gz`\n"
        );
    }
}
