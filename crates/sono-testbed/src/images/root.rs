//! The root file system of an image as a sorted map, packed as one layer.

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use anyhow::Context;
use flate2::{Compression, GzBuilder};
use fs_err as fs;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

/// Default user ID of the images.
pub(crate) const NON_ROOT: u32 = 65532;

/// A file of an image.
#[derive(Debug)]
pub enum Entry {
    /// A directory.
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// A program on this machine, executable by all users.
    Program(PathBuf),
    /// A text file.
    Text(String),
    /// A symbolic link to this path.
    Link(String),
}

/// The root file system of an image, by path.
#[derive(Debug, Default)]
pub struct Root(BTreeMap<String, Entry>);

#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) compressed: Vec<u8>,
    /// Digest of the uncompressed bytes, for the image's configuration.
    pub(crate) diff_id: String,
}

impl Root {
    /// Adds an entry at an absolute path in the container, with its parent directories.
    #[must_use]
    pub fn with(mut self, path: &str, entry: Entry) -> Self {
        let path = path.trim_start_matches('/');
        for (end, _) in path.match_indices('/') {
            self.0
                .entry(path[..end].to_owned())
                .or_insert(Entry::Directory { mode: 0o755 });
        }
        self.0.insert(path.to_owned(), entry);
        self
    }

    /// Adds the files for static programs and a non-root user: name lookups only from files and DNS, user names, `/tmp`.
    #[must_use]
    pub fn with_basics(self) -> Self {
        self.with("/etc/nsswitch.conf", Entry::Text("hosts: files dns\n".to_owned()))
            .with(
                "/etc/passwd",
                Entry::Text(format!(
                    "root:x:0:0:root:/:/bin/sh\nsonobuoy:x:1000:1000:sonobuoy:/:/bin/sh\nnonroot:x:{NON_ROOT}:{NON_ROOT}:nonroot:/:/bin/sh\n"
                )),
            )
            .with("/etc/group", Entry::Text(format!("root:x:0:\nsonobuoy:x:1000:\nnonroot:x:{NON_ROOT}:\n")))
            .with("/tmp", Entry::Directory { mode: 0o1777 })
    }

    pub(crate) fn layer(&self) -> anyhow::Result<Layer> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, entry) in &self.0 {
            append(&mut archive, path, entry).with_context(|| format!("cannot add {path} to the image"))?;
        }
        let bytes = archive.into_inner()?;
        let diff_id = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        // For reproducible bytes the header has no time and no file name.
        let mut compressor = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
        compressor.write_all(&bytes)?;
        Ok(Layer {
            compressed: compressor.finish()?,
            diff_id,
        })
    }
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, entry: &Entry) -> anyhow::Result<()> {
    let mut header = Header::new_ustar();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    match entry {
        Entry::Directory { mode } => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(*mode);
            header.set_size(0);
            archive.append_data(&mut header, format!("{path}/"), std::io::empty())?;
        }
        Entry::Program(source) => file(archive, &mut header, path, 0o755, &fs::read(source)?)?,
        Entry::Text(text) => file(archive, &mut header, path, 0o644, text.as_bytes())?,
        Entry::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            archive.append_link(&mut header, path, target)?;
        }
    }
    Ok(())
}

fn file(
    archive: &mut tar::Builder<Vec<u8>>,
    header: &mut Header,
    path: &str,
    mode: u32,
    bytes: &[u8],
) -> anyhow::Result<()> {
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_size(u64::try_from(bytes.len())?);
    Ok(archive.append_data(header, path, bytes)?)
}

/// The first digits of a digest, for names of cache entries.
pub(crate) fn short_hex(bytes: &[u8]) -> String {
    hex::encode(&bytes[..bytes.len().min(6)])
}
