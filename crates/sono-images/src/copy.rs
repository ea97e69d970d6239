//! Between a registry and a layout, with nothing in between.

use std::{
    collections::BTreeSet,
    io::{Seek as _, Write as _},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::HeaderValue;
use oci_client::{
    Reference, RegistryOperation,
    client::BlobResponse,
    errors::OciDistributionError,
    manifest::{
        IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
    },
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    ImageError, Layout, Platform, Platforms, Registry,
    layout::{Descriptor, blobs, digest_of, written},
};

const ACCEPTED: [&str; 4] = [
    OCI_IMAGE_INDEX_MEDIA_TYPE,
    IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE,
];

/// How often a blob or a manifest is tried.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// One image that was moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// `sha256:…`, of the manifest or the index.
    pub digest: String,
    pub blobs_moved: usize,
    pub blobs_there: usize,
    /// Of the blobs that were moved.
    pub bytes_moved: u64,
}

/// What happens meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<'copy> {
    /// This many bytes more of a blob.
    Bytes { image: &'copy str, bytes: u64 },
    /// A try failed and another begins.
    Again { image: &'copy str, error: String },
}

/// A manifest or an index as the registry has it.
pub(crate) struct Root {
    pub(crate) digest: String,
    media_type: String,
    bytes: Bytes,
    pub(crate) manifest: Value,
}

impl Root {
    pub(crate) async fn pull(registry: &Registry, reference: &Reference) -> Result<Self, ImageError> {
        let auth = registry.auth(reference)?;
        let (bytes, _) = registry
            .client
            .pull_manifest_raw(reference, &auth, &ACCEPTED)
            .await
            .map_err(|source| ImageError::PullManifest {
                image: reference.whole(),
                source,
            })?;
        let manifest: Value = serde_json::from_slice(&bytes).map_err(|source| ImageError::Manifest {
            image: reference.whole(),
            source,
        })?;
        let digest = digest_of(&bytes);
        if let Some(expected) = reference.digest()
            && expected != digest
        {
            return Err(ImageError::Digest {
                what: reference.whole(),
                found: digest,
            });
        }
        let media_type = media_type(&manifest).ok_or_else(|| ImageError::MediaType {
            image: reference.whole(),
            media_type: manifest.get("mediaType").map(Value::to_string).unwrap_or_default(),
        })?;
        Ok(Self {
            digest,
            media_type,
            bytes,
            manifest,
        })
    }

    pub(crate) fn is_index(&self) -> bool {
        [OCI_IMAGE_INDEX_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE].contains(&self.media_type.as_str())
    }

    /// The images of an index: for which platform, and the entry as it stands there.
    pub(crate) fn children(&self) -> Vec<(Option<Platform>, &Value)> {
        let entries = self.manifest.get("manifests").and_then(Value::as_array);
        entries
            .into_iter()
            .flatten()
            .map(|entry| {
                let platform = entry
                    .get("platform")
                    .and_then(|platform| serde_json::from_value::<Platform>(platform.clone()).ok())
                    // Attestations stand in an index as images for nothing.
                    .filter(|platform| platform.os != "unknown");
                (platform, entry)
            })
            .collect()
    }
}

/// Old manifests do not say what they are.
fn media_type(manifest: &Value) -> Option<String> {
    match manifest.get("mediaType").and_then(Value::as_str) {
        Some(said) => ACCEPTED.contains(&said).then(|| said.to_owned()),
        None if manifest.get("manifests").is_some() => Some(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned()),
        None if manifest.get("layers").is_some() => Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        None => None,
    }
}

/// Reads `image` into the layout. Of an index only the wanted platforms come along; one that is left becomes the image itself.
pub async fn pull(
    registry: &Registry,
    layout: &Layout,
    image: &str,
    platforms: &Platforms,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Copied, ImageError> {
    let reference = Registry::reference(image)?;
    let mut moving = Moving {
        registry,
        layout,
        image,
        progress,
        copied: Copied::default(),
    };
    let root = moving.again(|| Root::pull(registry, &reference)).await?;
    registry.log_in(&reference, RegistryOperation::Pull).await?;
    let descriptor = if root.is_index() {
        moving.pull_index(&reference, &root, platforms).await?
    } else {
        moving.pull_manifest(&reference, &root).await?
    };
    moving.copied.digest.clone_from(&descriptor.digest);
    layout.name(image, descriptor)?;
    Ok(moving.copied)
}

/// Writes what the layout has as `image` to a registry as `target`, manifests last, and reads the result back.
pub async fn push(
    registry: &Registry,
    layout: &Layout,
    image: &str,
    target: &str,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Copied, ImageError> {
    let descriptor = layout.find(image)?;
    let reference = Registry::reference(target)?;
    let mut moving = Moving {
        registry,
        layout,
        image: target,
        progress,
        copied: Copied::default(),
    };
    registry.log_in(&reference, RegistryOperation::Push).await?;
    moving.push_tree(&reference, &descriptor).await?;
    let found = moving.again(|| Root::pull(registry, &reference)).await?.digest;
    if found != descriptor.digest {
        return Err(ImageError::ReadBack {
            image: target.to_owned(),
            expected: descriptor.digest,
            found,
        });
    }
    moving.copied.digest = found;
    Ok(moving.copied)
}

struct Moving<'copy> {
    registry: &'copy Registry,
    layout: &'copy Layout,
    image: &'copy str,
    progress: &'copy (dyn Fn(Progress<'_>) + Sync),
    copied: Copied,
}

impl Moving<'_> {
    async fn pull_index(
        &mut self,
        reference: &Reference,
        root: &Root,
        platforms: &Platforms,
    ) -> Result<Descriptor, ImageError> {
        let children = root.children();
        let wanted: Vec<&Value> = children
            .iter()
            .filter(|(platform, _)| match platform {
                Some(platform) => platforms.want(platform),
                None => *platforms == Platforms::All,
            })
            .map(|(_, entry)| *entry)
            .collect();
        if wanted.is_empty() {
            return Err(no_platform(reference, &children, platforms));
        }
        let mut pulled = Vec::new();
        for entry in &wanted {
            let digest = entry.get("digest").and_then(Value::as_str).unwrap_or_default();
            let child = reference.clone_with_digest(digest.to_owned());
            let manifest = self.again(|| Root::pull(self.registry, &child)).await?;
            pulled.push(self.pull_manifest(reference, &manifest).await?);
        }
        if wanted.len() == children.len() {
            return self.layout.write(&root.media_type, &root.bytes);
        }
        if let [one] = pulled.as_slice() {
            return Ok(one.clone());
        }
        let mut index = root.manifest.clone();
        index["manifests"] = wanted.into_iter().cloned().collect();
        let bytes = serde_json::to_vec(&index).expect("it was JSON before");
        self.layout.write(&root.media_type, &bytes)
    }

    async fn pull_manifest(&mut self, reference: &Reference, root: &Root) -> Result<Descriptor, ImageError> {
        for blob in unique(blobs(&root.manifest)) {
            if self.layout.has(&blob) {
                self.copied.blobs_there += 1;
                continue;
            }
            self.pull_blob(reference, &blob).await?;
            self.copied.blobs_moved += 1;
            self.copied.bytes_moved += blob.size;
        }
        self.layout.write(&root.media_type, &root.bytes)
    }

    /// Goes on where a broken connection stopped, if the registry can.
    async fn pull_blob(&self, reference: &Reference, blob: &Descriptor) -> Result<(), ImageError> {
        let mut file = self.layout.unfinished()?;
        let mut hash = Sha256::new();
        let mut there = 0;
        let mut tries = Tries::new();
        loop {
            match self.pull_rest(reference, blob, &mut file, &mut hash, &mut there).await {
                Ok(()) => break,
                Err(error) => self.pause(&mut tries, error).await?,
            }
        }
        let found = written(&hash.finalize());
        if found != blob.digest {
            return Err(ImageError::Digest {
                what: format!("{} of {}", blob.digest, self.image),
                found,
            });
        }
        self.layout.finish(file, &blob.digest)
    }

    async fn pull_rest(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        file: &mut tempfile::NamedTempFile,
        hash: &mut Sha256,
        there: &mut u64,
    ) -> Result<(), ImageError> {
        let failed = |source| ImageError::PullBlob {
            image: self.image.to_owned(),
            digest: blob.digest.clone(),
            source,
        };
        let client = &self.registry.client;
        let digest = blob.digest.as_str();
        let mut stream = if *there == 0 {
            client.pull_blob_stream(reference, digest).await.map_err(failed)?
        } else {
            let rest = client.pull_blob_stream_partial(reference, digest, *there, None).await;
            match rest.map_err(failed)? {
                BlobResponse::Partial(stream) => stream,
                BlobResponse::Full(stream) => {
                    // It starts over.
                    file.as_file_mut()
                        .set_len(0)
                        .and_then(|()| file.rewind())
                        .map_err(layout_error(file))?;
                    *hash = Sha256::new();
                    *there = 0;
                    stream
                }
            }
        };
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|error| failed(OciDistributionError::IoError(error)))?;
            file.write_all(&bytes).map_err(layout_error(file))?;
            hash.update(&bytes);
            *there += bytes.len() as u64;
            (self.progress)(Progress::Bytes {
                image: self.image,
                bytes: bytes.len() as u64,
            });
            if *there > blob.size {
                break;
            }
        }
        if *there < blob.size {
            let short = std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the registry sent less than it announced",
            );
            return Err(failed(OciDistributionError::IoError(short)));
        }
        Ok(())
    }

    /// Children before parents, so that a name never stands for something that is not all there.
    async fn push_tree(&mut self, reference: &Reference, root: &Descriptor) -> Result<(), ImageError> {
        let parts = self.layout.parts(root)?;
        let is_manifest = |part: &Descriptor| ACCEPTED.contains(&part.media_type.as_str());
        for blob in unique(parts.iter().filter(|part| !is_manifest(part)).cloned().collect()) {
            self.push_blob(reference, &blob).await?;
        }
        for manifest in parts.iter().filter(|part| is_manifest(part)) {
            let bytes = Bytes::from(self.layout.read(&manifest.digest)?);
            let target = if manifest.digest == root.digest {
                reference.clone()
            } else {
                // As a tag, since the library falls over a digest where a registry returns no location.
                let (registry, repository) = (reference.registry(), reference.repository());
                Reference::with_tag(registry.to_owned(), repository.to_owned(), manifest.digest.clone())
            };
            let media_type = HeaderValue::from_str(&manifest.media_type).map_err(|_| ImageError::MediaType {
                image: self.image.to_owned(),
                media_type: manifest.media_type.clone(),
            })?;
            self.again(|| async {
                let client = &self.registry.client;
                let pushed = client
                    .push_manifest_raw(&target, bytes.clone(), media_type.clone())
                    .await;
                pushed.map_err(|source| ImageError::PushManifest {
                    image: self.image.to_owned(),
                    source,
                })
            })
            .await?;
        }
        Ok(())
    }

    async fn push_blob(&mut self, reference: &Reference, blob: &Descriptor) -> Result<(), ImageError> {
        let failed = |source| ImageError::PushBlob {
            image: self.image.to_owned(),
            digest: blob.digest.clone(),
            source,
        };
        let client = &self.registry.client;
        let there = self
            .again(|| async { client.blob_exists(reference, &blob.digest).await.map_err(failed) })
            .await?;
        if there {
            self.copied.blobs_there += 1;
            return Ok(());
        }
        self.again(|| async {
            let path = self.layout.blob(&blob.digest);
            let file = fs_err::tokio::File::open(&path)
                .await
                .map_err(|source| ImageError::Layout {
                    action: "read",
                    path,
                    source,
                })?;
            let stream = tokio_util::io::ReaderStream::with_capacity(file, 256 * 1024);
            let stream = stream.map_err(OciDistributionError::IoError);
            let pushed = client
                .push_blob_stream(reference, stream, &blob.digest, Some(blob.size))
                .await;
            pushed.map_err(failed)
        })
        .await?;
        (self.progress)(Progress::Bytes {
            image: self.image,
            bytes: blob.size,
        });
        self.copied.blobs_moved += 1;
        self.copied.bytes_moved += blob.size;
        Ok(())
    }

    async fn again<Value, Doing>(&self, mut what: impl FnMut() -> Doing) -> Result<Value, ImageError>
    where
        Doing: Future<Output = Result<Value, ImageError>>,
    {
        let mut tries = Tries::new();
        loop {
            match what().await {
                Ok(value) => return Ok(value),
                Err(error) => self.pause(&mut tries, error).await?,
            }
        }
    }

    /// Waits before another try, or gives the error back.
    async fn pause(&self, tries: &mut Tries, error: ImageError) -> Result<(), ImageError> {
        if !error.is_transient() {
            return Err(error);
        }
        let Some(pause) = tries.next() else {
            return Err(error);
        };
        (self.progress)(Progress::Again {
            image: self.image,
            error: chain(&error),
        });
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

struct Tries {
    left: u32,
    pause: Duration,
}

impl Tries {
    fn new() -> Self {
        Self {
            left: TRIES - 1,
            pause: FIRST_PAUSE,
        }
    }

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let pause = self.pause;
        self.pause *= 2;
        Some(pause)
    }
}

fn unique(descriptors: Vec<Descriptor>) -> Vec<Descriptor> {
    let mut seen = BTreeSet::new();
    descriptors
        .into_iter()
        .filter(|descriptor| seen.insert(descriptor.digest.clone()))
        .collect()
}

fn no_platform(reference: &Reference, children: &[(Option<Platform>, &Value)], platforms: &Platforms) -> ImageError {
    let list = |platforms: &mut dyn Iterator<Item = &Platform>| {
        let names: Vec<String> = platforms.map(ToString::to_string).collect();
        names.join(", ")
    };
    ImageError::NoPlatform {
        image: reference.whole(),
        there: list(&mut children.iter().filter_map(|(platform, _)| platform.as_ref())),
        wanted: match platforms {
            Platforms::All => "all".to_owned(),
            Platforms::Only(wanted) => list(&mut wanted.iter()),
        },
    }
}

fn layout_error(file: &tempfile::NamedTempFile) -> impl Fn(std::io::Error) -> ImageError + use<> {
    let path = file.path().to_owned();
    move |source| ImageError::Layout {
        action: "write",
        path: path.clone(),
        source,
    }
}

/// The error and its causes in one line.
fn chain(error: &ImageError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
