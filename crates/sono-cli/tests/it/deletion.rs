//! `delete` and `wait` in unusual situations.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sono_testkit::{FakeApi, forbidden};

use crate::{Finished, failure, healthy, success, with_cluster};

/// BUG 35, BUG 40: a dry run lists all objects without deleting them or waiting.
#[test]
fn a_dry_run_lists_objects() {
    let api = healthy();
    with_cluster(&api, &["run", "-p", "host-check"]);
    let before = api.requests().len();
    assert_eq!(
        with_cluster(&api, &["delete", "--dry-run"]),
        success(
            "clusterrolebinding/sonobuoy-serviceaccount-sonobuoy\nclusterrole/sonobuoy-serviceaccount-sonobuoy\nnamespace/sonobuoy\n",
            ""
        )
    );
    let made = &api.requests()[before..];
    assert!(made.iter().all(|request| request.starts_with("GET ")), "{made:?}");
    let both = with_cluster(&api, &["delete", "--dry-run", "--wait"]);
    assert!(both.stderr.contains("cannot be used with"), "{}", both.stderr);
}

#[test]
fn a_namespace_without_a_run_is_named() {
    let api = healthy();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}));
    for arguments in [
        &["delete", "-n", "kube-system"][..],
        &["delete", "-n", "kube-system", "--dry-run"],
        &["delete", "-n", "kube-system", "--wait"],
    ] {
        assert_eq!(
            with_cluster(&api, arguments),
            success("", "no run in namespace `kube-system`\n"),
            "{arguments:?}"
        );
    }
}

#[test]
fn roles_are_not_deleted_with_a_flag() {
    let api = healthy();
    with_cluster(&api, &["run", "-p", "host-check"]);
    assert_eq!(with_cluster(&api, &["delete", "--rbac", "disable"]).code, 0);
    assert_eq!(api.all("clusterroles").len(), 1);
    assert_eq!(with_cluster(&api, &["delete", "--rbac", "enable"]).code, 0);
    assert_eq!(api.all("clusterroles"), Vec::<Value>::new());
}

#[test]
fn remaining_objects_are_named_at_the_time_limit() {
    let api = healthy();
    with_cluster(&api, &["run", "-p", "host-check"]);
    api.hold_namespaces();
    assert_eq!(
        with_cluster(&api, &["delete", "--wait", "1s"]),
        Finished {
            code: 1,
            stdout: String::new(),
            stderr: "deleting namespace `sonobuoy` and everything in it\n\
                error: the deletion is not complete after 1s; it continues\n  namespace `sonobuoy`: its objects are being deleted; pods have a termination grace period\n  \
                hint:  to see what blocks it: kubectl describe namespace sonobuoy; to wait again: sono delete --wait\n"
                .to_owned(),
        }
    );
}

fn aggregator(status: &str) -> Value {
    let archive = if status == "complete" {
        json!({"name": "a.tar.gz", "created": "2026-01-01T00:00:00Z", "sha256": "ab", "size": 1})
    } else {
        Value::Null
    };
    let mut status = json!({"status": status, "plugins": []});
    if !archive.is_null() {
        status["tar-info"] = archive;
    }
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "sonobuoy", "namespace": "sonobuoy",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"},
            "annotations": {"sonobuoy.hept.io/status": status.to_string()}},
        "spec": {"nodeName": "node1", "containers": [{"name": "kube-sonobuoy", "image": "i"}]},
        "status": {"phase": "Running"}})
}

const PODS: &str = "/api/v1/namespaces/sonobuoy/pods";

fn asked(api: &FakeApi) -> usize {
    let path = format!("GET {PODS}");
    api.requests().iter().filter(|request| **request == path).count()
}

/// Waits until the run's pods have been requested this often, with a time limit.
fn wait_until_asked(api: &FakeApi, times: usize) {
    let limit = Instant::now() + Duration::from_secs(30);
    while asked(api) < times && Instant::now() < limit {
        thread::yield_now();
    }
}

/// BUG 15: an API server that fails for a while does not end the wait.
#[test]
fn a_wait_survives_an_api_server_that_fails() {
    let api = FakeApi::start();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sonobuoy"}}));
    api.put(aggregator("running"));
    let waited = thread::scope(|scope| {
        let waiting = scope.spawn(|| with_cluster(&api, &["wait"]));
        // One request to find the run, and at least one to watch it.
        wait_until_asked(&api, 2);
        let failure = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500,
            "reason": "InternalError", "message": "etcdserver: leader changed"});
        api.fail_times("GET", PODS, failure, 3);
        let before = asked(&api);
        api.end_watches(1);
        wait_until_asked(&api, before + 3);
        let after = asked(&api);
        api.put(aggregator("complete"));
        (waiting.join().unwrap(), after - before)
    });
    let (waited, times) = waited;
    assert!(times >= 3, "asked {times} times");
    assert_eq!(waited.code, 0, "{}", waited.stderr);
}

/// BUG 1: scripts pass the flags of `run` to `wait`.
#[test]
fn wait_accepts_the_flags_of_run() {
    let api = FakeApi::start();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sonobuoy"}}));
    api.put(aggregator("complete"));
    let finished = with_cluster(
        &api,
        &[
            "wait",
            "--mode",
            "quick",
            "-p",
            "e2e",
            "-p",
            "x.yaml",
            "--sonobuoy-image",
            "i:1",
            "--skip-preflight",
        ],
    );
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let warned: Vec<&str> = finished
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("warning: --")?.split(' ').next())
        .collect();
    assert_eq!(warned, ["plugin", "sonobuoy-image", "mode", "skip-preflight"]);
}

/// Without permission for Deployments, a run without one is deleted; a run with one is an error, as its pod would be recreated.
#[test]
fn a_deployment_that_cannot_be_deleted_is_reported() {
    let api = healthy();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}}));
    let path = "/apis/apps/v1/namespaces/mine/deployments";
    api.fail(
        "DELETE",
        path,
        forbidden("ci", "deletecollection", "deployments.apps", Some("mine")),
    );
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sonobuoy", "namespace": "mine",
        "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"}}});
    api.put(pod.clone());
    let delete = || with_cluster(&api, &["delete", "-n", "mine"]);
    assert_eq!(delete().code, 0);
    assert_eq!(api.get("pods", Some("mine"), "sonobuoy"), None);

    pod["metadata"]["ownerReferences"] = json!([{"kind": "ReplicaSet", "name": "sonobuoy-1", "controller": true}]);
    api.put(pod);
    assert_eq!(
        delete(),
        failure(
            "error: cannot delete deployments of the run in namespace `mine`\n  cause: forbidden: user \"ci\" cannot deletecollection resource \"deployments.apps\" in namespace \"mine\"\n"
        )
    );
    assert!(api.get("pods", Some("mine"), "sonobuoy").is_some());
}

/// Accounts and roles of plugins and the network policy are deleted, too, if the namespace is not.
#[test]
fn accounts_and_roles_of_plugins_are_deleted_with_the_run() {
    for (mode, account) in [
        ("clusterRead", "sonobuoy-plugins"),
        ("namespaceAdmin", "sonobuoy-plugins"),
        ("minimal", "sonobuoy-no-rights"),
    ] {
        let api = healthy();
        api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}}));
        let directory = tempfile::tempdir().unwrap();
        let plugin = directory.path().join("p.yaml");
        fs_err::write(
            &plugin,
            "sonobuoy-config: {driver: Job, plugin-name: p}\nspec: {name: c, image: i}\n",
        )
        .unwrap();
        let plugin = plugin.to_str().unwrap();
        let flags = [
            "--aggregator-permissions",
            mode,
            "--network-policy",
            "-n",
            "mine",
            "-p",
            plugin,
        ];
        let finished = with_cluster(&api, &[&["run"][..], &flags].concat());
        assert_eq!(finished.code, 0, "{}", finished.stderr);
        assert!(api.get("serviceaccounts", Some("mine"), account).is_some(), "{mode}");
        assert!(
            api.get("networkpolicies", Some("mine"), "sonobuoy-aggregator")
                .is_some(),
            "{mode}"
        );
        assert_eq!(with_cluster(&api, &["delete", "-n", "mine"]).code, 0);
        for kind in [
            "serviceaccounts",
            "networkpolicies",
            "roles",
            "rolebindings",
            "clusterroles",
            "clusterrolebindings",
        ] {
            assert_eq!(api.all(kind), Vec::<Value>::new(), "{mode} {kind}");
        }
    }
}

/// Thousands of pods that never started are deleted over few connections.
#[test]
fn pods_of_a_large_cluster_are_deleted_over_few_connections() {
    const PODS: usize = 400;
    let api = healthy();
    with_cluster(&api, &["run", "-p", "host-check"]);
    for number in 0..PODS {
        api.put(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("p-{number}"), "namespace": "sonobuoy",
                "labels": {"component": "sonobuoy", "sonobuoy-component": "plugin"}},
            "spec": {"nodeName": format!("fake{number}"), "containers": [{"name": "plugin", "image": "i"}]},
            "status": {"phase": "Pending"}}));
    }
    let before = api.connections();
    assert_eq!(with_cluster(&api, &["delete", "--wait"]).code, 0);
    let connections = api.connections() - before;
    assert!((1..=64).contains(&connections), "{connections}");
    let deleted = api
        .requests()
        .iter()
        .filter(|request| request.starts_with("DELETE") && request.contains("/pods/p-"))
        .count();
    assert_eq!(deleted, PODS);
}
