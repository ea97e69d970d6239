//! Flags about what is looked at before a run is created.

use clap::Args;

/// What is looked at before a run is created (cli spec §7.2).
#[derive(Debug, Clone, Args)]
pub struct Preflight {
    /// Leave checks out: dnscheck, versioncheck, existingnamespace; all of them when none is named
    #[arg(long, value_name = "CHECK", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_delimiter = ',', help_heading = "Before a run")]
    pub skip_preflight: Vec<String>,
    /// Namespace in which the cluster's DNS is looked for
    #[arg(
        long,
        value_name = "NAMESPACE",
        default_value = "kube-system",
        help_heading = "Before a run"
    )]
    pub dns_namespace: String,
    /// Labels of the cluster's DNS pods; one of them is enough
    #[arg(long, value_name = "SELECTOR", value_delimiter = ',', default_values = ["k8s-app=kube-dns", "k8s-app=coredns"], help_heading = "Before a run")]
    pub dns_pod_labels: Vec<String>,
}
