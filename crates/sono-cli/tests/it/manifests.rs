//! Runs created from a manifest.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{Finished, command, failure, finished, healthy, normalized, sono};

/// Output of `gen` with these flags.
fn manifest(flags: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let Finished { code, stdout, stderr } = sono(directory.path(), &[&["gen", "-p", "host-check"], flags].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    stdout
}

fn prepared(api: &FakeApi, directory: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = command(directory);
    command
        .env("KUBECONFIG", api.write_kubeconfig(directory))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs `sono` with this text on standard input.
fn fed(api: &FakeApi, input: &str, arguments: &[&str]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    let mut child = prepared(api, directory.path(), arguments).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    normalized(api, finished(&child.wait_with_output().unwrap()))
}

fn names(api: &FakeApi, namespace: &str) -> Vec<String> {
    let kinds = ["configmaps", "deployments", "secrets", "serviceaccounts", "services"];
    let objects = kinds.into_iter().flat_map(|kind| api.all(kind));
    let own = objects.filter(|object| object["metadata"]["namespace"] == namespace);
    own.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

/// BUG 14: standard input is read once, and its run is the one to wait for.
#[test]
fn run_of_a_manifest_on_standard_input_is_created_and_awaited() {
    let api = healthy();
    let directory = tempfile::tempdir().unwrap();
    let mut child = prepared(&api, directory.path(), &["run", "-f", "-", "--wait"])
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(manifest(&["-n", "piped"]).as_bytes())
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limit = Duration::from_mins(1);
    let there = api.wait_for("deployments", Some("piped"), "sonobuoy", limit, |made| made.is_some());
    runtime.block_on(there).expect("the aggregator did not come");
    let made = api.get("deployments", Some("piped"), "sonobuoy").unwrap();
    let mut pod = made["spec"]["template"].clone();
    (pod["apiVersion"], pod["kind"]) = (json!("v1"), json!("Pod"));
    pod["metadata"]["name"] = json!("sonobuoy-1");
    pod["metadata"]["namespace"] = json!("piped");
    let status = json!({"plugins": [{"plugin": "host-check", "node": "n", "status": "complete", "result-status": "passed",
        "result-counts": {"passed": 1}}], "status": "complete",
        "tar-info": {"name": "a.tar.gz", "created": "2026-01-01T00:00:00Z", "sha256": "ab", "size": 1}});
    pod["metadata"]["annotations"]["sonobuoy.hept.io/status"] = status.to_string().into();
    pod["status"] = json!({"phase": "Running"});
    api.put(pod);
    let finished = normalized(&api, finished(&child.wait_with_output().unwrap()));
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(
        finished.stderr.lines().next(),
        Some("run … in namespace piped, created in …")
    );
    assert!(
        finished.stderr.ends_with("results: sono retrieve -n piped\n"),
        "{}",
        finished.stderr
    );
}

/// The limits of an existing namespace are those of its manifest's plugins, too.
#[test]
fn limits_of_an_existing_namespace_are_checked_before_a_manifest_is_created() {
    let api = healthy();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "lim", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}));
    let quota = |pods: &str| {
        json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": "lim"}, "status": {"hard": {"pods": pods}, "used": {"pods": "0"}}})
    };
    let manifest = manifest(&["-n", "lim", "-p", "systemd-logs"]);
    let run = |skipped: &str| {
        fed(
            &api,
            &manifest,
            &["run", "-f", "-", &format!("--skip-preflight={skipped}")],
        )
    };
    api.put(quota("2"));
    let refused = run("existingnamespace,podsecurity");
    assert_eq!(
        refused,
        failure(
            "error: quota `few` allows 2 pods in namespace `lim`; the run needs at least 3: one for the aggregator and one for \
             each plugin that runs at the same time\n  hint:  raise it: kubectl -n lim edit resourcequota few; to skip this \
             check: --skip-preflight=quota\n"
        )
    );
    api.put(quota("9"));
    let refused = run("existingnamespace");
    let violations = refused.stderr.lines().filter_map(|line| line.split_once(" violates: "));
    assert_eq!(
        (refused.code, violations.map(|(start, _)| start).collect::<Vec<_>>()),
        (
            1,
            vec![
                "  the namespace enforces the pod security level restricted, which plugin host-check",
                "  the namespace enforces the pod security level restricted, which plugin systemd-logs",
            ]
        )
    );
    assert_eq!(names(&api, "lim"), Vec::<String>::new());
    assert_eq!(run("existingnamespace,podsecurity").code, 0);
}

/// BUG 14: preflight checks use the namespace of the manifest, not that of the flag.
#[test]
fn namespace_is_read_from_the_manifest() {
    let api = healthy();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "taken"}}));
    assert_eq!(
        fed(&api, &manifest(&["-n", "taken"]), &["run", "-f", "-"]),
        failure(
            "error: namespace `taken` already exists\n  hint:  use another one: sono run -n NAME; or this one: --skip-preflight=existingnamespace, or with fewer permissions: --aggregator-permissions namespaceAdmin\n"
        )
    );
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sonobuoy"}}));
    let Finished { code, stderr, .. } = fed(&api, &manifest(&["-n", "free"]), &["run", "-f", "-"]);
    assert_eq!(
        (code, stderr.as_str()),
        (0, "run … in namespace free, created in …\nnext: sono wait -n free\n")
    );
    assert_eq!(
        names(&api, "free"),
        [
            "sonobuoy-config-cm",
            "sonobuoy-plugins-cm",
            "sonobuoy",
            "sonobuoy-no-rights",
            "sonobuoy-serviceaccount",
            "sonobuoy-aggregator"
        ]
    );
}

/// BUG 38: each flag that has no effect with a manifest is named.
#[test]
fn flags_without_effect_are_named() {
    let api = healthy();
    let flags = [
        "--namespace",
        "other",
        "run",
        "-f",
        "-",
        "-p",
        "e2e",
        "--timeout=5",
        "--skip-preflight=dnscheck",
    ];
    let Finished { code, stderr, .. } = fed(&api, &manifest(&[]), &flags);
    let warnings: Vec<&str> = stderr
        .lines()
        .filter_map(|line| line.strip_prefix("warning: "))
        .collect();
    let expected = ["plugin", "namespace", "timeout"]
        .map(|flag| format!("--{flag} has no effect with --file: the manifest defines all objects"));
    assert_eq!((code, warnings), (0, expected.iter().map(String::as_str).collect()));
    assert!(api.get("deployments", Some("sonobuoy"), "sonobuoy").is_some());
}

/// BUG 4: manifests of older versions have a Secret without a namespace. Manifests may have other kinds of objects.
#[test]
fn manifests_of_older_versions_and_with_other_objects_are_created() {
    let api = healthy();
    api.offer("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true);
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: ssh-key}\ndata: {id_rsa: a2V5}\n---\n";
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: keep, namespace: sonobuoy}\n---\n";
    let text = format!("---\n{}{secret}---\n{budget}", manifest(&[]));
    let Finished { code, stderr, .. } = fed(&api, &text, &["run", "-f", "-"]);
    assert_eq!(
        (code, stderr.lines().next()),
        (0, Some("Secret `ssh-key` has no namespace; creating it in `sonobuoy`")),
        "{stderr}"
    );
    assert!(api.get("secrets", Some("sonobuoy"), "ssh-key").is_some());
    assert!(api.get("poddisruptionbudgets", Some("sonobuoy"), "keep").is_some());
}

#[test]
fn manifest_with_an_unknown_kind_creates_no_objects() {
    let api = healthy();
    let other = "apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: one, namespace: sonobuoy}\n";
    assert_eq!(
        fed(&api, &format!("{}{other}", manifest(&[])), &["run", "-f", "-"]),
        failure("error: cannot create Thing `one`: the cluster does not serve kind Thing in example.org/v1\n")
    );
    assert_eq!(api.get("namespaces", None, "sonobuoy"), None);
}

#[test]
fn invalid_manifests_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let finished = |arguments: &[&str]| sono(directory.path(), arguments);
    fs_err::write(directory.path().join("list.yaml"), "- a\n").unwrap();
    assert_eq!(
        finished(&["run", "-f", "list.yaml"]),
        failure("error: cannot use the manifest `list.yaml`\n  object 1 has no apiVersion\n")
    );
    assert_eq!(
        finished(&["run", "--file", "none.yaml"]),
        failure(
            "error: cannot read the manifest `none.yaml`\n  cause: failed to open file `none.yaml`: No such file or directory (os error 2)\n"
        )
    );
    assert_eq!(
        finished(&["run", "--local", "-f", "list.yaml"]),
        failure(
            "error: --file requires a cluster and conflicts with --local\n  hint:  omit the flag, or omit --local to use a cluster\n"
        )
    );
}

/// BUG 14: `gen -f` prints a manifest unchanged, also from standard input.
#[test]
fn gen_prints_an_existing_manifest() {
    let api = FakeApi::start();
    let text = "# mine\na: 1\n";
    let Finished { code, stdout, stderr } = fed(&api, text, &["gen", "-f", "-", "-n", "x"]);
    assert_eq!(
        (code, stdout.as_str(), stderr.as_str()),
        (
            0,
            text,
            "warning: --namespace has no effect with --file: the manifest defines all objects\n"
        )
    );
    assert_eq!(api.requests(), Vec::<String>::new());
}

/// `run` creates the objects that `gen` prints, except for the run's identity.
#[test]
fn objects_of_gen_and_run_are_equal() {
    let flags = ["-p", "host-check", "--aggregator-node-selector", "a:b"];
    let (ours, theirs) = (healthy(), healthy());
    assert_eq!(crate::with_cluster(&ours, &[&["run"], &flags[..]].concat()).code, 0);
    let text = manifest(&flags[2..]);
    // kubectl does not pass the cluster's version to plugins.
    assert_eq!(fed(&theirs, &text, &["run", "-f", "-"]).code, 0);
    let pod = |api: &FakeApi| {
        api.get("deployments", Some("sonobuoy"), "sonobuoy").map(|mut pod| {
            let annotations = pod["spec"]["template"]["metadata"]["annotations"].as_object_mut();
            annotations.map(|annotations| annotations.remove("sono-run-id"));
            pod["spec"].take()
        })
    };
    assert_eq!(pod(&ours), pod(&theirs));
    let all = |api: &FakeApi| -> Vec<Value> {
        api.all("clusterroles")
            .iter()
            .map(|role| role["rules"].clone())
            .collect()
    };
    assert_eq!(all(&ours), all(&theirs));
}
