//! Trees of files, and malformed archives.

use std::{collections::BTreeMap, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use fs_err as fs;
use tar::{EntryType, Header};

/// Everything below a directory: content by name, `None` for directories. Links are included with their target.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            let content = if kind.is_dir() {
                pending.push(path);
                None
            } else if kind.is_symlink() {
                Some(format!("-> {}", fs::read_link(&path).unwrap().display()))
            } else {
                Some(fs::read_to_string(&path).unwrap())
            };
            found.insert(name, content);
        }
    }
    found
}

pub(crate) fn expected(entries: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    entries
        .iter()
        .map(|(name, content)| ((*name).to_owned(), content.map(str::to_owned)))
        .collect()
}

/// Writes files; a name with a trailing slash is a directory.
pub(crate) fn make(root: &Path, entries: &[(&str, &str)]) {
    for (name, content) in entries {
        let path = root.join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }
}

/// A tar archive that accepts any name and type.
#[derive(Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    pub(crate) fn entry(self, name: &[u8], kind: EntryType, link: &[u8], content: &[u8]) -> Self {
        self.sized(name, kind, link, content, content.len() as u64)
    }

    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        self.entry(name.as_bytes(), EntryType::Regular, b"", content.as_bytes())
    }

    pub(crate) fn directory(self, name: &str) -> Self {
        self.entry(name.as_bytes(), EntryType::Directory, b"", b"")
    }

    /// An entry with a size in its header that differs from that of its content.
    pub(crate) fn sized(mut self, name: &[u8], kind: EntryType, link: &[u8], content: &[u8], size: u64) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o4755);
        header.set_size(size);
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name);
        fields.linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A PAX record for the next entry.
    pub(crate) fn pax(self, key: &str, value: &str) -> Self {
        let rest = format!(" {key}={value}\n");
        let mut length = rest.len() + 1;
        while length != rest.len() + length.to_string().len() {
            length = rest.len() + length.to_string().len();
        }
        self.entry(b"pax", EntryType::XHeader, b"", format!("{length}{rest}").as_bytes())
    }

    /// The archive without its end blocks.
    pub(crate) fn unfinished(self) -> Vec<u8> {
        gzip(&self.0)
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        gzip(&self.0)
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
