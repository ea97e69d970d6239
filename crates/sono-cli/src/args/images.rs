//! `sono images`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sono_images::Platform;

use super::{Addresses, Cluster};

/// `sono images`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Images {
    /// Action; without one, images are listed.
    #[command(subcommand)]
    pub action: Option<ImagesAction>,
    #[command(flatten)]
    pub list: ImagesList,
    /// Has no effect: listing images runs no plugin
    #[arg(long, hide = true, value_name = "PLUGIN.NAME=VALUE")]
    pub plugin_env: Vec<String>,
}

/// Action on images.
#[derive(Debug, Subcommand)]
pub enum ImagesAction {
    /// List the images that a run needs
    List(ImagesList),
    /// Check in the registries which images exist, and for which platforms
    Inspect(ImagesInspect),
    /// Copy images from their registries into a local directory
    Pull(ImagesPull),
    /// Copy images into a private registry, from the local directory or directly from their registries
    Push(ImagesPush),
    /// Write images into one file that container runtimes can load
    Download(ImagesDownload),
    /// Remove images from the local directory
    Delete(ImagesDelete),
}

/// Selection of images.
#[derive(Debug, Clone, Args)]
pub struct ImagesSelection {
    /// Plugins that use the images: names of built-in plugins, or files; repeatable
    #[arg(short, long = "plugin", value_name = "PLUGIN", value_delimiter = ',', default_values = ["e2e", "systemd-logs"])]
    pub plugins: Vec<String>,
    /// Kubernetes version of the images [default: the cluster's version]
    #[arg(long, value_name = "VERSION")]
    pub kubernetes_version: Option<String>,
    /// Output of `e2e.test --list-images`, for Kubernetes versions unknown to sono; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub images_file: Option<PathBuf>,
    #[command(flatten)]
    pub addresses: Addresses,
    #[command(flatten)]
    pub cluster: Cluster,
}

/// Names of the images in a private registry.
#[derive(Debug, Clone, Args)]
pub struct ImagesRenaming {
    /// YAML file that assigns a private registry to each group of images, as in KUBE_TEST_REPO_LIST
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    pub e2e_repo_config: Option<PathBuf>,
    /// Repository for all test images, as in KUBE_TEST_REPO
    #[arg(
        long,
        value_name = "REPOSITORY",
        conflicts_with = "e2e_repo_config",
        help_heading = "Registries"
    )]
    pub e2e_repo: Option<String>,
}

/// Access to registries.
#[derive(Debug, Clone, Args)]
pub struct ImagesAccess {
    /// Registry (host or host:port) to use over plain HTTP; repeatable.
    ///
    /// Registries on this machine always use plain HTTP, unless --ca-file is given.
    #[arg(long, value_name = "HOST", help_heading = "Registries")]
    pub insecure_registry: Vec<String>,
    /// PEM file with certificate authorities to trust in addition to the system's
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    pub ca_file: Option<PathBuf>,
}

/// Local directory of images.
#[derive(Debug, Clone, Args)]
pub struct ImagesStore {
    /// Local directory of images, in OCI image layout [default: sono/images in the user's cache directory]
    #[arg(long, value_name = "DIRECTORY")]
    pub store: Option<PathBuf>,
}

/// Platforms of images.
#[derive(Debug, Clone, Args)]
pub struct ImagesPlatforms {
    /// Platform such as linux/arm64; repeatable [default: those of the cluster's nodes, else that of this machine]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Vec<Platform>,
    /// Copy images for all platforms
    #[arg(long, conflicts_with = "platform")]
    pub all_platforms: bool,
}

/// `sono images list`
#[derive(Debug, Args)]
pub struct ImagesList {
    #[command(flatten)]
    pub selection: ImagesSelection,
    /// Has no effect: the command changes nothing
    #[arg(long, hide = true)]
    pub dry_run: bool,
}

/// `sono images inspect`
#[derive(Debug, Args)]
pub struct ImagesInspect {
    #[command(flatten)]
    pub selection: ImagesSelection,
    #[command(flatten)]
    pub renaming: ImagesRenaming,
    #[command(flatten)]
    pub access: ImagesAccess,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = ImagesOutput::Table)]
    pub output: ImagesOutput,
    /// Has no effect: the command changes nothing
    #[arg(long, hide = true)]
    pub dry_run: bool,
}

/// Output format of an inspection.
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
    pub selection: ImagesSelection,
    #[command(flatten)]
    pub renaming: ImagesRenaming,
    #[command(flatten)]
    pub platforms: ImagesPlatforms,
    #[command(flatten)]
    pub access: ImagesAccess,
    #[command(flatten)]
    pub store: ImagesStore,
    /// Print the actions without performing them
    #[arg(long)]
    pub dry_run: bool,
}

/// `sono images push`
#[derive(Debug, Args)]
pub struct ImagesPush {
    #[command(flatten)]
    pub selection: ImagesSelection,
    #[command(flatten)]
    pub renaming: ImagesRenaming,
    /// Registry for all images, stored under the last part of their names
    #[arg(long, value_name = "REGISTRY", conflicts_with_all = ["e2e_repo", "e2e_repo_config"], help_heading = "Registries")]
    pub custom_registry: Option<String>,
    #[command(flatten)]
    pub platforms: ImagesPlatforms,
    #[command(flatten)]
    pub access: ImagesAccess,
    #[command(flatten)]
    pub store: ImagesStore,
    /// Print the actions without performing them
    #[arg(long)]
    pub dry_run: bool,
}

/// `sono images download`
#[derive(Debug, Args)]
pub struct ImagesDownload {
    #[command(flatten)]
    pub selection: ImagesSelection,
    #[command(flatten)]
    pub renaming: ImagesRenaming,
    #[command(flatten)]
    pub platforms: ImagesPlatforms,
    #[command(flatten)]
    pub access: ImagesAccess,
    #[command(flatten)]
    pub store: ImagesStore,
    /// Print the actions without performing them
    #[arg(long)]
    pub dry_run: bool,
}

/// `sono images delete`
#[derive(Debug, Args)]
pub struct ImagesDelete {
    #[command(flatten)]
    pub selection: ImagesSelection,
    #[command(flatten)]
    pub renaming: ImagesRenaming,
    #[command(flatten)]
    pub store: ImagesStore,
    /// Print the actions without performing them
    #[arg(long)]
    pub dry_run: bool,
}
