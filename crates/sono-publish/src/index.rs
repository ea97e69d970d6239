//! The archives of all architectures become one layout, in which every image is an index.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use fs_err as fs;
use sono_images::{Combined, Layout, Platform, Stored, combine, import};

use crate::{INDEX, say};

/// How `cargo xtask images` names archives.
const ENDING: &str = ".oci.tar";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of the archives; those of one architecture may be in a folder of their own in it
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// An image of a release (may be repeated)
    #[arg(long, value_name = "NAME", required = true)]
    image: Vec<String>,
    /// A platform of a release (may be repeated)
    #[arg(long, value_name = "PLATFORM", required = true)]
    platform: Vec<Platform>,
    /// Fail if an image, or an image for one of the platforms, is missing
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
    let layout = fresh(&out.join(INDEX))?;
    let mut found = Vec::new();
    for archive in archives(out)? {
        let images = import(&layout, &archive)?;
        let (wanted, others): (Vec<Stored>, Vec<Stored>) =
            images.into_iter().partition(|stored| image.contains(&stored.image));
        for other in others {
            say::progress(format_args!(
                "left out: {}, which is no image of a release",
                other.image
            ));
        }
        found.extend(wanted);
    }
    let combined = combine(&layout, &found)?;
    // What was imported and is not wanted goes again.
    layout.remove(&[])?;
    ensure!(
        !combined.is_empty(),
        "{} holds no archive of an image of a release",
        out.display()
    );
    let wanted: BTreeSet<&Platform> = platform.iter().collect();
    let (lines, missing) = told(image, &wanted, &combined);
    for line in lines {
        say::data(line);
    }
    for line in &missing {
        say::progress(line);
    }
    if *all && !missing.is_empty() {
        // Nobody pushes half of it by mistake.
        fs::remove_dir_all(layout.directory())?;
        bail!("a release has all of them: {} missing", missing.len());
    }
    Ok(())
}

/// What is there, a line for each image, and what is not.
fn told(images: &[String], platforms: &BTreeSet<&Platform>, combined: &[Combined]) -> (Vec<String>, Vec<String>) {
    let list = |platforms: &mut dyn Iterator<Item = &Platform>| {
        let names: Vec<String> = platforms.map(ToString::to_string).collect();
        names.join(", ")
    };
    let mut lines = Vec::new();
    let mut missing = Vec::new();
    for image in images {
        let Some(found) = combined.iter().find(|combined| combined.image == *image) else {
            missing.push(format!("not there: {image}"));
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
            missing.push(format!("not there: {image} for {lacking}"));
        }
    }
    (lines, missing)
}

/// In `folder` and one level below, in the order of their paths.
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
    found.retain(|path| path.to_string_lossy().ends_with(ENDING));
    found.sort();
    Ok(found)
}

/// Without what an earlier call left there.
fn fresh(folder: &Path) -> anyhow::Result<Layout> {
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).context("begin anew"),
    }
    Ok(Layout::at(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_and_what_is_not() {
        let images = ["a:dev", "b:dev", "c:dev"].map(str::to_owned);
        let (amd64, arm64): (Platform, Platform) = ("linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap());
        let combined = |image: &str, platforms: &[&Platform]| Combined {
            image: image.to_owned(),
            digest: format!("sha256:{image}"),
            platforms: platforms.iter().copied().cloned().collect(),
        };
        let (lines, missing) = told(
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
        assert_eq!(missing, ["not there: b:dev for linux/amd64", "not there: c:dev"]);
    }

    #[test]
    fn archives_are_found_beside_and_one_level_below() {
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
