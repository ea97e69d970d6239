//! The manifest or index of an image.

use bytes::Bytes;
use oci_client::{
    Reference,
    manifest::{
        IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
    },
};
use serde_json::Value;

use crate::{ImageError, Platform, Registry, layout::digest_of};

pub(crate) const ACCEPTED: [&str; 4] = [
    OCI_IMAGE_INDEX_MEDIA_TYPE,
    IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE,
];

/// A manifest or index in a registry.
pub(crate) struct Root {
    pub(crate) digest: String,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
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

    /// The entries of an index, with their platforms.
    pub(crate) fn children(&self) -> Vec<(Option<Platform>, &Value)> {
        let entries = self.manifest.get("manifests").and_then(Value::as_array);
        entries
            .into_iter()
            .flatten()
            .map(|entry| {
                let platform = entry
                    .get("platform")
                    .and_then(|platform| serde_json::from_value::<Platform>(platform.clone()).ok())
                    // Attestations have the platform `unknown`.
                    .filter(|platform| platform.os != "unknown");
                (platform, entry)
            })
            .collect()
    }
}

/// The media type, which old manifests do not contain.
fn media_type(manifest: &Value) -> Option<String> {
    match manifest.get("mediaType").and_then(Value::as_str) {
        Some(said) => ACCEPTED.contains(&said).then(|| said.to_owned()),
        None if manifest.get("manifests").is_some() => Some(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned()),
        None if manifest.get("layers").is_some() => Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        None => None,
    }
}
