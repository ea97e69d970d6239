//! Combines the archives of all architectures into one OCI layout with an index for each image.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use fs_err as fs;
use sono_images::{Combined, Layout, Platform, Stored, combine, import};

use crate::{INDEX, say};

/// File name suffix of the archives that `cargo xtask images` writes.
const SUFFIX: &str = ".oci.tar";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder with the archives, directly in it or in one subfolder per architecture
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Image of the release (may be repeated)
    #[arg(long, value_name = "NAME", required = true)]
    image: Vec<String>,
    /// Platform of the release (may be repeated)
    #[arg(long, value_name = "PLATFORM", required = true)]
    platform: Vec<Platform>,
    /// Fail if an image or one of its platforms is missing
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments {
        out,
        image,
        platform,
        all,
    } = arguments;
    let layout = empty_layout(&out.join(INDEX))?;
    let mut found = Vec::new();
    for archive in archives(out)? {
        let images = import(&layout, &archive)?;
        let (selected, others): (Vec<Stored>, Vec<Stored>) =
            images.into_iter().partition(|stored| image.contains(&stored.image));
        for other in others {
            say::progress(format_args!("ignored: {} is not an image of a release", other.image));
        }
        found.extend(selected);
    }
    let combined = combine(&layout, &found)?;
    // Delete the imported images that are not part of the release.
    layout.remove(&[])?;
    ensure!(
        !combined.is_empty(),
        "{} contains no archive of a release's image",
        out.display()
    );
    let platforms: BTreeSet<&Platform> = platform.iter().collect();
    let (lines, missing) = report(image, &platforms, &combined);
    for line in lines {
        say::data(line);
    }
    for line in &missing {
        say::progress(line);
    }
    if *all && !missing.is_empty() {
        // An incomplete layout must not be pushed by mistake.
        fs::remove_dir_all(layout.directory())?;
        bail!("the release is incomplete: {} missing", missing.len());
    }
    Ok(())
}

/// One line for each image that was found, and one for each missing image or platform.
fn report(images: &[String], platforms: &BTreeSet<&Platform>, combined: &[Combined]) -> (Vec<String>, Vec<String>) {
    let list = |platforms: &mut dyn Iterator<Item = &Platform>| {
        let names: Vec<String> = platforms.map(ToString::to_string).collect();
        names.join(", ")
    };
    let mut lines = Vec::new();
    let mut missing = Vec::new();
    for image in images {
        let Some(found) = combined.iter().find(|combined| combined.image == *image) else {
            missing.push(format!("missing: {image}"));
            continue;
        };
        lines.push(format!(
            "{image} {} {}",
            found.digest,
            list(&mut found.platforms.iter())
        ));
        let lacking = platforms
            .iter()
            .copied()
            .filter(|platform| !found.platforms.contains(platform));
        let lacking = list(&mut { lacking });
        if !lacking.is_empty() {
            missing.push(format!("missing: {image} for {lacking}"));
        }
    }
    (lines, missing)
}

/// The archives in `folder` and one level below, sorted by path.
fn archives(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            found.push(entry.path());
        } else if entry.file_name() != INDEX && entry.file_type()?.is_dir() {
            for entry in fs::read_dir(entry.path())? {
                found.push(entry?.path());
            }
        }
    }
    found.retain(|path| path.to_string_lossy().ends_with(SUFFIX));
    found.sort();
    Ok(found)
}

/// An empty layout: deletes the files of an earlier call.
fn empty_layout(folder: &Path) -> anyhow::Result<Layout> {
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).context("cannot delete the earlier layout"),
    }
    Ok(Layout::at(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_missing_platform_and_image_listed() {
        let images = ["a:dev", "b:dev", "c:dev"].map(str::to_owned);
        let (amd64, arm64): (Platform, Platform) = ("linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap());
        let combined = |image: &str, platforms: &[&Platform]| Combined {
            image: image.to_owned(),
            digest: format!("sha256:{image}"),
            platforms: platforms.iter().copied().cloned().collect(),
        };
        let (lines, missing) = report(
            &images,
            &BTreeSet::from([&amd64, &arm64]),
            &[combined("a:dev", &[&amd64, &arm64]), combined("b:dev", &[&arm64])],
        );
        assert_eq!(
            lines,
            [
                "a:dev sha256:a:dev linux/amd64, linux/arm64",
                "b:dev sha256:b:dev linux/arm64"
            ]
        );
        assert_eq!(missing, ["missing: b:dev for linux/amd64", "missing: c:dev"]);
    }

    #[test]
    fn archives_found_in_folder_and_one_level_below() {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "b.oci.tar",
            "a/c.oci.tar",
            "a/notes.txt",
            "a/deeper/d.oci.tar",
            "index/e.oci.tar",
        ] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let expected = ["a/c.oci.tar", "b.oci.tar"].map(|file| folder.path().join(file));
        assert_eq!(archives(folder.path()).unwrap(), expected);
    }
}
