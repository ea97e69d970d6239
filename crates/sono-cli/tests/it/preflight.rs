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
         no DNS pods found in namespace `kube-system` with the labels k8s-app=kube-dns or k8s-app=coredns\n    \
         set --dns-namespace and --dns-pod-labels; or skip this check: --skip-preflight=dnscheck\n  \
         minimum supported Kubernetes version is 1.17.0, but the server version is v1.16.3\n    \
         to skip this check: --skip-preflight=versioncheck\n  \
         namespace `default` already exists\n    \
         use another one: sono run -n NAME; or this one: --skip-preflight=existingnamespace, or with fewer permissions: \
         --aggregator-permissions namespaceAdmin\n  \
         hint:  to skip one: --skip-preflight=CHECK, one of dnscheck, versioncheck, existingnamespace, podsecurity, quota, serviceaccount\n",
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
             hint:  expected one of dnscheck, versioncheck, existingnamespace, podsecurity, quota, serviceaccount; --skip-preflight without a value skips all of them\n"
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

const WITH_ACCOUNT: [&str; 5] = [
    "-p",
    "host-check",
    "--existing-service-account",
    "--service-account-name",
    "mine",
];

const CHECKED: [&str; 4] = ["run", "-n", "lim", "--skip-preflight=existingnamespace"];

/// A cluster with the namespace `lim` and objects in it.
fn limited(labels: &serde_json::Value, objects: &[serde_json::Value]) -> FakeApi {
    let api = healthy();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lim", "labels": labels}}));
    for object in objects {
        api.put(object.clone());
    }
    api
}

/// The aggregator has the same message for a namespace that the run creates.
#[test]
fn existing_restricted_namespace_is_checked_before_the_run() {
    let api = limited(&json!({"pod-security.kubernetes.io/enforce": "restricted"}), &[]);
    let run = |flags: &[&str]| with_cluster(&api, &[&CHECKED[..], &["-p", "systemd-logs"], flags].concat());
    let refused = run(&[]);
    let lines: Vec<&str> = refused.stderr.lines().collect();
    assert_eq!((refused.code, lines.len()), (1, 2), "{}", refused.stderr);
    assert!(
        lines[0].starts_with(
            "error: the namespace enforces the pod security level restricted, which plugin systemd-logs violates: "
        ) && lines[0].contains("volume root must not be of kind hostPath"),
        "{lines:?}"
    );
    assert_eq!(
        lines[1],
        "  hint:  change the plugin's definition, or the level: kubectl label namespace lim \
         pod-security.kubernetes.io/enforce=privileged --overwrite; to skip this check: --skip-preflight=podsecurity"
    );
    assert_eq!(api.all("configmaps"), Vec::<serde_json::Value>::new());
    let own = [
        "run",
        "-n",
        "lim",
        "--aggregator-permissions",
        "namespaceAdmin",
        "-p",
        "systemd-logs",
    ];
    assert_eq!(with_cluster(&api, &own), refused);
    assert_eq!(with_cluster(&api, &[&own[..], &["--dry-run"]].concat()), refused);
    assert_eq!(run(&["--skip-preflight=existingnamespace,podsecurity"]).code, 0);
    let other = limited(&json!({"pod-security.kubernetes.io/warn": "restricted"}), &[]);
    assert_eq!(
        with_cluster(&other, &[&CHECKED[..], &["-p", "systemd-logs"]].concat()).code,
        0
    );
}

#[test]
fn quota_that_is_too_small_is_reported_before_the_run() {
    let quota = |hard: &str, used: &str| {
        json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": "lim"}, "status": {"hard": {"pods": hard}, "used": {"pods": used}}})
    };
    let run = |quota| {
        with_cluster(
            &limited(&json!({}), &[quota]),
            &[&CHECKED[..], &["-p", "host-check"]].concat(),
        )
    };
    let needs = "in namespace `lim`; the run needs at least 2: one for the aggregator and one for each plugin that runs at the same time";
    let hint = "raise it: kubectl -n lim edit resourcequota few; to skip this check: --skip-preflight=quota";
    for (hard, allows) in [("0", "0 pods"), ("1", "1 pod")] {
        let error = format!("error: quota `few` allows {allows} {needs}\n  hint:  {hint}\n");
        assert_eq!(run(quota(hard, "0")), failure(&error));
    }
    let in_use = run(quota("10", "9"));
    let warning = format!("warning: quota `few` has 1 pod left {needs}");
    assert_eq!((in_use.code, in_use.stderr.lines().next()), (0, Some(warning.as_str())));
    assert_eq!(run(quota("10", "2")).stderr.lines().count(), 2);
}

#[test]
fn missing_service_account_is_reported_before_the_run() {
    let api = limited(&json!({}), &[]);
    let run = || with_cluster(&api, &[&CHECKED[..], &WITH_ACCOUNT].concat());
    assert_eq!(
        run(),
        failure(
            "error: service account `mine`, used by the aggregator and plugin host-check, does not exist in namespace `lim`\n  \
             hint:  create it: kubectl -n lim create serviceaccount mine; to skip this check: --skip-preflight=serviceaccount\n"
        )
    );
    api.put(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "mine", "namespace": "lim"}}));
    assert_eq!(run().code, 0);
}

/// An account that may not read the limits is not hindered by them.
#[test]
fn unreadable_limits_are_not_checked() {
    let api = limited(&json!({}), &[]);
    for (verb, resource) in [("get", "serviceaccounts/mine"), ("list", "resourcequotas")] {
        let path = format!("/api/v1/namespaces/lim/{resource}");
        api.fail("GET", &path, forbidden("dev", verb, resource, Some("lim")));
    }
    assert_eq!(with_cluster(&api, &[&CHECKED[..], &WITH_ACCOUNT].concat()).code, 0);
}
