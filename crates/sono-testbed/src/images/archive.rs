//! Writes an image as an OCI archive: a tar with one layer, one configuration, one manifest and one index.

use std::{
    collections::{BTreeMap, HashMap},
    env::consts,
    path::{Path, PathBuf},
};

use fs_err as fs;
use oci_spec::image::{
    ConfigBuilder, Descriptor, ImageConfigurationBuilder, ImageIndexBuilder, ImageManifestBuilder, MediaType,
    RootFsBuilder, SCHEMA_VERSION, Sha256Digest,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::root::{Layer, NON_ROOT, Root};

/// An image that is not written yet.
#[derive(Debug)]
pub struct Image {
    pub reference: String,
    pub root: Root,
    pub settings: Settings,
}

/// Defaults of a container.
#[derive(Debug)]
pub struct Settings {
    pub user: u32,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
}

impl Settings {
    /// Settings that run `command` as a non-root user.
    pub fn running(command: &[&str]) -> Self {
        Self {
            user: NON_ROOT,
            entrypoint: Vec::new(),
            command: command.iter().map(ToString::to_string).collect(),
            environment: vec!["PATH=/:/bin:/usr/bin".to_owned()],
        }
    }
}

/// An image on disk.
#[derive(Debug, Deserialize, Serialize)]
pub struct Archive {
    pub reference: String,
    pub path: PathBuf,
    /// Digest of the manifest, which container runtimes report as the image's digest.
    pub digest: String,
}

impl Image {
    pub fn write_to(&self, directory: &Path) -> anyhow::Result<Archive> {
        let (bytes, digest) = self.archive()?;
        let path = directory.join(format!("{}.oci.tar", self.file_stem()));
        // Renamed into place, so that an import never reads a partial archive.
        let unfinished = path.with_extension("unfinished");
        fs::write(&unfinished, bytes)?;
        fs::rename(&unfinished, &path)?;
        Ok(Archive {
            reference: self.reference.clone(),
            path,
            digest,
        })
    }

    /// File name without extension and without the tag `dev` of development builds.
    fn file_stem(&self) -> String {
        let name = self.reference.rsplit('/').next().unwrap_or(&self.reference);
        name.strip_suffix(":dev").unwrap_or(name).replace(':', "-")
    }

    fn archive(&self) -> anyhow::Result<(Vec<u8>, String)> {
        let mut blobs = Blobs::default();
        let Layer { compressed, diff_id } = self.root.layer()?;
        let layer = blobs.add(MediaType::ImageLayerGzip, compressed)?;
        let Settings {
            user,
            entrypoint,
            command,
            environment,
        } = &self.settings;
        let mut config = ConfigBuilder::default()
            .user(user.to_string())
            .working_dir("/")
            .env(environment.clone());
        if !command.is_empty() {
            config = config.cmd(command.clone());
        }
        if !entrypoint.is_empty() {
            config = config.entrypoint(entrypoint.clone());
        }
        let config = config.build()?;
        let configuration = ImageConfigurationBuilder::default()
            .architecture(architecture())
            .os("linux")
            .config(config)
            .rootfs(RootFsBuilder::default().typ("layers").diff_ids(vec![diff_id]).build()?)
            .build()?;
        let configuration = blobs.add_json(MediaType::ImageConfig, &configuration)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(configuration)
            .layers(vec![layer])
            .build()?;
        let mut manifest = blobs.add_json(MediaType::ImageManifest, &manifest)?;
        let digest = manifest.digest().to_string();
        let tag = self.reference.rsplit(':').next().unwrap_or_default();
        manifest.set_annotations(Some(HashMap::from([
            // The first one is for containerd, the second one is in the specification.
            ("io.containerd.image.name".to_owned(), self.reference.clone()),
            ("org.opencontainers.image.ref.name".to_owned(), tag.to_owned()),
        ])));
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests(vec![manifest])
            .build()?;
        blobs.0.insert(
            "oci-layout".to_owned(),
            sorted_json(&json!({ "imageLayoutVersion": "1.0.0" }))?,
        );
        blobs.0.insert("index.json".to_owned(), sorted_json(&index)?);
        Ok((blobs.tar()?, digest))
    }
}

/// The files of the archive by path.
#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    fn add_json(&mut self, media_type: MediaType, value: &impl Serialize) -> anyhow::Result<Descriptor> {
        self.add(media_type, sorted_json(value)?)
    }

    fn add(&mut self, media_type: MediaType, bytes: Vec<u8>) -> anyhow::Result<Descriptor> {
        let digest = hex::encode(Sha256::digest(&bytes));
        let descriptor = Descriptor::new(media_type, u64::try_from(bytes.len())?, digest.parse::<Sha256Digest>()?);
        self.0.insert(format!("blobs/sha256/{digest}"), bytes);
        Ok(descriptor)
    }

    fn tar(&self) -> anyhow::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, bytes) in &self.0 {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(u64::try_from(bytes.len())?);
            archive.append_data(&mut header, path, bytes.as_slice())?;
        }
        Ok(archive.into_inner()?)
    }
}

/// JSON with sorted keys: oci-spec stores annotations in a `HashMap` with random order, a `Value` sorts them.
fn sorted_json(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&serde_json::to_value(value)?)?)
}

/// Go's name of this machine's architecture, which is the image's.
fn architecture() -> &'static str {
    match consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::{super::root::Entry, *};

    fn image() -> Image {
        let root = Root::default()
            .with_basics()
            .with("/bin/tool", Entry::Text("#!/bin/sh\n".to_owned()))
            .with("/bin/alias", Entry::Link("tool".to_owned()));
        Image {
            reference: "sono.local/sample:dev".to_owned(),
            root,
            settings: Settings::running(&["/bin/tool"]),
        }
    }

    fn files(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        });
        entries.collect()
    }

    #[test]
    fn archive_of_same_image_has_same_bytes() {
        // Separately built images have annotation maps with different seeds.
        assert_eq!(image().archive().unwrap(), image().archive().unwrap());
    }

    #[test]
    fn archive_contains_configuration_and_files() {
        let (bytes, digest) = image().archive().unwrap();
        let outer = files(&bytes);
        let json = |path: &str| serde_json::from_slice::<serde_json::Value>(&outer[path]).unwrap();
        let blob = |digest: &str| format!("blobs/sha256/{}", digest.strip_prefix("sha256:").unwrap());

        let index = json("index.json");
        assert_eq!(index["manifests"][0]["digest"], digest.as_str());
        assert_eq!(
            index["manifests"][0]["annotations"]["io.containerd.image.name"],
            "sono.local/sample:dev"
        );
        let manifest = json(&blob(&digest));
        let configuration = json(&blob(manifest["config"]["digest"].as_str().unwrap()));
        assert_eq!(
            configuration["config"],
            json!({"User": "65532", "WorkingDir": "/", "Env": ["PATH=/:/bin:/usr/bin"], "Cmd": ["/bin/tool"]})
        );

        let compressed = &outer[&blob(manifest["layers"][0]["digest"].as_str().unwrap())];
        let mut layer = Vec::new();
        MultiGzDecoder::new(compressed.as_slice())
            .read_to_end(&mut layer)
            .unwrap();
        assert_eq!(
            configuration["rootfs"]["diff_ids"][0],
            format!("sha256:{}", hex::encode(Sha256::digest(&layer)))
        );
        let mut archive = tar::Archive::new(layer.as_slice());
        let listed = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let link = entry
                .link_name()
                .unwrap()
                .map(|target| format!(" -> {}", target.display()));
            format!(
                "{:o} {}{}",
                header.mode().unwrap(),
                entry.path().unwrap().display(),
                link.unwrap_or_default()
            )
        });
        assert_eq!(
            listed.collect::<Vec<_>>(),
            [
                "755 bin/",
                "777 bin/alias -> tool",
                "644 bin/tool",
                "755 etc/",
                "644 etc/group",
                "644 etc/nsswitch.conf",
                "644 etc/passwd",
                "1777 tmp/",
            ]
        );
    }
}
