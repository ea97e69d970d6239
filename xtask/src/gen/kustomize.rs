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
        without_end(&program(&["__document", "person-role"])?),
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

const NAMESPACE: &str = "\
apiVersion: v1
kind: Namespace
metadata:
  name: sonobuoy
  labels:
    app.kubernetes.io/part-of: sono
";

const LEVEL: &str = "\
patches:
- target:
    kind: Namespace
  patch: |-
    - op: add
      path: /metadata/labels/pod-security.kubernetes.io~1enforce
      value: LEVEL
";

const RUNNER: &str = "\
# Permissions of users who run sono in this namespace, see docs/permissions.md. The binding names a group: patch it, or add others.
";

const RUNNER_BINDING: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: sono-runner
  namespace: sonobuoy
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: sono-runner
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: sono-runners
";

const POLICIES: &str = "\
# Denies all traffic except from workers to the aggregator and from all pods to the API server (any address on its ports; add
# `to` with yours). Plugins with other connections need their own policy. Only some network plugins enforce policies.
";

const HOST_NETWORK: &str = "\
# For DaemonSet plugins in the host network, such as host-check and systemd-logs: selectors do not match them, so the aggregator
# accepts connections from any address. It requires a client certificate of the run.
patches:
- target:
    kind: NetworkPolicy
    name: sono-aggregator
  patch: |-
    - op: remove
      path: /spec/ingress/0/from
";

const NIGHTLY_ACCOUNT: &str = "\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: sono-nightly
  namespace: sonobuoy
";

const NIGHTLY_BINDING: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: sono-nightly
  namespace: sonobuoy
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: sono-runner
subjects:
- kind: ServiceAccount
  name: sono-nightly
  namespace: sonobuoy
";

const NIGHTLY_CLAIM: &str = "\
# Storage for the archives.
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: sono-archives
  namespace: sonobuoy
spec:
  accessModes:
  - ReadWriteOnce
  resources:
    requests:
      storage: 5Gi
";

const NIGHTLY: &str = "\
apiVersion: batch/v1
kind: CronJob
metadata:
  name: sono-nightly
  namespace: sonobuoy
spec:
  schedule: 0 2 * * *
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      # Do not retry: a failed run needs an analysis.
      backoffLimit: 0
      activeDeadlineSeconds: 21600
      template:
        metadata:
          labels:
            app.kubernetes.io/name: sono-nightly
        spec:
          serviceAccountName: sono-nightly
          restartPolicy: Never
          securityContext:
            runAsNonRoot: true
            runAsUser: 65532
            runAsGroup: 65532
            fsGroup: 65532
            seccompProfile:
              type: RuntimeDefault
          initContainers:
          # Deletes the remains of an interrupted run.
          - name: clear
            image: IMAGE
            args:
            - delete
            - --wait=10m
            env: &environment
            - name: SONO_NAMESPACE
              valueFrom:
                fieldRef:
                  fieldPath: metadata.namespace
            # Use the existing roles.
            - name: SONO_RBAC
              value: Disable
            # Use the existing namespace; the aggregator has the permissions of its account.
            - name: SONO_AGGREGATOR_PERMISSIONS
              value: namespaceAdmin
            securityContext: &security
              allowPrivilegeEscalation: false
              readOnlyRootFilesystem: true
              capabilities:
                drop:
                - ALL
          containers:
          # The job fails if a plugin fails.
          - name: sono
            image: IMAGE
            args:
            - run
            - --existing-service-account
            - --wait=5h
            - --exit-code
            - --rm
            - --keep=14
            - --plugin=host-check
            - --plugin-service-account=sonobuoy-plugins
            workingDir: /archives
            env: *environment
            securityContext: *security
            resources:
              requests:
                cpu: 10m
                memory: 32Mi
            volumeMounts:
            - name: archives
              mountPath: /archives
            - name: plugins
              mountPath: /plugins
          volumes:
          - name: archives
            persistentVolumeClaim:
              claimName: sono-archives
          # Your plugin definitions, for --plugin=/plugins.
          - name: plugins
            configMap:
              name: sono-nightly-plugins
              optional: true
";

const NIGHTLY_OVERLAY: &str = "\
# Checks all nodes every night and retains the archives of two weeks, in a separate namespace.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: sono-nightly
resources:
- ../../base
components:
- ../../components/permissions-namespace-admin
- ../../components/pod-security-privileged
- ../../components/runner
- ../../components/nightly
";

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
