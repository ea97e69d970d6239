//! Between a registry and a layout, with nothing in between.

use std::{
    collections::BTreeSet,
    io::{Seek as _, Write as _},
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::HeaderValue;
use oci_client::{Reference, RegistryOperation, client::BlobResponse, errors::OciDistributionError};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    ImageError, Layout, Platform, Platforms, Progress, Registry,
    layout::{Descriptor, blobs, written},
    root::{ACCEPTED, Root},
    trying::{Tries, Trying},
};

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

/// Reads `image` into the layout. Of an index only the wanted platforms come along; one that is left becomes the image itself.
pub async fn pull(
    registry: &Registry,
    layout: &Layout,
    image: &str,
    platforms: &Platforms,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Copied, ImageError> {
    let reference = Registry::reference(image)?;
    let mut moving = Moving::new(registry, layout, image, progress);
    let root = moving.trying.again(|| Root::pull(registry, &reference)).await?;
    let log_in = || registry.log_in(&reference, RegistryOperation::Pull);
    moving.trying.again(log_in).await?;
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
    let mut moving = Moving::new(registry, layout, target, progress);
    moving.push_all(&reference, &descriptor).await?;
    moving.name(&reference, &descriptor).await?;
    moving.copied.digest = descriptor.digest;
    Ok(moving.copied)
}

pub(crate) struct Moving<'copy> {
    registry: &'copy Registry,
    layout: &'copy Layout,
    trying: Trying<'copy>,
    pub(crate) copied: Copied,
}

impl<'copy> Moving<'copy> {
    pub(crate) fn new(
        registry: &'copy Registry,
        layout: &'copy Layout,
        image: &'copy str,
        progress: &'copy (dyn Fn(Progress<'_>) + Sync),
    ) -> Self {
        Self {
            registry,
            layout,
            trying: Trying { image, progress },
            copied: Copied::default(),
        }
    }

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
            let manifest = self.trying.again(|| Root::pull(self.registry, &child)).await?;
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
                Err(error) => self.trying.pause(&mut tries, error).await?,
            }
        }
        let found = written(&hash.finalize());
        if found != blob.digest {
            return Err(ImageError::Digest {
                what: format!("{} of {}", blob.digest, self.trying.image),
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
            image: self.trying.image.to_owned(),
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
            (self.trying.progress)(Progress::Bytes {
                image: self.trying.image,
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

    /// Children before parents, all of them under their digests alone.
    pub(crate) async fn push_all(&mut self, reference: &Reference, root: &Descriptor) -> Result<(), ImageError> {
        let log_in = || self.registry.log_in(reference, RegistryOperation::Push);
        self.trying.again(log_in).await?;
        let parts = unique(self.layout.parts(root)?);
        let is_manifest = |part: &Descriptor| ACCEPTED.contains(&part.media_type.as_str());
        let (manifests, blobs): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_manifest);
        for blob in &blobs {
            self.push_blob(reference, blob).await?;
        }
        for manifest in &manifests {
            // As a tag, since the library falls over a digest where a registry returns no location.
            let (registry, repository) = (reference.registry(), reference.repository());
            let target = Reference::with_tag(registry.to_owned(), repository.to_owned(), manifest.digest.clone());
            self.push_manifest(&target, manifest).await?;
        }
        Ok(())
    }

    /// Makes `reference` stand for what is there already, and looks whether it does.
    pub(crate) async fn name(&self, reference: &Reference, root: &Descriptor) -> Result<(), ImageError> {
        let registry = self.registry;
        let log_in = || registry.log_in(reference, RegistryOperation::Push);
        self.trying.again(log_in).await?;
        self.push_manifest(reference, root).await?;
        let found = self.trying.again(|| Root::pull(registry, reference)).await?.digest;
        if found == root.digest {
            return Ok(());
        }
        Err(ImageError::ReadBack {
            image: self.trying.image.to_owned(),
            expected: root.digest.clone(),
            found,
        })
    }

    async fn push_manifest(&self, target: &Reference, manifest: &Descriptor) -> Result<(), ImageError> {
        let bytes = Bytes::from(self.layout.read(&manifest.digest)?);
        let image = || self.trying.image.to_owned();
        let media_type = HeaderValue::from_str(&manifest.media_type).map_err(|_| ImageError::MediaType {
            image: image(),
            media_type: manifest.media_type.clone(),
        })?;
        let push = || async {
            let client = &self.registry.client;
            let pushed = client.push_manifest_raw(target, bytes.clone(), media_type.clone());
            pushed
                .await
                .map_err(|source| ImageError::PushManifest { image: image(), source })
        };
        self.trying.again(push).await?;
        Ok(())
    }

    async fn push_blob(&mut self, reference: &Reference, blob: &Descriptor) -> Result<(), ImageError> {
        let failed = |source| ImageError::PushBlob {
            image: self.trying.image.to_owned(),
            digest: blob.digest.clone(),
            source,
        };
        let client = &self.registry.client;
        let there = self
            .trying
            .again(|| async { client.blob_exists(reference, &blob.digest).await.map_err(failed) })
            .await?;
        if there {
            self.copied.blobs_there += 1;
            return Ok(());
        }
        self.trying
            .again(|| async {
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
        (self.trying.progress)(Progress::Bytes {
            image: self.trying.image,
            bytes: blob.size,
        });
        self.copied.blobs_moved += 1;
        self.copied.bytes_moved += blob.size;
        Ok(())
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
