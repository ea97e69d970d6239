//! Limits of an existing namespace that would refuse pods of the run: pod security, quotas and missing service accounts.
//! A cluster reports them only for pods that it refuses, one by one.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use serde_json::Value;
use sono_kube::{Cluster, Kind};
use sono_manifest::{aggregator_spec_mut, pod_security_misfit};

use super::{ACCOUNT, Checks, QUOTA, SECURITY};
use crate::{
    aggregator::text, error::CliError, output::Printer, plugin_pod::PluginPod, settings::numbers, view::words::counted,
};

/// Label of a namespace with the level that its pods must have.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// Label with the Kubernetes version of the level.
const ENFORCE_VERSION: &str = "pod-security.kubernetes.io/enforce-version";
/// First version with the rules that are checked.
const RULES_SINCE: (u64, u64, u64) = (1, 22, 0);
/// Names of the number of pods in a quota.
const POD_QUOTAS: [&str; 2] = ["pods", "count/pods"];

/// Checks the namespace's limits. Nothing is reported about a namespace that does not exist, and about objects that the
/// account may not read.
pub(in crate::commands) async fn check_limits(
    cluster: &Cluster,
    checks: &Checks,
    namespace: &str,
    pods: &[PluginPod],
    objects: &[Value],
    printer: &Printer,
) -> Result<(), CliError> {
    let found = match cluster.get(Kind::Namespace, None, namespace).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(()),
        Err(error) => {
            tracing::debug!(%error, "cannot read the namespace");
            Value::Null
        }
    };
    let quotas = async {
        if !checks.quota {
            return Vec::new();
        }
        let quotas = cluster.list(Kind::ResourceQuota, Some(namespace), "").await;
        quotas.unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot read the quotas of the namespace");
            Vec::new()
        })
    };
    let missing = async {
        if !checks.accounts {
            return BTreeMap::new();
        }
        missing_accounts(cluster, namespace, accounts(pods, objects)).await
    };
    let (quotas, missing) = futures::join!(quotas, missing);
    let mut problems: Vec<CliError> = Vec::new();
    if checks.security {
        problems.extend(pod_security(namespace, &found, pods));
    }
    let needed = needed_pods(pods);
    for quota in &quotas {
        match pod_quota(namespace, quota, needed) {
            Some(PodQuota::TooSmall(error)) => problems.push(error),
            Some(PodQuota::InUse(note)) => printer.note(&note),
            None => {}
        }
    }
    problems.extend(
        missing
            .iter()
            .map(|(name, users)| absent_account(namespace, name, users)),
    );
    if problems.len() < 2 {
        return problems.pop().map_or(Ok(()), Err);
    }
    Err(CliError::new(format!("{} preflight checks failed", problems.len()))
        .details(problems.into_iter().flat_map(CliError::lines_with_hint))
        .hint(format!(
            "to skip one: --skip-preflight=CHECK, one of {SECURITY}, {QUOTA}, {ACCOUNT}"
        )))
}

/// Plugins whose pods the namespace's level refuses.
fn pod_security(namespace: &str, found: &Value, pods: &[PluginPod]) -> Vec<CliError> {
    let label = |name: &str| found["metadata"]["labels"][name].as_str().unwrap_or_default();
    let level = label(ENFORCE);
    // `latest`, the default, has no numbers. Earlier versions have fewer rules.
    if numbers(label(ENFORCE_VERSION)).is_some_and(|version| version < RULES_SINCE) {
        return Vec::new();
    }
    let misfits = pods
        .iter()
        .filter_map(|pod| pod_security_misfit(level, &pod.plugin, &pod.spec));
    let error = |misfit: String| {
        CliError::new(misfit).hint(format!(
            "change the plugin's definition, or the level: kubectl label namespace {namespace} {ENFORCE}=privileged \
             --overwrite; to skip this check: --skip-preflight={SECURITY}"
        ))
    };
    misfits.map(error).collect()
}

/// Minimum number of pods that exist at the same time: the aggregator's, and one of each plugin of an order group.
fn needed_pods(pods: &[PluginPod]) -> u64 {
    let mut groups: BTreeMap<i64, u64> = BTreeMap::new();
    for pod in pods {
        *groups.entry(pod.order).or_default() += 1;
    }
    1 + groups.into_values().max().unwrap_or_default()
}

#[derive(Debug, PartialEq, Eq)]
enum PodQuota {
    TooSmall(CliError),
    /// Other pods use the quota. They may end.
    InUse(String),
}

/// Compares a quota of all pods with the number that a run needs.
fn pod_quota(namespace: &str, quota: &Value, needed: u64) -> Option<PodQuota> {
    let name = text(quota, "/metadata/name");
    // A quota for some pods only.
    if quota["spec"]["scopes"].is_array() || quota["spec"]["scopeSelector"].is_object() {
        return None;
    }
    let number = |of: &str, key: &str| {
        let value = &quota["status"][of][key];
        value
            .as_u64()
            .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    };
    let smallest = POD_QUOTAS.iter().filter_map(|key| {
        let hard = number("hard", key)?;
        Some((hard, hard.saturating_sub(number("used", key).unwrap_or_default())))
    });
    let (hard, left) = smallest.min_by_key(|(_, left)| *left)?;
    let needs = format!(
        "the run needs at least {needed}: one for the aggregator and one for each plugin that runs at the same time"
    );
    if hard < needed {
        let what = format!(
            "quota `{name}` allows {} in namespace `{namespace}`; {needs}",
            counted(hard, "pod")
        );
        return Some(PodQuota::TooSmall(CliError::new(what).hint(format!(
            "raise it: kubectl -n {namespace} edit resourcequota {name}; to skip this check: --skip-preflight={QUOTA}"
        ))));
    }
    (left < needed).then(|| {
        PodQuota::InUse(format!(
            "warning: quota `{name}` has {} left in namespace `{namespace}`; {needs}",
            counted(left, "pod")
        ))
    })
}

/// Service accounts that the run uses and does not create, with their users.
fn accounts(pods: &[PluginPod], objects: &[Value]) -> BTreeMap<String, Vec<String>> {
    let is_account = |object: &&Value| text(object, "/kind") == "ServiceAccount";
    let created: BTreeSet<&str> = objects
        .iter()
        .filter(is_account)
        .map(|object| text(object, "/metadata/name"))
        .collect();
    let mut objects = objects.to_vec();
    let aggregators = objects.iter_mut().filter_map(aggregator_spec_mut);
    let aggregators = aggregators.map(|spec| ("the aggregator".to_owned(), account_of(spec).to_owned()));
    let plugins = pods
        .iter()
        .map(|pod| (format!("plugin {}", pod.plugin), account_of(&pod.spec).to_owned()));
    let mut accounts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (user, account) in aggregators.chain(plugins) {
        // Kubernetes creates the account `default` of each namespace.
        if !["", "default"].contains(&account.as_str()) && !created.contains(account.as_str()) {
            accounts.entry(account).or_default().push(user);
        }
    }
    accounts
}

fn account_of(spec: &Value) -> &str {
    match text(spec, "/serviceAccountName") {
        "" => text(spec, "/serviceAccount"),
        name => name,
    }
}

/// The accounts that do not exist.
async fn missing_accounts(
    cluster: &Cluster,
    namespace: &str,
    accounts: BTreeMap<String, Vec<String>>,
) -> BTreeMap<String, Vec<String>> {
    let names = accounts.keys().map(|name| async move {
        let found = cluster.get(Kind::ServiceAccount, Some(namespace), name).await;
        if let Err(error) = &found {
            tracing::debug!(%error, "cannot read the service account");
        }
        matches!(found, Ok(None))
    });
    let missing = join_all(names).await;
    let accounts = accounts.into_iter().zip(missing);
    accounts
        .filter(|(_, missing)| *missing)
        .map(|(account, _)| account)
        .collect()
}

fn absent_account(namespace: &str, name: &str, users: &[String]) -> CliError {
    let what = format!(
        "service account `{name}`, used by {}, does not exist in namespace `{namespace}`",
        users.join(" and ")
    );
    CliError::new(what).hint(format!(
        "create it: kubectl -n {namespace} create serviceaccount {name}; to skip this check: --skip-preflight={ACCOUNT}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(plugin: &str, order: i64) -> PluginPod {
        PluginPod {
            plugin: plugin.parse().unwrap(),
            order,
            spec: json!({"hostPID": true, "containers": [{"name": "c"}]}),
        }
    }

    #[test]
    fn pods_of_one_order_group_are_needed_together() {
        assert_eq!(needed_pods(&[]), 1);
        assert_eq!(needed_pods(&[pod("a", 0)]), 2);
        assert_eq!(needed_pods(&[pod("a", 0), pod("b", 1), pod("c", 1)]), 3);
    }

    #[test]
    fn quota_is_compared_with_the_needed_pods() {
        let quota = |hard: Value, used: Value| json!({"metadata": {"name": "q"}, "status": {"hard": {"pods": hard}, "used": {"pods": used}}});
        let needs =
            "the run needs at least 2: one for the aggregator and one for each plugin that runs at the same time";
        let too_small = |allows: &str| {
            let what = format!("quota `q` allows {allows} in namespace `n`; {needs}");
            Some(PodQuota::TooSmall(CliError::new(what).hint(
                "raise it: kubectl -n n edit resourcequota q; to skip this check: --skip-preflight=quota",
            )))
        };
        let in_use = |left: &str| {
            Some(PodQuota::InUse(format!(
                "warning: quota `q` has {left} left in namespace `n`; {needs}"
            )))
        };
        for (hard, used, expected) in [
            (json!("0"), json!("0"), too_small("0 pods")),
            (json!("1"), json!("1"), too_small("1 pod")),
            (json!(1), json!(0), too_small("1 pod")),
            (json!("2"), json!("0"), None),
            (json!("10"), json!("9"), in_use("1 pod")),
            (json!("10"), json!("12"), in_use("0 pods")),
            (json!("1k"), json!("0"), None),
            (Value::Null, Value::Null, None),
        ] {
            assert_eq!(pod_quota("n", &quota(hard.clone(), used), 2), expected, "{hard}");
        }
        let mut scoped = quota(json!("0"), json!("0"));
        scoped["spec"]["scopes"] = json!(["BestEffort"]);
        assert_eq!(pod_quota("n", &scoped, 2), None);
        let counts = json!({"metadata": {"name": "q"}, "status": {"hard": {"pods": "9", "count/pods": "1"}}});
        assert_eq!(pod_quota("n", &counts, 2), too_small("1 pod"));
    }

    #[test]
    fn rules_of_the_version_of_a_level_apply() {
        let found = |version: &str| {
            let labels = json!({ENFORCE: "baseline", ENFORCE_VERSION: version});
            pod_security("n", &json!({"metadata": {"labels": labels}}), &[pod("p", 0)]).len()
        };
        assert_eq!(["latest", "v1.37", "v1.22", "v1.21", ""].map(found), [1, 1, 1, 0, 1]);
    }
}
