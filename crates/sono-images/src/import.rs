//! Imports an OCI archive into a layout, the reverse of [`Layout::archive`].

use std::{
    io::{self, Read, Write as _},
    path::Path,
};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use crate::{
    ImageError, Layout, Stored,
    layout::{format_digest, named_images},
};

/// Largest index, in bytes: it names only a few images.
const MAX_INDEX_BYTES: u64 = 1024 * 1024;

/// Imports all blobs of `archive` into the layout and returns its images. They are not named in the layout, since two
/// archives may use the same name for different platforms.
pub fn import(layout: &Layout, archive: &Path) -> Result<Vec<Stored>, ImageError> {
    let failed = |source| ImageError::Archive {
        path: archive.to_owned(),
        source,
    };
    let file = fs::File::open(archive).map_err(failed)?;
    let mut tar = tar::Archive::new(io::BufReader::new(file));
    let mut index = None;
    for entry in tar.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if name == "index.json" {
            let mut bytes = Vec::new();
            let mut limited = (&mut entry).take(MAX_INDEX_BYTES);
            limited.read_to_end(&mut bytes).map_err(failed)?;
            index = Some(bytes);
        } else if let Some(hex) = name.strip_prefix("blobs/sha256/").filter(|hex| !hex.is_empty()) {
            blob(layout, archive, &format!("sha256:{hex}"), &mut entry)?;
        }
    }
    let index = index.ok_or_else(|| ImageError::NoImages {
        path: archive.to_owned(),
    })?;
    let images = named_images(&index).map_err(|source| ImageError::Index {
        path: archive.to_owned(),
        source,
    })?;
    if images.is_empty() {
        return Err(ImageError::NoImages {
            path: archive.to_owned(),
        });
    }
    Ok(images)
}

fn blob(layout: &Layout, archive: &Path, digest: &str, content: &mut impl Read) -> Result<(), ImageError> {
    let failed = |source| ImageError::Archive {
        path: archive.to_owned(),
        source,
    };
    let mut file = layout.unfinished()?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let length = content.read(&mut buffer).map_err(failed)?;
        if length == 0 {
            break;
        }
        hash.update(&buffer[..length]);
        file.write_all(&buffer[..length]).map_err(|source| ImageError::Layout {
            action: "write",
            path: file.path().to_owned(),
            source,
        })?;
    }
    let actual = format_digest(&hash.finalize());
    if actual != digest {
        return Err(ImageError::Digest {
            what: format!("{digest} of {}", archive.display()),
            found: actual,
        });
    }
    layout.finish(file, digest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn archive_is_imported_unchanged() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (
            Layout::at(directory.path().join("from")),
            Layout::at(directory.path().join("to")),
        );
        let config = from.write("application/vnd.oci.image.config.v1+json", b"{}").unwrap();
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [] }).to_string();
        let manifest = from
            .write("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes())
            .unwrap();
        from.name("a.example/one:1", manifest.clone()).unwrap();
        let path = directory.path().join("one.oci.tar");
        from.archive(&["a.example/one:1".to_owned()], fs::File::create(&path).unwrap())
            .unwrap();

        let stored = Stored {
            image: "a.example/one:1".to_owned(),
            descriptor: manifest.clone(),
        };
        assert_eq!(import(&to, &path).unwrap(), [stored]);
        assert!(to.has(&config) && to.has(&manifest));
        assert_eq!(to.stored().unwrap(), []);
    }

    #[test]
    fn other_archives_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::at(directory.path().join("layout"));
        let path = directory.path().join("a.tar");
        let write = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            let mut archive = tar::Builder::new(fs::File::create(&path).unwrap());
            archive.append_data(&mut header, name, content).unwrap();
            archive.finish().unwrap();
        };
        write("README", b"words");
        let error = import(&layout, &path).unwrap_err();
        assert_eq!(error.to_string(), format!("{} contains no image", path.display()));

        write("blobs/sha256/00", b"words");
        let error = import(&layout, &path).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "digest mismatch: the content of sha256:00 of {} has the digest {}",
                path.display(),
                format_digest(&Sha256::digest(b"words"))
            )
        );
        assert_eq!(layout.stored().unwrap(), []);
    }
}
