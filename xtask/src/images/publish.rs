//! The images of a release, from the archives of all architectures to names in a registry (`crates/sono-publish`).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;

use super::reference;
use crate::{command, repository};

/// What a release has.
const IMAGES: [&str; 4] = [
    reference::AGGREGATOR,
    reference::WORKER,
    reference::SYSTEMD_LOGS,
    reference::COMMAND_LINE,
];
/// Those that the release's workflow has machines for.
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

const BUILDING: [&str; 4] = ["load", "profile", "only", "conformance"];

#[derive(Args)]
pub(crate) struct Publishing {
    /// Build nothing: put the archives in --out (or in folders in it, one for each architecture) together to one image index each,
    /// in its folder `index`, and say which architectures are there and which not
    #[arg(long, conflicts_with_all = BUILDING)]
    index: bool,
    /// With --index: fail if one of a release's images is missing, or is there for some of its architectures only
    #[arg(long, requires = "index")]
    all: bool,
    /// Build nothing: write what --index put together to REF/NAME:vVERSION. Everything is read back and started before the first
    /// tag is written; a tag that stands for something else already is refused. Logins are those of the Docker configuration
    #[arg(long, value_name = "REF", conflicts_with = "index", conflicts_with_all = BUILDING)]
    push: Option<String>,
    /// With --push: PEM file with certificate authorities to trust beside the system's
    #[arg(long, value_name = "FILE", requires = "push")]
    ca_file: Option<PathBuf>,
    /// With --push: a registry (host or host:port) that speaks plain HTTP. One on this machine does anyway, unless --ca-file is given
    #[arg(long, value_name = "HOST", requires = "push")]
    insecure_registry: Option<String>,
}

/// Whether that was asked for, and is done.
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
    // Where we are: what the arguments name is relative to that.
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
