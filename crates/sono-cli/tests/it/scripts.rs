//! Uses of Sonobuoy in scripts (cli §21), tested as scripts with a link `sonobuoy` to this program.

use std::{
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{Finished, finished, normalized};

/// Start of each script. `fail` reports the failed step.
const PRELUDE: &str = "set -eu\nfail() { echo \"FAILED: $*\" >&2; exit 9; }\n";

/// Runs a script in a directory where `sonobuoy` is this program and the kubeconfig leads to `api`.
fn script(api: &FakeApi, directory: &Path, text: &str) -> Finished {
    let bin = directory.join("bin");
    fs_err::create_dir_all(&bin).unwrap();
    symlink(assert_cmd::cargo::cargo_bin!("sono"), bin.join("sonobuoy")).unwrap();
    let path = directory.join("script.sh");
    fs_err::write(&path, format!("{PRELUDE}{text}")).unwrap();
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("/bin/sh")
        .arg(&path)
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .env("TZ", "UTC")
        .env("KUBECONFIG", api.write_kubeconfig(directory))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    normalized(api, finished(&output))
}

fn check(api: &FakeApi, directory: &Path, text: &str) {
    let finished = script(api, directory, text);
    assert_eq!(
        (finished.code, finished.stdout.as_str()),
        (0, "done\n"),
        "{}",
        finished.stderr
    );
}

/// Messages name the command `sonobuoy`.
#[test]
fn status_called_as_sonobuoy_names_sonobuoy() {
    let api = made_run();
    api.put(aggregator(Some(&complete())));
    let directory = tempfile::tempdir().unwrap();
    let finished = script(&api, directory.path(), "sonobuoy status | tail -n 1\n");
    assert_eq!(
        (finished.code, finished.stdout.as_str()),
        (0, "Sonobuoy has completed. Use `sonobuoy retrieve` to get results.\n")
    );
}

fn aggregator(status: Option<&Value>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "sonobuoy", "namespace": "sonobuoy",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"}},
        "spec": {"nodeName": "node1", "containers": [{"name": "kube-sonobuoy", "image": "i"}]},
        "status": {"phase": "Running"},
    });
    if let Some(status) = status {
        pod["metadata"]["annotations"] = json!({"sonobuoy.hept.io/status": status.to_string()});
    }
    pod
}

fn complete() -> Value {
    json!({"plugins": [{"plugin": "e2e", "node": "global", "status": "complete", "result-status": "failed",
            "result-counts": {"passed": 6, "failed": 1, "skipped": 7065},
            "progress": {"name": "e2e", "node": "global", "timestamp": "2026-01-01T00:00:00Z", "msg": "done", "total": 7,
                "completed": 6, "failures": ["x"]}}],
        "status": "complete", "tar-info": {"name": "a.tar.gz", "created": "2026-01-01T00:00:00Z", "sha256": "ab", "size": 1}})
}

fn made_run() -> FakeApi {
    let api = FakeApi::start();
    api.put(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sonobuoy",
        "labels": {"component": "sonobuoy"}}}),
    );
    api
}

/// 1 (the part without an archive): `results=$(sonobuoy retrieve)` has no standard output and fails until results are
/// ready.
#[test]
fn retrieving_too_early_prints_no_name() {
    let api = made_run();
    let mut running = complete();
    running["status"] = "running".into();
    running["tar-info"] = json!({"name": "", "created": "0001-01-01T00:00:00Z", "sha256": "", "size": 0});
    api.put(aggregator(Some(&running)));
    let directory = tempfile::tempdir().unwrap();
    check(
        &api,
        directory.path(),
        r#"
if results=$(sonobuoy retrieve 2>err); then fail "it is not ready"; fi
[ -z "$results" ] || fail "printed $results"
grep -q 'Results not ready yet' err || fail "said $(cat err)"
if sonobuoy retrieve out -f name.tar.gz 2>/dev/null; then fail "it is not ready"; fi
[ ! -e out/name.tar.gz ] || fail "left a file"
echo done
"#,
    );
}

/// 2 and 8: `run --wait` blocks until the run is complete and exits with 0 even if tests failed, with the flags that scripts
/// pass; 5: deletion is repeated.
#[test]
fn runs_are_awaited_and_deleted_twice() {
    let api = FakeApi::start();
    let directory = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        let playing = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let limit = std::time::Duration::from_mins(1);
            let made = api.wait_for("pods", Some("sonobuoy"), "sonobuoy", limit, |pod| pod.is_some());
            runtime.block_on(made).expect("the aggregator's pod is created");
            api.put(aggregator(Some(&complete())));
        });
        check(
            &api,
            directory.path(),
            r#"
sonobuoy --kubeconfig "$KUBECONFIG" run --wait=10 --wait-output=silent --mode quick --plugin e2e --skip-preflight \
    --kube-conformance-image registry.k8s.io/conformance:v1.37.2 --kubernetes-version v1.37.2 \
    --plugin-env e2e.E2E_EXTRA_ARGS=--x=y --sonobuoy-image example.com/sonobuoy:v1 --image-pull-policy IfNotPresent \
    --aggregator-node-selector kubernetes.io/os:linux --security-context-mode none --timeout 3600 --level warn 2>err \
    || fail "run: $(cat err)"
sonobuoy delete --all --wait 2>/dev/null || fail "delete"
sonobuoy delete --all --wait 2>/dev/null || fail "delete again"
echo done
"#,
        );
        playing.join().unwrap();
    });
    assert_eq!(api.all("pods"), Vec::<Value>::new());
}

/// 3: polling `status --json`, as Bottlerocket does: without a status, the exit code is 0 and the output is not JSON; 6: flags
/// before the command, and those of Kubernetes' logging library.
#[test]
fn the_status_is_polled() {
    let api = made_run();
    api.put(aggregator(None));
    let directory = tempfile::tempdir().unwrap();
    check(
        &api,
        directory.path(),
        r#"
sonobuoy --namespace sonobuoy --logtostderr -v 3 status --json > first || fail "exit code $?"
if grep -q '^{' first; then fail "there is no status"; fi
[ -s first ] || fail "nothing is said"
echo done
"#,
    );
    api.put(aggregator(Some(&complete())));
    let directory = tempfile::tempdir().unwrap();
    check(
        &api,
        directory.path(),
        r#"
sonobuoy --alsologtostderr status --json > status || fail "exit code $?"
cp status kept.json
sonobuoy status --level=debug 2>/dev/null | grep -q 'e2e   complete   failed       1   Passed:  6, Failed:  1, Remaining:  0' || fail "table"
echo done
"#,
    );
    let status: Value =
        serde_json::from_str(&fs_err::read_to_string(directory.path().join("kept.json")).unwrap()).unwrap();
    assert_eq!(status, complete());
}

/// 4 and 10: the text of `results` and its JSON lines, and the files for a submission; 11: the short version.
#[test]
fn results_are_read_line_by_line() {
    let api = FakeApi::start();
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run");
    for (name, text) in [
        ("meta/info.json", r#"{"plugins":["e2e"]}"#),
        ("meta/clusterhealth.json", "{}"),
        ("plugins/e2e/results/global/e2e.log", "log\n"),
        ("plugins/e2e/results/global/junit_01.xml", "<testsuite/>"),
        (
            "plugins/e2e/sonobuoy_results.yaml",
            "name: e2e\nstatus: failed\nmeta:\n  type: summary\nitems:\n- name: junit_01.xml\n  status: failed\n  items:\n  - name: good\n    status: passed\n  - name: bad\n    status: failed\n    details:\n      failure: why\n      system-out: said\n",
        ),
    ] {
        let path = run.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let file = fs_err::File::create(directory.path().join("a.tar.gz")).unwrap();
    sono_bundle::pack_directory(&run, file, &[], 6).unwrap();
    check(
        &api,
        directory.path(),
        r#"
sonobuoy results a.tar.gz > report || fail "it is readable"
for line in 'Plugin: e2e' 'Status: failed' 'Total: 2' 'Passed: 1' 'Failed: 1' 'Skipped: 0' 'Failed tests:' 'bad'; do
    grep -qx "$line" report || fail "no line $line"
done
sonobuoy results a.tar.gz --plugin e2e --mode detailed > lines
[ "$(wc -l < lines)" -eq 2 ] || fail "$(cat lines)"
grep '"status":"failed"' lines | grep -q '"details":{"failure":"why","system-out":"said"}' || fail "$(cat lines)"
sonobuoy results a.tar.gz --plugin e2e --mode dump | grep -qx 'name: e2e' || fail "dump"
sonobuoy results a.tar.gz -p e2e --node junit_01.xml | grep -qx 'Plugin: junit_01.xml' || fail "node"
sonobuoy results a.tar.gz -p e2e --skip-prefix --mode detailed >/dev/null || fail "skip-prefix"
tar xzf a.tar.gz plugins/e2e/results/global/e2e.log plugins/e2e/results/global/junit_01.xml || fail "files"
version=$(sonobuoy version --short)
case "$version" in v[0-9]*) ;; *) fail "version $version" ;; esac
echo done
"#,
    );
}

/// 7: `gen > f; run -f f --wait`, and names in manifests of any version; 9: names that programs search for.
#[test]
fn manifests_are_generated_and_run() {
    let api = FakeApi::start();
    let directory = tempfile::tempdir().unwrap();
    check(
        &api,
        directory.path(),
        r#"
sonobuoy gen -p e2e --kubernetes-version v1.37.2 > f.yaml || fail "gen"
for name in sonobuoy-serviceaccount sonobuoy-config-cm sonobuoy-plugins-cm sonobuoy-aggregator kube-sonobuoy /sonobuoy \
    /etc/sonobuoy /plugins.d 'sonobuoy-component: aggregator'; do
    grep -q -- "$name" f.yaml || fail "no $name in the manifest"
done
sonobuoy run -f f.yaml --skip-preflight 2>err || fail "run: $(cat err)"
echo done
"#,
    );
    let pod = api
        .get("pods", Some("sonobuoy"), "sonobuoy")
        .expect("the aggregator's pod");
    assert_eq!(pod["metadata"]["labels"]["sonobuoy-component"], "aggregator");
    assert_eq!(pod["spec"]["containers"][0]["name"], "kube-sonobuoy");
}
