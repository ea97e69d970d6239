//! Publishing in two steps: first everything is there, under its digest alone; only then a name stands for it.

use crate::{Copied, ImageError, Layout, Progress, Registry, copy::Moving, root::Root, trying::Trying};

/// Writes what the layout has as `image` to the repository of `target`, under its digests alone: no tag changes.
pub async fn stage(
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
    moving.copied.digest = descriptor.digest;
    Ok(moving.copied)
}

/// Makes the tag of `target` stand for `image`, which [`stage`] wrote, and reads it back.
pub async fn tag(
    registry: &Registry,
    layout: &Layout,
    image: &str,
    target: &str,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<(), ImageError> {
    let descriptor = layout.find(image)?;
    let reference = Registry::reference(target)?;
    let moving = Moving::new(registry, layout, target, progress);
    moving.name(&reference, &descriptor).await
}

/// The digest that `target` stands for, if the registry has it.
pub async fn tagged(
    registry: &Registry,
    target: &str,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Option<String>, ImageError> {
    let reference = Registry::reference(target)?;
    let trying = Trying {
        image: target,
        progress,
    };
    match trying.again(|| Root::pull(registry, &reference)).await {
        Ok(root) => Ok(Some(root.digest)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
