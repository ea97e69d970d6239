//! Flags that say as whom, and where, the aggregator runs.

use clap::Args;

use super::Pair;

/// What is only there in a cluster: accounts, roles, security settings, and the aggregator's node.
#[derive(Debug, Clone, Default, Args)]
pub struct Aggregator {
    /// Service account of the aggregator [default: sonobuoy-serviceaccount]
    #[arg(long, value_name = "NAME")]
    pub service_account_name: Option<String>,
    /// The service account is there already
    #[arg(long)]
    pub existing_service_account: bool,
    /// Whether roles are created [default: Enable]
    #[arg(long, value_name = "MODE", value_parser = ["Enable", "Disable"], ignore_case = true)]
    pub rbac: Option<String>,
    /// Pod security level of the namespace that is created [default: privileged]
    #[arg(long, value_name = "LEVEL", value_parser = ["privileged", "baseline", "restricted"])]
    pub namespace_psa_enforce_level: Option<String>,
    /// Security settings of our pods; none is for platforms that choose users themselves [default: nonroot]
    #[arg(long, value_name = "MODE", value_parser = ["nonroot", "none"])]
    pub security_context_mode: Option<String>,
    /// A label that the aggregator's node has; may be given more than once
    #[arg(long, value_name = "KEY:VALUE")]
    pub aggregator_node_selector: Vec<Pair<':'>>,
    /// Puts the pull policy on the plugins' containers too
    #[arg(long)]
    pub force_image_pull_policy: bool,
}

impl Aggregator {
    /// A flag that was given, if one was.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let flags = [
            (self.service_account_name.is_some(), "--service-account-name"),
            (self.existing_service_account, "--existing-service-account"),
            (self.rbac.is_some(), "--rbac"),
            (
                self.namespace_psa_enforce_level.is_some(),
                "--namespace-psa-enforce-level",
            ),
            (self.security_context_mode.is_some(), "--security-context-mode"),
            (!self.aggregator_node_selector.is_empty(), "--aggregator-node-selector"),
            (self.force_image_pull_policy, "--force-image-pull-policy"),
        ];
        flags.into_iter().find_map(|(is_given, flag)| is_given.then_some(flag))
    }
}
