//! Flags that change what a run consists of, seen in what `gen` prints.

use serde_json::{Value, json};

use super::{Said, failure, said, sono};

/// The documents that `gen` prints with these flags.
fn objects(flags: &[&str]) -> Vec<Value> {
    let directory = tempfile::tempdir().unwrap();
    let Said { code, stdout, stderr } = sono(directory.path(), &[&["gen", "-p", "host-check"], flags].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    sono_types::yaml::all_documents(&stdout).unwrap()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// B-3: roles are bound to the account that is named, not to the usual one.
#[test]
fn roles_belong_to_the_account_that_is_named() {
    let objects = objects(&["--service-account-name", "mine", "--existing-service-account"]);
    assert_eq!(of_kind(&objects, "ServiceAccount"), Vec::<&Value>::new());
    let bindings = of_kind(&objects, "ClusterRoleBinding");
    let subjects: Vec<&Value> = bindings.iter().map(|binding| &binding["subjects"][0]["name"]).collect();
    assert_eq!(subjects, ["mine"]);
    assert_eq!(of_kind(&objects, "Pod")[0]["spec"]["serviceAccountName"], "mine");
}

#[test]
fn roles_security_and_nodes() {
    let objects = objects(&[
        "--rbac=disable",
        "--security-context-mode=none",
        "--namespace-psa-enforce-level=baseline",
        "--aggregator-node-selector",
        "kubernetes.io/os:linux",
        "--aggregator-node-selector=disk:fast",
    ]);
    for kind in ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"] {
        assert_eq!(of_kind(&objects, kind), Vec::<&Value>::new(), "{kind}");
    }
    let level = &of_kind(&objects, "Namespace")[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
    assert_eq!(level, "baseline");
    let spec = &of_kind(&objects, "Pod")[0]["spec"];
    assert_eq!(
        spec["nodeSelector"],
        json!({ "kubernetes.io/os": "linux", "disk": "fast" })
    );
    assert_eq!(spec.get("securityContext"), None);
}

/// B-36: a pull policy reaches the cluster as the cluster spells it.
#[test]
fn the_configuration_shows_what_flags_say() {
    let directory = tempfile::tempdir().unwrap();
    let config = |flags: &[&str]| -> Value {
        let said = sono(directory.path(), flags);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""));
        serde_json::from_str(&said.stdout).unwrap()
    };
    let mut expected = serde_json::to_value(sono_types::Config::default()).unwrap();
    assert_eq!(config(&["gen", "config"]), expected);
    expected["ImagePullPolicy"] = json!("Always");
    expected["Namespace"] = json!("mine");
    expected["ForceImagePullPolicy"] = json!(true);
    let flags = ["--image-pull-policy=always", "--force-image-pull-policy", "config"];
    assert_eq!(
        config(&[&["--namespace", "mine", "gen"][..], &flags[..]].concat()),
        expected
    );
}

#[test]
fn a_local_run_refuses_what_only_clusters_have() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        sono(directory.path(), &["run", "--local", "--rbac=Enable"]),
        failure("error: --rbac means something in a cluster only, and --local runs without one\n")
    );
}

#[test]
fn as_a_plugin_of_kubectl_it_is_called_so() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("kubectl-sono");
    std::os::unix::fs::symlink(assert_cmd::cargo::cargo_bin!("sono"), &link).unwrap();
    let mut program_by_link = std::process::Command::new(link);
    program_by_link.env_clear().args(["modes", "--help"]);
    let help = said(&program_by_link.output().unwrap());
    let usage = help.stdout.lines().find(|line| line.starts_with("Usage:"));
    assert_eq!(usage, Some("Usage: kubectl sono modes [OPTIONS]"));
}

#[test]
fn versions_are_checked_before_anything_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    let of = |version: &str| {
        sono(
            directory.path(),
            &["gen", "-p", "e2e", "--kube-conformance-image-version", version],
        )
    };
    // B-9: without a cluster it says who needs a version, and how to say which.
    assert_eq!(
        of("auto"),
        failure(&format!(
            "error: the image of plugin `e2e` depends on the cluster's version, and there is no cluster to ask\n  \
             there is no cluster to talk to: no kubeconfig, and this is no pod of a cluster\n  \
             {}/.kube/config: No such file or directory (os error 2)\n  hint:  say which: --kubernetes-version v1.37.2\n",
            directory.path().display()
        ))
    );
    assert_eq!(
        of("1.30"),
        failure(
            "error: `1.30` is no version of Kubernetes\n  hint:  such as v1.37.2; or auto, which is the cluster's, or ignore, which is none\n"
        )
    );
    assert!(
        of("v1.30")
            .stdout
            .contains("image: registry.k8s.io/conformance:v1.30.0\n")
    );
}

/// Flags of which only one can hold.
#[test]
fn flags_that_contradict_each_other_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (flags, expected) in [
        (
            ["--mode=quick", "--rerun-failed=x"],
            "error: the argument '--mode <MODE>' cannot be used with '--rerun-failed <ARCHIVE>'",
        ),
        (
            ["--e2e-repo=x", "--e2e-repo-config=y"],
            "error: the argument '--e2e-repo <REPOSITORY>' cannot be used with '--e2e-repo-config <FILE>'",
        ),
    ] {
        let said = sono(directory.path(), &[&["gen"], &flags[..]].concat());
        assert_eq!((said.code, said.stderr.lines().next()), (1, Some(expected)));
    }
}
