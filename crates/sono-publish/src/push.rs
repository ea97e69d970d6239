//! Pushes images by digest, pulls and starts them, and only then writes their tags.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use sono_images::{Layout, Options, Platforms, Progress, Registry};

use crate::{INDEX, say, start};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of the images that `index` combined
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Image of the release (may be repeated)
    #[arg(long, value_name = "NAME", required = true)]
    image: Vec<String>,
    /// Registry and path to push the images to
    #[arg(long, value_name = "PREFIX")]
    to: String,
    /// Version of the release; the tag is `v` followed by it
    #[arg(long, value_name = "VERSION")]
    release: String,
    /// PEM file with certificate authorities to trust in addition to the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Registry (host or host:port) to reach over plain HTTP (may be repeated)
    #[arg(long, value_name = "HOST")]
    insecure_registry: Vec<String>,
}

/// An image to push.
struct Image {
    /// Name in the layout.
    name: String,
    /// Name in the registry, with the tag.
    target: String,
    /// Digest of the index.
    digest: String,
}

impl Image {
    /// Reference in the registry by digest.
    fn by_digest(&self) -> String {
        let repository = self
            .target
            .rsplit_once(':')
            .map_or(self.target.as_str(), |(name, _)| name);
        format!("{repository}@{}", self.digest)
    }

    /// Last part of the name, which `start` uses to find the image's programs.
    fn short_name(&self) -> &str {
        short_name(&self.name)
    }
}

/// `sono` of `sono.local/sono:dev`.
fn short_name(name: &str) -> &str {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').map_or(last, |(name, _)| name)
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(push(arguments))
}

async fn push(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments {
        out,
        image,
        to,
        release,
        ca_file,
        insecure_registry,
    } = arguments;
    let layout = Layout::at(out.join(INDEX));
    let images = images(&layout, image, to, release)?;
    let variable = |name: &str| std::env::var_os(name);
    let options = Options::from_environment(variable, insecure_registry, ca_file.as_deref(), [to.as_str()])?;
    let registry = Registry::new(options)?;
    for image in &images {
        refuse_retag(&registry, image).await?;
    }
    for image in &images {
        let copied = sono_images::stage(&registry, &layout, &image.name, &image.target, &progress).await?;
        say::progress(format_args!(
            "pushed: {} ({} blobs, {} already existed)",
            image.by_digest(),
            copied.blobs_moved + copied.blobs_skipped,
            copied.blobs_skipped
        ));
    }
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let back = Layout::at(folder.path().join("back"));
    for image in &images {
        let name = image.by_digest();
        // Pull into an empty folder, so that every blob is downloaded.
        let pulled = sono_images::pull(&registry, &back, &name, &Platforms::All, &progress).await?;
        ensure!(
            pulled.digest == image.digest,
            "{name} was pulled with the digest {}",
            pulled.digest
        );
        say::progress(format_args!("pulled: {name}"));
    }
    for image in &images {
        let root = folder.path().join(image.short_name());
        start::check(&back, &image.by_digest(), image.short_name(), release, &root)?;
    }
    for image in &images {
        sono_images::tag(&registry, &layout, &image.name, &image.target, &progress).await?;
    }
    for image in &images {
        say::data(format_args!("{} {}", image.target, image.digest));
    }
    Ok(())
}

fn images(layout: &Layout, names: &[String], to: &str, release: &str) -> anyhow::Result<Vec<Image>> {
    let prefix = to.trim_end_matches('/');
    let mut images = Vec::new();
    for stored in layout.stored()? {
        if names.contains(&stored.image) {
            images.push(Image {
                target: format!("{prefix}/{}:v{release}", short_name(&stored.image)),
                digest: stored.descriptor.digest,
                name: stored.image,
            });
        }
    }
    for needed in start::NEEDED {
        if !images.iter().any(|image| image.short_name() == needed) {
            bail!(
                "{} contains no image `{needed}`; run `cargo xtask images --index` first",
                layout.directory().display()
            );
        }
    }
    Ok(images)
}

/// Fails if the tag already exists with another digest: published tags never change.
async fn refuse_retag(registry: &Registry, image: &Image) -> anyhow::Result<()> {
    let Image { target, digest, .. } = image;
    match sono_images::tagged(registry, target, &progress).await? {
        Some(found) if found != *digest => {
            bail!("{target} is already published as {found}, not {digest}: release the next version")
        }
        Some(_) => say::progress(format_args!("already published: {target}")),
        None => {}
    }
    Ok(())
}

fn progress(progress: Progress<'_>) {
    if let Progress::Retry { image, error } = progress {
        say::progress(format_args!("{image}: retrying: {error}"));
    }
}
