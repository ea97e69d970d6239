//! Compares two builds and reports the first difference.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use fs_err as fs;

/// Describes the first difference between two folders of files.
pub(super) fn difference(one: &Path, other: &Path) -> anyhow::Result<Option<String>> {
    let names = |folder: &Path| -> anyhow::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(folder)? {
            names.insert(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    };
    let (names, other_names) = (names(one)?, names(other)?);
    if let Some(name) = names.symmetric_difference(&other_names).next() {
        return Ok(Some(format!("{name} exists in only one build")));
    }
    // The checksums differ if any file differs, without naming the difference.
    for name in names.iter().filter(|name| *name != super::SUMS) {
        let (one, other) = (fs::read(one.join(name))?, fs::read(other.join(name))?);
        if one != other {
            let inner = if name.ends_with(".tar.gz") {
                archive_difference(&one, &other)?
            } else {
                None
            };
            let difference = inner.unwrap_or_else(|| first(&one, &other));
            return Ok(Some(format!("{name}: {difference}")));
        }
    }
    Ok(None)
}

fn archive_difference(one: &[u8], other: &[u8]) -> anyhow::Result<Option<String>> {
    let (one, other) = (entries(one)?, entries(other)?);
    for (name, bytes) in &one {
        match other.get(name) {
            None => return Ok(Some(format!("{name} exists in only one build"))),
            Some(other) if other != bytes => return Ok(Some(format!("{name}: {}", first(bytes, other)))),
            Some(_) => {}
        }
    }
    let added = other.keys().find(|name| !one.contains_key(*name));
    Ok(added.map(|name| format!("{name} exists in only one build")))
}

fn entries(packed: &[u8]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut archive = tar::Archive::new(MultiGzDecoder::new(packed));
    let mut found = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        found.insert(name, bytes);
    }
    Ok(found)
}

fn first(one: &[u8], other: &[u8]) -> String {
    let at = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let around = |bytes: &[u8]| {
        let start = at.saturating_sub(16).min(bytes.len());
        let end = (at + 32).min(bytes.len());
        bytes[start..end].escape_ascii().to_string()
    };
    format!(
        "{} and {} bytes, first difference at byte {at}: \"{}\" and \"{}\"",
        one.len(),
        other.len(),
        around(one),
        around(other)
    )
}

#[cfg(test)]
mod tests {
    use super::{
        super::{archive::Files, target::Packing},
        *,
    };

    fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn found(one: &[(&str, Vec<u8>)], other: &[(&str, Vec<u8>)]) -> Option<String> {
        difference(folder(one).path(), folder(other).path()).unwrap()
    }

    fn archive(program: &[u8]) -> Vec<u8> {
        let mut files = Files::default();
        files.add("LICENSE", "free");
        files.add_program("sono", program.to_vec());
        files.packed(Packing::TarGz, 1).unwrap()
    }

    #[test]
    fn difference_of_equal_folders_is_none() {
        let files = [("a.tar.gz", archive(b"same")), ("b.json", b"{}".to_vec())];
        assert_eq!(found(&files, &files), None);
    }

    #[test]
    fn difference_names_file_and_byte() {
        let one = [
            ("a.tar.gz", archive(b"built in /home/a")),
            (super::super::SUMS, b"1".to_vec()),
        ];
        let other = [
            ("a.tar.gz", archive(b"built in /tmp/bb")),
            (super::super::SUMS, b"2".to_vec()),
        ];
        let expected = "a.tar.gz: sono: 16 and 16 bytes, first difference at byte 10: \"built in /home/a\" and \"built in /tmp/bb\"";
        assert_eq!(found(&one, &other).as_deref(), Some(expected));
        let expected = "b.json: 3 and 3 bytes, first difference at byte 1: \"{1}\" and \"{2}\"";
        let difference = found(&[("b.json", b"{1}".to_vec())], &[("b.json", b"{2}".to_vec())]);
        assert_eq!(difference.as_deref(), Some(expected));
        let difference = found(&[("b.json", Vec::new())], &[]);
        assert_eq!(difference.as_deref(), Some("b.json exists in only one build"));
    }
}
