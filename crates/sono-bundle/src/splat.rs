//! Streams the archives of a directory, for `retrieve` (core §8).

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use sono_types::UploadLimits;

use crate::store::safe_file_name;

/// Writes every `*.tar.gz` directly in `directory` as one gzipped tar of base names, each streamed. Without archives
/// the tar is empty. The outer stream is not compressed again.
pub fn splat<W: Write>(directory: &Path, writer: W) -> io::Result<W> {
    let mut archives = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.ends_with(".tar.gz") && path.is_file() {
            archives.push((name, path));
        }
    }
    archives.sort();
    let mut stream = tar::Builder::new(GzEncoder::new(writer, Compression::none()));
    for (name, path) in archives {
        let file = fs_err::File::open(path)?;
        let size = file.metadata()?.len();
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(0);
        // Exactly as many bytes as in the header, even if the file grows.
        stream.append_data(&mut header, name, file.take(size))?;
    }
    stream.into_inner()?.finish()
}

/// Why an archive was not sent completely.
#[derive(Debug, thiserror::Error)]
pub enum SplatFileError {
    /// The name is not a plain base name of an archive.
    #[error("{0:?} is not the name of an archive")]
    Name(String),
    /// The file does not exist or cannot be read.
    #[error("cannot open {}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The offset is beyond the end of the file.
    #[error("offset {offset} is beyond the end of the file, which has {size} bytes")]
    Offset {
        /// The requested offset.
        offset: u64,
        /// The size of the file.
        size: u64,
    },
    /// Reading or sending failed midway.
    #[error("cannot send the file")]
    Copy(#[source] io::Error),
    /// The file became shorter while it was sent.
    #[error("the file ended after {sent} of {expected} bytes")]
    Short {
        /// Bytes sent.
        sent: u64,
        /// Bytes expected.
        expected: u64,
    },
}

/// Writes the archive `name` (a base name ending in `.tar.gz`) of `directory` from byte `offset` to its end, so that an
/// interrupted retrieval can resume. Returns the number of bytes written, 0 at the end. Links are not followed.
pub fn splat_file(directory: &Path, name: &str, offset: u64, mut writer: impl Write) -> Result<u64, SplatFileError> {
    if safe_file_name(name, &UploadLimits::DEFAULT).is_err() || !name.ends_with(".tar.gz") {
        return Err(SplatFileError::Name(name.to_owned()));
    }
    let path = directory.join(name);
    let failed = |source| SplatFileError::Open {
        path: path.clone(),
        source,
    };
    if !fs_err::symlink_metadata(&path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("is not a regular file")));
    }
    let mut file = fs_err::File::open(&path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let expected = size
        .checked_sub(offset)
        .ok_or(SplatFileError::Offset { offset, size })?;
    file.seek(SeekFrom::Start(offset)).map_err(SplatFileError::Copy)?;
    let sent = io::copy(&mut file.take(expected), &mut writer).map_err(SplatFileError::Copy)?;
    writer.flush().map_err(SplatFileError::Copy)?;
    if sent < expected {
        return Err(SplatFileError::Short { sent, expected });
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn archives_are_sent_by_base_name_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.tar.gz", "a.tar.gz", "notes.txt", "half.tar.gz.tmp"] {
            fs_err::write(folder.path().join(name), name).unwrap();
        }
        fs_err::create_dir(folder.path().join("folder.tar.gz")).unwrap();
        let bytes = splat(folder.path(), Vec::new()).unwrap();
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(bytes.as_slice()));
        let mut found = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            found.insert(entry.path().unwrap().display().to_string(), content);
        }
        let expected = ["a.tar.gz", "b.tar.gz"].map(|name| (name.to_owned(), name.to_owned()));
        assert_eq!(found, BTreeMap::from(expected));
        let empty = tempfile::tempdir().unwrap();
        let nothing = splat(empty.path(), Vec::new()).unwrap();
        assert_eq!(
            tar::Archive::new(flate2::read::MultiGzDecoder::new(nothing.as_slice()))
                .entries()
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn file_is_sent_from_any_offset() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("a.tar.gz"), "0123456789").unwrap();
        let from = |name: &str, offset| {
            let mut bytes = Vec::new();
            let result = splat_file(folder.path(), name, offset, &mut bytes);
            (
                result.map_err(|error| error.to_string()),
                String::from_utf8(bytes).unwrap(),
            )
        };
        assert_eq!(from("a.tar.gz", 0), (Ok(10), "0123456789".to_owned()));
        assert_eq!(from("a.tar.gz", 7), (Ok(3), "789".to_owned()));
        assert_eq!(from("a.tar.gz", 10), (Ok(0), String::new()));
        let beyond = "offset 11 is beyond the end of the file, which has 10 bytes";
        assert_eq!(from("a.tar.gz", 11), (Err(beyond.to_owned()), String::new()));
        let path = folder.path().join("b.tar.gz");
        let missing = format!("cannot open {}", path.display());
        assert_eq!(from("b.tar.gz", 0), (Err(missing), String::new()));
    }

    #[test]
    fn only_archives_right_in_the_directory_are_served() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("inner");
        fs_err::create_dir(&folder).unwrap();
        fs_err::write(outer.path().join("secret.tar.gz"), "x").unwrap();
        fs_err::write(folder.join("notes.txt"), "x").unwrap();
        let absolute = outer.path().join("secret.tar.gz").display().to_string();
        for name in [
            "../secret.tar.gz",
            "./a.tar.gz",
            &absolute,
            "notes.txt",
            "",
            "a/b.tar.gz",
        ] {
            let error = splat_file(&folder, name, 0, io::sink()).unwrap_err();
            assert_eq!(error.to_string(), format!("{name:?} is not the name of an archive"));
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&absolute, folder.join("link.tar.gz")).unwrap();
            let error = splat_file(&folder, "link.tar.gz", 0, io::sink()).unwrap_err();
            assert!(matches!(error, SplatFileError::Open { .. }), "{error:?}");
        }
    }
}
