//! What is looked at before a run is created (cli spec §7.2). All of it is looked at side by side, and what is wrong is
//! said in a fixed order.

use futures::future::join_all;
use serde_json::Value;
use sono_kube::{Cluster, Kind, KubeError};
use sono_types::constants;

use super::create;
use crate::{aggregator::text, args, error::CliError, settings::numbers};

/// The oldest version that runs are known to work on.
const OLDEST: (u64, u64, u64) = (1, 17, 0);
const NAMES: [&str; 3] = ["dnscheck", "versioncheck", "existingnamespace"];

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checks {
    dns: bool,
    version: bool,
    /// Whether the namespace is fit for the run.
    pub(super) namespace: bool,
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
        let is_wanted = |name: &str| !skipped.iter().any(|skipped| skipped == name);
        Ok(Self {
            dns: is_wanted("dnscheck"),
            version: is_wanted("versioncheck"),
            namespace: is_wanted("existingnamespace"),
            dns_namespace,
            dns_labels: dns_pod_labels.into_iter().filter(|label| !label.is_empty()).collect(),
        })
    }
}

/// The names of what is left out. `true` and `*` are all of them; `false` takes back what stands before it, and ends
/// the list.
fn skipped(list: &[String]) -> Result<Vec<String>, CliError> {
    if list.iter().any(|name| name == "true" || name == "*") {
        return Ok(NAMES.map(ToOwned::to_owned).to_vec());
    }
    let mut skipped = Vec::new();
    for name in list.iter().map(|name| name.to_lowercase()) {
        if name == "false" {
            return Ok(Vec::new());
        }
        if !NAMES.contains(&name.as_str()) {
            return Err(
                CliError::new(format!("there is no preflight check `{name}`")).hint(format!(
                    "one of {}; --skip-preflight alone leaves all of them out",
                    NAMES.join(", ")
                )),
            );
        }
        skipped.push(name);
    }
    Ok(skipped)
}

/// The run that is to be created.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) namespace: &'a str,
    /// The namespace is among what is created.
    pub(super) makes_namespace: bool,
    pub(super) arguments: &'a args::Cluster,
}

/// Looks, and returns what the server says of its version.
pub(super) async fn check(cluster: &Cluster, checks: &Checks, wanted: Wanted<'_>) -> Result<Value, CliError> {
    let version = async {
        let version = cluster.server_version().await;
        version.map_err(|error| CliError::of_cluster(error.to_string(), &error))
    };
    let others = async { Ok(futures::join!(dns(cluster, checks), namespace(cluster, checks, wanted))) };
    let (version, (dns, namespace)) = futures::try_join!(version, others)?;
    let too_old = if checks.version { check_version(&version) } else { None };
    let mut failures: Vec<CliError> = [dns, too_old, namespace].into_iter().flatten().collect();
    if failures.len() < 2 {
        return failures.pop().map_or(Ok(version), Err);
    }
    Err(
        CliError::new(format!("{} of the checks before a run failed", failures.len()))
            .details(failures.into_iter().flat_map(CliError::lines))
            .hint(format!("--skip-preflight=CHECK leaves one out: {}", NAMES.join(", "))),
    )
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
        // Whoever may only use one namespace cannot know, and need not.
        Some(error) if error.is_forbidden() => {
            tracing::debug!(%error, "the cluster's DNS cannot be looked for");
            None
        }
        Some(error) => {
            let what = format!("cannot look for the cluster's DNS in namespace `{dns_namespace}`");
            Some(CliError::of_cluster(what, &error))
        }
        None => Some(
            CliError::new(format!(
                "no DNS pods found in namespace `{dns_namespace}` with the labels {}",
                dns_labels.join(" or ")
            ))
            .hint("where it is: --dns-namespace, --dns-pod-labels; or without this check: --skip-preflight=dnscheck"),
        ),
    }
}

fn check_version(version: &Value) -> Option<CliError> {
    let found = text(version, "/gitVersion");
    let skip = "without this check: --skip-preflight=versioncheck";
    let Some(numbers) = numbers(found) else {
        return Some(CliError::new(format!("cannot read the server's version `{found}`")).hint(skip));
    };
    let (major, minor, patch) = OLDEST;
    (numbers < OLDEST).then(|| {
        CliError::new(format!(
            "minimum supported Kubernetes version is {major}.{minor}.{patch}, but the server version is {found}"
        ))
        .hint(skip)
    })
}

/// A namespace that the run makes must not be there; one that it does not make must. Neither may hold a run or be on its
/// way out.
async fn namespace(cluster: &Cluster, checks: &Checks, wanted: Wanted<'_>) -> Option<CliError> {
    let Wanted {
        namespace,
        makes_namespace,
        arguments,
    } = wanted;
    let what = || format!("cannot look into namespace `{namespace}`");
    let (found, run) = futures::join!(
        cluster.get(Kind::Namespace, None, namespace),
        cluster.get(Kind::ConfigMap, Some(namespace), constants::CONFIG_MAP)
    );
    let found = match found {
        Ok(found) => found,
        // Whoever may only use one namespace cannot read it; what is in it can be read.
        Err(KubeError::Forbidden { .. }) => Some(Value::Null),
        Err(error) => return Some(CliError::of_cluster(what(), &error)),
    };
    if found.as_ref().is_some_and(create::is_being_deleted) {
        return Some(create::namespace_terminating(namespace));
    }
    match run {
        Ok(Some(run)) if create::is_being_deleted(&run) => return Some(create::namespace_terminating(namespace)),
        Ok(Some(_)) => return Some(create::namespace_occupied(namespace, arguments)),
        Ok(None) => {}
        Err(KubeError::Forbidden { .. }) => {}
        Err(error) => return Some(CliError::of_cluster(what(), &error)),
    }
    match (makes_namespace, found) {
        (true, Some(Value::Object(_))) if checks.namespace => Some(create::namespace_exists(namespace)),
        (false, None) => Some(create::namespace_missing(namespace)),
        _ => None,
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
    fn checks_are_left_out_by_name() {
        let all = "dnscheck versioncheck existingnamespace";
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
            Err("error: there is no preflight check `typo`\n  hint:  one of dnscheck, versioncheck, existingnamespace; \
                 --skip-preflight alone leaves all of them out\n"
                .to_owned())
        );
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let version = |text: &str| check_version(&serde_json::json!({ "gitVersion": text })).map(|error| error.text());
        for fine in ["v1.17.0", "v1.100.3-gke.1", "v2.0.0+k3s1"] {
            assert_eq!(version(fine), None, "{fine}");
        }
        let skip = "  hint:  without this check: --skip-preflight=versioncheck\n";
        assert_eq!(
            version("v1.16.9-eks-1").unwrap(),
            format!(
                "error: minimum supported Kubernetes version is 1.17.0, but the server version is v1.16.9-eks-1\n{skip}"
            )
        );
        assert_eq!(
            version("soon").unwrap(),
            format!("error: cannot read the server's version `soon`\n{skip}")
        );
    }
}
