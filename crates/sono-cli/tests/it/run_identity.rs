//! Two runs in one namespace, one of them being deleted.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sono_testkit::{Executed, FakeApi, forbidden};

use crate::{Finished, command, failure, finished, healthy, normalized, with_cluster};

const LIMIT: Duration = Duration::from_mins(1);
const PODS: &str = "/api/v1/namespaces/lim/pods";

/// A cluster with an existing namespace.
fn existing() -> FakeApi {
    let api = healthy();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lim"}}));
    api
}

fn status(run: &str, result: &str) -> Value {
    json!({"plugins": [{"plugin": "ok", "node": "global", "status": "complete", "result-status": result,
            "result-counts": {result: 1}}],
        "status": "complete",
        "tar-info": {"name": format!("202601010000_sonobuoy_{run}.tar.gz"), "created": "2026-01-01T00:00:00Z",
            "sha256": "ab".repeat(32), "size": 82_312}})
}

/// The aggregator's pod of a complete run, as created by a Deployment.
fn aggregator(run: &str, result: &str, deleted: bool) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("sonobuoy-{run}"), "namespace": "lim",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"},
            "annotations": {"sono-run-id": run, "sonobuoy.hept.io/status": status(run, result).to_string()},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "s", "uid": format!("set-{run}"),
                "controller": true}]},
        "spec": {"nodeName": "node1", "containers": [{"name": "kube-sonobuoy", "image": "i"}]},
        "status": {"phase": "Running"},
    });
    if deleted {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    pod
}

fn deployment(run: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "sonobuoy", "namespace": "lim", "uid": format!("deployment-{run}"),
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"}},
        "spec": {"template": {"metadata": {"annotations": {"sono-run-id": run}}}}})
}

fn spawned(api: &FakeApi, directory: &std::path::Path, arguments: &[&str]) -> Child {
    let kubeconfig = api.write_kubeconfig(directory);
    command(directory)
        .env("KUBECONFIG", kubeconfig)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the API has received a request this often.
fn until_asked(api: &FakeApi, request: &str, times: usize) {
    let begun = Instant::now();
    while api.requests().iter().filter(|made| *made == request).count() < times {
        assert!(begun.elapsed() < LIMIT, "{request} was not asked for {times} times");
        std::thread::yield_now();
    }
}

/// Waits until `run` has created the Deployment, and returns the run's id.
fn created_run(api: &FakeApi) -> String {
    created_run_in(api, "lim")
}

fn created_run_in(api: &FakeApi, namespace: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let made = api.wait_for("deployments", Some(namespace), "sonobuoy", LIMIT, |made| made.is_some());
    runtime.block_on(made).expect("the Deployment is created");
    let made = api.get("deployments", Some(namespace), "sonobuoy").unwrap();
    let id = &made["spec"]["template"]["metadata"]["annotations"]["sono-run-id"];
    id.as_str().expect("it carries the run's id").to_owned()
}

const RUN: [&str; 9] = [
    "run",
    "-n",
    "lim",
    "-p",
    "host-check",
    "--skip-preflight=existingnamespace",
    "--exit-code",
    "--wait=1m",
    "--wait-output=silent",
];

/// The previous run passed, and its pod still exists.
#[test]
fn run_in_a_namespace_with_a_terminating_aggregator_waits_for_it_and_ends_with_its_own_verdict() {
    let api = existing();
    api.put(aggregator("old", "passed", true));
    let directory = tempfile::tempdir().unwrap();
    let child = spawned(&api, directory.path(), &RUN);
    // The pod is listed, then watched: objects are created after its deletion.
    until_asked(&api, &format!("GET {PODS}"), 2);
    assert_eq!(api.created_count("configmaps"), 0);
    api.remove("pods", Some("lim"), "sonobuoy-old");
    let run = created_run(&api);
    // The pod exists again, as after a wait that timed out.
    api.put(aggregator("old", "passed", true));
    api.put(aggregator(&run, "failed", false));
    let finished = normalized(&api, finished(&child.wait_with_output().unwrap()));
    assert_eq!(
        finished,
        Finished {
            code: 3,
            stdout: String::new(),
            stderr: "waiting for the previous run's aggregator pod sonobuoy-old to be deleted\n\
                     run … in namespace lim, created in …\nrun failed in …\nresults: sono retrieve -n lim\n"
                .to_owned()
        }
    );
}

/// `--aggregator-workload pod`: the pods have the same name.
#[test]
fn run_waits_for_a_pod_of_the_same_name() {
    let api = existing();
    let mut old = aggregator("old", "passed", true);
    old["metadata"]["name"] = json!("sonobuoy");
    old["metadata"].as_object_mut().unwrap().remove("ownerReferences");
    api.put(old);
    let directory = tempfile::tempdir().unwrap();
    let child = spawned(
        &api,
        directory.path(),
        &[&RUN[..], &["--aggregator-workload", "pod"]].concat(),
    );
    until_asked(&api, &format!("GET {PODS}"), 2);
    api.remove("pods", Some("lim"), "sonobuoy");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let made = api.wait_for("pods", Some("lim"), "sonobuoy", LIMIT, |made| made.is_some());
    runtime.block_on(made).expect("the pod is created");
    let mut pod = api.get("pods", Some("lim"), "sonobuoy").unwrap();
    let run = pod["metadata"]["annotations"]["sono-run-id"]
        .as_str()
        .unwrap()
        .to_owned();
    pod["metadata"]["annotations"]["sonobuoy.hept.io/status"] = status(&run, "failed").to_string().into();
    pod["status"] = json!({"phase": "Running"});
    api.put(pod);
    let finished = finished(&child.wait_with_output().unwrap());
    assert_eq!(finished.code, 3, "{}", finished.stderr);
    assert!(
        finished
            .stderr
            .starts_with("waiting for the previous run's aggregator pod sonobuoy to be deleted\n"),
        "{}",
        finished.stderr
    );
}

/// The previous run had its own namespace, and `delete` did not wait.
#[test]
fn run_waits_for_the_deletion_of_its_namespace_and_checks_it_again() {
    let namespace = |phase: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sonobuoy"}, "status": {"phase": phase}});
    let waiting = "waiting for namespace `sonobuoy` to be deleted\n";
    let created = format!("{waiting}run … in namespace sonobuoy, created in …\nnext: sono wait\n");
    let occupied = format!(
        "{waiting}error: namespace `sonobuoy` already exists\n  hint:  use another one: sono run -n NAME; or this one: \
         --skip-preflight=existingnamespace, or with fewer permissions: --aggregator-permissions namespaceAdmin\n"
    );
    let held = format!(
        "{waiting}error: namespace `sonobuoy` already contains a run\n  hint:  remove it: sono delete --wait; or use another: \
         sono run -n NAME\n"
    );
    // Deleted; created again by another command; created again with a run.
    for (made_again, flag, code, stderr) in [
        (0, "--skip-preflight=dnscheck", 0, &created),
        (0, "--skip-preflight=existingnamespace", 0, &created),
        (1, "--skip-preflight=dnscheck", 1, &occupied),
        (2, "--skip-preflight=existingnamespace", 1, &held),
    ] {
        let api = healthy();
        api.put(namespace("Terminating"));
        let directory = tempfile::tempdir().unwrap();
        let child = spawned(&api, directory.path(), &["run", "-p", "host-check", flag]);
        until_asked(&api, "GET /api/v1/namespaces/sonobuoy", 3);
        let before = api.created_count("configmaps");
        match made_again {
            0 => drop(api.remove("namespaces", None, "sonobuoy")),
            again => {
                if again == 2 {
                    api.put(json!({"apiVersion": "v1", "kind": "ConfigMap",
                        "metadata": {"name": "sonobuoy-config-cm", "namespace": "sonobuoy"}}));
                }
                api.put(namespace("Active"));
            }
        }
        let finished = normalized(&api, finished(&child.wait_with_output().unwrap()));
        assert_eq!((finished.code, &finished.stderr), (code, stderr), "{made_again} {flag}");
        assert_eq!(before, 0);
    }
}

/// Another command deletes the run and starts the next one.
#[test]
fn run_that_is_replaced_during_the_wait_is_reported_as_deleted() {
    let api = existing();
    let directory = tempfile::tempdir().unwrap();
    let child = spawned(&api, directory.path(), &RUN);
    created_run(&api);
    until_asked(&api, &format!("GET {PODS}"), 2);
    api.remove("deployments", Some("lim"), "sonobuoy");
    api.put(deployment("next"));
    api.put(aggregator("next", "passed", false));
    let finished = finished(&child.wait_with_output().unwrap());
    assert_eq!(finished.code, 5, "{}", finished.stderr);
    let error = finished.stderr.lines().find(|line| line.starts_with("error:")).unwrap();
    assert_eq!(
        error,
        "error: the run was deleted while waiting for it: the aggregator's pod no longer exists"
    );
}

#[test]
fn newest_run_is_selected_and_named() {
    let api = existing();
    api.put(aggregator("old", "passed", true));
    api.put(deployment("new"));
    let pending = with_cluster(&api, &["status", "-n", "lim", "--exit-code"]);
    assert_eq!(
        pending,
        Finished {
            code: 7,
            stdout: "aggregator pending: its pod is being created or replaced\n".to_owned(),
            stderr:
                "run … in namespace lim\nhint: to attach: sono wait -n lim; to cancel the run: sono delete -n lim\n"
                    .to_owned(),
        }
    );
    let early = with_cluster(&api, &["retrieve", "-n", "lim"]);
    assert_eq!(
        early.stderr.lines().next(),
        Some("error: the aggregator in namespace `lim` currently has no pod")
    );

    let directory = tempfile::tempdir().unwrap();
    let waiting = spawned(
        &api,
        directory.path(),
        &["wait", "-n", "lim", "--exit-code", "--wait-output=silent"],
    );
    until_asked(&api, &format!("GET {PODS}"), 4);
    api.put(aggregator("new", "failed", false));
    let waited = finished(&waiting.wait_with_output().unwrap());
    assert_eq!(
        (waited.code, waited.stderr.as_str()),
        (
            3,
            "run new in namespace lim\nrun failed\nresults: sono retrieve -n lim\n"
        )
    );
    let json = with_cluster(&api, &["status", "-n", "lim", "--json"]);
    assert_eq!(json.stderr, "run … in namespace lim\n");
    assert_eq!(
        serde_json::from_str::<Value>(&json.stdout).unwrap(),
        status("new", "failed")
    );
}

#[test]
fn run_is_selected_by_its_id() {
    let api = existing();
    api.put(aggregator("old", "passed", true));
    api.put(deployment("new"));
    api.put(aggregator("new", "failed", false));
    let of = |id: &str| with_cluster(&api, &["status", "-n", "lim", "--json", "--run", id]);
    for (id, result) in [("old", "passed"), ("new", "failed")] {
        let finished = of(id);
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""), "{id}");
        assert_eq!(
            serde_json::from_str::<Value>(&finished.stdout).unwrap(),
            status(id, result)
        );
    }
    let absent = failure(
        "error: run `other` does not exist in namespace `lim`\n  the namespace contains run new\n  \
         hint:  omit --run to use the newest run, or select another namespace with -n\n",
    );
    for command in ["status", "wait", "logs", "retrieve"] {
        assert_eq!(
            with_cluster(&api, &[command, "-n", "lim", "--run", "other"]),
            absent,
            "{command}"
        );
    }
}

/// Commit baf4e4a, and `gen | kubectl apply`: objects without an id.
#[test]
fn run_without_an_id_is_followed_and_named_by_its_configuration() {
    let without = |mut object: Value| {
        for path in ["/metadata/annotations", "/spec/template/metadata/annotations"] {
            if let Some(annotations) = object.pointer_mut(path).and_then(Value::as_object_mut) {
                annotations.remove("sono-run-id");
            }
        }
        object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:05Z");
        object
    };
    let api = existing();
    let mut old = without(aggregator("old", "passed", true));
    old["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:04Z");
    api.put(old);
    api.put(without(deployment("new")));
    api.put(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sonobuoy-config-cm", "namespace": "lim"},
        "data": {"config.json": "{\"UUID\":\"new\"}"}}),
    );
    let directory = tempfile::tempdir().unwrap();
    let waiting = spawned(
        &api,
        directory.path(),
        &["wait", "-n", "lim", "--exit-code", "--wait-output=silent"],
    );
    until_asked(&api, &format!("GET {PODS}"), 2);
    api.put(without(aggregator("new", "failed", false)));
    let waited = finished(&waiting.wait_with_output().unwrap());
    assert_eq!(
        (waited.code, waited.stderr.lines().next()),
        (3, Some("run new in namespace lim"))
    );
    let chosen = with_cluster(&api, &["status", "-n", "lim", "--json", "--run", "new"]);
    assert_eq!(
        serde_json::from_str::<Value>(&chosen.stdout).unwrap(),
        status("new", "failed")
    );
}

/// `run` rejects the namespace, so `status` must not report it as unused.
#[test]
fn run_without_its_aggregator_is_reported_as_remaining() {
    let api = existing();
    api.put(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sonobuoy-config-cm", "namespace": "lim",
        "labels": {"component": "sonobuoy"}}, "data": {"config.json": "{\"UUID\":\"u\"}"}}),
    );
    for name in ["a", "b", "c"] {
        api.put(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "lim",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "plugin"}}}),
        );
    }
    let remains = failure(
        "error: run u in namespace `lim` has no aggregator pod: it was deleted, or does not exist yet\n  \
         remaining objects: configmap sonobuoy-config-cm, pod a and 2 more\n  \
         hint:  to remove them: sono delete -n lim --wait; results that were not retrieved are lost\n",
    );
    for command in ["status", "wait", "retrieve"] {
        assert_eq!(with_cluster(&api, &[command, "-n", "lim"]), remains, "{command}");
    }
    let refused = with_cluster(&api, &["run", "-n", "lim", "--skip-preflight=existingnamespace"]);
    assert_eq!(
        refused.stderr.lines().next(),
        Some("error: namespace `lim` already contains a run")
    );
}

fn forbid_both_ways(api: &FakeApi, pod: &str) {
    for way in ["exec", "portforward"] {
        let resource = format!("pods/{way}");
        api.fail(
            "GET",
            &format!("{PODS}/{pod}/{way}"),
            forbidden("weak", "get", &resource, Some("lim")),
        );
    }
}

const REFUSED: &str = "error: cannot retrieve the results: the account is not permitted to access the aggregator's pod\n  \
    exec: forbidden: user \"weak\" cannot get resource \"pods/exec\" in namespace \"lim\"\n  \
    port-forward: forbidden: user \"weak\" cannot get resource \"pods/portforward\" in namespace \"lim\"\n  \
    hint:  one of these permissions is required: pods/exec or pods/portforward (docs/permissions.md)\n";

#[test]
fn retrieve_that_is_forbidden_names_both_ways_and_leaves_no_file() {
    let api = existing();
    api.put(deployment("u"));
    api.put(aggregator("u", "passed", false));
    forbid_both_ways(&api, "sonobuoy-u");
    let directory = tempfile::tempdir().unwrap();
    let child = spawned(&api, directory.path(), &["retrieve", "-n", "lim", "out"]);
    let finished = finished(&child.wait_with_output().unwrap());
    let expected = format!("run u in namespace lim\n{REFUSED}");
    assert_eq!(
        (finished.code, finished.stdout.as_str(), finished.stderr),
        (2, "", expected)
    );
    let left: Vec<_> = fs_err::read_dir(directory.path().join("out")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let tried = api
        .requests()
        .into_iter()
        .filter(|request| request.contains("/sonobuoy-u/"));
    assert_eq!(tried.count(), 2);
}

/// `--rm` implies waiting, and results that could not be fetched are not deleted.
#[test]
fn rm_waits_and_deletes_only_fetched_results() {
    let api = existing();
    let directory = tempfile::tempdir().unwrap();
    let flags = [
        "run",
        "-n",
        "lim",
        "-p",
        "host-check",
        "--skip-preflight=existingnamespace",
        "--rm",
    ];
    let child = spawned(&api, directory.path(), &flags);
    let run = created_run(&api);
    forbid_both_ways(&api, &format!("sonobuoy-{run}"));
    api.put(aggregator(&run, "passed", false));
    let finished = finished(&child.wait_with_output().unwrap());
    assert_eq!(finished.code, 2, "{}", finished.stderr);
    assert!(finished.stderr.ends_with(REFUSED), "{}", finished.stderr);
    assert!(api.get("deployments", Some("lim"), "sonobuoy").is_some());
}

/// The next run can begin as soon as `--rm` has ended.
#[test]
fn rm_ends_when_its_namespace_is_deleted() {
    let api = healthy();
    api.hold_namespaces();
    let directory = tempfile::tempdir().unwrap();
    let flags = ["run", "-p", "host-check", "--rm", "--exit-code", "--wait-output=silent"];
    let mut child = spawned(&api, directory.path(), &flags);
    let run = created_run_in(&api, "sonobuoy");
    let archive = crate::retrieve::run("name: ok\nstatus: failed\n");
    let mut status = status(&run, "failed");
    status["tar-info"]["size"] = json!(archive.len());
    status["tar-info"]["sha256"] = json!(sono_testkit::digest(&archive).trim_start_matches("sha256:"));
    let mut pod = aggregator(&run, "failed", false);
    pod["metadata"]["namespace"] = json!("sonobuoy");
    pod["metadata"]["annotations"]["sonobuoy.hept.io/status"] = json!(status.to_string());
    api.put_exec("sonobuoy", &format!("sonobuoy-{run}"), move |_| Executed {
        stdout: archive.clone(),
        ..Executed::default()
    });
    api.put(pod);
    until_asked(&api, "DELETE /api/v1/namespaces/sonobuoy", 1);
    until_asked(&api, "GET /api/v1/namespaces", 1);
    assert_eq!(child.try_wait().unwrap(), None);
    api.remove("namespaces", None, "sonobuoy");
    let finished = finished(&child.wait_with_output().unwrap());
    assert_eq!(finished.code, 3, "{}", finished.stderr);
    assert_eq!(finished.stdout, format!("202601010000_sonobuoy_{run}.tar.gz\n"));
    assert_eq!(finished.stderr.lines().last(), Some("namespace `sonobuoy` deleted"));
}
