//! `deploy/kustomize`: manifests that a cluster administrator applies before others run `sono`. The program prints roles and
//! policies; the other texts are here.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use sono_testbed::images::reference;

/// Path of the folder in the repository.
pub(super) const FOLDER: &str = "deploy/kustomize";
/// The only file of the folder that is not generated.
pub(super) const NOT_GENERATED: &str = "README.md";

const HEAD: &str = "# Written by `cargo xtask gen kustomize`; do not edit.\n";
const COMPONENT: &str = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n";
const KUSTOMIZATION: &str = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";

/// The modes' folders, flag values and descriptions.
const MODES: [(&str, &str, &str); 4] = [
    (
        "cluster-admin",
        "clusterAdmin",
        "full access to the cluster, as with Sonobuoy",
    ),
    (
        "cluster-read",
        "clusterRead",
        "read access to everything in the cluster, and full access to its namespace",
    ),
    ("namespace-admin", "namespaceAdmin", "full access to its namespace"),
    (
        "minimal",
        "minimal",
        "only the permissions that the aggregator itself uses, and those of the role view",
    ),
];
const LEVELS: [&str; 3] = ["privileged", "baseline", "restricted"];
const ROLES: [&str; 4] = ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];

/// All files by path in the folder. `program` runs this tree's sono with arguments.
#[expect(clippy::too_many_lines, reason = "one entry per file")]
pub(super) fn files(program: &dyn Fn(&[&str]) -> anyhow::Result<String>) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut add = |path: &str, text: String| files.insert(path.to_owned(), format!("{HEAD}{text}"));
    let generated = |mode: &str, kinds: &[&str]| -> anyhow::Result<String> {
        let manifest = program(&[
            "gen",
            "--plugin",
            "host-check",
            "--aggregator-permissions",
            mode,
            "--rbac",
            "Enable",
        ])?;
        let text = documents(&manifest, kinds);
        ensure!(!text.is_empty(), "the output of gen has no {}", kinds.join(", "));
        Ok(text)
    };

    add(
        "base/kustomization.yaml",
        resources(KUSTOMIZATION, &["namespace.yaml", "service-account.yaml"], &[]),
    );
    add("base/namespace.yaml", NAMESPACE.to_owned());
    let accounts = generated("minimal", &["ServiceAccount"])?;
    let (aggregators, _) = split_accounts(&accounts);
    add("base/service-account.yaml", aggregators);
    for (folder, mode, access) in MODES {
        let roles = generated(mode, &ROLES).context(mode)?;
        add(
            &format!("components/permissions-{folder}/kustomization.yaml"),
            format!(
                "# The aggregator's account has {access}. Plugins have {}.\n{}",
                plugin_access(mode),
                resources(COMPONENT, &["roles.yaml", "service-accounts.yaml"], &[])
            ),
        );
        let (_, plugins) = split_accounts(&generated(mode, &["ServiceAccount"])?);
        add(
            &format!("components/permissions-{folder}/service-accounts.yaml"),
            plugins,
        );
        add(&format!("components/permissions-{folder}/roles.yaml"), roles);
    }
    for level in LEVELS {
        add(
            &format!("components/pod-security-{level}/kustomization.yaml"),
            format!("{COMPONENT}{}", LEVEL.replace("LEVEL", level)),
        );
    }
    for (folder, _, _) in MODES {
        for level in LEVELS {
            let components = [
                format!("permissions-{folder}"),
                format!("pod-security-{level}"),
                "runner".to_owned(),
            ];
            let components = components.map(|name| format!("../../components/{name}"));
            let components: Vec<&str> = components.iter().map(String::as_str).collect();
            add(
                &format!("overlays/{folder}-{level}/kustomization.yaml"),
                resources(KUSTOMIZATION, &["../../base"], &components),
            );
        }
    }
    add(
        "components/runner/kustomization.yaml",
        format!(
            "{RUNNER}{}",
            resources(COMPONENT, &["role.yaml", "role-binding.yaml"], &[])
        ),
    );
    add(
        "components/runner/role.yaml",
        without_end(&program(&["__document", "runner-role"])?),
    );
    add("components/runner/role-binding.yaml", RUNNER_BINDING.to_owned());
    add(
        "components/network-policy/kustomization.yaml",
        format!("{POLICIES}{}", resources(COMPONENT, &["policies.yaml"], &[])),
    );
    add(
        "components/network-policy/policies.yaml",
        without_end(&program(&["__document", "network-policies"])?),
    );
    add(
        "components/network-policy-host-network/kustomization.yaml",
        format!("{COMPONENT}{HOST_NETWORK}"),
    );
    let nightly = [
        "service-account.yaml",
        "role-binding.yaml",
        "claim.yaml",
        "cron-job.yaml",
    ];
    add(
        "components/nightly/kustomization.yaml",
        resources(COMPONENT, &nightly, &[]),
    );
    add("components/nightly/service-account.yaml", NIGHTLY_ACCOUNT.to_owned());
    add("components/nightly/role-binding.yaml", NIGHTLY_BINDING.to_owned());
    add("components/nightly/claim.yaml", NIGHTLY_CLAIM.to_owned());
    add(
        "components/nightly/cron-job.yaml",
        NIGHTLY.replace("IMAGE", reference::COMMAND_LINE),
    );
    add("overlays/nightly/kustomization.yaml", NIGHTLY_OVERLAY.to_owned());
    Ok(files)
}

fn resources(head: &str, resources: &[&str], components: &[&str]) -> String {
    let list = |name: &str, items: &[&str]| match items {
        [] => String::new(),
        items => format!(
            "{name}:\n{}",
            items
                .iter()
                .map(|item| format!("- {item}\n"))
                .collect::<Vec<_>>()
                .concat()
        ),
    };
    format!(
        "{head}{}{}",
        list("resources", resources),
        list("components", components)
    )
}

/// The documents of these kinds, without labels: `sono delete` would delete objects with a run's labels.
fn documents(manifest: &str, kinds: &[&str]) -> String {
    let is_selected = |document: &&str| {
        let kind = document.lines().find_map(|line| line.strip_prefix("kind: "));
        kind.is_some_and(|kind| kinds.contains(&kind))
    };
    let selected: Vec<String> = manifest
        .split("---\n")
        .filter(is_selected)
        .map(without_labels)
        .collect();
    selected.join("---\n")
}

/// The access of plugins with the mode's account in `--plugin-service-account`.
fn plugin_access(mode: &str) -> &'static str {
    match mode {
        "clusterRead" => "read access to the cluster without Secrets, with --plugin-service-account sonobuoy-plugins",
        "namespaceAdmin" => {
            "read access to the namespace without Secrets, with --plugin-service-account sonobuoy-plugins"
        }
        "minimal" => "no access, with --plugin-service-account sonobuoy-no-rights",
        _ => {
            "the same access; those that request no permissions have none, with --plugin-account shared --plugin-service-account sonobuoy-no-rights"
        }
    }
}

/// Splits service accounts into the aggregator's and those of plugins.
fn split_accounts(accounts: &str) -> (String, String) {
    let is_aggregator = |document: &&str| document.contains("\n  name: sonobuoy-serviceaccount\n");
    let (aggregator, plugins): (Vec<&str>, Vec<&str>) = accounts.split("---\n").partition(is_aggregator);
    (aggregator.join("---\n"), plugins.join("---\n"))
}

fn without_labels(document: &str) -> String {
    let mut within = false;
    let is_outside = |line: &&str| {
        within = *line == "  labels:" || (within && line.starts_with("    "));
        !within
    };
    let lines: Vec<String> = document
        .lines()
        .filter(is_outside)
        .map(|line| format!("{line}\n"))
        .collect();
    lines.concat()
}

fn without_end(manifest: &str) -> String {
    manifest.strip_suffix("---\n").unwrap_or(manifest).to_owned()
}

const NAMESPACE: &str = include_str!("kustomize/namespace.yaml");
const LEVEL: &str = include_str!("kustomize/level.yaml");
const RUNNER: &str = include_str!("kustomize/runner.yaml");
const RUNNER_BINDING: &str = include_str!("kustomize/runner-binding.yaml");
const POLICIES: &str = include_str!("kustomize/policies.yaml");
const HOST_NETWORK: &str = include_str!("kustomize/host-network.yaml");
const NIGHTLY_ACCOUNT: &str = include_str!("kustomize/nightly-account.yaml");
const NIGHTLY_BINDING: &str = include_str!("kustomize/nightly-binding.yaml");
const NIGHTLY_CLAIM: &str = include_str!("kustomize/nightly-claim.yaml");
const NIGHTLY: &str = include_str!("kustomize/nightly.yaml");
const NIGHTLY_OVERLAY: &str = include_str!("kustomize/nightly-overlay.yaml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_selects_roles_without_labels() {
        let manifest = "kind: Role\nmetadata:\n  labels:\n    a: b\n    c: d\n  name: x\nrules:\n    deep\n---\nkind: Pod\n---\nkind: RoleBinding\n---\n";
        assert_eq!(
            documents(manifest, &ROLES),
            "kind: Role\nmetadata:\n  name: x\nrules:\n    deep\n---\nkind: RoleBinding\n"
        );
    }
}
