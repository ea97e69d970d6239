//! A directory of images in the OCI image layout (image-spec, `image-layout.md`).
//!
//! Blobs are written to a temporary file, verified and renamed, so a blob with its final name is complete.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::ImageError;

/// containerd's annotation for the name of an imported image: the whole reference.
const NAME: &str = "io.containerd.image.name";
/// The annotation of the specification: the tag only, as `docker load` and `ctr` write it.
const REFERENCE: &str = "org.opencontainers.image.ref.name";

/// A directory of images.
#[derive(Clone, Debug)]
pub struct Layout {
    directory: PathBuf,
}

/// A named image in a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub image: String,
    pub descriptor: Descriptor,
}

/// A descriptor of a blob, reduced to the required fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    /// `sha256:…`.
    pub digest: String,
    /// Size in bytes.
    pub size: u64,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    #[serde(default)]
    manifests: Vec<Named>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    #[serde(flatten)]
    descriptor: Descriptor,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Layout {
    /// A layout in `directory`, which is created by the first write.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The images of the layout, sorted by name.
    pub fn stored(&self) -> Result<Vec<Stored>, ImageError> {
        Ok(by_name(self.index()?))
    }

    /// The descriptor of `image`.
    pub fn find(&self, image: &str) -> Result<Descriptor, ImageError> {
        self.stored()?
            .into_iter()
            .find(|stored| stored.image == image)
            .map(|stored| stored.descriptor)
            .ok_or_else(|| ImageError::NotStored {
                image: image.to_owned(),
                layout: self.directory.clone(),
            })
    }

    /// Names a manifest in the layout, replacing an image of that name.
    pub fn name(&self, image: &str, descriptor: Descriptor) -> Result<(), ImageError> {
        let mut index = self.index()?;
        index
            .manifests
            .retain(|named| named.annotations.get(NAME).map(String::as_str) != Some(image));
        index.manifests.push(named(image, descriptor));
        self.write_index(index)
    }

    /// Removes images and the blobs that only they used. Returns the freed bytes.
    pub fn remove(&self, images: &[String]) -> Result<u64, ImageError> {
        let mut index = self.index()?;
        index
            .manifests
            .retain(|named| named.annotations.get(NAME).is_none_or(|name| !images.contains(name)));
        let mut used = BTreeSet::new();
        for named in &index.manifests {
            self.collect_digests(&named.descriptor, &mut used)?;
        }
        self.write_index(index)?;
        let blobs = self.directory.join("blobs/sha256");
        let mut freed = 0;
        for entry in fs::read_dir(&blobs).map_err(at("list", &blobs))? {
            let entry = entry.map_err(at("list", &blobs))?;
            let digest = format!("sha256:{}", entry.file_name().to_string_lossy());
            if !used.contains(&digest) {
                let path = entry.path();
                freed += entry.metadata().map_err(at("inspect", &path))?.len();
                fs::remove_file(&path).map_err(at("remove", &path))?;
            }
        }
        Ok(freed)
    }

    /// Whether a blob is complete in the layout.
    pub fn has(&self, descriptor: &Descriptor) -> bool {
        fs::metadata(self.blob(&descriptor.digest)).is_ok_and(|blob| blob.len() == descriptor.size)
    }

    /// The path of a blob, which may not exist yet.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let name: String = digest
            .trim_start_matches("sha256:")
            .chars()
            // Excludes path separators.
            .filter(char::is_ascii_alphanumeric)
            .collect();
        self.directory.join("blobs/sha256").join(name)
    }

    pub fn read(&self, digest: &str) -> Result<Vec<u8>, ImageError> {
        let path = self.blob(digest);
        fs::read(&path).map_err(at("read", &path))
    }

    /// Stores a manifest and returns its descriptor.
    pub fn write(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, ImageError> {
        let descriptor = Descriptor {
            media_type: media_type.to_owned(),
            digest: digest_of(bytes),
            size: bytes.len() as u64,
        };
        if !self.has(&descriptor) {
            let mut unfinished = self.unfinished()?;
            unfinished.write_all(bytes).map_err(at("write", unfinished.path()))?;
            self.finish(unfinished, &descriptor.digest)?;
        }
        Ok(descriptor)
    }

    /// A temporary file for a blob.
    pub(crate) fn unfinished(&self) -> Result<tempfile::NamedTempFile, ImageError> {
        let directory = self.directory.join("blobs/sha256");
        fs::create_dir_all(&directory).map_err(at("create", &directory))?;
        tempfile::Builder::new()
            .prefix(".unfinished-")
            .tempfile_in(&directory)
            .map_err(at("write in", &directory))
    }

    pub(crate) fn finish(&self, file: tempfile::NamedTempFile, digest: &str) -> Result<(), ImageError> {
        let path = self.blob(digest);
        file.as_file().sync_all().map_err(at("write", &path))?;
        match file.persist(&path) {
            Ok(_) => Ok(()),
            Err(error) => Err(at("write", &path)(error.error)),
        }
    }

    /// All manifests and blobs of an image, including its own manifest.
    pub fn parts(&self, root: &Descriptor) -> Result<Vec<Descriptor>, ImageError> {
        let bytes = self.read(&root.digest)?;
        let manifest: Value = serde_json::from_slice(&bytes).map_err(|source| ImageError::Manifest {
            image: root.digest.clone(),
            source,
        })?;
        let mut parts = Vec::new();
        for child in descriptors(&manifest, "manifests") {
            parts.extend(self.parts(&child)?);
        }
        parts.extend(blobs(&manifest));
        parts.push(root.clone());
        Ok(parts)
    }

    /// Writes images to one tar for `ctr images import`, `docker load` and others. The bytes depend only on the images.
    pub fn archive(&self, images: &[String], to: impl Write) -> Result<(), ImageError> {
        let mut manifests = Vec::new();
        let mut digests = BTreeSet::new();
        for image in images {
            let descriptor = self.find(image)?;
            self.collect_digests(&descriptor, &mut digests)?;
            manifests.push(named(image, descriptor));
        }
        let index = Index {
            schema_version: 2,
            manifests,
        };
        let failed = at("pack", &self.directory);
        let mut archive = tar::Builder::new(to);
        let mut append = |name: &str, size: u64, bytes: &mut dyn io::Read| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(0o644);
            header.set_size(size);
            header.set_mtime(0);
            archive.append_data(&mut header, name, bytes)
        };
        for (name, text) in [("index.json", json_of(&index)), ("oci-layout", oci_layout())] {
            append(name, text.len() as u64, &mut text.as_slice()).map_err(&failed)?;
        }
        for digest in &digests {
            let path = self.blob(digest);
            let mut file = fs::File::open(&path).map_err(at("read", &path))?;
            let size = file.metadata().map_err(at("read", &path))?.len();
            let name = format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
            append(&name, size, &mut file).map_err(&failed)?;
        }
        let mut to = archive.into_inner().map_err(&failed)?;
        to.flush().map_err(failed)
    }

    fn collect_digests(&self, root: &Descriptor, into: &mut BTreeSet<String>) -> Result<(), ImageError> {
        into.extend(self.parts(root)?.into_iter().map(|part| part.digest));
        Ok(())
    }

    fn index(&self) -> Result<Index, ImageError> {
        let path = self.directory.join("index.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Index::default()),
            Err(source) => return Err(at("read", &path)(source)),
        };
        serde_json::from_slice(&bytes).map_err(|source| ImageError::Index { path, source })
    }

    fn write_index(&self, index: Index) -> Result<(), ImageError> {
        let index = Index {
            schema_version: 2,
            ..index
        };
        fs::create_dir_all(&self.directory).map_err(at("create", &self.directory))?;
        let files = [("oci-layout", oci_layout()), ("index.json", json_of(&index))];
        for (name, bytes) in files {
            let path = self.directory.join(name);
            let mut file = tempfile::NamedTempFile::new_in(&self.directory).map_err(at("write", &path))?;
            file.write_all(&bytes).map_err(at("write", &path))?;
            file.persist(&path).map_err(|error| at("write", &path)(error.error))?;
        }
        Ok(())
    }
}

/// The images in the text of an `index.json`.
pub(crate) fn named_images(index: &[u8]) -> Result<Vec<Stored>, serde_json::Error> {
    Ok(by_name(serde_json::from_slice(index)?))
}

fn by_name(index: Index) -> Vec<Stored> {
    let mut stored: Vec<_> = index
        .manifests
        .into_iter()
        .filter_map(|named| {
            Some(Stored {
                image: named.annotations.get(NAME)?.clone(),
                descriptor: named.descriptor,
            })
        })
        .collect();
    stored.sort_by(|one, other| one.image.cmp(&other.image));
    stored
}

fn named(image: &str, descriptor: Descriptor) -> Named {
    let name = image.rsplit('/').next().unwrap_or(image);
    let tag = name.split_once(':').map_or("latest", |(_, tag)| tag);
    Named {
        descriptor,
        annotations: BTreeMap::from([
            (NAME.to_owned(), image.to_owned()),
            (REFERENCE.to_owned(), tag.to_owned()),
        ]),
    }
}

/// The descriptors at a key of a manifest.
pub(crate) fn descriptors(manifest: &Value, key: &str) -> Vec<Descriptor> {
    let list = manifest.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|one| serde_json::from_value(one.clone()).ok())
        .collect()
}

/// The blobs of an image manifest: its configuration and layers.
pub(crate) fn blobs(manifest: &Value) -> Vec<Descriptor> {
    let config = manifest
        .get("config")
        .and_then(|config| serde_json::from_value(config.clone()).ok());
    config.into_iter().chain(descriptors(manifest, "layers")).collect()
}

pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format_digest(&Sha256::digest(bytes))
}

pub(crate) fn format_digest(digest: &[u8]) -> String {
    format!("sha256:{}", hex::encode(digest))
}

fn oci_layout() -> Vec<u8> {
    json_of(&json!({ "imageLayoutVersion": "1.0.0" }))
}

fn json_of(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("maps with text keys are JSON")
}

fn at(action: &'static str, path: &Path) -> impl Fn(io::Error) -> ImageError + use<> {
    let path = path.to_owned();
    move |source| ImageError::Layout {
        action,
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn image(layout: &Layout, name: &str, layer: &[u8]) -> Descriptor {
        let layer = layout.write("application/vnd.oci.image.layer.v1.tar", layer).unwrap();
        let config = layout.write("application/vnd.oci.image.config.v1+json", b"{}").unwrap();
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        let manifest = layout
            .write("application/vnd.oci.image.manifest.v1+json", &json_of(&manifest))
            .unwrap();
        layout.name(name, manifest.clone()).unwrap();
        manifest
    }

    #[test]
    fn blobs_used_only_by_removed_images_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::at(directory.path().join("images"));
        let one = image(&layout, "a.example/one:1", b"one");
        let two = image(&layout, "a.example/two:1", b"second");
        assert_eq!(layout.find("a.example/one:1").unwrap(), one);

        let freed = layout.remove(&["a.example/one:1".to_owned()]).unwrap();
        assert_eq!(freed, one.size + 3);
        let stored = Stored {
            image: "a.example/two:1".to_owned(),
            descriptor: two.clone(),
        };
        assert_eq!(layout.stored().unwrap(), [stored]);
        for part in layout.parts(&two).unwrap() {
            assert!(layout.has(&part), "{part:?}");
        }
        assert!(!layout.has(&one));
    }

    #[test]
    fn archive_contains_only_the_named_images() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::at(directory.path());
        image(&layout, "a.example/one:1", b"one");
        let two = image(&layout, "a.example/two:1", b"second");
        let mut bytes = Vec::new();
        layout.archive(&["a.example/two:1".to_owned()], &mut bytes).unwrap();

        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut names = BTreeSet::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            names.insert(entry.path().unwrap().display().to_string());
            if entry.path().unwrap().ends_with("index.json") {
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                let index: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(
                    index,
                    json!({ "schemaVersion": 2, "manifests": [{
                        "mediaType": two.media_type, "digest": two.digest, "size": two.size,
                        "annotations": { NAME: "a.example/two:1", REFERENCE: "1" },
                    }]})
                );
            }
        }
        let parts = layout.parts(&two).unwrap();
        let blobs = parts
            .iter()
            .map(|part| format!("blobs/sha256/{}", &part.digest["sha256:".len()..]));
        let expected: BTreeSet<String> = blobs
            .chain(["index.json".to_owned(), "oci-layout".to_owned()])
            .collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn digest_cannot_name_a_path() {
        let layout = Layout::at("/l");
        assert_eq!(layout.blob("sha256:../../etc/x"), Path::new("/l/blobs/sha256/etcx"));
    }
}
