//! Flags for the checks before a run is created.

use clap::Args;

/// Settings of the checks before a run is created (cli §7.2).
#[derive(Debug, Clone, Args)]
pub struct Preflight {
    /// Preflight checks to skip: dnscheck, versioncheck, existingnamespace, podsecurity, quota, serviceaccount; without a name, all
    #[arg(long, value_name = "CHECK", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_delimiter = ',', help_heading = "Preflight checks", hide_short_help = true)]
    pub skip_preflight: Vec<String>,
    /// Namespace of the cluster's DNS pods
    #[arg(
        long,
        value_name = "NAMESPACE",
        default_value = "kube-system",
        help_heading = "Preflight checks",
        hide_short_help = true
    )]
    pub dns_namespace: String,
    /// Labels of the cluster's DNS pods; one match is enough
    #[arg(long, value_name = "SELECTOR", value_delimiter = ',', default_values = ["k8s-app=kube-dns", "k8s-app=coredns"], help_heading = "Preflight checks", hide_short_help = true)]
    pub dns_pod_labels: Vec<String>,
}
