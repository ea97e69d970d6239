//! `deploy/kustomize`: the cluster accepts every overlay, and runs work in the prepared namespaces.

use std::{
    path::{Component, Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    harness::{kubectl, kubectl_program, plugin, sono, text},
    survival::Volume,
};

/// The page of the directory.
const BY_HAND: &str = "README.md";

/// The relative path between two directories. kustomize does not accept absolute paths.
fn relative_path(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n(PathBuf::from(".."), from.len() - common);
    let down = to[common..].iter().map(|part| PathBuf::from(part.as_os_str()));
    up.chain(down).collect::<PathBuf>().display().to_string()
}

fn alone() -> MutexGuard<'static, ()> {
    OBJECTS_OF_THE_CLUSTER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kustomize() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kustomize");
    folder.canonicalize().expect("the directory exists")
}

/// Overlays share the names of their objects outside of namespaces: only one test at a time uses them.
static OBJECTS_OF_THE_CLUSTER: Mutex<()> = Mutex::new(());

/// An overlay in its own namespace, which is deleted at the end.
struct Overlay {
    namespace: &'static str,
    directory: tempfile::TempDir,
    applied: bool,
}

impl Overlay {
    /// Creates an overlay with the namespace, the base overlay and `rest`.
    fn new(namespace: &'static str, overlay: &str, rest: &str) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .canonicalize()
            .expect("the directory exists");
        let directory = tempfile::tempdir_in(target).expect("a directory");
        let kustomize = relative_path(directory.path(), &kustomize());
        let text = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: {namespace}\nresources:\n- {kustomize}/{overlay}\n{}",
            rest.replace("KUSTOMIZE", &kustomize)
        );
        fs_err::write(directory.path().join("kustomization.yaml"), text).expect("a file");
        Self {
            namespace,
            directory,
            applied: false,
        }
    }

    fn path(&self) -> String {
        self.directory.path().display().to_string()
    }

    /// Applies the overlay as a server-side dry run.
    fn dry_run(&self) -> String {
        kubectl(&["apply", "--dry-run=server", "-k", &self.path()])
    }

    fn apply(&mut self) {
        kubectl(&["delete", "namespace", self.namespace, "--ignore-not-found", "--wait"]);
        self.applied = true;
        kubectl(&["apply", "-k", &self.path()]);
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        if self.applied {
            kubectl(&["delete", "-k", &self.path(), "--ignore-not-found", "--wait=false"]);
        }
    }
}

#[test]
fn every_overlay_is_accepted_by_the_server() {
    let _alone = alone();
    let overlays = fs_err::read_dir(kustomize().join("overlays")).expect("overlays");
    let names: Vec<String> = overlays
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 13, "{names:?}");
    let components =
        "components:\n- KUSTOMIZE/components/network-policy\n- KUSTOMIZE/components/network-policy-host-network\n";
    let namespace = "e2e-overlays";
    kubectl(&["delete", "namespace", namespace, "--ignore-not-found", "--wait"]);
    kubectl(&["create", "namespace", namespace]);
    for name in names {
        let overlay = Overlay::new(namespace, &format!("overlays/{name}"), components);
        let output = overlay.dry_run();
        for line in output.lines() {
            assert!(line.ends_with("(server dry run)"), "{name}: {line}");
        }
        assert!(
            output.contains("networkpolicy.networking.k8s.io/sono-aggregator created"),
            "{name}: {output}"
        );
    }
    kubectl(&["delete", "namespace", namespace, "--wait=false"]);
}

/// The examples on the page are valid overlays.
#[test]
fn the_examples_on_the_page_are_overlays() {
    let page = fs_err::read_to_string(kustomize().join(BY_HAND)).expect("a page");
    let examples: Vec<&str> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .canonicalize()
            .expect("the directory exists");
        let directory = tempfile::tempdir_in(target).expect("a directory");
        let text = example.replace("sono/deploy/kustomize", &relative_path(directory.path(), &kustomize()));
        fs_err::write(directory.path().join("kustomization.yaml"), text).expect("a file");
        fs_err::write(directory.path().join("storage.yaml"), "spec: {}\n").expect("a file");
        let shown = kubectl(&["kustomize", &directory.path().display().to_string()]);
        assert!(shown.contains("\nkind: Role\n"), "{shown}");
    }
}

/// A kubeconfig that impersonates a member of a group.
fn as_member_of(group: &str, directory: &Path) -> String {
    let view = kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]);
    let mut config: serde_json::Value = serde_json::from_str(&view).expect("JSON");
    let user = &mut config["users"][0]["user"];
    user["as"] = "somebody".into();
    user["as-groups"] = serde_json::json!([group, "system:authenticated"]);
    let path = directory.join("kubeconfig");
    fs_err::write(&path, config.to_string()).expect("a file");
    path.display().to_string()
}

/// A run in a prepared namespace, with the fewest rights for the aggregator and the user, and at the strictest level. Applied
/// objects are not deleted.
#[test]
fn a_run_works_in_a_prepared_namespace() {
    let _alone = alone();
    let components = "components:\n- KUSTOMIZE/components/network-policy\n";
    let mut overlay = Overlay::new("e2e-prepared", "overlays/minimal-restricted", components);
    overlay.apply();
    let kinds = "serviceaccounts,roles,rolebindings,networkpolicies,configmaps,services,pods,secrets";
    let objects = || kubectl(&["-n", overlay.namespace, "get", kinds, "-o", "name"]);
    let before = objects();
    let home = tempfile::tempdir().expect("a directory");
    let kubeconfig = as_member_of("sono-runners", home.path());
    let run = |arguments: &[&str]| sono(&[arguments, &["-n", overlay.namespace, "--kubeconfig", &kubeconfig]].concat());
    let file = plugin("restricted");
    let prepared = [
        "--existing-service-account",
        "--rbac",
        "Disable",
        "--aggregator-permissions",
        "minimal",
    ];
    let waiting = ["--wait=5", "--exit-code"];
    run(&[&["run", "-p", &file], &prepared[..], &waiting[..]].concat()).success();
    assert!(run(&["status", "--json"]).success().contains("\"status\":\"complete\""));
    assert!(run(&["logs"]).success().contains("sonobuoy"));
    let archive = run(&["retrieve", &home.path().display().to_string()]).success();
    let report = sono(&["results", archive.trim(), "-p", "restricted"]).success();
    assert!(report.starts_with("Plugin: restricted\nStatus: passed\n"), "{report}");
    run(&["delete", "--wait"]).success();
    assert_eq!(objects(), before);
    // Without the role, access is forbidden.
    let stranger = as_member_of("strangers", home.path());
    let error = sono(&["status", "-n", overlay.namespace, "--kubeconfig", &stranger]).failure();
    assert!(error.contains("forbidden"), "{error}");
}

/// Waits until a job is complete. A job that fails, or takes longer than four minutes, fails the test with what its pod printed.
fn await_job(namespace: &str, job: &str) {
    let conditions = "jsonpath={range .status.conditions[?(@.status==\"True\")]}{.type} {end}";
    let deadline = Instant::now() + Duration::from_secs(240);
    loop {
        let ended = kubectl(&["-n", namespace, "get", job, "-o", conditions]);
        if ended.contains("Complete") {
            return;
        }
        if ended.contains("Failed") || Instant::now() > deadline {
            let pods = kubectl(&["-n", namespace, "get", "pods", "-o", "wide"]);
            let events = kubectl(&["-n", namespace, "get", "events", "--sort-by=.lastTimestamp"]);
            let log = Command::new(kubectl_program())
                .args(["-n", namespace, "logs", job, "--all-containers", "--prefix"])
                .output()
                .map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            panic!("{job} is not complete: {ended}\n{log:?}\n{pods}\n{events}");
        }
        // Returns early when the job is complete; a job that failed is seen in the next turn.
        let wait = ["wait", "--for=condition=complete", "--timeout=5s", job];
        let waited = Command::new(kubectl_program())
            .args(["-n", namespace])
            .args(wait)
            .output();
        waited.expect("kubectl starts");
    }
}

/// The CronJob's pod runs the plugins with its own account, and the newest archives on the volume are retained.
#[test]
fn nights_leave_as_many_archives_as_they_should() {
    let _alone = alone();
    let volume = Volume::new("e2e-nightly");
    let rest = "configMapGenerator:
- name: sono-nightly-plugins
  files: [junit.yaml]
patches:
- target: {kind: CronJob}
  patch: |-
    - op: add
      path: /spec/jobTemplate/spec/template/spec/containers/0/args/-
      value: --plugin=/plugins
    - op: replace
      path: /spec/jobTemplate/spec/template/spec/containers/0/args/5
      value: --keep=1
    - op: add
      path: /spec/suspend
      value: true
- target: {kind: PersistentVolumeClaim}
  patch: |-
    - op: add
      path: /spec/storageClassName
      value: e2e-nightly
    - op: replace
      path: /spec/resources/requests/storage
      value: 1Gi
";
    let mut overlay = Overlay::new("e2e-nightly", "overlays/nightly", rest);
    let example = kustomize().join("../examples/junit.yaml");
    fs_err::copy(example, overlay.directory.path().join("junit.yaml")).expect("an example");
    overlay.apply();
    let mut nights = Vec::new();
    for night in ["night-1", "night-2"] {
        kubectl(&[
            "-n",
            overlay.namespace,
            "create",
            "job",
            "--from=cronjob/sono-nightly",
            night,
        ]);
        let job = format!("job/{night}");
        await_job(overlay.namespace, &job);
        nights.push(kubectl(&["-n", overlay.namespace, "logs", &job, "-c", "sono"]));
    }
    let archives = |output: &str| -> Vec<String> {
        let lines = output.lines().filter(|line| line.ends_with(".tar.gz"));
        lines.map(str::to_owned).collect()
    };
    let (first, second) = (archives(&nights[0]), archives(&nights[1]));
    assert_eq!((first.len(), second.len()), (1, 1), "{nights:?}");
    assert!(
        nights[1].contains(&format!("removed {}, because --keep is 1", first[0])),
        "{}",
        nights[1]
    );
    // Other files are unchanged.
    assert!(!nights[1].contains("forbidden"), "{}", nights[1]);
    let left: Vec<String> = volume
        .files()
        .into_iter()
        .filter(|name| name.contains("_sonobuoy_"))
        .collect();
    assert_eq!(left, second);
    let report = sono(&["results", &volume.path(&second[0]), "-p", "junit-example"]).success();
    assert!(
        report.starts_with("Plugin: junit-example\nStatus: passed\n"),
        "{report}"
    );
    // Only applied objects remain.
    let pods = kubectl(&[
        "-n",
        overlay.namespace,
        "get",
        "pods",
        "-l",
        "component=sonobuoy",
        "-o",
        "json",
    ]);
    let pods: serde_json::Value = serde_json::from_str(&pods).expect("JSON");
    let names: Vec<String> = pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none())
        .map(|pod| text(pod, "/metadata/name"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
}
