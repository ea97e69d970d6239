//! Publishes in two steps: first all parts by digest, then the tag.

use crate::{Copied, ImageError, Layout, Progress, Registry, copy::Transfer, retry::Retry, root::Root};

/// Pushes `image` of the layout to the repository of `target`, by digest only: no tag changes.
pub async fn stage(
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
    transfer.copied.digest = descriptor.digest;
    Ok(transfer.copied)
}

/// Tags `image`, which [`stage`] pushed, as `target`, and verifies the tag.
pub async fn tag(
    registry: &Registry,
    layout: &Layout,
    image: &str,
    target: &str,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<(), ImageError> {
    let descriptor = layout.find(image)?;
    let reference = Registry::reference(target)?;
    let transfer = Transfer::new(registry, layout, target, progress);
    transfer.tag(&reference, &descriptor).await
}

/// The digest of the tag `target`, if it exists.
pub async fn tagged(
    registry: &Registry,
    target: &str,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Option<String>, ImageError> {
    let reference = Registry::reference(target)?;
    let retry = Retry {
        image: target,
        progress,
    };
    match retry.run(|| Root::pull(registry, &reference)).await {
        Ok(root) => Ok(Some(root.digest)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
