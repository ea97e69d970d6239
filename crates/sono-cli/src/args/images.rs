//! `sono images`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sono_images::Platform;

use super::{Addresses, Cluster};

/// `sono images`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Images {
    /// What to do with them; without it they are listed.
    #[command(subcommand)]
    pub action: Option<ImagesAction>,
    #[command(flatten)]
    pub list: ImagesList,
    /// Has no effect: nothing is run to list images
    #[arg(long, hide = true, value_name = "PLUGIN.NAME=VALUE")]
    pub plugin_env: Vec<String>,
}

/// What to do with images.
#[derive(Debug, Subcommand)]
pub enum ImagesAction {
    /// Print the names of all images that a run needs
    List(ImagesList),
    /// Ask the registries which images are there, and for which platforms
    Inspect(ImagesInspect),
    /// Copy images from their registries into a directory
    Pull(ImagesPull),
    /// Copy images into a private registry, from the directory or straight from where they are
    Push(ImagesPush),
    /// Write images into one file that container runtimes load
    Download(ImagesDownload),
    /// Remove images from the directory
    Delete(ImagesDelete),
}

/// Which images.
#[derive(Debug, Clone, Args)]
pub struct ImagesWanted {
    /// Plugins whose images are meant: names of built-in ones, or files; may be given more than once
    #[arg(short, long = "plugin", value_name = "PLUGIN", value_delimiter = ',', default_values = ["e2e", "systemd-logs"])]
    pub plugins: Vec<String>,
    /// Version of Kubernetes that the images are for; otherwise the cluster's
    #[arg(long, value_name = "VERSION")]
    pub kubernetes_version: Option<String>,
    /// What `e2e.test --list-images` printed, for versions whose tests' images are not known here; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub images_file: Option<PathBuf>,
    #[command(flatten)]
    pub addresses: Addresses,
    #[command(flatten)]
    pub cluster: Cluster,
}

/// Under which names a private registry has the images.
#[derive(Debug, Clone, Args)]
pub struct ImagesRenamed {
    /// YAML with the private registry of each group of images, as the tests read it from KUBE_TEST_REPO_LIST
    #[arg(long, value_name = "FILE")]
    pub e2e_repo_config: Option<PathBuf>,
    /// One repository for all images of the tests, as they read it from KUBE_TEST_REPO
    #[arg(long, value_name = "REPOSITORY", conflicts_with = "e2e_repo_config")]
    pub e2e_repo: Option<String>,
}

/// How registries are reached.
#[derive(Debug, Clone, Args)]
pub struct ImagesAccess {
    /// A registry (host or host:port) that speaks plain HTTP; may be given more than once. Those on this machine do anyway,
    /// unless --ca-file is given
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,
    /// PEM file with certificate authorities to trust beside the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Where images are kept.
#[derive(Debug, Clone, Args)]
pub struct ImagesStore {
    /// Directory, in the OCI image layout [default: sono/images in the user's cache directory]
    #[arg(long, value_name = "DIRECTORY")]
    pub store: Option<PathBuf>,
}

/// Which of the images behind one name.
#[derive(Debug, Clone, Args)]
pub struct ImagesPlatforms {
    /// Platform such as linux/arm64; may be given more than once [default: those of the cluster's nodes, else this machine's
    /// architecture]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Vec<Platform>,
    /// All platforms
    #[arg(long, conflicts_with = "platform")]
    pub all_platforms: bool,
}

/// `sono images list`
#[derive(Debug, Args)]
pub struct ImagesList {
    #[command(flatten)]
    pub wanted: ImagesWanted,
    /// Nothing is changed anyway
    #[arg(long, hide = true)]
    pub dry_run: bool,
}

/// `sono images inspect`
#[derive(Debug, Args)]
pub struct ImagesInspect {
    #[command(flatten)]
    pub wanted: ImagesWanted,
    #[command(flatten)]
    pub renamed: ImagesRenamed,
    #[command(flatten)]
    pub access: ImagesAccess,
    /// As what
    #[arg(short, long, value_enum, default_value_t = ImagesOutput::Table)]
    pub output: ImagesOutput,
    /// Nothing is changed anyway
    #[arg(long, hide = true)]
    pub dry_run: bool,
}

/// As what the inspection is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImagesOutput {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// `sono images pull`
#[derive(Debug, Args)]
pub struct ImagesPull {
    #[command(flatten)]
    pub wanted: ImagesWanted,
    #[command(flatten)]
    pub renamed: ImagesRenamed,
    #[command(flatten)]
    pub platforms: ImagesPlatforms,
    #[command(flatten)]
    pub access: ImagesAccess,
    #[command(flatten)]
    pub store: ImagesStore,
    /// Say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// `sono images push`
#[derive(Debug, Args)]
pub struct ImagesPush {
    #[command(flatten)]
    pub wanted: ImagesWanted,
    #[command(flatten)]
    pub renamed: ImagesRenamed,
    /// A registry for everything: REGISTRY, then the last part of the name
    #[arg(long, value_name = "REGISTRY", conflicts_with_all = ["e2e_repo", "e2e_repo_config"])]
    pub custom_registry: Option<String>,
    #[command(flatten)]
    pub platforms: ImagesPlatforms,
    #[command(flatten)]
    pub access: ImagesAccess,
    #[command(flatten)]
    pub store: ImagesStore,
    /// Say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// `sono images download`
#[derive(Debug, Args)]
pub struct ImagesDownload {
    #[command(flatten)]
    pub wanted: ImagesWanted,
    #[command(flatten)]
    pub renamed: ImagesRenamed,
    #[command(flatten)]
    pub platforms: ImagesPlatforms,
    #[command(flatten)]
    pub access: ImagesAccess,
    #[command(flatten)]
    pub store: ImagesStore,
    /// Say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// `sono images delete`
#[derive(Debug, Args)]
pub struct ImagesDelete {
    #[command(flatten)]
    pub wanted: ImagesWanted,
    #[command(flatten)]
    pub renamed: ImagesRenamed,
    #[command(flatten)]
    pub store: ImagesStore,
    /// Say what would be done
    #[arg(long)]
    pub dry_run: bool,
}
