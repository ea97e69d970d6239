//! Publishes the images of a release from the archives of all architectures (`crates/sono-publish`).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use sono_testbed::{command, images::reference, repository};

/// The images of a release.
const IMAGES: [&str; 4] = [
    reference::AGGREGATOR,
    reference::WORKER,
    reference::SYSTEMD_LOGS,
    reference::COMMAND_LINE,
];
/// The platforms of a release, which match the machines of its workflow.
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// Arguments of builds.
const BUILDING: [&str; 4] = ["load", "profile", "only", "conformance"];

#[derive(Args)]
pub(crate) struct Publishing {
    /// Combine the archives in --out, or in one subfolder per architecture, to image indexes in its folder `index`, and list the
    /// architectures, without building
    #[arg(long, conflicts_with_all = BUILDING)]
    index: bool,
    /// Fail if an image of the release or one of its architectures is missing (with --index)
    #[arg(long, requires = "index")]
    all: bool,
    /// Push the images of --index to REF/NAME:vVERSION, without building. Pulls and starts all images before it writes the first
    /// tag; fails if a tag already exists with another digest. Uses the logins of the Docker configuration
    #[arg(long, value_name = "REF", conflicts_with = "index", conflicts_with_all = BUILDING)]
    push: Option<String>,
    /// PEM file with certificate authorities to trust in addition to the system's (with --push)
    #[arg(long, value_name = "FILE", requires = "push")]
    ca_file: Option<PathBuf>,
    /// Registry (host or host:port) to reach over plain HTTP (with --push); the default for registries on this machine without
    /// --ca-file
    #[arg(long, value_name = "HOST", requires = "push")]
    insecure_registry: Option<String>,
}

/// Publishes images if requested; returns whether it did.
pub(super) fn run(arguments: &Publishing, out: &Path) -> anyhow::Result<bool> {
    let Publishing {
        index,
        all,
        push,
        ca_file,
        insecure_registry,
    } = arguments;
    if *index {
        let mut publish = program("index", out);
        for platform in PLATFORMS {
            publish.args(["--platform", platform]);
        }
        if *all {
            publish.arg("--all");
        }
        command::run_visibly(&mut publish)?;
        return Ok(true);
    }
    let Some(to) = push else {
        return Ok(false);
    };
    let mut publish = program("push", out);
    publish.args(["--to", to, "--release", env!("CARGO_PKG_VERSION")]);
    if let Some(file) = ca_file {
        publish.arg("--ca-file").arg(file);
    }
    if let Some(host) = insecure_registry {
        publish.args(["--insecure-registry", host]);
    }
    command::run_visibly(&mut publish)?;
    Ok(true)
}

fn program(task: &str, out: &Path) -> Command {
    let manifest = repository::root().join("Cargo.toml");
    // Run in the current directory: the arguments' paths are relative to it.
    let mut publish = command::new(
        command::cargo(),
        [
            "run",
            "--quiet",
            "--locked",
            "--package",
            "sono-publish",
            "--manifest-path",
        ],
    );
    publish.arg(manifest).args(["--", task, "--out"]).arg(out);
    for image in IMAGES {
        publish.args(["--image", image]);
    }
    publish
}
