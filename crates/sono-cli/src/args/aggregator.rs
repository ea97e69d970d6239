//! Flags for the aggregator: accounts, permissions, scheduling and storage.

use std::{collections::BTreeMap, str::FromStr};

use clap::Args;
use sono_manifest::Quantity;

use super::{Pair, kubernetes_name};

/// Settings that apply only in a cluster: accounts, roles, security, scheduling and storage.
#[derive(Debug, Clone, Default, Args)]
pub struct Aggregator {
    /// Service account of the aggregator [default: sonobuoy-serviceaccount]
    #[arg(long, value_name = "NAME", value_parser = kubernetes_name::object, help_heading = "Aggregator and permissions", hide_short_help = true)]
    pub service_account_name: Option<String>,
    /// Use a service account that already exists
    #[arg(long, help_heading = "Aggregator and permissions", hide_short_help = true)]
    pub existing_service_account: bool,
    /// Service account of plugins: own (fewer permissions than the aggregator's) or shared (the aggregator's) [default:
    /// shared with clusterAdmin, otherwise own]
    #[arg(long, value_name = "ACCOUNT", value_parser = ["own", "shared"], ignore_case = true, help_heading = "Aggregator and permissions", hide_short_help = true)]
    pub plugin_account: Option<String>,
    /// Existing service account for plugins; requires --existing-service-account
    #[arg(long, value_name = "NAME", value_parser = kubernetes_name::object, help_heading = "Aggregator and permissions", hide_short_help = true)]
    pub plugin_service_account: Option<String>,
    /// Create a NetworkPolicy that allows only plugins to reach the aggregator.
    ///
    /// Conflicts with plugins that use the host network.
    #[arg(long, help_heading = "Aggregator and permissions", hide_short_help = true)]
    pub network_policy: bool,
    /// Memory limit of the aggregator; 0 means no limit [default: 1Gi]
    #[arg(
        long,
        value_name = "SIZE",
        help_heading = "Aggregator and permissions",
        hide_short_help = true
    )]
    pub aggregator_memory: Option<Quantity>,
    /// Whether to create roles; Detect checks whether the cluster uses RBAC [default: Detect with run, otherwise
    /// Enable]
    #[arg(long, value_name = "MODE", value_parser = ["Enable", "Disable", "Detect"], ignore_case = true, help_heading = "Aggregator and permissions", hide_short_help = true)]
    pub rbac: Option<String>,
    /// Pod security level to enforce in the created namespace [default: privileged]
    #[arg(long, value_name = "LEVEL", value_parser = ["privileged", "baseline", "restricted"], help_heading = "Aggregator and permissions", hide_short_help = true)]
    pub namespace_psa_enforce_level: Option<String>,
    /// Security context of the pods of the run; none is for platforms that assign user IDs themselves [default:
    /// nonroot]
    #[arg(long, value_name = "MODE", value_parser = ["nonroot", "none"], help_heading = "Aggregator and permissions", hide_short_help = true)]
    pub security_context_mode: Option<String>,
    /// Node label required for the aggregator; repeatable
    #[arg(
        long,
        value_name = "KEY:VALUE",
        help_heading = "Aggregator and permissions",
        hide_short_help = true
    )]
    pub aggregator_node_selector: Vec<Pair<':'>>,
    /// Taint that the aggregator tolerates; repeatable
    #[arg(
        long,
        value_name = "KEY[=VALUE][:EFFECT]",
        help_heading = "Aggregator and permissions",
        hide_short_help = true
    )]
    pub aggregator_toleration: Vec<Toleration>,
    /// Annotation for all pods of the run; repeatable
    #[arg(
        long,
        value_name = "NAME=VALUE",
        help_heading = "Aggregator and permissions",
        hide_short_help = true
    )]
    pub annotation: Vec<Pair<'='>>,
    /// Secret in the run's namespace for pulling images
    #[arg(
        long,
        value_name = "NAME",
        alias = "image-pull-secret",
        help_heading = "Images",
        hide_short_help = true
    )]
    pub image_pull_secrets: Option<String>,
    /// Workload of the aggregator: a deployment, which replaces its pod if the pod or its node is lost, or a single pod, as
    /// in Sonobuoy [default: deployment; pod if called as sonobuoy]
    #[arg(long, value_name = "KIND", value_parser = ["deployment", "pod"], help_heading = "Aggregator and permissions", hide_short_help = true)]
    pub aggregator_workload: Option<String>,
    /// Store results on a new volume of this size, such as 5Gi.
    ///
    /// The results then survive the loss of the aggregator's pod or node: the aggregator is replaced and the run
    /// continues.
    #[arg(
        long,
        value_name = "SIZE",
        help_heading = "Storage of results",
        hide_short_help = true
    )]
    pub results_volume: Option<String>,
    /// Storage class of the new volume [default: the cluster's]
    #[arg(
        long,
        value_name = "NAME",
        requires = "results_volume",
        help_heading = "Storage of results",
        hide_short_help = true
    )]
    pub results_volume_class: Option<String>,
    /// Store results on an existing PersistentVolumeClaim in the run's namespace
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "results_volume",
        help_heading = "Storage of results",
        hide_short_help = true
    )]
    pub results_volume_claim: Option<String>,
    /// Size limit of results stored in the aggregator's pod, without a volume; 0 means no limit [default: 20Gi]
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["results_volume", "results_volume_claim"], help_heading = "Storage of results", hide_short_help = true)]
    pub results_size_limit: Option<Quantity>,
    /// Whether to search everything in the archive for the values of Secrets [default: on with clusterAdmin]
    #[arg(long, value_name = "WHETHER", value_parser = ["on", "off"], ignore_case = true, num_args = 0..=1, require_equals = true, default_missing_value = "on", help_heading = "Redaction", hide_short_help = true)]
    pub redact_known: Option<String>,
    /// Withhold the archive unless it is proved that it contains no values of Secrets
    #[arg(long, help_heading = "Redaction", hide_short_help = true)]
    pub require_redaction: bool,
    /// Apply the pull policy to the container of every plugin, not only of built-in ones
    #[arg(long, help_heading = "Images", hide_short_help = true)]
    pub force_image_pull_policy: bool,
}

/// Taint effects.
pub(crate) const TAINT_EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// A toleration, in the syntax of `kubectl taint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toleration(pub BTreeMap<String, String>);

/// Invalid toleration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoToleration {
    #[error("missing key")]
    NoKey,
    #[error("invalid effect `{0}`: expected NoSchedule, PreferNoSchedule or NoExecute")]
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
        if let Some(effect) = effect.filter(|effect| !TAINT_EFFECTS.contains(effect)) {
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
