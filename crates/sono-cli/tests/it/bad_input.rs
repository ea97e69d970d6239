//! Bad input: each with its message.

use std::net::TcpListener;

use serde_json::json;
use sono_testkit::forbidden;

use crate::{Said, failure, healthy, sono, with_cluster};

const PLUGIN: &str = "sonobuoy-config:\n  driver: Job\n  plugin-name: mine\nspec:\n  image: i\n  name: c\n";

pub(crate) fn with_files(files: &[(&str, &str)], arguments: &[&str]) -> Said {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs_err::write(directory.path().join(name), text).unwrap();
    }
    let mut said = sono(directory.path(), arguments);
    said.stderr = said.stderr.replace(directory.path().to_str().unwrap(), "HOME");
    said
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
fn yaml_that_does_not_parse() {
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
fn two_plugins_of_one_name() {
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
fn a_plugin_that_is_not_there() {
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

/// BUG 17: what a run that cannot be created has made is removed again, so that the next one finds its place empty.
#[test]
fn no_permission_for_roles_takes_the_namespace_away_again() {
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

/// Whoever was allowed what Sonobuoy creates, and nothing else, learns which form of a run needs no more.
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
fn a_namespace_that_is_there() {
    let api = healthy();
    assert_eq!(
        with_cluster(&api, &["run", "-n", "default"]),
        failure(
            "error: namespace `default` already exists\n  hint:  use another one: sono run -n NAME; or this one: --skip-preflight=existingnamespace, or with fewer permissions: --aggregator-permissions namespaceAdmin\n"
        )
    );
}

#[test]
fn a_namespace_with_a_run_in_it() {
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

/// BUG 17: a namespace that is being deleted is told from one that is there.
#[test]
fn a_namespace_on_its_way_out() {
    let api = healthy();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "sonobuoy"}, "status": {"phase": "Terminating"}}));
    let expected = failure(
        "error: namespace `sonobuoy` is being deleted\n  hint:  wait for it: kubectl wait --for=delete namespace/sonobuoy; or use another: sono run -n NAME\n",
    );
    assert_eq!(with_cluster(&api, &["run"]), expected);
    assert_eq!(
        with_cluster(&api, &["run", "--aggregator-permissions", "namespaceAdmin"]),
        expected
    );
}

#[test]
fn a_namespace_that_must_be_there_and_is_not() {
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
fn wrong_usage_ends_with_one() {
    let said = with_files(&[], &["run", "--wait=soon"]);
    assert_eq!(
        (said.code, said.stderr.lines().next().unwrap()),
        (
            1,
            "error: invalid value 'soon' for '--wait [<TIME>]': expected minutes, such as 30, or a duration, such as 1h30m"
        )
    );
}

/// Issue 16, case 22: nothing is created that the aggregator could not start.
#[test]
fn plugin_that_the_api_server_would_refuse_is_refused_before_anything_is_created() {
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
        crate::said(&output),
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
