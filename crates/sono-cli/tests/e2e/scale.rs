//! A thousand fake nodes: `cargo xtask e2e --scale`. Their pods are created but never start; this test sends their results
//! with the plugin's certificate.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt as _, stream};
use reqwest::{Certificate, Client, Identity};
use serde_json::Value;

use crate::harness::{Run, kubectl, kubernetes, sono, text};

/// Name prefix of nodes without a kubelet, created by `cargo xtask cluster up --fake-nodes`.
const FAKE: &str = "fake";
/// Minimum number of fake nodes.
const MIN_NODES: usize = 1000;
const PLUGIN: &str = "every-node";

fn get(namespace: &str, arguments: &[&str]) -> String {
    kubectl(&[&["-n", namespace, "get"], arguments].concat())
}

/// A client with the plugin's certificate, and the aggregator's address for its workers.
fn client(namespace: &str) -> (Client, String) {
    let selector = format!("sonobuoy-plugin={PLUGIN}");
    kubectl(&[
        "-n",
        namespace,
        "wait",
        "daemonset",
        "-l",
        &selector,
        "--for=create",
        "--timeout=120s",
    ]);
    let sets: Value =
        serde_json::from_str(&get(namespace, &["daemonset", "-l", &selector, "-o", "json"])).expect("JSON");
    let containers = sets["items"][0]["spec"]["template"]["spec"]["containers"]
        .as_array()
        .expect("containers");
    let worker = containers
        .iter()
        .find(|container| container["name"] == "sonobuoy-worker")
        .expect("a worker");
    let variable = |name: &str| {
        let list = worker["env"].as_array().expect("variables");
        let found = list.iter().find(|variable| variable["name"] == name);
        text(found.expect("the variable"), "/value")
    };
    let secrets: Value =
        serde_json::from_str(&get(namespace, &["secret", "-l", &selector, "-o", "json"])).expect("JSON");
    let pem = |key: &str| {
        let encoded = text(&secrets["items"][0]["data"], &format!("/{key}"));
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        String::from_utf8(BASE64_STANDARD.decode(encoded).expect("base64")).expect("PEM")
    };
    let identity = format!("{}{}", pem("tls.crt"), pem("tls.key"));
    let client = Client::builder()
        .tls_certs_only([Certificate::from_pem(variable("CA_CERT").as_bytes()).expect("a certificate")])
        .identity(Identity::from_pem(identity.as_bytes()).expect("a certificate and its key"))
        .timeout(Duration::from_secs(30))
        .no_proxy()
        .build()
        .expect("a client");
    (client, variable("AGGREGATOR_URL"))
}

/// Rows of the full status by state.
fn states(namespace: &str) -> (usize, usize, BTreeSet<String>) {
    let exec = [
        "-n",
        namespace,
        "exec",
        "deployment/sonobuoy",
        "-c",
        "kube-sonobuoy",
        "--",
        "/sonobuoy",
        "status",
        "--full",
    ];
    let status: Value = serde_json::from_str(&kubectl(&exec)).expect("the full status is JSON");
    let rows = status["plugins"].as_array().cloned().unwrap_or_default();
    let failed = rows
        .iter()
        .filter(|row| row["status"] == "failed")
        .map(|row| text(row, "/node"));
    let complete = rows.iter().filter(|row| row["status"] == "complete").count();
    (rows.len(), complete, failed.collect())
}

/// W-9, W-10: 1,000 results without a false failure, and a correct status at any time, with the default client limits of the
/// controllers.
#[test]
#[ignore = "needs a thousand nodes: cargo xtask e2e --scale"]
fn a_thousand_nodes_report() {
    let nodes = kubernetes::node_names();
    let fake: Vec<String> = nodes.iter().filter(|node| node.starts_with(FAKE)).cloned().collect();
    assert!(
        fake.len() >= MIN_NODES,
        "{} fake nodes; cargo xtask e2e --scale starts them",
        fake.len()
    );
    let mut run = Run::detached("scale", &[PLUGIN], &[]);
    let namespace = run.namespace().to_owned();
    let (client, url) = client(&namespace);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut sent = 0;
    for part in fake.chunks(250) {
        runtime.block_on(async {
            let uploads = stream::iter(part).map(|node| {
                let request = client
                    .put(format!("{url}/api/v1/results/by-node/{node}/{PLUGIN}"))
                    .header("content-type", "text/yaml")
                    .header("content-disposition", "attachment;filename=result.yaml")
                    .body(format!(
                        "name: n\nstatus: passed\nitems:\n- name: on-{node}\n  status: passed\n"
                    ));
                async move { request.send().await.expect("an answer").status() }
            });
            let answers: Vec<_> = uploads.buffer_unordered(32).collect().await;
            assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
        });
        sent += part.len();
        let (rows, complete, failed) = states(&namespace);
        assert_eq!((rows, failed), (nodes.len(), BTreeSet::new()));
        // Results of real nodes are sent by their workers.
        assert!(
            (sent..=sent + nodes.len() - fake.len()).contains(&complete),
            "{complete} of {sent}"
        );
        let annotation = get(
            &namespace,
            &[
                "pod",
                "-l",
                "sonobuoy-component=aggregator",
                "-o",
                r"jsonpath={.items[*].metadata.annotations.sonobuoy\.hept\.io/status}",
            ],
        );
        assert!(annotation.len() <= 64 * 1024, "{} bytes", annotation.len());
    }
    run.finish();
    let tree = run.results(PLUGIN);
    assert_eq!(text(&tree, "/status"), "passed");
    let reported = crate::leaves(&tree);
    let expected: BTreeSet<_> = nodes
        .iter()
        .map(|node| (format!("on-{node}"), "passed".to_owned()))
        .collect();
    assert_eq!(reported, expected);
    // Pods on nodes without a kubelet never end.
    kubectl(&[
        "-n",
        &namespace,
        "delete",
        "pods",
        "--all",
        "--grace-period=0",
        "--force",
    ]);
    sono(&["delete", "-n", &namespace, "--wait"]).success();
}
