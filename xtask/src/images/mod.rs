//! `cargo xtask images`: OCI archives without a container engine, the same bytes from the same inputs.

mod archive;
mod conformance;
mod load;
mod product;
mod publish;
mod reference;
mod root;
mod stand_ins;
mod system;
mod test_plugin;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use fs_err as fs;

use crate::{cluster, repository, say, step::step};

pub(crate) use archive::Archive;
pub(crate) use load::{Loaded, load};
pub(crate) use reference::{COMMAND_LINE, PAUSE};
pub(crate) use root::{hex, short_hex};
pub(crate) use system::{coredns, pause, pause_source};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Import the images into the container runtime of every node of the test cluster
    #[arg(long)]
    load: bool,
    /// Cargo profile of the binaries: image-dev is quick to build, release is what users get
    #[arg(long, default_value = "image-dev")]
    profile: String,
    /// Where the archives go
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Build only this image (may be repeated)
    #[arg(long, value_name = "IMAGE")]
    only: Vec<Name>,
    /// Build the real Kubernetes suite and the images it uses instead, of the test cluster's version (minutes when cold, needs Go)
    #[arg(long, conflicts_with = "only")]
    conformance: bool,
    #[command(flatten)]
    publish: publish::Publishing,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Name {
    Testplugin,
    /// Shells under the names of real plugins' images
    StandIns,
    Worker,
    Aggregator,
    /// The command line
    Cli,
    SystemdLogs,
}

/// The images that users get.
const PRODUCT: [Name; 3] = [Name::Worker, Name::Aggregator, Name::SystemdLogs];

/// The arguments that build nothing but what a release has.
pub(crate) const ONLY_A_RELEASES: [&str; 8] = [
    "--only",
    "aggregator",
    "--only",
    "worker",
    "--only",
    "systemd-logs",
    "--only",
    "cli",
];

/// Where archives go unless somebody says otherwise.
pub(crate) fn usual_directory() -> PathBuf {
    repository::root().join("target/images")
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let out = arguments.out.clone().unwrap_or_else(usual_directory);
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
    let wanted = |name| arguments.only.is_empty() || arguments.only.contains(&name);
    let mut images = Vec::new();
    if wanted(Name::Testplugin) {
        images.push(test_plugin::image()?);
    }
    if wanted(Name::StandIns) {
        images.extend(stand_ins::images()?);
    }
    if PRODUCT.into_iter().any(wanted) {
        let binaries = product::build(&arguments.profile)?;
        if wanted(Name::Worker) {
            images.push(product::worker_image(&binaries));
        }
        if wanted(Name::Aggregator) {
            images.push(product::aggregator_image(&binaries));
        }
        if wanted(Name::SystemdLogs) {
            images.push(product::systemd_logs_image(&binaries));
        }
    }
    if wanted(Name::Cli) {
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
