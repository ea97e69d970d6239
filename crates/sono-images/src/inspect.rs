//! Inspects an image in a registry.

use std::collections::BTreeSet;

use oci_client::RegistryOperation;
use serde_json::Value;

use crate::{ImageError, Platform, Registry, layout::blobs, root::Root};

/// The digest and platforms of an image in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    pub image: String,
    /// `sha256:…`, of the manifest or the index.
    pub digest: String,
    pub platforms: BTreeSet<Platform>,
}

/// Inspects an image: reads its manifest and, without an index, its configuration.
pub async fn inspect(registry: &Registry, image: &str) -> Result<Inspected, ImageError> {
    let reference = Registry::reference(image)?;
    let root = Root::pull(registry, &reference).await?;
    let platforms = if root.is_index() {
        root.children()
            .into_iter()
            .filter_map(|(platform, _)| platform)
            .collect()
    } else {
        registry.log_in(&reference, RegistryOperation::Pull).await?;
        configured(registry, &reference, &root).await?.into_iter().collect()
    };
    Ok(Inspected {
        image: image.to_owned(),
        digest: root.digest,
        platforms,
    })
}

/// The platform in an image's configuration.
async fn configured(
    registry: &Registry,
    reference: &oci_client::Reference,
    root: &Root,
) -> Result<Option<Platform>, ImageError> {
    let Some(config) = blobs(&root.manifest).into_iter().next() else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let pulled = registry
        .client
        .pull_blob(reference, config.digest.as_str(), &mut bytes)
        .await;
    pulled.map_err(|source| ImageError::PullBlob {
        image: reference.whole(),
        digest: config.digest,
        source,
    })?;
    let config: Value = serde_json::from_slice(&bytes).map_err(|source| ImageError::Manifest {
        image: reference.whole(),
        source,
    })?;
    Ok(serde_json::from_value(config).ok())
}
