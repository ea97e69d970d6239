//! Whether two builds gave the same bytes, and if not, where they first differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use fs_err as fs;

/// The first difference between two folders of files, in words.
pub(super) fn difference(one: &Path, other: &Path) -> anyhow::Result<Option<String>> {
    let names = |folder: &Path| -> anyhow::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(folder)? {
            names.insert(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    };
    let (ours, theirs) = (names(one)?, names(other)?);
    if let Some(name) = ours.symmetric_difference(&theirs).next() {
        return Ok(Some(format!("{name} was built only once")));
    }
    // Sums differ wherever anything does, and say nothing of where.
    for name in ours.iter().filter(|name| *name != super::SUMS) {
        let (one, other) = (fs::read(one.join(name))?, fs::read(other.join(name))?);
        if one != other {
            let inside = if name.ends_with(".tar.gz") {
                inside(&one, &other)?
            } else {
                None
            };
            let place = inside.unwrap_or_else(|| first(&one, &other));
            return Ok(Some(format!("{name}: {place}")));
        }
    }
    Ok(None)
}

fn inside(one: &[u8], other: &[u8]) -> anyhow::Result<Option<String>> {
    let (one, other) = (entries(one)?, entries(other)?);
    for (name, bytes) in &one {
        match other.get(name) {
            None => return Ok(Some(format!("{name} is only in one"))),
            Some(theirs) if theirs != bytes => return Ok(Some(format!("{name}: {}", first(bytes, theirs)))),
            Some(_) => {}
        }
    }
    let added = other.keys().find(|name| !one.contains_key(*name));
    Ok(added.map(|name| format!("{name} is only in one")))
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
        "{} and {} bytes, different from byte {at} on: \"{}\" and \"{}\"",
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
    fn the_same_is_the_same() {
        let files = [("a.tar.gz", archive(b"same")), ("b.json", b"{}".to_vec())];
        assert_eq!(found(&files, &files), None);
    }

    #[test]
    fn the_first_difference_is_named() {
        let one = [
            ("a.tar.gz", archive(b"built in /home/a")),
            (super::super::SUMS, b"1".to_vec()),
        ];
        let other = [
            ("a.tar.gz", archive(b"built in /tmp/bb")),
            (super::super::SUMS, b"2".to_vec()),
        ];
        let expected =
            "a.tar.gz: sono: 16 and 16 bytes, different from byte 10 on: \"built in /home/a\" and \"built in /tmp/bb\"";
        assert_eq!(found(&one, &other).as_deref(), Some(expected));
        let expected = "b.json: 3 and 3 bytes, different from byte 1 on: \"{1}\" and \"{2}\"";
        let difference = found(&[("b.json", b"{1}".to_vec())], &[("b.json", b"{2}".to_vec())]);
        assert_eq!(difference.as_deref(), Some(expected));
        let difference = found(&[("b.json", Vec::new())], &[]);
        assert_eq!(difference.as_deref(), Some("b.json was built only once"));
    }
}
