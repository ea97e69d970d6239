//! Add-ons of a cluster, such as its DNS, and readiness checks.

use std::path::Path;

use anyhow::Context;
use fs_err as fs;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{kubectl, node::Node};
use crate::{
    cache, command,
    images::{self, Archive, short_hex},
    repository,
    step::step,
};

/// Archives of the images that every node needs, packed once per version.
pub(crate) fn images(coredns: &Path) -> anyhow::Result<Vec<Archive>> {
    // The program's directory name contains version and checksums, so that its path identifies its content.
    let mut key = Sha256::new();
    key.update(coredns.as_os_str().as_encoded_bytes());
    key.update(fs::read(images::pause_source())?);
    let directory = cache::directory(&format!("system-images-{}", short_hex(&key.finalize())))?;
    let index = directory.join("archives.json");
    if !index.exists() {
        let packed = step("packed the cluster's own images", || {
            let pause = images::pause(&directory)?.write_to(&directory)?;
            let coredns = images::coredns(coredns.to_path_buf()).write_to(&directory)?;
            Ok(vec![pause, coredns])
        })?;
        fs::write(&index, serde_json::to_vec_pretty(&packed)?)?;
    }
    serde_json::from_slice(&fs::read(&index)?).with_context(|| format!("cannot read {}", index.display()))
}

pub(crate) fn create_dns(kubernetes: &Path) -> anyhow::Result<()> {
    let manifests = repository::root().join("deploy/testbed/manifests/core.yaml");
    // Validation would download the API server's whole schema first.
    command::run(
        kubectl::command(kubernetes)
            .args(["create", "--validate=false", "-f"])
            .arg(manifests),
    )
}

/// Requests one path of the API server; `None` if it is unavailable or has no such object.
fn get(kubernetes: &Path, path: &str) -> Option<Value> {
    let text = command::output(kubectl::command(kubernetes).args(["get", "--raw", path])).ok()?;
    serde_json::from_str(&text).ok()
}

pub(crate) fn api_is_ready(kubernetes: &Path) -> bool {
    command::succeeds(kubectl::command(kubernetes).args(["get", "--raw", "/readyz"]))
}

/// Names of the ready nodes, and the number of all nodes.
pub(crate) fn ready_nodes(kubernetes: &Path) -> anyhow::Result<(Vec<String>, usize)> {
    let nodes = get(kubernetes, "/api/v1/nodes").context("the API server does not list nodes")?;
    let items = nodes["items"].as_array().map_or(&[][..], Vec::as_slice);
    let ready = items.iter().filter(|node| has_condition(node, "Ready"));
    let names = ready
        .filter_map(|node| node["metadata"]["name"].as_str().map(str::to_owned))
        .collect();
    Ok((names, items.len()))
}

pub(crate) fn all_ready(kubernetes: &Path, nodes: &[Node]) -> bool {
    ready_nodes(kubernetes).is_ok_and(|(ready, _)| nodes.iter().all(|node| ready.contains(&node.name())))
}

pub(crate) fn dns_is_available(kubernetes: &Path) -> bool {
    get(kubernetes, "/apis/apps/v1/namespaces/kube-system/deployments/coredns")
        .is_some_and(|deployment| has_condition(&deployment, "Available"))
}

/// Whether the default service account exists; pods are not admitted without it.
pub(crate) fn has_default_service_account(kubernetes: &Path) -> bool {
    get(kubernetes, "/api/v1/namespaces/default/serviceaccounts/default").is_some()
}

fn has_condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    conditions
        .iter()
        .any(|condition| condition["type"] == kind && condition["status"] == "True")
}
