//! `deploy/kustomize`: what the owner of a cluster applies before others run `sono` in it. Roles and policies are those that
//! the program itself prints; the rest stands here.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

use crate::images;

/// Of the repository.
pub(super) const FOLDER: &str = "deploy/kustomize";
/// The one file there that is written by hand.
pub(super) const BY_HAND: &str = "README.md";

const HEAD: &str = "# Written by `cargo xtask gen kustomize`; do not edit.\n";
const COMPONENT: &str = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n";
const KUSTOMIZATION: &str = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";

/// The mode's folder, its name as a flag's value, and what it is.
const MODES: [(&str, &str, &str); 4] = [
    (
        "cluster-admin",
        "clusterAdmin",
        "everything in the cluster, as with Sonobuoy",
    ),
    (
        "cluster-read",
        "clusterRead",
        "reading everything in the cluster, and everything in its namespace",
    ),
    ("namespace-admin", "namespaceAdmin", "everything in its namespace"),
    (
        "minimal",
        "minimal",
        "just what the aggregator itself uses, and reading what the role view reads",
    ),
];
const LEVELS: [&str; 3] = ["privileged", "baseline", "restricted"];
const ROLES: [&str; 4] = ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];

/// All files by their paths in the folder. `program` runs this tree's sono with arguments.
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
        ensure!(!text.is_empty(), "gen has no {}", kinds.join(", "));
        Ok(text)
    };

    add(
        "base/kustomization.yaml",
        resources(KUSTOMIZATION, &["namespace.yaml", "service-account.yaml"], &[]),
    );
    add("base/namespace.yaml", NAMESPACE.to_owned());
    let accounts = generated("minimal", &["ServiceAccount"])?;
    let (aggregators, _) = by_owner(&accounts);
    add("base/service-account.yaml", aggregators);
    for (folder, mode, what) in MODES {
        let roles = generated(mode, &ROLES).context(mode)?;
        add(
            &format!("components/permissions-{folder}/kustomization.yaml"),
            format!(
                "# The aggregator's account gets {what}. Plugins get {}.\n{}",
                of_plugins(mode),
                resources(COMPONENT, &["roles.yaml", "service-accounts.yaml"], &[])
            ),
        );
        let (_, of_plugins) = by_owner(&generated(mode, &["ServiceAccount"])?);
        add(
            &format!("components/permissions-{folder}/service-accounts.yaml"),
            of_plugins,
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
        NIGHTLY.replace("IMAGE", images::COMMAND_LINE),
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

/// The documents of these kinds, without labels: `sono delete` takes whatever wears those of a run, and these stay.
fn documents(manifest: &str, kinds: &[&str]) -> String {
    let is_wanted = |document: &&str| {
        let kind = document.lines().find_map(|line| line.strip_prefix("kind: "));
        kind.is_some_and(|kind| kinds.contains(&kind))
    };
    let wanted: Vec<String> = manifest.split("---\n").filter(is_wanted).map(without_labels).collect();
    wanted.join("---\n")
}

/// What plugins get where `--plugin-service-account` names the mode's account.
fn of_plugins(mode: &str) -> &'static str {
    match mode {
        "clusterRead" => "reading the cluster without Secrets, with --plugin-service-account sonobuoy-plugins",
        "namespaceAdmin" => "reading the namespace without Secrets, with --plugin-service-account sonobuoy-plugins",
        "minimal" => "nothing, with --plugin-service-account sonobuoy-no-rights",
        _ => {
            "the same; those that ask for no rights get none, with --plugin-account shared --plugin-service-account sonobuoy-no-rights"
        }
    }
}

/// The aggregator's account, and those of plugins.
fn by_owner(accounts: &str) -> (String, String) {
    let is_aggregators = |document: &&str| document.contains("\n  name: sonobuoy-serviceaccount\n");
    let (aggregators, of_plugins): (Vec<&str>, Vec<&str>) = accounts.split("---\n").partition(is_aggregators);
    (aggregators.join("---\n"), of_plugins.join("---\n"))
}

fn without_labels(document: &str) -> String {
    let mut within = false;
    let keep = |line: &&str| {
        within = *line == "  labels:" || (within && line.starts_with("    "));
        !within
    };
    let lines: Vec<String> = document.lines().filter(keep).map(|line| format!("{line}\n")).collect();
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
# What whoever runs sono here may do, row by row in docs/permissions.md. The binding names a group: patch it, or make others.
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
# Denies what a run does not need: workers reach the aggregator, and all pods the API server (any address on its ports; add
# `to` with yours). A plugin that talks to others needs a policy of its own. Only some network plugins enforce policies.
";

const HOST_NETWORK: &str = "\
# For DaemonSet plugins in their hosts' network, as host-check and systemd-logs are: no selector means them, so the aggregator
# takes connections from anywhere. It asks each for a certificate of the run.
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
# Where the archives are kept.
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
      # A night that failed is looked at in the morning, not tried again.
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
          # Of a night that was cut off.
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
            # Roles are there already, and stay.
            - name: SONO_RBAC
              value: Disable
            # The namespace already exists; what the aggregator may do is what its account may.
            - name: SONO_AGGREGATOR_PERMISSIONS
              value: namespaceAdmin
            securityContext: &security
              allowPrivilegeEscalation: false
              readOnlyRootFilesystem: true
              capabilities:
                drop:
                - ALL
          containers:
          # The job fails where a plugin did not pass.
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
          # Definitions of your own, for --plugin=/plugins.
          - name: plugins
            configMap:
              name: sono-nightly-plugins
              optional: true
";

const NIGHTLY_OVERLAY: &str = "\
# Checks all nodes every night and keeps the archives of two weeks, in a namespace of its own.
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
    fn roles_are_taken_out_of_a_manifest_and_wear_no_labels() {
        let manifest = "kind: Role\nmetadata:\n  labels:\n    a: b\n    c: d\n  name: x\nrules:\n    deep\n---\nkind: Pod\n---\nkind: RoleBinding\n---\n";
        assert_eq!(
            documents(manifest, &ROLES),
            "kind: Role\nmetadata:\n  name: x\nrules:\n    deep\n---\nkind: RoleBinding\n"
        );
    }
}
