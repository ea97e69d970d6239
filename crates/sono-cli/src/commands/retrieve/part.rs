//! The file that a download fills. It keeps what came until it is whole, so that another `sono retrieve` goes on with it.

use std::{
    fs::TryLockError,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use sono_types::ArchiveName;

use super::{announced::Announced, reach::PIECE};

/// `.NAME.part` in the directory that the archive goes to.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) file: fs_err::File,
    /// Bytes in it.
    pub(super) have: u64,
}

impl Part {
    /// Opens what an earlier download left, or begins. Nobody else writes into it meanwhile: a second download at the
    /// same time gets a file of its own.
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
            // A file system without locks: as if nobody else were there.
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

    /// Forgets what came.
    pub(super) fn restart(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.have = 0;
        Ok(())
    }

    /// Removes the file where nothing came.
    pub(super) fn remove_if_empty(&self) -> std::io::Result<()> {
        if self.file.metadata()?.len() == 0 {
            fs_err::remove_file(&self.path)?;
        }
        Ok(())
    }

    /// Size and SHA-256 of what is there.
    pub(super) fn digest(&mut self) -> std::io::Result<(u64, String)> {
        self.file.seek(SeekFrom::Start(0))?;
        digest(&mut self.file)
    }
}

/// `.NAME.part`; of a name that leaves no space for it as much as fits.
fn name(archive: &Announced) -> String {
    let name = archive.name.as_str();
    let end = name.len().min(ArchiveName::MAX_BYTES - 30);
    format!(".{}.part", &name[..end])
}

/// Opens a regular file for this user alone; no symbolic link is followed.
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
        // An older version left it readable by others.
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(unix)]
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Size and SHA-256, in lower-case hexadecimal digits, of a file to its end.
pub(super) fn digest(file: &mut fs_err::File) -> std::io::Result<(u64, String)> {
    let (mut hasher, mut size, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            break;
        }
        hasher.update(&piece[..length]);
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
    fn what_an_earlier_download_left_is_kept_and_two_do_not_share_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let archive = Announced {
            name: ArchiveName::parse("a.tar.gz").unwrap(),
            size: 3,
            sha256: "ab".repeat(32),
        };
        let mut first = Part::open(directory.path(), &archive).unwrap();
        first.file.write_all(b"ab").unwrap();
        let second = Part::open(directory.path(), &archive).unwrap();
        assert_ne!(second.path, first.path);
        drop((first, second));
        let mut again = Part::open(directory.path(), &archive).unwrap();
        assert_eq!(again.have, 2);
        again.file.write_all(b"c").unwrap();
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(again.digest().unwrap(), (3, digest.to_owned()));
        again.file.write_all(b"too much").unwrap();
        drop(again);
        assert_eq!(Part::open(directory.path(), &archive).unwrap().have, 0);
    }
}
