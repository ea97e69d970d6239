//! Existing namespaces, prepared namespaces, and namespaces that cannot be deleted.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use crate::harness::{kubectl, kubectl_program, kubernetes, plugin, sono};

/// A namespace that exists before the run and is deleted at the end of the test.
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) fn new(name: &str) -> Self {
        kubectl(&["delete", "namespace", name, "--ignore-not-found", "--wait"]);
        kubectl(&["create", "namespace", name]);
        Self(name.to_owned())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        kubectl(&["delete", "namespace", &self.0, "--ignore-not-found", "--wait=false"]);
    }
}

/// BUG 16: a namespace not created by the run is not deleted, but all objects of the run in it are.
#[test]
fn a_namespace_that_was_there_stays() {
    let namespace = Namespace::new("e2e-was-there");
    let before = objects(&namespace.0);
    let file = plugin("job-junit");
    let flags = [
        "--aggregator-permissions",
        "namespaceAdmin",
        "--wait",
        "-p",
        &file,
        "-n",
        &namespace.0,
    ];
    sono(&[&["run"], &flags[..]].concat()).success();
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().display().to_string();
    let archive = sono(&["retrieve", &to, "-n", &namespace.0]).success();
    let report = sono(&["results", archive.trim(), "--plugin", "job-junit"]).success();
    assert!(report.starts_with("Plugin: job-junit\nStatus: passed\n"), "{report}");
    sono(&["delete", "-n", &namespace.0, "--wait"]).success();
    assert_eq!(objects(&namespace.0), before);
    assert_eq!(kubernetes::leftovers(&namespace.0), ["namespace e2e-was-there"]);
}

fn objects(namespace: &str) -> String {
    let kinds = "pods,services,configmaps,secrets,serviceaccounts,roles,rolebindings,daemonsets,jobs,leases";
    kubectl(&["-n", namespace, "get", kinds, "-o", "name"])
}

/// `kubectl apply` accepts the output of `gen`.
#[test]
fn generated_objects_are_applied_by_kubectl() {
    let name = "e2e-applied";
    sono(&["delete", "-n", name, "--wait"]).success();
    let manifest = sono(&["gen", "-n", name, "-p", &plugin("job-junit")]).success();
    let mut apply = Command::new(kubectl_program())
        .args(["apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("kubectl starts");
    apply
        .stdin
        .take()
        .expect("standard input is piped")
        .write_all(manifest.as_bytes())
        .expect("kubectl reads");
    assert!(apply.wait().expect("kubectl ends").success());
    // The pod may not have a status yet.
    sono(&["wait", "-n", name, "--wait=5"]).success();
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().display().to_string();
    let archive = sono(&["retrieve", &to, "-n", name]).success();
    assert!(sono(&["results", archive.trim()]).success().contains("Status: passed"));
    sono(&["delete", "-n", name, "--wait"]).success();
    assert_eq!(kubernetes::leftovers(name), Vec::<String>::new());
}

/// A namespace that is not deleted is reported with its finalizer.
#[test]
fn a_finalizer_that_holds_a_namespace_is_named() {
    let name = "e2e-held";
    let free = || {
        let patch = r#"{"metadata":{"finalizers":null}}"#;
        kubectl(&["-n", name, "patch", "configmap", "held", "--type=merge", "-p", patch]);
    };
    sono(&["delete", "-n", name, "--wait"]).success();
    sono(&["run", "-n", name, "-p", &plugin("job-junit"), "--wait"]).success();
    kubectl(&["-n", name, "create", "configmap", "held"]);
    let patch = r#"{"metadata":{"finalizers":["example.com/hold"]}}"#;
    kubectl(&["-n", name, "patch", "configmap", "held", "--type=merge", "-p", patch]);
    let output = sono(&["delete", "-n", name, "--wait", "25s"]).failure();
    free();
    assert!(output.contains("example.com/hold in 1 resource instances"), "{output}");
    sono(&["delete", "-n", name, "--wait"]).success();
}
