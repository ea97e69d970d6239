//! Node objects without a machine, from which DaemonSet plugins expect results.

use std::{ops::RangeInclusive, path::Path, thread};

use anyhow::Context;
use serde_json::{Value, json};

use super::kubectl;
use crate::command;

/// Taint against ordinary pods, which would stay Pending there; DaemonSets that tolerate everything still get pods.
const TAINT: &str = "sono.local/fake";

/// Number of nodes per kubectl process: kubectl sends 300 requests at once and then only 50 per second.
const BATCH_SIZE: u16 = 250;

pub(crate) fn create(kubernetes: &Path, count: u16) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let batches: Vec<_> = (1..=count)
            .step_by(usize::from(BATCH_SIZE))
            .map(|first| first..=count.min(first + (BATCH_SIZE - 1)))
            .map(|numbers| scope.spawn(move || create_batch(kubernetes, numbers)))
            .collect();
        batches
            .into_iter()
            .try_for_each(|batch| batch.join().ok().context("a thread panicked")?)
    })
}

fn create_batch(kubernetes: &Path, numbers: RangeInclusive<u16>) -> anyhow::Result<()> {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": numbers.map(node).collect::<Vec<_>>() });
    let mut create = kubectl::command(kubernetes);
    create.args(["create", "--validate=false", "-f", "-"]);
    command::output_with_input(&mut create, &serde_json::to_vec(&list)?).map(drop)
}

fn node(number: u16) -> Value {
    let name = format!("fake{number:04}");
    let resources = json!({ "cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "sono.local/fake": "true",
            },
        },
        "spec": { "taints": [{ "key": TAINT, "value": "true", "effect": "NoSchedule" }] },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [{
                "type": "Ready",
                "status": "True",
                "reason": "Fake",
                "message": "this node has no kubelet",
            }],
        },
    })
}
