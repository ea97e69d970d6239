//! Obstacles of a run's pods: from the pods themselves, and from Events about pods that cannot be created.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use sono_kube::{Cluster, EventView, FailedOutput, Kind, Pod, PodView, judge, stuck, stuck::Explanation};
use sono_types::constants;

use crate::{
    aggregator::{self, is_aggregator, phase, plugin_of},
    clock::now,
    identity::Identity,
    view::obstacles::Obstacle,
};

const PLUGINS: &str = "sonobuoy-component=plugin";

/// Obstacles of pods of the aggregator and of plugins.
pub(super) fn of_pods<'a>(pods: impl Iterator<Item = &'a Pod>, now: Timestamp) -> Vec<Obstacle> {
    pods.filter_map(|pod| {
        let plugin = plugin_of(pod).map(str::to_owned);
        if plugin.is_none() && !is_aggregator(pod) {
            return None;
        }
        let view = PodView::from(pod);
        let failed = view.failed_container().is_some();
        Some(Obstacle {
            plugin,
            node: aggregator::node(pod).map(str::to_owned),
            pending: phase(pod) == "Pending",
            failed_pod: pod.metadata.name.clone().filter(|_| failed),
            why: stuck::explain(&view, now)?,
        })
    })
    .collect()
}

/// Obstacle of an aggregator whose pod cannot be created.
pub(super) fn of_uncreated(why: String) -> Obstacle {
    Obstacle {
        plugin: None,
        node: None,
        pending: true,
        failed_pod: None,
        why: Explanation::new(judge::CREATE_EVENT, why, None),
    }
}

/// Obstacles of plugin pods. Best effort: errors are ignored.
pub(super) async fn of_plugins(cluster: &Cluster, namespace: &str, run: &Identity) -> Vec<Obstacle> {
    let (pods, refused) = futures::join!(
        cluster.list(Kind::Pod, Some(namespace), PLUGINS),
        refused(cluster, namespace)
    );
    let pods: Vec<Pod> = pods
        .unwrap_or_default()
        .into_iter()
        .filter_map(|pod| serde_json::from_value::<Pod>(pod).ok())
        .filter(|pod| run.may_include(pod))
        .collect();
    of_pods(pods.iter(), now()).into_iter().chain(refused).collect()
}

/// Maximum number of failed pods with a log in one status.
const MAX_OUTPUTS: usize = 3;

/// The ends of the logs of failed containers, one for each reason.
pub(super) async fn outputs<'a>(
    cluster: &Cluster,
    namespace: &str,
    obstacles: &'a [Obstacle],
) -> Vec<(&'a Obstacle, FailedOutput)> {
    let mut keys = BTreeSet::new();
    let failed = obstacles.iter().filter(|obstacle| obstacle.failed_pod.is_some());
    let first = failed.filter(|obstacle| keys.insert(obstacle.key())).take(MAX_OUTPUTS);
    let reads = first.map(|obstacle| async move { Some((obstacle, output(cluster, namespace, obstacle).await?)) });
    futures::future::join_all(reads).await.into_iter().flatten().collect()
}

/// The end of the log of an obstacle's failed container.
pub(super) async fn output(cluster: &Cluster, namespace: &str, obstacle: &Obstacle) -> Option<FailedOutput> {
    let pod = cluster
        .get(Kind::Pod, Some(namespace), obstacle.failed_pod.as_deref()?)
        .await
        .ok()??;
    let pod: Pod = serde_json::from_value(pod).ok()?;
    cluster.failed_output(namespace, &PodView::from(&pod)).await
}

/// Obstacles of plugin pods that cannot be created, due to a quota, pod security or a webhook. Only Events contain the
/// reason.
pub(super) async fn refused(cluster: &Cluster, namespace: &str) -> Vec<Obstacle> {
    let sets = cluster.list(Kind::DaemonSet, Some(namespace), PLUGINS).await;
    let number = |set: &Value, key: &str| set["status"][key].as_u64().unwrap_or_default();
    let lacking = |set: &Value| number(set, "currentNumberScheduled") < number(set, "desiredNumberScheduled");
    let sets: Vec<Value> = sets.unwrap_or_default().into_iter().filter(lacking).collect();
    if sets.is_empty() {
        return Vec::new();
    }
    let fields = format!("reason={}", judge::CREATE_EVENT);
    let mut events: Vec<EventView> = Vec::new();
    let listed = cluster
        .each(Kind::Event, Some(namespace), &fields, |event| events.push(event))
        .await;
    if let Err(error) = listed {
        tracing::debug!(%error, "cannot list the Events of the namespace");
    }
    let obstacle = |set: &Value| {
        let plugin = set["metadata"]["labels"][constants::PLUGIN_LABEL].as_str()?;
        let why = judge::creation_failure(set["metadata"]["uid"].as_str().unwrap_or_default(), &events, now())?;
        Some(Obstacle {
            plugin: Some(plugin.to_owned()),
            node: None,
            pending: true,
            failed_pod: None,
            why: Explanation::new(judge::CREATE_EVENT, format!("no pod can be created: {why}"), None),
        })
    };
    sets.iter().filter_map(obstacle).collect()
}
