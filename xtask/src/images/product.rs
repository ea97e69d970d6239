//! The images of the product: static binaries with a few files.

use std::{env::consts, path::PathBuf};

use anyhow::bail;
use sono_testbed::{
    command,
    images::{Entry, Image, Root, Settings, reference},
    repository,
    step::long_step,
};

pub(crate) struct Binaries {
    worker: PathBuf,
    aggregator: PathBuf,
    systemd_logs: PathBuf,
}

/// Builds the command-line program separately, since the images of a run do not need it.
pub(crate) fn build_command_line(profile: &str) -> anyhow::Result<PathBuf> {
    compile(profile, &["sono-cli"])?;
    binary(profile, "sono")
}

/// Builds the programs with static glibc: the images contain no libraries, and nsswitch.conf names only built-in services.
pub(crate) fn build(profile: &str) -> anyhow::Result<Binaries> {
    // Programs on every node are optimized for size, the aggregator for speed.
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

/// Relative relocations in their packed form: a megabyte of the aggregator would otherwise be read, and stay in memory, only for its
/// start.
const STATIC: &str = "-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs";

/// A separate target directory, because different flags would trigger full rebuilds in the usual one.
fn target_directory() -> PathBuf {
    repository::root().join("target/images")
}

fn compile(profile: &str, packages: &[&str]) -> anyhow::Result<()> {
    let names = packages.join(" and ");
    long_step(
        &format!("building {names}, profile {profile} (minutes without cache)"),
        &format!("built {names}"),
        || {
            let mut cargo = command::new("cargo", ["build", "--quiet", "--locked", "--profile", profile]);
            cargo
                .args(["--target", &target(), "--target-dir"])
                .arg(target_directory());
            for package in packages {
                cargo.args(["-p", package]);
            }
            command::run_visibly(cargo.env("RUSTFLAGS", STATIC).current_dir(repository::root()))
        },
    )
}

fn binary(profile: &str, name: &str) -> anyhow::Result<PathBuf> {
    let profile_directory = if profile == "dev" { "debug" } else { profile };
    let path = target_directory().join(target()).join(profile_directory).join(name);
    if !path.is_file() {
        bail!(
            "cargo did not build {}: does the package have a program of that name?",
            path.display()
        );
    }
    Ok(path)
}

/// The worker image. The protocol's commands call `/sonobuoy worker …`, so the program also has that name.
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

/// The image of the command-line program, for runs started inside the cluster, such as by a CronJob.
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

/// The systemd-logs image. It runs as root to change to the machine's root directory. Plugin definitions start it through a
/// shell, so the program also has that name.
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
