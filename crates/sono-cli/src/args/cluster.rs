//! Flags that say which cluster, and which run.

use std::path::PathBuf;

use clap::Args;
use sono_types::constants;

use super::kubernetes_name;

/// Which cluster.
#[derive(Debug, Clone, Args)]
pub struct Cluster {
    /// Path of a kubeconfig; otherwise KUBECONFIG, ~/.kube/config, or the pod's own account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; otherwise its current one
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// Which run.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Namespace of the run
    #[arg(short, long, default_value = constants::DEFAULT_NAMESPACE, value_parser = kubernetes_name::namespace)]
    pub namespace: String,
    #[command(flatten)]
    pub cluster: Cluster,
}
