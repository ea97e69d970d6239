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

const PERMISSIONS: [Permission; 12] = [
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
        "finding itself, the status annotation, Job plugins, what happens to plugins, clean-up; workers look at their own pod",
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
    in_cluster(&["nodes/proxy"], &["get"], "`configz` and `healthz` of kubelets"),
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
}
