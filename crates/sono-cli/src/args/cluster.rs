//! Flags that select a cluster and a namespace.

use std::path::PathBuf;

use clap::Args;
use sono_types::constants;

use super::kubernetes_name;

/// The cluster to use.
#[derive(Debug, Clone, Args)]
pub struct Cluster {
    /// Path to a kubeconfig [default: KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Kubeconfig context [default: its current-context]
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,
}

/// Namespace and cluster of a run.
#[derive(Debug, Clone, Args)]
pub struct RunLocation {
    /// Namespace of the run
    #[arg(short, long, default_value = constants::DEFAULT_NAMESPACE, value_parser = kubernetes_name::namespace, help_heading = "Cluster")]
    pub namespace: String,
    #[command(flatten)]
    pub cluster: Cluster,
}
