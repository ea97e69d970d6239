//! Permissions of the aggregator and its workers, one row per purpose.
//!
//! The `minimal` role is generated from them, and a test compares them with `docs/permissions.md`.

use serde_json::{Value, json};
use sono_types::{Config, constants};

/// Scope of a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The run's namespace.
    Namespace,
    /// The whole cluster.
    Cluster,
}

/// A permission and its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// Scope of the permission.
    pub scope: Scope,
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Resources, as in API paths.
    pub resources: &'static [&'static str],
    /// Name of the only object; empty for all objects.
    pub name: &'static str,
    /// Allowed verbs.
    pub verbs: &'static [&'static str],
    /// Purpose, and the effect if the permission is missing.
    pub purpose: &'static str,
}

/// All permissions except those of queries, which list the resources named by `Resources`.
pub fn permissions() -> &'static [Permission] {
    &PERMISSIONS
}

pub(crate) const fn in_namespace(
    group: &'static str,
    resources: &'static [&'static str],
    name: &'static str,
    verbs: &'static [&'static str],
    purpose: &'static str,
) -> Permission {
    Permission {
        scope: Scope::Namespace,
        group,
        resources,
        name,
        verbs,
        purpose,
    }
}

const fn in_cluster(
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    purpose: &'static str,
) -> Permission {
    Permission {
        scope: Scope::Cluster,
        group: "",
        resources,
        name: "",
        verbs,
        purpose,
    }
}

const PERMISSIONS: [Permission; 11] = [
    in_namespace(
        "",
        &["configmaps"],
        constants::CONFIG_MAP,
        &["get"],
        "the owner of plugin objects; they are deleted together with the ConfigMap",
    ),
    in_namespace(
        "",
        &["services"],
        constants::AGGREGATOR_SERVICE,
        &["get"],
        "the aggregator's address for workers; without it they use that of the pod",
    ),
    in_namespace(
        "",
        &["pods"],
        "",
        &["get", "list", "watch", "create", "patch", "delete", "deletecollection"],
        "finding its own pod, the status annotation, Job plugins, watching plugins, clean-up",
    ),
    in_namespace(
        "apps",
        &["daemonsets"],
        "",
        &["list", "watch", "create", "delete", "deletecollection"],
        "DaemonSet plugins, watching them, clean-up",
    ),
    in_namespace(
        "",
        &["secrets"],
        "",
        &["create", "delete"],
        "the certificates of plugins",
    ),
    in_namespace(
        "",
        &["secrets"],
        constants::RUN_SECRET,
        &["get", "update"],
        "the checkpoint of the run; without it a run does not start, except with `--aggregator-workload pod`, which does not need it",
    ),
    in_namespace(
        "",
        &["events"],
        "",
        &["list"],
        "detecting volumes that cannot be mounted and pods that cannot be created; without it such plugins fail at their time limit",
    ),
    in_namespace(
        "",
        &["events"],
        "",
        &["create"],
        "Events of the run on its ConfigMap; without it a warning is logged once",
    ),
    in_namespace("", &["pods/log"], "", &["get"], "pod logs of the run itself"),
    in_cluster(
        &["nodes"],
        &["list"],
        "the nodes of a DaemonSet plugin, and nodes that left the cluster; without it they are derived from the plugin's pods",
    ),
    in_cluster(
        &["pods/log"],
        &["get"],
        "pod logs of the namespaces in `Limits.PodLogs`",
    ),
];

/// Rules of a role with exactly the permissions that the run's aggregator uses in this scope.
pub(crate) fn rules(config: &Config, scope: Scope) -> Value {
    let has_checkpoint = config.aggregator_workload == constants::WORKLOAD_DEPLOYMENT;
    let is_used = |permission: &&Permission| has_checkpoint || permission.name != constants::RUN_SECRET;
    rules_of(PERMISSIONS.iter().filter(is_used), scope)
}

/// Groups and resources that plugins may read in modes with read access to the cluster, in addition to the role `view`.
/// Secrets, `nodes/proxy`, `pods/exec` and the API server's logs are not included.
pub(crate) const PLUGIN_READS: [(&str, &[&str]); 13] = [
    ("", &["nodes", "persistentvolumes", "componentstatuses"]),
    ("admissionregistration.k8s.io", &["*"]),
    ("apiextensions.k8s.io", &["*"]),
    ("apiregistration.k8s.io", &["*"]),
    ("coordination.k8s.io", &["*"]),
    ("flowcontrol.apiserver.k8s.io", &["*"]),
    ("metrics.k8s.io", &["*"]),
    ("networking.k8s.io", &["*"]),
    ("node.k8s.io", &["*"]),
    (RBAC, &["*"]),
    ("resource.k8s.io", &["*"]),
    ("scheduling.k8s.io", &["*"]),
    ("storage.k8s.io", &["*"]),
];
const RBAC: &str = "rbac.authorization.k8s.io";

/// Rules of the plugins' cluster role.
pub(crate) fn plugin_reads() -> Value {
    let reading = ["get", "list", "watch"];
    let mut rules: Vec<Value> = PLUGIN_READS
        .iter()
        .map(|(group, resources)| json!({ "apiGroups": [group], "resources": resources, "verbs": reading }))
        .collect();
    rules.push(json!({ "nonResourceURLs": ["/metrics"], "verbs": ["get"] }));
    rules.into()
}

/// Rules of a role with those permissions that have this scope.
pub(crate) fn rules_of<'a>(permissions: impl IntoIterator<Item = &'a Permission>, scope: Scope) -> Value {
    let rule = |permission: &Permission| {
        let mut rule = json!({
            "apiGroups": [permission.group],
            "resources": permission.resources,
            "verbs": permission.verbs,
        });
        if !permission.name.is_empty() {
            rule["resourceNames"] = json!([permission.name]);
        }
        rule
    };
    let in_scope = permissions.into_iter().filter(|permission| permission.scope == scope);
    in_scope.map(rule).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row of the table in `docs/permissions.md`.
    fn row(permission: &Permission, namespace: &str) -> String {
        let scope = match permission.scope {
            Scope::Namespace => namespace,
            Scope::Cluster => "cluster",
        };
        let group = match permission.group {
            "" => String::new(),
            group => format!(" ({group})"),
        };
        let name = match permission.name {
            "" => String::new(),
            name => format!(" `{name}`"),
        };
        let (resources, verbs) = (permission.resources.join(", "), permission.verbs.join(", "));
        format!(
            "| {scope} | {resources}{group}{name} | {verbs} | {} |",
            permission.purpose
        )
    }

    /// The expected rows of the page, and the actual ones.
    pub(crate) fn rows_on_the_page(permissions: &[Permission], namespace: &str) -> (Vec<String>, Vec<String>) {
        let page = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/permissions.md")).unwrap();
        let expected: Vec<String> = permissions
            .iter()
            .map(|permission| row(permission, namespace))
            .collect();
        // Also finds rows of the page that are missing in the table.
        let start = format!("| {namespace} | ");
        let is_row = |line: &&str| line.starts_with(&start) || expected.iter().any(|row| row == line);
        let found = page.lines().filter(is_row).map(ToOwned::to_owned).collect();
        (expected, found)
    }

    #[test]
    fn documented_permissions_match_the_code() {
        let (expected, found) = rows_on_the_page(permissions(), "its namespace");
        assert_eq!(found, expected);
    }

    #[test]
    fn documented_reads_of_plugins_match_the_code() {
        let page = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/permissions.md")).unwrap();
        let head = "| group | kinds that plugins may read in the cluster, in addition to `view` |\n|---|---|\n";
        let (_, table) = page.split_once(head).unwrap();
        let found: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
        let row = |(group, resources): (&str, &[&str])| {
            let group = if group.is_empty() { "core" } else { group };
            format!("| {group} | {} |", resources.join(", "))
        };
        assert_eq!(found, PLUGIN_READS.map(row));
    }

    /// No rule of plugins allows reading Secrets, running commands or writing.
    #[test]
    fn plugins_only_read_and_no_secrets() {
        for (group, resources) in PLUGIN_READS {
            let dangerous = |resource: &&str| resource.contains('/') || *resource == "secrets" || *resource == "*";
            assert!(!group.is_empty() || !resources.iter().any(dangerous), "{resources:?}");
            assert_ne!(group, "*");
        }
        for rule in plugin_reads().as_array().unwrap() {
            for verb in rule["verbs"].as_array().unwrap() {
                assert!(["get", "list", "watch"].contains(&verb.as_str().unwrap()), "{rule}");
            }
        }
    }
}
