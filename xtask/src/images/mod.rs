//! `cargo xtask images`: reproducible OCI archives without a container engine.

mod product;
mod publish;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use fs_err as fs;
use sono_testbed::{
    cluster, conformance,
    images::{Archive, stand_ins, test_plugin},
    repository, say,
    step::step,
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Import the images into the container runtime of every node of the test cluster
    #[arg(long)]
    load: bool,
    /// Cargo profile of the binaries: image-dev builds quickly, release is for users
    #[arg(long, default_value = "image-dev")]
    profile: String,
    /// Folder for the archives
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Build only this image (may be repeated)
    #[arg(long, value_name = "IMAGE")]
    only: Vec<Name>,
    /// Build only the real Kubernetes suite and its images, for the test cluster's version (takes minutes without cache, requires
    /// Go)
    #[arg(long, conflicts_with = "only")]
    conformance: bool,
    #[command(flatten)]
    publish: publish::Publishing,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Name {
    Testplugin,
    /// Shells with the names of real plugins' images
    StandIns,
    Worker,
    Aggregator,
    /// The command-line program
    Cli,
    SystemdLogs,
}

/// The images of a run.
const PRODUCT: [Name; 3] = [Name::Worker, Name::Aggregator, Name::SystemdLogs];

/// Arguments that build only the images of a release.
pub(crate) const RELEASE_IMAGE_ARGUMENTS: [&str; 8] = [
    "--only",
    "aggregator",
    "--only",
    "worker",
    "--only",
    "systemd-logs",
    "--only",
    "cli",
];

/// Default folder for archives.
pub(crate) fn default_directory() -> PathBuf {
    repository::root().join("target/images")
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let out = arguments.out.clone().unwrap_or_else(default_directory);
    fs::create_dir_all(&out)?;
    if publish::run(&arguments.publish, &out)? {
        return Ok(ExitCode::SUCCESS);
    }
    let archives = build(arguments, &out)?;
    for archive in &archives {
        say::data(format_args!(
            "{} {} {}",
            archive.reference,
            archive.digest,
            archive.path.display()
        ));
    }
    if arguments.load {
        cluster::load_images(&archives)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn build(arguments: &Arguments, out: &Path) -> anyhow::Result<Vec<Archive>> {
    if arguments.conformance {
        return conformance::build(out);
    }
    let is_requested = |name| arguments.only.is_empty() || arguments.only.contains(&name);
    let mut images = Vec::new();
    if is_requested(Name::Testplugin) {
        images.push(test_plugin::image()?);
    }
    if is_requested(Name::StandIns) {
        images.extend(stand_ins::images()?);
    }
    if PRODUCT.into_iter().any(is_requested) {
        let binaries = product::build(&arguments.profile)?;
        if is_requested(Name::Worker) {
            images.push(product::worker_image(&binaries));
        }
        if is_requested(Name::Aggregator) {
            images.push(product::aggregator_image(&binaries));
        }
        if is_requested(Name::SystemdLogs) {
            images.push(product::systemd_logs_image(&binaries));
        }
    }
    if is_requested(Name::Cli) {
        images.push(product::command_line_image(product::build_command_line(
            &arguments.profile,
        )?));
    }
    let mut archives = Vec::new();
    for image in images {
        let archive = step(&format!("packed {}", image.reference), || image.write_to(out))?;
        archives.push(archive);
    }
    Ok(archives)
}
