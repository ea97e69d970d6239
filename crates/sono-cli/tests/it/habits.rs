//! Flags and forms of commands that users know from other programs.

use serde_json::{Value, json};
use sono_testkit::{FakeApi, forbidden};

use crate::{Finished, command, failure, finished, healthy, normalized, retrieve, sono, success, with_cluster};

fn here(arguments: &[&str]) -> Finished {
    sono(tempfile::tempdir().unwrap().path(), arguments)
}

#[test]
fn version_is_printed_by_flags() {
    let version = concat!("sono v", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(here(&["--version"]), success(version, ""));
    assert_eq!(here(&["-V"]), success(version, ""));
}

#[test]
fn verbosity_needs_no_number() {
    let short = concat!("v", env!("CARGO_PKG_VERSION"), "\n");
    for flags in [&["-v"][..], &["-v", "4"], &["-v=4"], &["--v", "4"], &["-vv"]] {
        assert_eq!(
            here(&[&["version", "--short"], flags].concat()),
            success(short, ""),
            "{flags:?}"
        );
        assert_eq!(
            here(&[flags, &["version", "--short"]].concat()),
            success(short, ""),
            "{flags:?}"
        );
    }
    let shown = with_cluster(&healthy(), &["run", "-p", "host-check", "-v"]).stderr;
    assert!(shown.contains("objects created"), "{shown}");
}

#[test]
fn quiet_prints_only_data_and_errors() {
    let api = healthy();
    assert_eq!(with_cluster(&api, &["run", "-p", "host-check", "-q"]), success("", ""));
    assert_eq!(with_cluster(&api, &["delete", "--quiet"]), success("", ""));
    let refused = with_cluster(&api, &["status", "-q"]);
    assert_eq!(
        (refused.code, refused.stderr.lines().next()),
        (1, Some("error: namespace `sonobuoy` does not exist"))
    );
}

#[test]
fn colours_are_chosen_by_a_flag() {
    let coloured = |flags: &[&str]| {
        here(&[&["results", "none.tar.gz"], flags].concat())
            .stderr
            .contains("\u{1b}[")
    };
    assert!(!coloured(&[]));
    assert!(coloured(&["--color", "always"]));
    assert!(!coloured(&["--color=never"]));
    let directory = tempfile::tempdir().unwrap();
    let output = command(directory.path())
        .env("NO_COLOR", "1")
        .args(["results", "none.tar.gz", "--color=always"])
        .output()
        .unwrap();
    assert!(finished(&output).stderr.contains("\u{1b}["));
}

#[test]
fn times_have_one_notation() {
    let seconds = |text: &str| {
        let finished = here(&["gen", "config", "--timeout", text]);
        let config: Value = serde_json::from_str(&finished.stdout).unwrap();
        config["Server"]["timeoutseconds"].clone()
    };
    for (text, expected) in [("5m", 300), ("90s", 90), ("300", 300), ("1h30m", 5400), ("0", 0)] {
        assert_eq!(seconds(text), json!(expected), "{text}");
    }
    let api = FakeApi::start();
    let note = |flag: &str| {
        with_cluster(&api, &["wait", flag])
            .stderr
            .lines()
            .next()
            .map(str::to_owned)
    };
    assert_eq!(
        note("--wait=5").as_deref(),
        Some("note: --wait=5 means 5 minutes; for seconds: --wait=5s")
    );
    assert_eq!(
        note("--wait=5m").as_deref(),
        Some("error: namespace `sonobuoy` does not exist")
    );
}

#[test]
fn plugins_may_be_named_without_a_flag() {
    let plugins = |arguments: &[&str]| {
        let api = healthy();
        assert_eq!(with_cluster(&api, arguments).code, 0, "{arguments:?}");
        let data = api.get("configmaps", Some("sonobuoy"), "sonobuoy-plugins-cm").unwrap()["data"].clone();
        data.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(plugins(&["run", "host-check"]), plugins(&["run", "-p", "host-check"]));
    assert_eq!(
        plugins(&["run", "host-check", "systemd-logs"]),
        plugins(&["run", "-p", "host-check", "-p", "systemd-logs"])
    );
    let missing = with_cluster(&healthy(), &["logs", "host-check"]);
    assert_eq!(missing, with_cluster(&healthy(), &["logs", "-p", "host-check"]));
    assert_eq!(here(&["wait", "host-check"]).code, 1);
}

#[test]
fn directory_of_plugins_is_listed() {
    let directory = tempfile::tempdir().unwrap();
    let api = healthy();
    let kubeconfig = api.write_kubeconfig(directory.path());
    fs_err::create_dir(directory.path().join("p")).unwrap();
    for name in ["one", "two"] {
        let text = format!(
            "sonobuoy-config: {{driver: Job, plugin-name: {name}, result-format: raw}}\nspec: {{image: i, name: c}}\n"
        );
        fs_err::write(directory.path().join("p").join(format!("{name}.yaml")), text).unwrap();
    }
    let output = command(directory.path())
        .env("KUBECONFIG", kubeconfig)
        .args(["run", "-p", "p"])
        .output()
        .unwrap();
    let finished = normalized(&api, finished(&output));
    assert_eq!(
        finished.stderr.lines().next(),
        Some("plugins in p: one, two"),
        "{}",
        finished.stderr
    );
}

#[test]
fn dry_run_prints_the_objects_and_creates_nothing() {
    let api = healthy();
    let finished = with_cluster(&api, &["run", "host-check", "--dry-run"]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (0, "dry run: all checks passed; nothing was created\n")
    );
    let kinds: Vec<&str> = finished
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("kind: "))
        .collect();
    assert!(
        kinds.contains(&"Namespace") && kinds.contains(&"Deployment"),
        "{kinds:?}"
    );
    let changes: Vec<String> = api
        .requests()
        .into_iter()
        .filter(|request| !request.starts_with("GET ") && !request.contains("selfsubject"))
        .collect();
    assert_eq!(changes, Vec::<String>::new());
    assert_eq!(api.all("configmaps"), Vec::<Value>::new());

    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sonobuoy"}}));
    let refused = with_cluster(&api, &["run", "host-check", "--dry-run"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
}

fn aggregator(namespace: &str, id: &str, status: &str) -> Value {
    let status = json!({"status": status, "plugins": [{"plugin": "p", "node": "global", "status": "complete", "result-status": "failed"}]});
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "sonobuoy", "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"},
            "annotations": {"sono-run-id": id, "sonobuoy.hept.io/status": status.to_string()}},
        "spec": {"nodeName": "node1", "containers": [{"name": "kube-sonobuoy", "image": "i"}]},
        "status": {"phase": "Running"}})
}

#[test]
fn runs_of_all_namespaces_are_listed() {
    let api = FakeApi::start();
    api.put(aggregator("a", "1", "running"));
    api.put(aggregator("b", "2", "complete"));
    let row = |namespace: &str, id: &str, status: &str| {
        json!({"namespace": namespace, "run": id, "status": status,
        "created": "2026-01-01T00:00:00Z", "aggregator": {"state": "running"}})
    };
    let expected = json!([row("a", "1", "running"), row("b", "2", "failed")]);
    for arguments in [&["list", "-o", "json"][..], &["status", "-A", "-o", "json"]] {
        let finished = with_cluster(&api, arguments);
        assert_eq!(finished.code, 0, "{}", finished.stderr);
        assert_eq!(serde_json::from_str::<Value>(&finished.stdout).unwrap(), expected);
    }
    let table = with_cluster(&api, &["list"]);
    let columns: Vec<Vec<&str>> = table
        .stdout
        .lines()
        .map(|line| line.split_whitespace().take(3).collect())
        .collect();
    assert_eq!(
        columns,
        [
            ["NAMESPACE", "RUN", "STATUS"],
            ["a", "1", "running"],
            ["b", "2", "failed"]
        ]
    );
    assert_eq!(
        with_cluster(&FakeApi::start(), &["list"]),
        success("", "no runs found\n")
    );
}

/// Without the permission to list all pods, each namespace is searched.
#[test]
fn runs_are_listed_as_far_as_permitted() {
    let api = FakeApi::start();
    for name in ["a", "b"] {
        api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        api.put(aggregator(name, name, "running"));
    }
    api.fail("GET", "/api/v1/pods", forbidden("u", "list", "pods", None));
    api.fail(
        "GET",
        "/api/v1/namespaces/b/pods",
        forbidden("u", "list", "pods", Some("b")),
    );
    let finished = with_cluster(&api, &["list", "-o", "json"]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (0, "1 of 4 namespaces cannot be read\n")
    );
    let rows: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(
        rows,
        json!([{"namespace": "a", "run": "a", "status": "running", "created": "2026-01-01T00:00:00Z",
            "aggregator": {"state": "running"}}])
    );
}

/// Manifests of Sonobuoy have other labels; a Deployment may have no pod yet.
#[test]
fn runs_are_listed_by_every_label_of_aggregators() {
    let api = FakeApi::start();
    let mut old = aggregator("old", "1", "running");
    old["metadata"]["labels"] = json!({"component": "sonobuoy", "run": "sonobuoy-master", "tier": "analysis"});
    let mut both = aggregator("both", "2", "running");
    both["metadata"]["labels"]["run"] = "sonobuoy-master".into();
    let mut plugin = aggregator("plugin", "3", "running");
    plugin["metadata"]["labels"] = json!({"component": "sonobuoy", "sonobuoy-component": "plugin"});
    for pod in [old, both, plugin] {
        api.put(pod);
    }
    api.put(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "sonobuoy", "namespace": "soon", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"}},
        "spec": {"template": {"metadata": {"annotations": {"sono-run-id": "4"}}}},
        "status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]}}));
    let listed = with_cluster(&api, &["list", "-o", "json"]);
    let rows: Value = serde_json::from_str(&listed.stdout).unwrap();
    let row = |namespace: &str, id: &str, status: &str, aggregator: Value| {
        json!({"namespace": namespace, "run": id,
        "status": status, "created": "2026-01-01T00:00:00Z", "aggregator": aggregator})
    };
    assert_eq!(
        rows,
        json!([
            row("both", "2", "running", json!({"state": "running"})),
            row("old", "1", "running", json!({"state": "running"})),
            row(
                "soon",
                "4",
                "pending",
                json!({"state": "pending", "reason": "FailedCreate",
                "message": "no pod can be created: exceeded quota"})
            ),
        ])
    );
    // `status` has the same state of each aggregator.
    for row in rows.as_array().unwrap() {
        let namespace = row["namespace"].as_str().unwrap();
        let status = with_cluster(&api, &["status", "-n", namespace, "-o", "json"]);
        let status: Value = serde_json::from_str(&status.stdout).unwrap();
        assert_eq!(status["aggregator"], row["aggregator"], "{namespace}");
    }
}

#[test]
fn watched_status_continues_after_errors_of_the_api_server() {
    // The client itself tries 503 again.
    let unavailable = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "InternalError",
        "code": 500, "message": "the server is starting"});
    let pods = "/api/v1/namespaces/sonobuoy/pods";
    let shown = with_cluster(
        &{
            let api = FakeApi::start();
            api.put(aggregator("sonobuoy", "1", "complete"));
            api
        },
        &["status"],
    );
    let api = FakeApi::start();
    api.put(aggregator("sonobuoy", "1", "complete"));
    api.fail_times("GET", pods, unavailable.clone(), 2);
    let watched = with_cluster(&api, &["status", "-w", "--exit-code"]);
    let lines: Vec<&str> = watched.stderr.lines().collect();
    assert_eq!(
        (watched.code, &watched.stdout),
        (3, &shown.stdout),
        "{}",
        watched.stderr
    );
    assert!(
        lines[0].starts_with("cannot read the status: ")
            && lines[0].contains("the server is starting")
            && lines[0].ends_with("; trying again"),
        "{lines:?}"
    );
    let others = lines.iter().filter(|line| line.ends_with("; trying again")).count();
    assert_eq!(others, 1, "{lines:?}");
    // Without --watch it is an error, and with it a refusal.
    api.fail_times("GET", pods, unavailable, 1);
    assert_eq!(with_cluster(&api, &["status"]).code, 1);
    api.fail("GET", pods, forbidden("u", "list", "pods", Some("sonobuoy")));
    let refused = with_cluster(&api, &["status", "-w"]);
    assert_eq!(
        (refused.code, refused.stderr.lines().next()),
        (1, Some("error: cannot search for a run in namespace `sonobuoy`"))
    );
}

/// The API server fails after the first status; the watch ends with the run.
#[test]
fn watched_status_survives_an_outage() {
    let api = FakeApi::start();
    api.put(aggregator("sonobuoy", "1", "running"));
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = api.write_kubeconfig(directory.path());
    let watching = command(directory.path())
        .env("KUBECONFIG", kubeconfig)
        .args(["status", "-w"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lists = || {
        let requests = api.requests();
        let list = "GET /api/v1/namespaces/sonobuoy/pods";
        requests.iter().filter(|request| *request == list).count()
    };
    let wait_for = |number: usize| {
        let started = std::time::Instant::now();
        while lists() < number {
            assert!(started.elapsed().as_secs() < 30, "{:?}", api.requests());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    };
    wait_for(3);
    api.disconnect();
    let before = lists();
    wait_for(before + 2);
    api.put(aggregator("sonobuoy", "1", "complete"));
    api.reconnect();
    let ended = finished(&watching.wait_with_output().unwrap());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("run complete"), "{}", ended.stdout);
    let retried = ended.stderr.lines().filter(|line| line.ends_with("; trying again"));
    assert_eq!(retried.count(), 1, "{}", ended.stderr);
}

#[test]
fn watched_status_ends_with_the_run() {
    let api = FakeApi::start();
    api.put(aggregator("sonobuoy", "1", "complete"));
    assert_eq!(
        with_cluster(&api, &["status", "--watch"]),
        with_cluster(&api, &["status"])
    );
    assert_eq!(with_cluster(&api, &["status", "-w", "--exit-code"]).code, 3);
}

#[test]
fn results_of_the_newest_archive_are_shown() {
    let directory = tempfile::tempdir().unwrap();
    let put = |name: &str, verdict: &str| fs_err::write(directory.path().join(name), retrieve::run(verdict)).unwrap();
    assert_eq!(
        sono(directory.path(), &["results"]),
        failure(
            "error: no archive found in the current directory\n  hint:  specify an archive: sono results ARCHIVE; or retrieve one: sono retrieve\n"
        )
    );
    put("202601010001_sonobuoy_new.tar.gz", "name: p\nstatus: failed\n");
    put("202601010000_sonobuoy_old.tar.gz", "name: p\nstatus: passed\n");
    put("other.tar.gz", "name: p\nstatus: passed\n");
    let newest = sono(directory.path(), &["results"]);
    assert_eq!(newest.stderr, "newest archive: 202601010001_sonobuoy_new.tar.gz\n");
    let named = sono(directory.path(), &["results", "202601010001_sonobuoy_new.tar.gz"]);
    assert_eq!((newest.code, &newest.stdout), (0, &named.stdout));
}
