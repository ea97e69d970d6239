//! Preflight checks.

use serde_json::json;
use sono_testkit::{FakeApi, forbidden};

use crate::{Finished, failure, healthy, sono, with_cluster};

/// Paths of requests that create objects.
fn created(api: &FakeApi) -> Vec<String> {
    let requests = api.requests().into_iter();
    requests.filter(|request| request.starts_with("POST")).collect()
}

/// BUG 42: all problems are reported, in a stable order.
#[test]
fn all_problems_are_reported_together_and_in_order() {
    let api = FakeApi::start();
    api.put_text("/version", 200, r#"{"gitVersion": "v1.16.3"}"#);
    let expected = failure(
        "error: 3 preflight checks failed\n  \
         no DNS pods found in namespace `kube-system` with the labels k8s-app=kube-dns or k8s-app=coredns\n  \
         minimum supported Kubernetes version is 1.17.0, but the server version is v1.16.3\n  \
         namespace `default` already exists\n  \
         hint:  to skip one: --skip-preflight=CHECK, one of dnscheck, versioncheck, existingnamespace\n",
    );
    for _ in 0..3 {
        assert_eq!(with_cluster(&api, &["run", "-n", "default"]), expected);
    }
    assert_eq!(created(&api), Vec::<String>::new());
}

#[test]
fn dns_is_checked_in_the_given_namespace() {
    let api = FakeApi::start();
    let finished = with_cluster(&api, &["run"]);
    assert_eq!(
        finished,
        failure(
            "error: no DNS pods found in namespace `kube-system` with the labels k8s-app=kube-dns or k8s-app=coredns\n  \
             hint:  set --dns-namespace and --dns-pod-labels; or skip this check: --skip-preflight=dnscheck\n"
        )
    );
    api.put(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "dns", "namespace": "default", "labels": {"app": "dns"}}}));
    let flags = ["--dns-namespace", "default", "--dns-pod-labels", "k8s-app=x,app=dns"];
    let run = |name: &str, flags: &[&str]| with_cluster(&api, &[&["run", "-n", name], flags].concat()).code;
    assert_eq!(run("a", &flags), 0);
    // Without labels there is no check.
    assert_eq!(run("b", &["--dns-pod-labels="]), 0);
    assert_eq!(run("c", &["--skip-preflight=versioncheck,dnscheck"]), 0);
    assert_eq!(run("d", &["--skip-preflight"]), 0);
    assert_eq!(run("e", &["--skip-preflight=dnscheck,false"]), 1);
}

#[test]
fn an_unknown_check_is_rejected_first() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        sono(directory.path(), &["run", "--skip-preflight=dns"]),
        failure(
            "error: unknown preflight check `dns`\n  \
             hint:  expected one of dnscheck, versioncheck, existingnamespace; --skip-preflight without a value skips all of them\n"
        )
    );
}

/// `--skip-preflight` allows an existing namespace.
#[test]
fn an_existing_namespace_is_used_with_a_flag() {
    let api = healthy();
    let Finished { code, stderr, .. } =
        with_cluster(&api, &["run", "-n", "default", "--skip-preflight=existingnamespace"]);
    assert_eq!(
        (code, stderr.lines().next()),
        (0, Some("run … in namespace default, created in …"))
    );
    assert!(api.get("deployments", Some("default"), "sonobuoy").is_some());
    // A second run in the namespace is still rejected.
    let again = with_cluster(&api, &["run", "-n", "default", "--skip-preflight"]);
    let first = again.stderr.lines().next().unwrap();
    assert_eq!(
        (again.code, first),
        (1, "error: namespace `default` already contains a run")
    );
    assert!(api.get("deployments", Some("default"), "sonobuoy").is_some());
}

/// BUG 23: with fewer rights the namespace must exist, and no check has to be skipped.
#[test]
fn fewer_rights_require_no_skipped_check() {
    let api = healthy();
    for (verb, path) in [
        ("list", "/api/v1/namespaces/kube-system/pods"),
        ("get", "/api/v1/namespaces/default"),
    ] {
        api.fail("GET", path, forbidden("dev", verb, "pods", None));
    }
    let flags = [
        "run",
        "-n",
        "default",
        "--aggregator-permissions",
        "namespaceAdmin",
        "-p",
        "host-check",
    ];
    assert_eq!(
        with_cluster(&api, &flags),
        Finished {
            code: 0,
            stdout: String::new(),
            stderr: "run … in namespace default, created in …\nnext: sono wait -n default\n".to_owned()
        }
    );
    let kinds: Vec<String> = created(&api)
        .iter()
        .map(|path| path.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert!(!kinds.contains(&"clusterroles".to_owned()), "{kinds:?}");
}

/// An existing service account is not mistaken for a run.
#[test]
fn an_existing_account_is_named() {
    let api = healthy();
    api.put(json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "sonobuoy-serviceaccount", "namespace": "default"}}));
    let flags = ["run", "-n", "default", "--aggregator-permissions", "clusterRead"];
    assert_eq!(
        with_cluster(&api, &flags),
        failure(
            "removed the objects that were created for this run\n\
             error: cannot create ServiceAccount `sonobuoy-serviceaccount`\n  \
             cause: serviceaccounts `sonobuoy-serviceaccount` already exists\n  \
             hint:  use the existing one: --existing-service-account; or another: --service-account-name NAME\n"
        )
    );
    assert_eq!(api.all("configmaps"), Vec::<serde_json::Value>::new());
    assert!(
        api.get("serviceaccounts", Some("default"), "sonobuoy-serviceaccount")
            .is_some()
    );
}

/// Roles are not created in a cluster without RBAC, unless a flag requires them.
#[test]
fn roles_are_created_if_the_cluster_has_rbac() {
    let api = healthy();
    let absent = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
        "message": "the server could not find the requested resource"});
    api.fail("GET", "/apis/rbac.authorization.k8s.io/v1", absent);
    assert_eq!(with_cluster(&api, &["run"]).code, 0);
    assert_eq!(api.all("clusterroles"), Vec::<serde_json::Value>::new());
    assert_eq!(with_cluster(&api, &["run", "-n", "b", "--rbac=enable"]).code, 0);
    assert_eq!(api.all("clusterroles").len(), 1);
}

/// BUG 28: without a cluster, the error names the required information.
#[test]
fn roles_cannot_be_detected_without_a_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let finished = sono(directory.path(), &["gen", "-p", "host-check", "--rbac", "detect"]);
    let lines: Vec<&str> = finished.stderr.lines().collect();
    assert_eq!((finished.code, finished.stdout.as_str()), (1, ""));
    assert_eq!(
        (lines[0], lines[lines.len() - 1]),
        (
            "error: --rbac Detect requires a cluster",
            "  hint:  use --rbac Enable or --rbac Disable"
        )
    );
}
