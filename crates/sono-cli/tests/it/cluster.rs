//! Commands with the fake API.

use std::{thread, time::Duration};

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{command, failure, finished, healthy, normalized, sono, success, with_cluster};

const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn aggregator(status: Option<&Value>, phase: &str) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "sonobuoy", "namespace": "sonobuoy",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"}},
        "spec": {"nodeName": "node1", "containers": [{"name": "kube-sonobuoy", "image": "i"}]},
        "status": {"phase": phase},
    });
    if let Some(status) = status {
        pod["metadata"]["annotations"] = json!({"sonobuoy.hept.io/status": status.to_string()});
    }
    pod
}

fn with_aggregator(status: Option<&Value>, phase: &str) -> FakeApi {
    let api = FakeApi::start();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sonobuoy"}}));
    api.put(aggregator(status, phase));
    api
}

fn running() -> Value {
    json!({"plugins": [{"plugin": "p", "node": "global", "status": "running", "result-status": "", "result-counts": null}],
        "status": "running", "tar-info": {"name": "", "created": "0001-01-01T00:00:00Z", "sha256": "", "size": 0}})
}

fn complete() -> Value {
    json!({"plugins": [{"plugin": "p", "node": "global", "status": "complete", "result-status": "passed",
            "result-counts": {"passed": 2}}],
        "status": "complete", "tar-info": {"name": "a.tar.gz", "created": "2026-01-01T00:00:00Z", "sha256": "ab", "size": 1}})
}

/// Waits until the API holds an object.
fn wait_for(api: &FakeApi, plural: &str, name: &str, wanted: fn(Option<&Value>) -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let namespace = Some("sonobuoy").filter(|_| plural != "namespaces");
    runtime
        .block_on(api.wait_for(plural, namespace, name, LIMIT, wanted))
        .expect("it did not come");
}

#[test]
fn run_wait_creates_a_run_and_waits_for_it() {
    let api = healthy();
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = api.write_kubeconfig(directory.path());
    let child = command(directory.path())
        .env("KUBECONFIG", kubeconfig)
        .args(["--wait", "run"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&api, "deployments", "sonobuoy", |made| made.is_some());
    for status in [None, Some(running()), Some(complete())] {
        api.put(aggregator(status.as_ref(), "Running"));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        normalized(&api, finished(&output)),
        success(
            "",
            "run … in namespace sonobuoy, created in …\n… aggregator running on node1\n… p started\n… p has sent its results\n… p passed: 2 passed\nrun passed in …\nresults: sono retrieve\n"
        )
    );
    let created: Vec<String> = api
        .requests()
        .into_iter()
        .filter(|request| request.starts_with("POST") && !request.ends_with("/selfsubjectaccessreviews"))
        .collect();
    assert_eq!(created.first().map(String::as_str), Some("POST /api/v1/namespaces"));
    assert_eq!(
        created.last().map(String::as_str),
        Some("POST /apis/apps/v1/namespaces/sonobuoy/deployments")
    );
    assert_eq!(created.len(), 9, "{created:?}");
}

#[test]
fn run_without_wait_prints_the_next_commands() {
    let api = healthy();
    assert_eq!(
        with_cluster(&api, &["run", "-n", "mine"]),
        success("", "run … in namespace mine, created in …\nnext: sono wait -n mine\n")
    );
}

#[test]
fn deletion_of_a_run_ends_the_wait() {
    let api = with_aggregator(Some(&running()), "Running");
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| with_cluster(&api, &["wait"]));
        while !api
            .requests()
            .iter()
            .any(|request| request == "GET /api/v1/namespaces/sonobuoy/pods")
        {
            thread::yield_now();
        }
        api.remove("pods", Some("sonobuoy"), "sonobuoy");
        waiting.join().unwrap()
    });
    assert_eq!(waiting.code, 1);
    let last = waiting.stderr.lines().find(|line| line.starts_with("error:")).unwrap();
    let possible = [
        "error: the run was deleted while waiting for it: the aggregator's pod no longer exists",
        // The pod was deleted before the first list.
        "error: no run found in namespace `sonobuoy`",
    ];
    assert!(possible.contains(&last), "{}", waiting.stderr);
}

#[test]
fn an_aggregator_that_cannot_start_is_explained() {
    let mut pod = aggregator(None, "Pending");
    pod["status"]["startTime"] = "2026-01-01T00:00:00Z".into();
    pod["status"]["containerStatuses"] = json!([{"name": "kube-sonobuoy", "image": "", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull", "message": "i: not found"}}}]);
    let api = with_aggregator(None, "Pending");
    api.put(pod);
    assert_eq!(
        with_cluster(&api, &["wait"]),
        failure(
            "error: the aggregator is not running\n  image i of container kube-sonobuoy of pod sonobuoy on node node1: not found (ErrImagePull for 5m); correct the image name, load the image onto the node, or provide pull credentials\n  hint:  sono logs -p sonobuoy; to delete the run: sono delete\n"
        )
    );
    let status = with_cluster(&api, &["status", "--json"]);
    assert_eq!(
        (status.code, status.stderr.as_str()),
        (
            1,
            "hint: use another image with --sonobuoy-image or --registry; to cancel the run: sono delete\n"
        )
    );
    assert!(
        status
            .stdout
            .starts_with("aggregator pending: image i: not found (ErrImagePull, "),
        "{}",
        status.stdout
    );
}

/// BUG 1: without a time limit it waits; with one it ends.
#[test]
fn waiting_ends_at_the_time_limit() {
    let api = with_aggregator(Some(&running()), "Running");
    assert_eq!(
        with_cluster(&api, &["wait", "--wait", "100ms"]),
        failure(
            "… aggregator running on node1\nearlier  p started\nerror: the run is not complete after 100ms; it continues\n  hint:  to see its progress: sono status; to wait again: sono wait\n"
        )
    );
}

#[test]
fn status_output_is_compatible_with_scripts() {
    let api = with_aggregator(Some(&complete()), "Running");
    let json = with_cluster(&api, &["--kubeconfig", "kubeconfig", "status", "--json"]);
    assert_eq!(
        json,
        success(
            "{\"plugins\":[{\"plugin\":\"p\",\"node\":\"global\",\"status\":\"complete\",\"result-status\":\"passed\",\"result-counts\":{\"passed\":2}}],\"status\":\"complete\",\"tar-info\":{\"name\":\"a.tar.gz\",\"created\":\"2026-01-01T00:00:00Z\",\"sha256\":\"ab\",\"size\":1}}\n",
            ""
        )
    );
    assert_eq!(
        with_cluster(&api, &["status"]),
        success(
            "   PLUGIN     STATUS   RESULT   COUNT   PROGRESS\n        p   complete   passed       1           \n\nrun complete; to get the results: sono retrieve\n",
            ""
        )
    );
}

#[test]
fn a_run_without_a_status_is_not_an_error() {
    let api = with_aggregator(None, "Pending");
    assert_eq!(
        with_cluster(&api, &["status", "--json"]),
        success(
            "aggregator pending: its pod is being created or replaced\n",
            "hint: to attach: sono wait; to cancel the run: sono delete\n"
        )
    );
}

#[test]
fn commands_without_a_run_fail() {
    let api = FakeApi::start();
    for command in ["status", "wait", "retrieve"] {
        assert_eq!(
            with_cluster(&api, &[command]),
            failure(
                "error: namespace `sonobuoy` does not exist\n  hint:  start a run with sono run, or select another namespace with -n\n"
            )
        );
    }
}

#[test]
fn retrieve_before_results_are_ready_fails() {
    let api = with_aggregator(Some(&running()), "Running");
    assert_eq!(
        with_cluster(&api, &["retrieve"]),
        failure(
            "error: Results not ready yet. Check `sono status` for status.\n  hint:  to wait for them: sono wait; to fetch partial results: sono retrieve --partial\n"
        )
    );
}

#[test]
fn logs_are_printed_in_complete_lines() {
    let mut pod = aggregator(Some(&running()), "Running");
    pod["status"]["containerStatuses"] = json!([{"name": "kube-sonobuoy", "image": "", "imageID": "", "ready": true,
        "restartCount": 0, "state": {"running": {}}}]);
    let api = with_aggregator(None, "Running");
    api.put(pod);
    api.put_log("sonobuoy", "sonobuoy", "kube-sonobuoy", "one\ntwo");
    for plugin in [None, Some("sonobuoy")] {
        let arguments: Vec<&str> = ["logs"]
            .into_iter()
            .chain(plugin.iter().flat_map(|name| ["-p", name]))
            .collect();
        assert_eq!(
            with_cluster(&api, &arguments),
            success("sonobuoy/kube-sonobuoy: one\nsonobuoy/kube-sonobuoy: two\n", "")
        );
    }
    api.put(aggregator(Some(&complete()), "Running"));
    assert_eq!(with_cluster(&api, &["logs", "-f"]).code, 0);
}

#[test]
fn delete_removes_all_objects_of_the_run() {
    let api = healthy();
    with_cluster(&api, &["run"]);
    assert_eq!(
        with_cluster(&api, &["delete", "--wait"]),
        success(
            "",
            "deleting namespace `sonobuoy` and everything in it\nnamespace `sonobuoy` deleted\n"
        )
    );
    for plural in ["pods", "clusterroles", "clusterrolebindings", "configmaps"] {
        let mut left = api.all(plural);
        left.retain(|object| object["metadata"]["namespace"] != "kube-system");
        assert_eq!(left, Vec::<Value>::new(), "{plural}");
    }
    assert_eq!(
        with_cluster(&api, &["delete", "--wait", "--all"]),
        success("", "namespace `sonobuoy` does not exist\n")
    );
}

/// BUG 16: only objects created by the run are deleted.
#[test]
fn a_namespace_not_created_by_the_run_is_not_deleted() {
    let api = healthy();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}}));
    api.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": "mine"}}));
    let mine = ["-n", "mine", "--aggregator-permissions", "namespaceAdmin"];
    let ran = with_cluster(&api, &[&["run"], &mine[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(
        with_cluster(&api, &["delete", "-n", "mine", "--wait"]),
        success(
            "",
            "deleting the run; namespace `mine` was not created by sono and is not deleted\n"
        )
    );
    let left: Vec<String> = [
        "pods",
        "services",
        "configmaps",
        "serviceaccounts",
        "roles",
        "rolebindings",
    ]
    .into_iter()
    .flat_map(|plural| api.all(plural))
    .filter(|object| object["metadata"]["namespace"] != "kube-system")
    .map(|object| object["metadata"]["name"].as_str().unwrap().to_owned())
    .collect();
    assert_eq!(left, ["other"]);
    assert!(api.get("namespaces", None, "mine").is_some());
}

/// BUG 9: these plugins do not depend on the cluster's version.
#[test]
fn gen_needs_no_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let finished = sono(directory.path(), &["gen", "-p", "host-check", "-n", "x"]);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    let documents = sono_types::yaml::all_documents(&finished.stdout).unwrap();
    let kinds: Vec<&str> = documents
        .iter()
        .map(|document| document["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "Namespace",
            "ServiceAccount",
            "ServiceAccount",
            "ClusterRoleBinding",
            "ClusterRole",
            "ConfigMap",
            "ConfigMap",
            "Deployment",
            "Service"
        ]
    );
    assert_eq!(
        sono(directory.path(), &["gen", "-p", "e2e"]),
        failure(&format!(
            "error: the image of plugin `e2e` depends on the cluster's version, which is unknown without a cluster\n  \
             no cluster configured: no kubeconfig found, and not running in a pod\n  \
             {}/.kube/config: No such file or directory (os error 2)\n  hint:  set the version: --kubernetes-version v1.37.2\n",
            directory.path().display()
        ))
    );
}

#[test]
fn the_short_version_is_one_word() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        sono(directory.path(), &["version", "--short"]),
        success(concat!("v", env!("CARGO_PKG_VERSION"), "\n"), "")
    );
}

/// BUG 5: with `--exit-code` each outcome has an exit code; without it exit codes are those of Sonobuoy.
#[test]
fn exit_code_flag_distinguishes_outcomes() {
    let mut failed = complete();
    failed["plugins"][0]["result-status"] = "failed".into();
    let mut unknown = complete();
    unknown["plugins"][0]["result-status"] = "unknown".into();
    let mut without_archive = complete();
    without_archive["status"] = "failed".into();
    let cases = [
        (complete(), 0, 0, 0, 0),
        (failed, 3, 0, 3, 0),
        (unknown, 4, 0, 4, 0),
        (without_archive, 5, 1, 5, 1),
        (running(), 7, 0, 6, 1),
    ];
    for (status, asked, plain, waited, waited_plain) in cases {
        let api = with_aggregator(Some(&status), "Running");
        let code = |arguments: &[&str]| with_cluster(&api, arguments).code;
        let codes = [
            code(&["status", "--exit-code"]),
            code(&["status"]),
            code(&["wait", "--wait=100ms", "--exit-code"]),
            code(&["wait", "--wait=100ms"]),
        ];
        assert_eq!(codes, [asked, plain, waited, waited_plain], "{status}");
    }
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        sono(directory.path(), &["run", "--exit-code"]),
        failure("error: --exit-code requires --wait, --rm or --local\n  hint:  add --wait\n")
    );
}

#[test]
fn gen_reads_the_version_from_the_cluster() {
    let api = with_aggregator(None, "Pending");
    let finished = with_cluster(&api, &["gen", "-p", "e2e"]);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    let version = with_cluster(&api, &["version", "--kubeconfig", "kubeconfig"]).stdout;
    let version = version
        .lines()
        .find_map(|line| line.strip_prefix("API version:"))
        .unwrap()
        .trim();
    let image = format!("image: registry.k8s.io/conformance:{version}");
    assert!(
        version.starts_with("v1.") && finished.stdout.contains(&image),
        "{image}: {}",
        finished.stdout
    );
}
