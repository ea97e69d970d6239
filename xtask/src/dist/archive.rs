//! Reproducible archives: sorted entries, one time, no owner.

use std::{
    collections::BTreeMap,
    io::{Cursor, Write as _},
};

use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::target::Packing;

/// Files by path, with `/` between folders.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Files(BTreeMap<String, File>);

#[derive(Debug, PartialEq, Eq)]
struct File {
    bytes: Vec<u8>,
    is_program: bool,
}

impl File {
    fn mode(&self) -> u32 {
        if self.is_program { 0o755 } else { 0o644 }
    }
}

impl Files {
    pub(super) fn add(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.insert(path.into(), bytes.into(), false);
    }

    pub(super) fn add_program(&mut self, path: impl Into<String>, bytes: Vec<u8>) {
        self.insert(path.into(), bytes, true);
    }

    fn insert(&mut self, path: String, bytes: Vec<u8>, is_program: bool) {
        self.0.insert(path, File { bytes, is_program });
    }

    /// Paths, contents and modes, sorted by path.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8], u32)> {
        self.0
            .iter()
            .map(|(path, file)| (path.as_str(), file.bytes.as_slice(), file.mode()))
    }

    /// Packs the files. `time` is in seconds since 1970.
    pub(super) fn packed(&self, packing: Packing, time: u64) -> anyhow::Result<Vec<u8>> {
        match packing {
            Packing::TarGz => self.tar_gz(time),
            Packing::Zip => self.zip(),
        }
    }

    fn tar_gz(&self, time: u64) -> anyhow::Result<Vec<u8>> {
        // The gzip header has no time and no file name.
        let compressor = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        let mut archive = tar::Builder::new(compressor);
        for (path, file) in &self.0 {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(file.mode());
            header.set_mtime(time);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(u64::try_from(file.bytes.len())?);
            archive.append_data(&mut header, path, file.bytes.as_slice())?;
        }
        Ok(archive.into_inner()?.finish()?)
    }

    /// Packs a zip. Its times are local times without a zone, so use the format's earliest time for all.
    fn zip(&self) -> anyhow::Result<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, file) in &self.0 {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .compression_level(Some(9))
                .last_modified_time(zip::DateTime::default())
                .unix_permissions(file.mode());
            archive.start_file(path.as_str(), options)?;
            archive.write_all(&file.bytes)?;
        }
        Ok(archive.finish()?.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::bufread::MultiGzDecoder;

    use super::*;

    fn files(order: [&str; 3]) -> Files {
        let mut files = Files::default();
        for path in order {
            if path == "sono" {
                files.add_program(path, vec![0, 159, 146]);
            } else {
                files.add(path, format!("this is {path}\n"));
            }
        }
        files
    }

    #[test]
    fn packed_bytes_do_not_depend_on_insertion_order() {
        for packing in [Packing::TarGz, Packing::Zip] {
            let one = files(["sono", "man/man1/sono.1", "LICENSE"])
                .packed(packing, 1_700_000_000)
                .unwrap();
            let other = files(["LICENSE", "sono", "man/man1/sono.1"])
                .packed(packing, 1_700_000_000)
                .unwrap();
            assert!(one == other, "{packing:?}");
        }
    }

    #[test]
    fn tar_entries_are_sorted_with_one_time_and_owner() {
        let packed = files(["sono", "man/man1/sono.1", "LICENSE"])
            .packed(Packing::TarGz, 1_700_000_000)
            .unwrap();
        let mut archive = tar::Archive::new(MultiGzDecoder::new(packed.as_slice()));
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let header = entry.header();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let owner = (header.uid().unwrap(), header.gid().unwrap());
            found.push((path, header.mode().unwrap(), header.mtime().unwrap(), owner, bytes));
        }
        let file = |path: &str| {
            (
                path.to_owned(),
                0o644,
                1_700_000_000,
                (0, 0),
                format!("this is {path}\n").into_bytes(),
            )
        };
        let program = ("sono".to_owned(), 0o755, 1_700_000_000, (0, 0), vec![0, 159, 146]);
        assert_eq!(found, [file("LICENSE"), file("man/man1/sono.1"), program]);
    }

    #[test]
    fn zip_has_the_same_files() {
        let packed = files(["sono", "man/man1/sono.1", "LICENSE"])
            .packed(Packing::Zip, 1_700_000_000)
            .unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(packed)).unwrap();
        let mut found = Vec::new();
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let mode = entry.unix_mode().map(|mode| mode & 0o777);
            found.push((entry.name().unwrap().to_string(), mode, bytes));
        }
        let file = |path: &str| (path.to_owned(), Some(0o644), format!("this is {path}\n").into_bytes());
        let program = ("sono".to_owned(), Some(0o755), vec![0, 159, 146]);
        assert_eq!(found, [file("LICENSE"), file("man/man1/sono.1"), program]);
    }
}
