//! Flags that select and configure the plugins of a run.

use std::path::PathBuf;

use clap::Args;

use super::{Addresses, Aggregator, Changes, Seconds, kubernetes_name};

/// Flags for the plugins and the configuration of a run, as given.
#[derive(Debug, Clone, Args)]
pub struct RunFlags {
    /// Plugin to run: a name, file, directory, URL or `-` for standard input; repeatable [default: e2e and
    /// systemd-logs; with --local: host-check].
    ///
    /// A name refers to an installed or built-in plugin (e2e, host-check, systemd-logs). A directory selects all
    /// definitions in it. A URL begins with https, http (requires --allow-http) or oci. A trailing @NAME renames the
    /// plugin.
    #[arg(short, long = "plugin", value_name = "PLUGIN")]
    pub plugins: Vec<String>,
    /// Namespace of the run [default: sonobuoy]
    #[arg(short, long, value_parser = kubernetes_name::namespace, help_heading = "Cluster")]
    pub namespace: Option<String>,
    /// Time limit of each plugin: a duration such as 30m, or a number of seconds; 0 means no limit [default: 6h]
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub timeout: Option<Seconds>,
    /// Registry, with an optional path, to pull all images from.
    ///
    /// It applies to the images of sono, of built-in plugins and of the Kubernetes tests, unless a flag names an image.
    /// Each image is expected under the last part of its name, where `sono images push --custom-registry` stores it.
    #[arg(long, value_name = "REGISTRY", conflicts_with_all = ["e2e_repo", "e2e_repo_config"], help_heading = "Images", hide_short_help = true)]
    pub registry: Option<String>,
    /// Image of both the aggregator and the worker
    #[arg(long, value_name = "IMAGE", help_heading = "Images", hide_short_help = true)]
    pub sonobuoy_image: Option<String>,
    /// Image of the aggregator
    #[arg(long, value_name = "IMAGE", help_heading = "Images", hide_short_help = true)]
    pub aggregator_image: Option<String>,
    /// Image of the worker
    #[arg(long, value_name = "IMAGE", help_heading = "Images", hide_short_help = true)]
    pub worker_image: Option<String>,
    /// Pull policy of the images of the aggregator, the worker and built-in plugins [default: IfNotPresent]
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"], ignore_case = true, help_heading = "Images", hide_short_help = true)]
    pub image_pull_policy: Option<String>,
    /// Permissions of the aggregator [default: clusterAdmin].
    ///
    /// All modes except clusterAdmin require a namespace that already exists.
    #[arg(long, value_name = "MODE", value_parser = ["clusterAdmin", "clusterRead", "namespaceAdmin", "minimal"], help_heading = "Aggregator and permissions", hide_short_help = true)]
    pub aggregator_permissions: Option<String>,
    /// JSON file with the run's configuration; flags override it
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub config: Option<PathBuf>,
    /// Kubernetes version for plugins: a version, auto, ignore or latest [default: auto].
    ///
    /// Plugins receive it, and it replaces `$SONOBUOY_K8S_VERSION` in their images. auto is the version of the cluster;
    /// ignore is the same, or none if it cannot be determined; latest is the newest Kubernetes build.
    #[arg(
        long,
        value_name = "VERSION",
        alias = "kube-conformance-image-version",
        hide_short_help = true
    )]
    pub kubernetes_version: Option<String>,
    /// Include the default podSpec in plugin definitions that have none
    #[arg(long, help_heading = "Plugins", hide_short_help = true)]
    pub show_default_podspec: bool,
    /// Do not start further plugins after a plugin has ended without a result
    #[arg(long, help_heading = "Plugins", hide_short_help = true)]
    pub stop_on_failure: bool,
    /// Fail DaemonSet plugins on nodes with taints they do not tolerate, instead of skipping these nodes
    #[arg(long, help_heading = "Plugins", hide_short_help = true)]
    pub all_nodes: bool,
    #[command(flatten)]
    pub addresses: Addresses,
    #[command(flatten)]
    pub aggregator: Aggregator,
    #[command(flatten)]
    pub changes: Changes,
}
