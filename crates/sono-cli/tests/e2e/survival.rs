//! Runs that survive the loss of the aggregator's process, pod and node.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::{Run, kubectl, text};

pub(crate) fn pods(run: &Run, selector: &str) -> Vec<Value> {
    let shown = kubectl(&["-n", run.namespace(), "get", "pod", "-l", selector, "-o", "json"]);
    let list: Value = serde_json::from_str(&shown).expect("JSON");
    list["items"].as_array().cloned().unwrap_or_default()
}

pub(crate) const AGGREGATOR: &str = "sonobuoy-component=aggregator";
pub(crate) const SLOW: &str = "sonobuoy-plugin=survivor";

/// Processes of a pod with this program name. The nodes of the test cluster are on this machine.
pub(crate) fn processes(uid: &str, name: &str) -> Vec<PathBuf> {
    let in_pod = |process: &Path| {
        let cgroup = fs_err::read_to_string(process.join("cgroup")).unwrap_or_default();
        cgroup.contains(uid) || cgroup.contains(&uid.replace('-', "_"))
    };
    let is_named = |process: &Path| fs_err::read_to_string(process.join("comm")).is_ok_and(|comm| comm.trim() == name);
    let entries = fs_err::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .map(|entry| entry.path());
    entries.filter(|process| is_named(process) && in_pod(process)).collect()
}

/// Checks that the run passed, and that the plugin ran exactly once and in the same pod.
fn went_on(run: &mut Run, survivor: &Value) {
    let now = pods(run, SLOW);
    let uids: Vec<String> = now.iter().map(|pod| text(pod, "/metadata/uid")).collect();
    assert_eq!(uids, [text(survivor, "/metadata/uid")], "the plugin's pod was replaced");
    run.finish();
    for plugin in ["job-junit", "survivor"] {
        assert_eq!(text(&run.results(plugin), "/status"), "passed", "{plugin}");
    }
    assert_eq!(run.file("plugins/survivor/results/global/lines.txt"), "began\nended\n");
}

/// W-1: the aggregator's process is killed during a run; its container is restarted and resumes the run.
#[test]
fn a_killed_aggregator_resumes() {
    let mut run = Run::detached("killed", &["job-junit", "survivor"], &[]);
    run.wait_for_result("job-junit");
    let survivor = pods(&run, SLOW).remove(0);
    let aggregator = pods(&run, AGGREGATOR).remove(0);
    let killed = processes(&text(&aggregator, "/metadata/uid"), "sonobuoy");
    assert_eq!(killed.len(), 1, "{killed:?}");
    let pid = killed[0].file_name().expect("a process").to_string_lossy().into_owned();
    let status = std::process::Command::new("kill").args(["-9", &pid]).status();
    assert!(status.expect("kill starts").success());
    went_on(&mut run, &survivor);
    let restarts = &pods(&run, AGGREGATOR)[0]["status"]["containerStatuses"][0]["restartCount"];
    assert_eq!(restarts, 1);
}

/// A directory of this machine as a volume that all nodes of the test cluster can mount.
pub(crate) struct Volume {
    name: &'static str,
    directory: tempfile::TempDir,
}

impl Volume {
    pub(crate) fn new(name: &'static str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(directory.path(), mode).expect("its owner may");
        let volume = Self { name, directory };
        volume.delete();
        let object = serde_json::json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": { "name": name },
            "spec": {
                "capacity": { "storage": "1Gi" },
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": name,
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": { "path": volume.directory.path() },
            },
        });
        let file = volume.directory.path().join("volume.json");
        fs_err::write(&file, object.to_string()).expect("a file");
        kubectl(&["create", "-f", &file.display().to_string()]);
        volume
    }

    /// Names of its files, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs_err::read_dir(self.directory.path()).expect("the directory exists");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Path of one of its files on this machine.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn delete(&self) {
        kubectl(&["delete", "pv", self.name, "--ignore-not-found", "--wait=false"]);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.delete();
    }
}

/// Deletes the aggregator's pod and checks that another one finishes the run.
fn replaced(run: &mut Run, survivor: &Value) {
    let first = pods(run, AGGREGATOR).remove(0);
    let name = text(&first, "/metadata/name");
    // Immediate deletion, as when its node is lost.
    kubectl(&[
        "-n",
        run.namespace(),
        "delete",
        "pod",
        &name,
        "--force",
        "--grace-period=0",
    ]);
    went_on(run, survivor);
    let second = pods(run, AGGREGATOR).remove(0);
    assert_ne!(text(&second, "/metadata/uid"), text(&first, "/metadata/uid"));
}

/// W-1, BUG 49: with a results volume the pod is replaced, on another node if necessary, and the run continues.
#[test]
fn a_deleted_aggregator_pod_is_replaced_and_resumes() {
    let volume = Volume::new("e2e-replaced");
    let flags = ["--results-volume", "1Gi", "--results-volume-class", volume.name];
    let mut run = Run::detached("replaced", &["job-junit", "survivor"], &flags);
    run.wait_for_result("job-junit");
    let survivor = pods(&run, SLOW).remove(0);
    replaced(&mut run, &survivor);
}

/// W-1: without a volume the pod's files are lost, and the new pod collects the results that workers have retained; the
/// running plugin is not restarted.
#[test]
fn a_deleted_aggregator_pod_without_a_volume_is_replaced_and_resumes() {
    let mut run = Run::detached("adopted", &["job-junit", "survivor"], &[]);
    run.wait_for_result("job-junit");
    let survivor = pods(&run, SLOW).remove(0);
    replaced(&mut run, &survivor);
    // The results that workers retained until the archive existed are deleted, too.
    let now = pods(&run, "sonobuoy-component=plugin");
    let left: Vec<String> = now
        .iter()
        .filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none())
        .map(|pod| text(pod, "/metadata/name"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}
