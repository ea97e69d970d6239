//! Checks before a run is created (cli §7.2). They run concurrently; failures are reported in a fixed order.

mod limits;

use futures::future::join_all;
use serde_json::Value;
use sono_kube::{Cluster, Kind, KubeError};
use sono_types::constants;

pub(super) use self::limits::check_limits;
use super::create;
use crate::{aggregator::text, args, error::CliError, output::Printer, settings::numbers};

/// Oldest supported Kubernetes version.
const MIN_VERSION: (u64, u64, u64) = (1, 17, 0);
/// Checks of Sonobuoy, then checks of an existing namespace.
const CHECK_NAMES: [&str; 6] = [
    "dnscheck",
    "versioncheck",
    "existingnamespace",
    SECURITY,
    QUOTA,
    ACCOUNT,
];
const SECURITY: &str = "podsecurity";
const QUOTA: &str = "quota";
const ACCOUNT: &str = "serviceaccount";

/// Enabled checks and their settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checks {
    dns: bool,
    version: bool,
    /// Whether an existing namespace is an error.
    pub(super) namespace: bool,
    security: bool,
    quota: bool,
    accounts: bool,
    dns_namespace: String,
    dns_labels: Vec<String>,
}

impl Checks {
    pub(super) fn new(flags: args::Preflight) -> Result<Self, CliError> {
        let args::Preflight {
            skip_preflight,
            dns_namespace,
            dns_pod_labels,
        } = flags;
        let skipped = skipped(&skip_preflight)?;
        let is_enabled = |name: &str| !skipped.iter().any(|skipped| skipped == name);
        Ok(Self {
            dns: is_enabled("dnscheck"),
            version: is_enabled("versioncheck"),
            namespace: is_enabled("existingnamespace"),
            security: is_enabled(SECURITY),
            quota: is_enabled(QUOTA),
            accounts: is_enabled(ACCOUNT),
            dns_namespace,
            dns_labels: dns_pod_labels.into_iter().filter(|label| !label.is_empty()).collect(),
        })
    }
}

/// Names of skipped checks. `true` and `*` stand for all checks; `false` clears and ends the list.
fn skipped(list: &[String]) -> Result<Vec<String>, CliError> {
    if list.iter().any(|name| name == "true" || name == "*") {
        return Ok(CHECK_NAMES.map(ToOwned::to_owned).to_vec());
    }
    let mut skipped = Vec::new();
    for name in list.iter().map(|name| name.to_lowercase()) {
        if name == "false" {
            return Ok(Vec::new());
        }
        if !CHECK_NAMES.contains(&name.as_str()) {
            return Err(CliError::new(format!("unknown preflight check `{name}`")).hint(format!(
                "expected one of {}; --skip-preflight without a value skips all of them",
                CHECK_NAMES.join(", ")
            )));
        }
        skipped.push(name);
    }
    Ok(skipped)
}

/// Run to be created.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlannedRun<'a> {
    pub(super) namespace: &'a str,
    /// Whether the run creates the namespace.
    pub(super) creates_namespace: bool,
    pub(super) arguments: &'a args::Cluster,
    pub(super) printer: &'a Printer,
}

/// State of the run's namespace.
#[derive(Debug)]
enum NamespaceState {
    Usable,
    Terminating,
    Unusable(CliError),
}

/// Runs the checks. Returns the version information of the API server.
pub(super) async fn check(cluster: &Cluster, checks: &Checks, run: PlannedRun<'_>) -> Result<Value, CliError> {
    let version = async {
        let version = cluster.server_version().await;
        version.map_err(|error| CliError::of_cluster(error.to_string(), &error))
    };
    let others = async { Ok(futures::join!(dns(cluster, checks), namespace(cluster, checks, run))) };
    let (version, (dns, mut state)) = futures::try_join!(version, others)?;
    let too_old = if checks.version { check_version(&version) } else { None };
    // No wait if another check fails.
    if matches!(state, NamespaceState::Terminating) && run.creates_namespace && dns.is_none() && too_old.is_none() {
        create::previous_namespace(cluster, run.namespace, run.printer).await;
        state = namespace(cluster, checks, run).await;
    }
    let namespace = match state {
        NamespaceState::Usable => None,
        NamespaceState::Terminating => Some(create::namespace_terminating(run.namespace)),
        NamespaceState::Unusable(error) => Some(error),
    };
    let mut failures: Vec<CliError> = [dns, too_old, namespace].into_iter().flatten().collect();
    if failures.len() < 2 {
        return failures.pop().map_or(Ok(version), Err);
    }
    Err(CliError::new(format!("{} preflight checks failed", failures.len()))
        .details(failures.into_iter().flat_map(CliError::lines_with_hint))
        .hint(format!(
            "to skip one: --skip-preflight=CHECK, one of {}",
            CHECK_NAMES.join(", ")
        )))
}

async fn dns(cluster: &Cluster, checks: &Checks) -> Option<CliError> {
    let Checks {
        dns,
        dns_namespace,
        dns_labels,
        ..
    } = checks;
    if !dns || dns_labels.is_empty() {
        return None;
    }
    let lists = dns_labels
        .iter()
        .map(|labels| cluster.list(Kind::Pod, Some(dns_namespace), labels));
    let mut failure = None;
    for found in join_all(lists).await {
        match found {
            Ok(pods) if !pods.is_empty() => return None,
            Ok(_) => {}
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        // An account that is limited to one namespace cannot check the cluster's DNS.
        Some(error) if error.is_forbidden() => {
            tracing::debug!(%error, "cannot check the cluster's DNS");
            None
        }
        Some(error) => {
            let what = format!("cannot list the cluster's DNS pods in namespace `{dns_namespace}`");
            Some(CliError::of_cluster(what, &error))
        }
        None => Some(
            CliError::new(format!(
                "no DNS pods found in namespace `{dns_namespace}` with the labels {}",
                dns_labels.join(" or ")
            ))
            .hint("set --dns-namespace and --dns-pod-labels; or skip this check: --skip-preflight=dnscheck"),
        ),
    }
}

fn check_version(version: &Value) -> Option<CliError> {
    let found = text(version, "/gitVersion");
    let skip = "to skip this check: --skip-preflight=versioncheck";
    let Some(numbers) = numbers(found) else {
        return Some(CliError::new(format!("invalid server version `{found}`")).hint(skip));
    };
    let (major, minor, patch) = MIN_VERSION;
    (numbers < MIN_VERSION).then(|| {
        CliError::new(format!(
            "minimum supported Kubernetes version is {major}.{minor}.{patch}, but the server version is {found}"
        ))
        .hint(skip)
    })
}

/// Checks the namespace: it must exist unless the run creates it, must not contain a run, and must not be terminating.
async fn namespace(cluster: &Cluster, checks: &Checks, run: PlannedRun<'_>) -> NamespaceState {
    let PlannedRun {
        namespace,
        creates_namespace,
        arguments,
        ..
    } = run;
    let what = || format!("cannot check namespace `{namespace}`");
    let (found, run) = futures::join!(
        cluster.get(Kind::Namespace, None, namespace),
        cluster.get(Kind::ConfigMap, Some(namespace), constants::CONFIG_MAP)
    );
    let found = match found {
        Ok(found) => found,
        // An account that is limited to a namespace may read only the objects in it.
        Err(KubeError::Forbidden { .. }) => Some(Value::Null),
        Err(error) => return NamespaceState::Unusable(CliError::of_cluster(what(), &error)),
    };
    if found.as_ref().is_some_and(create::is_being_deleted) {
        return NamespaceState::Terminating;
    }
    match run {
        // The new one is created when it is deleted.
        Ok(Some(run)) if create::is_being_deleted(&run) => {}
        Ok(Some(_)) => return NamespaceState::Unusable(create::namespace_occupied(namespace, arguments)),
        Ok(None) => {}
        Err(KubeError::Forbidden { .. }) => {}
        Err(error) => return NamespaceState::Unusable(CliError::of_cluster(what(), &error)),
    }
    match (creates_namespace, found) {
        (true, Some(Value::Object(_))) if checks.namespace => {
            NamespaceState::Unusable(create::namespace_exists(namespace))
        }
        (false, None) => NamespaceState::Unusable(create::namespace_missing(namespace)),
        _ => NamespaceState::Usable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Result<String, String> {
        let list: Vec<String> = list.iter().map(ToString::to_string).collect();
        skipped(&list)
            .map(|names| names.join(" "))
            .map_err(|error| error.text())
    }

    #[test]
    fn checks_are_skipped_by_name() {
        let all = "dnscheck versioncheck existingnamespace podsecurity quota serviceaccount";
        assert_eq!(names(&[]), Ok(String::new()));
        assert_eq!(names(&["true"]), Ok(all.to_owned()));
        assert_eq!(names(&["dnscheck", "*"]), Ok(all.to_owned()));
        assert_eq!(
            names(&["DNSCheck", "versioncheck"]),
            Ok("dnscheck versioncheck".to_owned())
        );
        assert_eq!(names(&["dnscheck", "false", "typo"]), Ok(String::new()));
        assert_eq!(
            names(&["typo"]),
            Err(
                "error: unknown preflight check `typo`\n  hint:  expected one of dnscheck, versioncheck, existingnamespace, podsecurity, quota, serviceaccount; \
                 --skip-preflight without a value skips all of them\n"
                    .to_owned()
            )
        );
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let version = |text: &str| check_version(&serde_json::json!({ "gitVersion": text })).map(|error| error.text());
        for fine in ["v1.17.0", "v1.100.3-gke.1", "v2.0.0+k3s1"] {
            assert_eq!(version(fine), None, "{fine}");
        }
        let skip = "  hint:  to skip this check: --skip-preflight=versioncheck\n";
        assert_eq!(
            version("v1.16.9-eks-1").unwrap(),
            format!(
                "error: minimum supported Kubernetes version is 1.17.0, but the server version is v1.16.9-eks-1\n{skip}"
            )
        );
        assert_eq!(
            version("soon").unwrap(),
            format!("error: invalid server version `soon`\n{skip}")
        );
    }
}
