//! Flags that say as whom, and where, the aggregator runs.

use std::{collections::BTreeMap, str::FromStr};

use clap::Args;
use sono_manifest::Quantity;

use super::{Pair, kubernetes_name};

/// What is only there in a cluster: accounts, roles, security settings, and the aggregator's node.
#[derive(Debug, Clone, Default, Args)]
pub struct Aggregator {
    /// Service account of the aggregator [default: sonobuoy-serviceaccount]
    #[arg(long, value_name = "NAME", value_parser = kubernetes_name::object, help_heading = "Aggregator and its rights")]
    pub service_account_name: Option<String>,
    /// The service account is there already
    #[arg(long, help_heading = "Aggregator and its rights")]
    pub existing_service_account: bool,
    /// Service account of plugins: own has fewer rights than the aggregator's, shared is the same [default: shared with clusterAdmin, own
    /// otherwise]
    #[arg(long, value_name = "ACCOUNT", value_parser = ["own", "shared"], ignore_case = true, help_heading = "Aggregator and its rights")]
    pub plugin_account: Option<String>,
    /// Service account of plugins with --existing-service-account; it must exist
    #[arg(long, value_name = "NAME", value_parser = kubernetes_name::object, help_heading = "Aggregator and its rights")]
    pub plugin_service_account: Option<String>,
    /// Create a network policy by which only plugins reach the aggregator; not for plugins in their hosts' network
    #[arg(long, help_heading = "Aggregator and its rights")]
    pub network_policy: bool,
    /// Memory limit of the aggregator; 0 means none [default: 1Gi]
    #[arg(long, value_name = "SIZE", help_heading = "Aggregator and its rights")]
    pub aggregator_memory: Option<Quantity>,
    /// Whether roles are created; Detect asks the cluster whether it has them [default: Detect with run, else Enable]
    #[arg(long, value_name = "MODE", value_parser = ["Enable", "Disable", "Detect"], ignore_case = true, help_heading = "Aggregator and its rights")]
    pub rbac: Option<String>,
    /// Pod security level of the namespace that is created [default: privileged]
    #[arg(long, value_name = "LEVEL", value_parser = ["privileged", "baseline", "restricted"], help_heading = "Aggregator and its rights")]
    pub namespace_psa_enforce_level: Option<String>,
    /// Security settings of our pods; none is for platforms that choose users themselves [default: nonroot]
    #[arg(long, value_name = "MODE", value_parser = ["nonroot", "none"], help_heading = "Aggregator and its rights")]
    pub security_context_mode: Option<String>,
    /// A label that the aggregator's node has; may be given more than once
    #[arg(long, value_name = "KEY:VALUE", help_heading = "Aggregator and its rights")]
    pub aggregator_node_selector: Vec<Pair<':'>>,
    /// A taint that the aggregator's node may have; may be given more than once
    #[arg(
        long,
        value_name = "KEY[=VALUE][:EFFECT]",
        help_heading = "Aggregator and its rights"
    )]
    pub aggregator_toleration: Vec<Toleration>,
    /// An annotation of all pods of the run; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Aggregator and its rights")]
    pub annotation: Vec<Pair<'='>>,
    /// Secret in the run's namespace with which all its images are pulled
    #[arg(long, value_name = "NAME", alias = "image-pull-secret", help_heading = "Images")]
    pub image_pull_secrets: Option<String>,
    /// What the aggregator is: a deployment outlives its pod, which is replaced when it or its node goes; a single pod, as with
    /// Sonobuoy, takes the run along [default: deployment; pod where sono is called as sonobuoy]
    #[arg(long, value_name = "KIND", value_parser = ["deployment", "pod"], help_heading = "Aggregator and its rights")]
    pub aggregator_workload: Option<String>,
    /// Keep results on a volume of this size (such as 5Gi), which the run claims: the aggregator is then replaced when its
    /// pod or node goes, and the run goes on
    #[arg(long, value_name = "SIZE")]
    pub results_volume: Option<String>,
    /// Storage class of that volume [default: the cluster's]
    #[arg(long, value_name = "NAME", requires = "results_volume")]
    pub results_volume_class: Option<String>,
    /// Keep results on a volume that is claimed already, in the run's namespace
    #[arg(long, value_name = "NAME", conflicts_with = "results_volume")]
    pub results_volume_claim: Option<String>,
    /// Size limit of the results in the aggregator's pod, without a volume for them; 0 means none [default: 20Gi]
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["results_volume", "results_volume_claim"])]
    pub results_size_limit: Option<Quantity>,
    /// Puts the pull policy on the plugins' containers too
    #[arg(long, help_heading = "Images")]
    pub force_image_pull_policy: bool,
}

/// What a taint does.
pub(crate) const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// A toleration, as `kubectl taint` writes taints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toleration(pub BTreeMap<String, String>);

/// No toleration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoToleration {
    #[error("there is no key in it")]
    NoKey,
    #[error("`{0}` is no effect: NoSchedule, PreferNoSchedule or NoExecute")]
    Effect(String),
}

impl FromStr for Toleration {
    type Err = NoToleration;

    fn from_str(text: &str) -> Result<Self, NoToleration> {
        let (taint, effect) = match text.rsplit_once(':') {
            Some((taint, effect)) => (taint, Some(effect)),
            None => (text, None),
        };
        let (key, value) = match taint.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (taint, None),
        };
        if key.is_empty() {
            return Err(NoToleration::NoKey);
        }
        if let Some(effect) = effect.filter(|effect| !EFFECTS.contains(effect)) {
            return Err(NoToleration::Effect(effect.to_owned()));
        }
        let operator = if value.is_some() { "Equal" } else { "Exists" };
        let fields = [
            ("key", Some(key)),
            ("operator", Some(operator)),
            ("value", value),
            ("effect", effect),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        Ok(Self(fields.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_are_written_like_taints() {
        let fields = |text: &str| text.parse::<Toleration>().map(|toleration| toleration.0);
        let expected = |pairs: &[(&str, &str)]| {
            Ok(pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect())
        };
        assert_eq!(
            fields("a/b=c:NoExecute"),
            expected(&[
                ("key", "a/b"),
                ("operator", "Equal"),
                ("value", "c"),
                ("effect", "NoExecute")
            ])
        );
        assert_eq!(fields("a"), expected(&[("key", "a"), ("operator", "Exists")]));
        assert_eq!(fields("a:x"), Err(NoToleration::Effect("x".to_owned())));
        assert_eq!(fields("=b"), Err(NoToleration::NoKey));
    }
}
