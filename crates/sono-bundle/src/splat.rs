//! Streams the archives of a directory, for `retrieve` (core §8).

use std::{
    io::{self, Read, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};

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
}
