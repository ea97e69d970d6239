//! The images of the product: static binaries and the few files they need.

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
    systemd_logs: PathBuf,
}

/// The command line, on its own: the images of a run need none, and not every build has to wait for it.
pub(crate) fn build_command_line(profile: &str) -> anyhow::Result<PathBuf> {
    compile(profile, &["sono-cli"])?;
    binary(profile, "sono")
}

/// Static glibc: the images hold no library, and nsswitch.conf names only what glibc has inside.
pub(crate) fn build(profile: &str) -> anyhow::Result<Binaries> {
    // What stands on every node is built for size. The aggregator is built for speed.
    let small = if profile == "release" { "release-small" } else { profile };
    if small == profile {
        compile(profile, &["sono-worker", "sono-host", "sono-aggregator"])?;
    } else {
        compile(small, &["sono-worker", "sono-host"])?;
        compile(profile, &["sono-aggregator"])?;
    }
    Ok(Binaries {
        worker: binary(small, "sono-worker")?,
        aggregator: binary(profile, "sono-aggregator")?,
        systemd_logs: binary(small, "sono-systemd-logs")?,
    })
}

fn target() -> String {
    format!("{}-unknown-linux-gnu", consts::ARCH)
}

/// Its own target directory: other flags in the daily one would rebuild everything at every change of command.
fn target_directory() -> PathBuf {
    repository::root().join("target/images")
}

fn compile(profile: &str, packages: &[&str]) -> anyhow::Result<()> {
    let names = packages.join(" and ");
    long_step(
        &format!("building {names}, profile {profile} (minutes when cold)"),
        &format!("built {names}"),
        || {
            let mut cargo = command::new("cargo", ["build", "--quiet", "--locked", "--profile", profile]);
            cargo
                .args(["--target", &target(), "--target-dir"])
                .arg(target_directory());
            for package in packages {
                cargo.args(["-p", package]);
            }
            command::run_visibly(
                cargo
                    .env("RUSTFLAGS", "-C target-feature=+crt-static")
                    .current_dir(repository::root()),
            )
        },
    )
}

fn binary(profile: &str, name: &str) -> anyhow::Result<PathBuf> {
    let profile_directory = if profile == "dev" { "debug" } else { profile };
    let path = target_directory().join(target()).join(profile_directory).join(name);
    if !path.is_file() {
        bail!(
            "cargo built no {}: has the package a program of that name?",
            path.display()
        );
    }
    Ok(path)
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

/// For runs that are started inside the cluster: by a CronJob, for one. Its account in the cluster is all it needs.
pub(crate) fn command_line_image(program: PathBuf) -> Image {
    let root = Root::default().with_basics().with("/sono", Entry::Program(program));
    let settings = Settings {
        entrypoint: vec!["/sono".to_owned()],
        ..Settings::running(&[])
    };
    Image {
        reference: reference::COMMAND_LINE.to_owned(),
        root,
        settings,
    }
}

/// It changes to the machine's root, which is for root alone. Definitions start it by a shell, and the program answers to that name.
pub(crate) fn systemd_logs_image(binaries: &Binaries) -> Image {
    let root = Root::default()
        .with_basics()
        .with("/sono-systemd-logs", Entry::Program(binaries.systemd_logs.clone()))
        .with("/get_systemd_logs.sh", Entry::Link("sono-systemd-logs".to_owned()))
        .with("/bin/sh", Entry::Link("../sono-systemd-logs".to_owned()));
    Image {
        reference: reference::SYSTEMD_LOGS.to_owned(),
        root,
        settings: Settings {
            user: 0,
            ..Settings::running(&["/sono-systemd-logs", "--stay"])
        },
    }
}
