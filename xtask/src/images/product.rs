//! The two images of the product: static binaries and the few files they need.

use std::{env::consts, path::PathBuf};

use anyhow::bail;

use super::{
    archive::{Image, Settings},
    reference,
    root::{Entry, Root},
};
use crate::{command, repository, step::long_step};

pub(crate) struct Binaries {
    worker: PathBuf,
    aggregator: PathBuf,
}

/// Static glibc: the images hold no library, and nsswitch.conf names only what glibc has inside.
pub(crate) fn build(profile: &str) -> anyhow::Result<Binaries> {
    let target = format!("{}-unknown-linux-gnu", consts::ARCH);
    // Its own target directory: other flags in the daily one would rebuild everything at every change of command.
    let target_directory = repository::root().join("target/images");
    long_step(
        &format!("building sono-worker and sono-aggregator, profile {profile} (minutes when cold)"),
        "built sono-worker and sono-aggregator",
        || {
            command::run_visibly(
                command::new(
                    "cargo",
                    [
                        "build",
                        "--quiet",
                        "--locked",
                        "--profile",
                        profile,
                        "--target",
                        &target,
                    ],
                )
                .args(["-p", "sono-worker", "-p", "sono-aggregator", "--target-dir"])
                .arg(&target_directory)
                .env("RUSTFLAGS", "-C target-feature=+crt-static")
                .current_dir(repository::root()),
            )
        },
    )?;
    let profile_directory = if profile == "dev" { "debug" } else { profile };
    let binary = |name: &str| {
        let path = target_directory.join(&target).join(profile_directory).join(name);
        if !path.is_file() {
            bail!(
                "cargo built no {}: has the package a program of that name?",
                path.display()
            );
        }
        Ok(path)
    };
    Ok(Binaries {
        worker: binary("sono-worker")?,
        aggregator: binary("sono-aggregator")?,
    })
}

/// The protocol's commands call `/sonobuoy worker …`, so the program answers to that name too.
pub(crate) fn worker_image(binaries: &Binaries) -> Image {
    let root = Root::default()
        .with_basics()
        .with("/sono-worker", Entry::Program(binaries.worker.clone()))
        .with("/sonobuoy", Entry::Link("sono-worker".to_owned()));
    Image {
        reference: reference::WORKER.to_owned(),
        root,
        settings: Settings::running(&[]),
    }
}

pub(crate) fn aggregator_image(binaries: &Binaries) -> Image {
    let root = Root::default()
        .with_basics()
        .with("/sonobuoy", Entry::Program(binaries.aggregator.clone()))
        .with("/sono-worker", Entry::Program(binaries.worker.clone()));
    Image {
        reference: reference::AGGREGATOR.to_owned(),
        root,
        settings: Settings::running(&["/sonobuoy", "aggregator", "--no-exit"]),
    }
}
