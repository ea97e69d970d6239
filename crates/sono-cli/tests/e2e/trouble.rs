//! Failures in clusters: each one is reported in one line that explains it, and the run continues.

use serde_json::{Value, json};

use crate::harness::{Run, kubectl, kubernetes, sono, text};

/// Waits until the plugin's pod is running, and returns its name.
pub(crate) fn running_pod(run: &Run, plugin: &str) -> String {
    let selector = format!("sonobuoy-plugin={plugin}");
    let namespace = run.namespace();
    kubectl(&[
        "-n",
        namespace,
        "wait",
        "pod",
        "-l",
        &selector,
        "--for=create",
        "--timeout=60s",
    ]);
    kubectl(&[
        "-n",
        namespace,
        "wait",
        "pod",
        "-l",
        &selector,
        "--for=jsonpath={.status.phase}=Running",
        "--timeout=60s",
    ]);
    let name = kubectl(&["-n", namespace, "get", "pod", "-l", &selector, "-o", "name"]);
    name.trim().trim_start_matches("pod/").to_owned()
}

/// The message of a plugin's only error.
fn only_error(run: &Run, plugin: &str) -> String {
    let tree = run.results(plugin);
    assert_eq!(text(&tree, "/status"), "failed", "{tree}");
    text(&tree, "/items/0/name")
}

/// W-8: a deleted pod is detected immediately, not after six hours.
#[test]
fn a_deleted_pod_is_an_error_at_once() {
    let mut run = Run::detached("deleted-pod", &["sleeper"], &[]);
    let pod = running_pod(&run, "sleeper");
    kubectl(&["-n", run.namespace(), "delete", "pod", &pod, "--wait=false"]);
    run.finish();
    let message = only_error(&run, "sleeper");
    assert!(message.contains(&pod) && message.contains("deleted"), "{message}");
}

/// W-8: a container that exceeds its memory limit is reported as such.
#[test]
fn a_container_that_runs_out_of_memory_says_so() {
    let run = Run::to_the_end("hungry", &["hungry"]);
    let message = only_error(&run, "hungry");
    assert!(
        message.contains("OOMKilled") && message.contains("raise its memory limit"),
        "{message}"
    );
}

/// W-13: two plugins on the host's network, where a port can be used only once.
#[test]
fn two_plugins_on_the_hosts_network() {
    let run = Run::to_the_end("host-network", &["host-network-one", "host-network-two"]);
    let rows = run.status()["plugins"].as_array().cloned().unwrap_or_default();
    assert_eq!(rows.len(), 2 * kubernetes::node_names().len(), "{rows:?}");
    for row in rows {
        assert_eq!(text(&row, "/result-status"), "passed", "{row}");
    }
}

/// Without working Service addresses, the worker uses the pod's address.
#[test]
fn without_service_addresses_results_still_arrive() {
    let mut run = Run::detached("no-service", &["slow-job"], &[]);
    kubectl(&[
        "-n",
        run.namespace(),
        "patch",
        "service",
        "sonobuoy-aggregator",
        "--type=merge",
        "-p",
        r#"{"spec":{"selector":{"sonobuoy-component":"none"}}}"#,
    ]);
    run.finish();
    assert_eq!(text(&run.results("slow-job"), "/status"), "passed");
}

/// Tests that change the whole cluster. They run one at a time, after the others.
mod alone {
    use super::*;

    /// Reverts a change at the end of the test, also after a failure.
    struct Undo(Vec<&'static str>);

    impl Drop for Undo {
        fn drop(&mut self) {
            kubectl(&self.0);
        }
    }

    /// A drain during a DaemonSet plugin: its pods are not evicted, as in any drain, and their results arrive.
    #[test]
    fn a_drained_node_still_brings_its_result() {
        let mut run = Run::detached("drain", &["slow-on-every-node"], &[]);
        running_pod(&run, "slow-on-every-node");
        let aggregator = kubectl(&[
            "-n",
            run.namespace(),
            "get",
            "pod",
            "-l",
            "sonobuoy-component=aggregator",
            "-o",
            "jsonpath={.items[0].spec.nodeName}",
        ]);
        let nodes = kubernetes::node_names();
        let other = nodes.iter().find(|node| **node != aggregator).expect("two nodes");
        kubectl(&[
            "drain",
            other,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--force",
            "--timeout=60s",
        ]);
        run.finish();
        kubectl(&["uncordon", other]);
        let rows = run.status()["plugins"].as_array().cloned().unwrap_or_default();
        let states: Vec<(String, String)> = rows
            .iter()
            .map(|row| (text(row, "/node"), text(row, "/result-status")))
            .collect();
        let expected: Vec<_> = nodes.into_iter().map(|node| (node, "passed".to_owned())).collect();
        assert_eq!(states, expected);
    }

    /// W-17: an aggregated API without a backend is reported in one line, and queries continue.
    #[test]
    fn a_broken_aggregated_api_is_reported_in_one_line() {
        let service = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": "v1.broken.sono.test"},
            "spec": {"group": "broken.sono.test", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
                "insecureSkipTLSVerify": true, "service": {"namespace": "kube-system", "name": "missing"}},
        });
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("service.json");
        fs_err::write(&file, service.to_string()).expect("a file");
        kubectl(&["apply", "-f", &file.display().to_string()]);
        let undo = Undo(vec![
            "delete",
            "apiservice",
            "v1.broken.sono.test",
            "--ignore-not-found",
        ]);
        let run = Run::to_the_end("broken-api", &["job-junit"]);
        // Must precede the deletion of the namespace, which a broken API would block.
        drop(undo);
        assert_eq!(text(&run.results("job-junit"), "/status"), "passed");
        let nodes: Value = serde_json::from_str(&run.file("resources/cluster/core_v1_nodes.json")).expect("JSON");
        assert_eq!(
            nodes["items"].as_array().map(Vec::len),
            Some(kubernetes::node_names().len())
        );
        let steps = run.file("meta/query-time.json");
        assert!(steps.contains("broken.sono.test"), "{steps}");
    }

    /// Without cluster DNS: aggregator and workers do not need it.
    #[test]
    fn without_cluster_dns_a_run_passes() {
        let scale = |replicas: &'static str| vec!["-n", "kube-system", "scale", "deployment/coredns", replicas];
        kubectl(&scale("--replicas=0"));
        let undo = Undo(scale("--replicas=1"));
        kubectl(&[
            "-n",
            "kube-system",
            "wait",
            "pod",
            "-l",
            "k8s-app=kube-dns",
            "--for=delete",
            "--timeout=60s",
        ]);
        // The preflight check would fail, correctly.
        let run = Run::start("no-dns", &["job-junit"], &["--skip-preflight=dnscheck", "--wait"]);
        drop(undo);
        assert_eq!(text(&run.results("job-junit"), "/status"), "passed");
        kubectl(&[
            "-n",
            "kube-system",
            "rollout",
            "status",
            "deployment/coredns",
            "--timeout=60s",
        ]);
        sono(&["delete", "-n", run.namespace(), "--wait"]).success();
    }
}
