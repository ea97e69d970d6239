//! Messages for bad input.

use std::net::TcpListener;

use serde_json::json;
use sono_testkit::forbidden;

use crate::{Finished, failure, healthy, sono, with_cluster};

const PLUGIN: &str = "sonobuoy-config:\n  driver: Job\n  plugin-name: mine\nspec:\n  image: i\n  name: c\n";

pub(crate) fn with_files(files: &[(&str, &str)], arguments: &[&str]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs_err::write(directory.path().join(name), text).unwrap();
    }
    let mut finished = sono(directory.path(), arguments);
    finished.stderr = finished.stderr.replace(directory.path().to_str().unwrap(), "HOME");
    finished
}

#[test]
fn an_unknown_driver() {
    let text = PLUGIN.replace("Job", "Deamonset");
    assert_eq!(
        with_files(&[("p.yaml", &text)], &["run", "-p", "p.yaml"]),
        failure(
            "error: plugin definition `p.yaml` has a problem\n  p.yaml:2:11   unknown driver `Deamonset`; expected one of Job, DaemonSet (did you mean DaemonSet?)\n"
        )
    );
}

#[test]
fn invalid_yaml() {
    assert_eq!(
        with_files(
            &[("p.yaml", "sonobuoy-config:\n  driver: [Job\nspec: 1\n")],
            &["run", "-p", "p.yaml"]
        ),
        failure(
            "error: plugin definition `p.yaml` has a problem\n  p.yaml:3:5   invalid YAML: illegal placement of ':' indicator\n"
        )
    );
}

#[test]
fn duplicate_plugin_names() {
    assert_eq!(
        with_files(
            &[("a.yaml", PLUGIN), ("b.yaml", PLUGIN)],
            &["run", "-p", "a.yaml", "-p", "b.yaml"]
        ),
        failure(
            "error: plugin definition `b.yaml` has a problem\n  b.yaml   plugin names must be unique, got duplicated plugin name 'mine' (also in a.yaml)\n"
        )
    );
}

#[test]
fn an_unknown_plugin() {
    assert_eq!(
        with_files(&[], &["run", "-p", "typo"]),
        failure(
            "error: plugin `typo` not found: no such file or directory\n  hint:  built-in plugins: e2e, host-check, systemd-logs\n"
        )
    );
}

#[test]
fn no_cluster_at_all() {
    assert_eq!(
        with_files(&[], &["status"]),
        failure(
            "error: no cluster configured: no kubeconfig found, and not running in a pod\n  cause: HOME/.kube/config: No such file or directory (os error 2)\n  hint:  set --kubeconfig or KUBECONFIG, or run without a cluster: sono run --local\n"
        )
    );
    assert_eq!(
        with_files(&[], &["--kubeconfig", "nowhere.yaml", "status"]),
        failure(
            "error: cannot use the cluster configuration\n  cause: nowhere.yaml: No such file or directory (os error 2)\n  hint:  to list contexts: kubectl config get-contexts\n"
        )
    );
}

#[test]
fn an_unreachable_cluster() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let kubeconfig = format!(
        "current-context: c\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    assert_eq!(
        with_files(&[("k.yaml", &kubeconfig)], &["run", "--kubeconfig", "k.yaml"]),
        failure(&format!(
            "error: cannot reach the cluster at {server}\n  cause: Connection refused (os error 111)\n  hint:  check the cluster: kubectl cluster-info; or select another one with --context or --kubeconfig\n"
        ))
    );
}

#[test]
fn no_permission_for_the_namespace() {
    let api = healthy();
    api.fail(
        "POST",
        "/api/v1/namespaces",
        forbidden("ci", "create", "namespaces", None),
    );
    assert_eq!(
        with_cluster(&api, &["run"]),
        failure(
            "error: cannot create namespace `sonobuoy`\n  cause: forbidden: user \"ci\" cannot create resource \"namespaces\" at the cluster scope\n  hint:  use an existing namespace: sono run -n NAME --aggregator-permissions namespaceAdmin\n"
        )
    );
}

/// BUG 17: objects of a run that cannot be created are deleted again, so that the next run can start.
#[test]
fn no_permission_for_roles_deletes_the_created_namespace() {
    let api = healthy();
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    api.fail("POST", path, forbidden("ci", "create", "clusterroles", None));
    assert_eq!(
        with_cluster(&api, &["run"]),
        failure(
            "removed the objects that were created for this run\nerror: cannot create ClusterRole `sonobuoy-serviceaccount-sonobuoy`\n  cause: forbidden: user \"ci\" cannot create resource \"clusterroles\" at the cluster scope\n  hint:  use fewer permissions in an existing namespace: --aggregator-permissions namespaceAdmin\n"
        )
    );
    assert_eq!(api.get("namespaces", None, "sonobuoy"), None);
    assert_eq!(api.all("clusterrolebindings"), Vec::<serde_json::Value>::new());
}

/// With the permissions that Sonobuoy requires, a hint names the form of a run that requires no more.
#[test]
fn no_permission_for_deployments() {
    let api = healthy();
    let path = "/apis/apps/v1/namespaces/default/deployments";
    api.fail(
        "POST",
        path,
        forbidden("ci", "create", "deployments.apps", Some("default")),
    );
    let flags = ["run", "-n", "default", "--aggregator-permissions=namespaceAdmin"];
    assert_eq!(
        with_cluster(&api, &flags),
        failure(
            "removed the objects that were created for this run\nerror: cannot create Deployment `sonobuoy`\n  cause: forbidden: user \"ci\" cannot create resource \"deployments.apps\" in namespace \"default\"\n  hint:  a single pod needs fewer permissions: --aggregator-workload pod; the run is lost if the pod is lost\n"
        )
    );
    assert_eq!(
        with_cluster(&api, &[&flags[..], &["--aggregator-workload=pod"]].concat()).code,
        0
    );
}

#[test]
fn an_existing_namespace() {
    let api = healthy();
    assert_eq!(
        with_cluster(&api, &["run", "-n", "default"]),
        failure(
            "error: namespace `default` already exists\n  hint:  use another one: sono run -n NAME; or this one: --skip-preflight=existingnamespace, or with fewer permissions: --aggregator-permissions namespaceAdmin\n"
        )
    );
}

#[test]
fn a_namespace_with_a_run() {
    let api = healthy();
    api.put(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "sonobuoy-config-cm", "namespace": "default"}}));
    let expected = failure(
        "error: namespace `default` already contains a run\n  hint:  remove it: sono delete -n default --wait; or use another: sono run -n NAME\n",
    );
    assert_eq!(with_cluster(&api, &["run", "-n", "default"]), expected);
    assert_eq!(
        with_cluster(
            &api,
            &["run", "-n", "default", "--aggregator-permissions", "namespaceAdmin"]
        ),
        expected
    );
}

/// BUG 17: a terminating namespace is distinguished from an existing one.
#[test]
fn a_terminating_namespace() {
    let api = healthy();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "sonobuoy"}, "status": {"phase": "Terminating"}}));
    assert_eq!(
        with_cluster(&api, &["run", "--aggregator-permissions", "namespaceAdmin"]),
        failure(
            "error: namespace `sonobuoy` is being deleted\n  hint:  wait for it: kubectl wait --for=delete namespace/sonobuoy; or use another: sono run -n NAME\n",
        )
    );
    // No wait if another check fails.
    assert_eq!(
        with_cluster(&api, &["run", "--dns-pod-labels", "app=none"]),
        failure(
            "error: 2 preflight checks failed\n  no DNS pods found in namespace `kube-system` with the labels app=none\n    set --dns-namespace and --dns-pod-labels; or skip this check: --skip-preflight=dnscheck\n  namespace `sonobuoy` is being deleted\n    wait for it: kubectl wait --for=delete namespace/sonobuoy; or use another: sono run -n NAME\n  hint:  to skip one: --skip-preflight=CHECK, one of dnscheck, versioncheck, existingnamespace, podsecurity, quota, serviceaccount\n",
        )
    );
}

#[test]
fn a_missing_namespace() {
    let api = healthy();
    assert_eq!(
        with_cluster(
            &api,
            &["run", "-n", "mine", "--aggregator-permissions", "namespaceAdmin"]
        ),
        failure(
            "error: namespace `mine` does not exist\n  hint:  create it: kubectl create namespace mine; only --aggregator-permissions clusterAdmin creates it\n"
        )
    );
}

#[test]
fn wrong_usage_exits_with_one() {
    let finished = with_files(&[], &["run", "--wait=soon"]);
    assert_eq!(
        (finished.code, finished.stderr.lines().next().unwrap()),
        (
            1,
            "error: invalid value 'soon' for '--wait [<TIME>]': expected a duration, such as 90s, 5m or 1h30m, or a number of minutes"
        )
    );
}

/// All missing permissions are one error, before anything is created.
#[test]
fn missing_permissions_are_listed_together() {
    let api = healthy();
    let denied = json!({"kind": "SelfSubjectAccessReview", "code": 201, "status": {"allowed": false}});
    api.fail("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", denied);
    for arguments in [&["run", "host-check"][..], &["run", "host-check", "--dry-run"]] {
        let finished = with_cluster(&api, arguments);
        let lines: Vec<&str> = finished.stderr.lines().collect();
        assert_eq!((finished.code, finished.stdout.as_str()), (1, ""));
        assert_eq!(
            lines,
            [
                "error: 8 of 8 permissions are missing; nothing was created",
                "  in the cluster: create clusterrolebindings.rbac.authorization.k8s.io, clusterroles.rbac.authorization.k8s.io, namespaces",
                "  in namespace `sonobuoy`: create configmaps, deployments.apps, serviceaccounts, services",
                "  in namespace `sonobuoy`: list pods",
                "  hint:  use an existing namespace and fewer permissions: sono run -n NAME --aggregator-permissions namespaceAdmin"
            ]
        );
    }
    assert_eq!(
        api.all("namespaces").len(),
        sono_testkit::FakeApi::start().all("namespaces").len()
    );
}

/// Plugins that the API server would reject are reported before objects are created.
#[test]
fn plugin_that_the_api_server_would_reject_is_rejected_before_objects_are_created() {
    let api = crate::healthy();
    let directory = tempfile::tempdir().unwrap();
    let text = "sonobuoy-config: {driver: Job, plugin-name: p}\n\
        spec: {name: Plugin_1, env: [{name: A, value: b}], volumeMounts: [{name: none, mountPath: /x}]}\n\
        config-map: {a/b: x}\n";
    fs_err::write(directory.path().join("p.yaml"), text).unwrap();
    let output = crate::command(directory.path())
        .env("KUBECONFIG", api.write_kubeconfig(directory.path()))
        .args(["run", "-p", "p.yaml"])
        .output()
        .unwrap();
    assert_eq!(
        crate::finished(&output),
        failure(
            "error: the API server would refuse plugins of this run\n  \
             plugin p: config-map.a/b: invalid ConfigMap key `a/b`: expected at most 253 letters, digits, `-`, `_` and `.`; not `.` and not starting with `..`\n  \
             plugin p: spec.name: invalid name `Plugin_1`: expected at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends\n  \
             plugin p: spec.volumeMounts[0].name: volume `none` does not exist\n  \
             plugin p: spec.image is missing\n  \
             hint:  for line numbers: sono plugin lint FILE; nothing was created\n"
        )
    );
    let created: Vec<String> = api
        .requests()
        .into_iter()
        .filter(|request| request.starts_with("POST") && !request.contains("authorization.k8s.io"))
        .collect();
    assert_eq!(created, Vec::<String>::new());
}
