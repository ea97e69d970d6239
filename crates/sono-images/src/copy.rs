//! Copies images between a registry and a layout.

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
    layout::{Descriptor, blobs, format_digest},
    retry::{Retry, delays},
    root::{ACCEPTED, Root},
};

/// Statistics of a copied image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// `sha256:…`, of the manifest or the index.
    pub digest: String,
    pub blobs_moved: usize,
    pub blobs_skipped: usize,
    /// Bytes of the moved blobs.
    pub bytes_moved: u64,
}

/// Pulls `image` into the layout. An index is reduced to the requested platforms, and to a plain image if only one
/// remains.
pub async fn pull(
    registry: &Registry,
    layout: &Layout,
    image: &str,
    platforms: &Platforms,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Copied, ImageError> {
    let reference = Registry::reference(image)?;
    let mut transfer = Transfer::new(registry, layout, image, progress);
    let root = transfer.retry.run(|| Root::pull(registry, &reference)).await?;
    let log_in = || registry.log_in(&reference, RegistryOperation::Pull);
    transfer.retry.run(log_in).await?;
    let descriptor = if root.is_index() {
        transfer.pull_index(&reference, &root, platforms).await?
    } else {
        transfer.pull_manifest(&reference, &root).await?
    };
    transfer.copied.digest.clone_from(&descriptor.digest);
    layout.name(image, descriptor)?;
    Ok(transfer.copied)
}

/// Pushes `image` of the layout to a registry as `target`, manifests last, and verifies the result.
pub async fn push(
    registry: &Registry,
    layout: &Layout,
    image: &str,
    target: &str,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Copied, ImageError> {
    let descriptor = layout.find(image)?;
    let reference = Registry::reference(target)?;
    let mut transfer = Transfer::new(registry, layout, target, progress);
    transfer.push_all(&reference, &descriptor).await?;
    transfer.tag(&reference, &descriptor).await?;
    transfer.copied.digest = descriptor.digest;
    Ok(transfer.copied)
}

pub(crate) struct Transfer<'copy> {
    registry: &'copy Registry,
    layout: &'copy Layout,
    retry: Retry<'copy>,
    pub(crate) copied: Copied,
}

impl<'copy> Transfer<'copy> {
    pub(crate) fn new(
        registry: &'copy Registry,
        layout: &'copy Layout,
        image: &'copy str,
        progress: &'copy (dyn Fn(Progress<'_>) + Sync),
    ) -> Self {
        Self {
            registry,
            layout,
            retry: Retry { image, progress },
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
        let requested: Vec<&Value> = children
            .iter()
            .filter(|(platform, _)| match platform {
                Some(platform) => platforms.includes(platform),
                None => *platforms == Platforms::All,
            })
            .map(|(_, entry)| *entry)
            .collect();
        if requested.is_empty() {
            return Err(no_platform(reference, &children, platforms));
        }
        let mut pulled = Vec::new();
        for entry in &requested {
            let digest = entry.get("digest").and_then(Value::as_str).unwrap_or_default();
            let child = reference.clone_with_digest(digest.to_owned());
            let manifest = self.retry.run(|| Root::pull(self.registry, &child)).await?;
            pulled.push(self.pull_manifest(reference, &manifest).await?);
        }
        if requested.len() == children.len() {
            return self.layout.write(&root.media_type, &root.bytes);
        }
        if let [one] = pulled.as_slice() {
            return Ok(one.clone());
        }
        let mut index = root.manifest.clone();
        index["manifests"] = requested.into_iter().cloned().collect();
        let bytes = serde_json::to_vec(&index).expect("it was JSON before");
        self.layout.write(&root.media_type, &bytes)
    }

    async fn pull_manifest(&mut self, reference: &Reference, root: &Root) -> Result<Descriptor, ImageError> {
        for blob in unique(blobs(&root.manifest)) {
            if self.layout.has(&blob) {
                self.copied.blobs_skipped += 1;
                continue;
            }
            self.pull_blob(reference, &blob).await?;
            self.copied.blobs_moved += 1;
            self.copied.bytes_moved += blob.size;
        }
        self.layout.write(&root.media_type, &root.bytes)
    }

    /// Pulls one blob. After a broken connection, resumes if the registry supports it.
    async fn pull_blob(&self, reference: &Reference, blob: &Descriptor) -> Result<(), ImageError> {
        let mut file = self.layout.unfinished()?;
        let mut hash = Sha256::new();
        let mut received = 0;
        let mut delays = delays();
        loop {
            match self
                .pull_remaining(reference, blob, &mut file, &mut hash, &mut received)
                .await
            {
                Ok(()) => break,
                Err(error) => self.retry.wait(&mut delays, error).await?,
            }
        }
        let actual = format_digest(&hash.finalize());
        if actual != blob.digest {
            return Err(ImageError::Digest {
                what: format!("{} of {}", blob.digest, self.retry.image),
                found: actual,
            });
        }
        self.layout.finish(file, &blob.digest)
    }

    async fn pull_remaining(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        file: &mut tempfile::NamedTempFile,
        hash: &mut Sha256,
        received: &mut u64,
    ) -> Result<(), ImageError> {
        let failed = |source| ImageError::PullBlob {
            image: self.retry.image.to_owned(),
            digest: blob.digest.clone(),
            source,
        };
        let client = &self.registry.client;
        let digest = blob.digest.as_str();
        let mut stream = if *received == 0 {
            client.pull_blob_stream(reference, digest).await.map_err(failed)?
        } else {
            let rest = client
                .pull_blob_stream_partial(reference, digest, *received, None)
                .await;
            match rest.map_err(failed)? {
                BlobResponse::Partial(stream) => stream,
                BlobResponse::Full(stream) => {
                    // The registry sends the whole blob again.
                    file.as_file_mut()
                        .set_len(0)
                        .and_then(|()| file.rewind())
                        .map_err(layout_error(file))?;
                    *hash = Sha256::new();
                    *received = 0;
                    stream
                }
            }
        };
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|error| failed(OciDistributionError::IoError(error)))?;
            file.write_all(&bytes).map_err(layout_error(file))?;
            hash.update(&bytes);
            *received += bytes.len() as u64;
            (self.retry.progress)(Progress::Bytes {
                image: self.retry.image,
                bytes: bytes.len() as u64,
            });
            if *received > blob.size {
                break;
            }
        }
        if *received < blob.size {
            let short = std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the registry sent less data than announced",
            );
            return Err(failed(OciDistributionError::IoError(short)));
        }
        Ok(())
    }

    /// Pushes the parts of an image, children first, by digest only.
    pub(crate) async fn push_all(&mut self, reference: &Reference, root: &Descriptor) -> Result<(), ImageError> {
        let log_in = || self.registry.log_in(reference, RegistryOperation::Push);
        self.retry.run(log_in).await?;
        let parts = unique(self.layout.parts(root)?);
        let is_manifest = |part: &Descriptor| ACCEPTED.contains(&part.media_type.as_str());
        let (manifests, blobs): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_manifest);
        for blob in &blobs {
            self.push_blob(reference, blob).await?;
        }
        for manifest in &manifests {
            // As a tag, since the library fails for a digest if the registry returns no location.
            let (registry, repository) = (reference.registry(), reference.repository());
            let target = Reference::with_tag(registry.to_owned(), repository.to_owned(), manifest.digest.clone());
            self.push_manifest(&target, manifest).await?;
        }
        Ok(())
    }

    /// Tags an image after its parts were pushed, and verifies the tag.
    pub(crate) async fn tag(&self, reference: &Reference, root: &Descriptor) -> Result<(), ImageError> {
        let registry = self.registry;
        let log_in = || registry.log_in(reference, RegistryOperation::Push);
        self.retry.run(log_in).await?;
        self.push_manifest(reference, root).await?;
        let found = self.retry.run(|| Root::pull(registry, reference)).await?.digest;
        if found == root.digest {
            return Ok(());
        }
        Err(ImageError::ReadBack {
            image: self.retry.image.to_owned(),
            expected: root.digest.clone(),
            found,
        })
    }

    async fn push_manifest(&self, target: &Reference, manifest: &Descriptor) -> Result<(), ImageError> {
        let bytes = Bytes::from(self.layout.read(&manifest.digest)?);
        let image = || self.retry.image.to_owned();
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
        self.retry.run(push).await?;
        Ok(())
    }

    async fn push_blob(&mut self, reference: &Reference, blob: &Descriptor) -> Result<(), ImageError> {
        let failed = |source| ImageError::PushBlob {
            image: self.retry.image.to_owned(),
            digest: blob.digest.clone(),
            source,
        };
        let client = &self.registry.client;
        let exists = self
            .retry
            .run(|| async { client.blob_exists(reference, &blob.digest).await.map_err(failed) })
            .await?;
        if exists {
            self.copied.blobs_skipped += 1;
            return Ok(());
        }
        self.retry
            .run(|| async {
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
        (self.retry.progress)(Progress::Bytes {
            image: self.retry.image,
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
        available: list(&mut children.iter().filter_map(|(platform, _)| platform.as_ref())),
        requested: match platforms {
            Platforms::All => "all".to_owned(),
            Platforms::Only(requested) => list(&mut requested.iter()),
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
