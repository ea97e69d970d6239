//! Flags that say what to run, and how.

use std::path::PathBuf;

use clap::Args;

use super::{Addresses, Aggregator, Changes, kubernetes_name};

/// What to run, and how.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// A plugin: the name of an installed or a built-in one (e2e, host-check, systemd-logs), a file, a directory of files,
    /// an address (https, http, oci), or - for standard input; @NAME behind it renames it. May be given more than once
    /// [default: e2e and systemd-logs; with --local host-check]
    #[arg(short, long = "plugin", value_name = "PLUGIN")]
    pub plugins: Vec<String>,
    /// Namespace of the run [default: sonobuoy]
    #[arg(short, long, value_parser = kubernetes_name::namespace)]
    pub namespace: Option<String>,
    /// Seconds that each plugin may take; 0 means no limit [default: 21600]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    pub timeout: Option<u64>,
    /// Registry, or repository in one, that images come from unless they are named: ours, those of the built-in plugins and
    /// those of the tests, under the last part of their names, as `images push --custom-registry` puts them
    #[arg(long, value_name = "REGISTRY", conflicts_with_all = ["e2e_repo", "e2e_repo_config"], help_heading = "Images")]
    pub registry: Option<String>,
    /// Image of both aggregator and worker
    #[arg(long, value_name = "IMAGE", help_heading = "Images")]
    pub sonobuoy_image: Option<String>,
    /// Image of the aggregator
    #[arg(long, value_name = "IMAGE", help_heading = "Images")]
    pub aggregator_image: Option<String>,
    /// Image of the worker
    #[arg(long, value_name = "IMAGE", help_heading = "Images")]
    pub worker_image: Option<String>,
    /// When images of aggregator and workers are pulled [default: IfNotPresent]
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"], ignore_case = true, help_heading = "Images")]
    pub image_pull_policy: Option<String>,
    /// What the aggregator may do; all but clusterAdmin use a namespace that is there [default: clusterAdmin]
    #[arg(long, value_name = "MODE", value_parser = ["clusterAdmin", "clusterRead", "namespaceAdmin", "minimal"], help_heading = "Aggregator and its rights")]
    pub aggregator_permissions: Option<String>,
    /// A JSON file with the run's configuration; flags come before it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Version that plugins are told, and that $SONOBUOY_K8S_VERSION in their images stands for; `auto` is the cluster's,
    /// `ignore` too, or none where it cannot be had, `latest` that of Kubernetes' newest build [default: auto]
    #[arg(long, value_name = "VERSION", alias = "kube-conformance-image-version")]
    pub kubernetes_version: Option<String>,
    /// Write the podSpec that they get into the definitions of plugins that have none
    #[arg(long)]
    pub show_default_podspec: bool,
    /// Start no further plugins once one ended without a result
    #[arg(long)]
    pub stop_on_failure: bool,
    /// Let plugins for every node fail on nodes whose taints they do not tolerate, instead of leaving these out
    #[arg(long)]
    pub all_nodes: bool,
    #[command(flatten)]
    pub addresses: Addresses,
    #[command(flatten)]
    pub aggregator: Aggregator,
    #[command(flatten)]
    pub changes: Changes,
}

fn seconds(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "seconds from 0, which means no limit, on")
}
