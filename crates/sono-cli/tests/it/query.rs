//! `query` and `get`.

use std::path::Path;

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{Finished, command, finished, normalized, with_cluster};

fn pod(namespace: &str, name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true,
            "restartCount": 0, "state": {"running": {}}}]}})
}

fn api() -> FakeApi {
    let api = FakeApi::start();
    for namespace in ["mine", "sonobuoy", "my-sonobuoy-x"] {
        api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        api.put(pod(namespace, "p", &json!({"app": namespace})));
        api.put_log(namespace, "p", "c", "said\n");
    }
    api
}

fn query(api: &FakeApi, directory: &Path, arguments: &[&str]) -> Finished {
    let kubeconfig = api.write_kubeconfig(directory);
    let output = command(directory)
        .arg("query")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(arguments)
        .output()
        .unwrap();
    normalized(api, finished(&output))
}

/// All files below a directory, without `meta`.
fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    sono_bundle::Bundle::open(root)
        .unwrap()
        .visit(&mut |name, _| {
            if !name.starts_with("meta/") {
                found.push(name.to_owned());
            }
            Ok(std::ops::ControlFlow::Continue(()))
        })
        .unwrap();
    found
}

/// BUG 2: the configuration file is applied. BUG 44: the flags for the cluster are those of other commands. BUG 51: logs are
/// those of the run's namespace, not of namespaces that contain its name.
#[test]
fn query_fetches_the_configured_resources_and_logs() {
    let (api, directory) = (api(), tempfile::tempdir().unwrap());
    fs_err::write(
        directory.path().join("c.json"),
        r#"{"Resources":["pods","podlogs"],"Filters":{"Namespaces":"^mine$"},"Limits":{"PodLogs":{"Namespaces":""}}}"#,
    )
    .unwrap();
    let finished = query(&api, directory.path(), &["--config", "c.json", "-o", "out"]);
    assert_eq!(
        finished,
        Finished {
            code: 0,
            stdout: "out\n".to_owned(),
            stderr: String::new()
        }
    );
    let expected = ["podlogs/sonobuoy/p/logs/c.txt", "resources/ns/mine/core_v1_pods.json"];
    assert_eq!(files(&directory.path().join("out")), expected);
    // The same with flags, into an archive.
    let flags = [
        "--config",
        "c.json",
        "--resources",
        "pods,serverversion",
        "--namespaces",
        "sonobuoy",
        "-l",
        "app=sonobuoy",
        "-o",
        "out.tar.gz",
    ];
    let finished = query(&api, directory.path(), &flags);
    assert_eq!(
        (finished.code, finished.stdout.as_str(), finished.stderr.as_str()),
        (0, "out.tar.gz\n", "")
    );
    assert_eq!(
        files(&directory.path().join("out.tar.gz")),
        ["resources/ns/sonobuoy/core_v1_pods.json", "serverversion.json"]
    );
    let again = query(&api, directory.path(), &["-o", "out"]);
    assert_eq!(
        (again.code, again.stderr.as_str()),
        (
            1,
            "error: `out` exists and is not empty\n  hint:  choose another directory with --output\n"
        )
    );
}

/// BUG 46: an API without a server is reported in one line, and the rest is fetched.
#[test]
fn a_broken_api_is_reported_in_one_line() {
    let (api, directory) = (api(), tempfile::tempdir().unwrap());
    api.offer_broken("metrics.k8s.io", "v1beta1");
    let finished = query(&api, directory.path(), &[]);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let problems: Vec<&str> = finished.stderr.lines().collect();
    assert!(
        problems
            .iter()
            .any(|line| line.starts_with("incomplete: ") && line.contains("metrics.k8s.io")),
        "{problems:?}"
    );
    let found = directory.path().join(finished.stdout.trim_end());
    let names = files(&found);
    assert!(
        names.contains(&"resources/ns/mine/core_v1_pods.json".to_owned()),
        "{names:?}"
    );
    let times = fs_err::read_to_string(found.join("meta/query-time.json")).unwrap();
    assert!(times.contains("metrics.k8s.io/v1beta1"), "{times}");
}

/// BUG 44: pods of plugins in any namespace. BUG 45: an unknown kind is an error of one line.
#[test]
fn get_prints_pods_in_any_namespace() {
    let api = api();
    let labels =
        |plugin: &str| json!({"component": "sonobuoy", "sonobuoy-component": "plugin", "sonobuoy-plugin": plugin});
    api.put(pod("mine", "one-x", &labels("one")));
    api.put(pod("mine", "two-x", &labels("two")));
    assert_eq!(
        with_cluster(&api, &["get", "pods", "-n", "mine"]).stdout,
        "one-x\ntwo-x\n"
    );
    let kubeconfig = ["get", "pod", "-n", "mine", "--kubeconfig", "kubeconfig", "-p", "two"];
    assert_eq!(with_cluster(&api, &kubeconfig).stdout, "two-x\n");
    let bogus = with_cluster(&api, &["get", "bogus"]);
    assert_eq!(
        (bogus.code, bogus.stdout.as_str(), bogus.stderr.lines().next()),
        (1, "", Some("error: unrecognized subcommand 'bogus'"))
    );
    assert!(bogus.stderr.lines().count() < 8, "{}", bogus.stderr);
}

/// Data of the cluster is readable only by this user.
#[cfg(unix)]
#[test]
fn query_creates_private_files_and_directories() {
    use std::os::unix::fs::PermissionsExt as _;

    let (api, directory) = (api(), tempfile::tempdir().unwrap());
    for output in ["found", "found.tar.gz"] {
        let finished = query(&api, directory.path(), &["--output", output]);
        assert_eq!(finished.code, 0, "{}", finished.stderr);
    }
    let mut waiting = vec![directory.path().join("found"), directory.path().join("found.tar.gz")];
    let mut files = 0;
    while let Some(path) = waiting.pop() {
        let found = fs_err::metadata(&path).unwrap();
        let expected = if found.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(found.permissions().mode() & 0o777, expected, "{}", path.display());
        if found.is_dir() {
            waiting.extend(fs_err::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files += 1;
        }
    }
    assert!(files > 3);
}
