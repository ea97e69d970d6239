//! File of an unfinished download, which another `sono retrieve` can resume.

use std::{
    fs::TryLockError,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use sono_types::ArchiveName;

use super::{announced::Announced, pod_access::CHUNK_BYTES};

/// `.NAME.part` in the directory of the archive.
#[derive(Debug)]
pub(super) struct PartialFile {
    pub(super) path: PathBuf,
    pub(super) file: fs_err::File,
    /// Number of stored bytes.
    pub(super) have: u64,
}

impl PartialFile {
    /// Opens the file of an earlier download, or creates one. The file is locked: a concurrent download uses another file.
    pub(super) fn open(directory: &Path, archive: &Announced) -> std::io::Result<Self> {
        let name = name(archive);
        let mut path = directory.join(&name);
        let mut file = writable(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                path = directory.join(format!("{name}-{}", std::process::id()));
                file = writable(&path)?;
            }
            // A file system without locks: assume that there is no concurrent download.
            Err(TryLockError::Error(_)) => {}
        }
        let mut part = Self { path, file, have: 0 };
        part.have = part.file.metadata()?.len();
        if part.have > archive.size {
            part.restart()?;
        }
        part.file.seek(SeekFrom::End(0))?;
        Ok(part)
    }

    /// Discards the stored bytes.
    pub(super) fn restart(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.have = 0;
        Ok(())
    }

    /// Removes the file if it is empty.
    pub(super) fn remove_if_empty(&self) -> std::io::Result<()> {
        if self.file.metadata()?.len() == 0 {
            fs_err::remove_file(&self.path)?;
        }
        Ok(())
    }

    /// Size and SHA-256 of the stored bytes.
    pub(super) fn digest(&mut self) -> std::io::Result<(u64, String)> {
        self.file.seek(SeekFrom::Start(0))?;
        digest(&mut self.file)
    }
}

/// `.NAME.part`, with the name truncated to the maximum length.
fn name(archive: &Announced) -> String {
    let name = archive.name.as_str();
    let end = name.len().min(ArchiveName::MAX_BYTES - 30);
    format!(".{}.part", &name[..end])
}

/// Opens a regular file that only this user can read. Symbolic links are not followed.
fn writable(path: &Path) -> std::io::Result<fs_err::File> {
    if fs_err::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(std::io::Error::other(format!(
            "`{}` is not a regular file",
            path.display()
        )));
    }
    let mut options = fs_err::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600).custom_flags(NO_FOLLOW);
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Older versions created files that others can read.
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(unix)]
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Size and SHA-256 of a file, in lower-case hexadecimal digits.
pub(super) fn digest(file: &mut fs_err::File) -> std::io::Result<(u64, String)> {
    let (mut hasher, mut size, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK_BYTES]);
    loop {
        let length = file.read(&mut chunk)?;
        if length == 0 {
            break;
        }
        hasher.update(&chunk[..length]);
        size += length as u64;
    }
    let digits: Vec<String> = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((size, digits.concat()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn earlier_download_is_resumed_and_concurrent_ones_use_separate_files() {
        let directory = tempfile::tempdir().unwrap();
        let archive = Announced {
            name: ArchiveName::parse("a.tar.gz").unwrap(),
            size: 3,
            sha256: "ab".repeat(32),
        };
        let mut first = PartialFile::open(directory.path(), &archive).unwrap();
        first.file.write_all(b"ab").unwrap();
        let second = PartialFile::open(directory.path(), &archive).unwrap();
        assert_ne!(second.path, first.path);
        drop((first, second));
        let mut resumed = PartialFile::open(directory.path(), &archive).unwrap();
        assert_eq!(resumed.have, 2);
        resumed.file.write_all(b"c").unwrap();
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(resumed.digest().unwrap(), (3, digest.to_owned()));
        resumed.file.write_all(b"too much").unwrap();
        drop(resumed);
        assert_eq!(PartialFile::open(directory.path(), &archive).unwrap().have, 0);
    }
}
