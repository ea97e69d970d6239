//! What the aggregator and its workers ask of the API server, one row for each reason: the one place from which the
//! `minimal` role is made and which `docs/permissions.md` repeats.

use serde_json::{Value, json};
use sono_types::{Config, constants};

/// Where a right is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In the run's namespace.
    Namespace,
    /// In the whole cluster.
    Cluster,
}

/// A right and what it is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// Where.
    pub scope: Scope,
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Kinds, as they stand in paths.
    pub resources: &'static [&'static str],
    /// The only object it is about; empty for all.
    pub name: &'static str,
    /// What is done to them.
    pub verbs: &'static [&'static str],
    /// What for, and what happens without it.
    pub purpose: &'static str,
}

/// Every right that is used, apart from those that queries need: these list whatever `Resources` names.
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
        "the run's owner: plugin objects go when it goes",
    ),
    in_namespace(
        "",
        &["services"],
        constants::AGGREGATOR_SERVICE,
        &["get"],
        "the address that workers are told; without it they get the pod's",
    ),
    in_namespace(
        "",
        &["pods"],
        "",
        &["get", "list", "watch", "create", "patch", "delete", "deletecollection"],
        "finding itself, the status annotation, Job plugins, what happens to plugins, clean-up",
    ),
    in_namespace(
        "apps",
        &["daemonsets"],
        "",
        &["list", "watch", "create", "delete", "deletecollection"],
        "DaemonSet plugins, what happens to them, clean-up",
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
        "what a run keeps that outlives the aggregator's pod; not needed with `--aggregator-workload pod`, otherwise a run does not begin without it",
    ),
    in_namespace(
        "",
        &["events"],
        "",
        &["list"],
        "volumes that cannot be mounted and pods that cannot be created; without it such plugins end at their time limit",
    ),
    in_namespace(
        "",
        &["events"],
        "",
        &["create"],
        "the run's story on its ConfigMap; without it the log says once that there is none",
    ),
    in_namespace("", &["pods/log"], "", &["get"], "pod logs of the run itself"),
    in_cluster(
        &["nodes"],
        &["list"],
        "which nodes a DaemonSet plugin reports from, and whether one has left; without it that is learnt from the plugin's pods",
    ),
    in_cluster(
        &["pods/log"],
        &["get"],
        "pod logs of the namespaces that `Limits.PodLogs` names",
    ),
];

/// The rules of a role that grants just what the aggregator of such a run uses there.
pub(crate) fn rules(config: &Config, scope: Scope) -> Value {
    let outlives = config.aggregator_workload == constants::WORKLOAD_DEPLOYMENT;
    let is_used = |permission: &&Permission| outlives || permission.name != constants::RUN_SECRET;
    rules_of(PERMISSIONS.iter().filter(is_used), scope)
}

/// What plugins may read of the cluster in the modes that read it, besides what the role `view` has: group and kinds.
/// Secrets, `nodes/proxy`, `pods/exec` and the API server's own logs are not among them.
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

/// The rules of the plugins' role in the cluster.
pub(crate) fn plugin_reads() -> Value {
    let reading = ["get", "list", "watch"];
    let mut rules: Vec<Value> = PLUGIN_READS
        .iter()
        .map(|(group, resources)| json!({ "apiGroups": [group], "resources": resources, "verbs": reading }))
        .collect();
    rules.push(json!({ "nonResourceURLs": ["/metrics"], "verbs": ["get"] }));
    rules.into()
}

/// The rules of a role that grants those of the rights that are needed there.
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
    let wanted = permissions.into_iter().filter(|permission| permission.scope == scope);
    wanted.map(rule).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row of the table in `docs/permissions.md`.
    fn row(permission: &Permission, namespace: &str) -> String {
        let place = match permission.scope {
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
            "| {place} | {resources}{group}{name} | {verbs} | {} |",
            permission.purpose
        )
    }

    /// The rows that the page should have, and those of them that it has.
    pub(crate) fn rows_on_the_page(permissions: &[Permission], namespace: &str) -> (Vec<String>, Vec<String>) {
        let page = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/permissions.md")).unwrap();
        let wanted: Vec<String> = permissions
            .iter()
            .map(|permission| row(permission, namespace))
            .collect();
        // A row that is on the page and not in the table is found too.
        let start = format!("| {namespace} | ");
        let is_row = |line: &&str| line.starts_with(&start) || wanted.iter().any(|row| row == line);
        let found = page.lines().filter(is_row).map(ToOwned::to_owned).collect();
        (wanted, found)
    }

    /// The page is the table, row for row and in its order.
    #[test]
    fn the_documented_table_is_the_one_in_code() {
        let (wanted, found) = rows_on_the_page(permissions(), "its namespace");
        assert_eq!(found, wanted);
    }

    /// The page names what plugins read.
    #[test]
    fn documented_reads_of_plugins_are_those_in_code() {
        let page = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/permissions.md")).unwrap();
        let head = "| group | kinds that plugins read in the cluster besides those of `view` |\n|---|---|\n";
        let (_, table) = page.split_once(head).unwrap();
        let found: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
        let row = |(group, resources): (&str, &[&str])| {
            let group = if group.is_empty() { "core" } else { group };
            format!("| {group} | {} |", resources.join(", "))
        };
        assert_eq!(found, PLUGIN_READS.map(row));
    }

    /// S6: no rule of theirs reads Secrets, runs commands or writes.
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
