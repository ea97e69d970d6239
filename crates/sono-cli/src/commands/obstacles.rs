//! Obstacles of a run's pods: from the pods themselves, and from Events about pods that cannot be created.

use jiff::Timestamp;
use serde_json::Value;
use sono_kube::{Cluster, EventView, Kind, Pod, PodView, judge, stuck, stuck::Explanation};
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
        Some(Obstacle {
            plugin,
            node: aggregator::node(pod).map(str::to_owned),
            pending: phase(pod) == "Pending",
            why: stuck::explain(&PodView::from(pod), now)?,
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
            why: Explanation::new(judge::CREATE_EVENT, format!("no pod can be created: {why}"), None),
        })
    };
    sets.iter().filter_map(obstacle).collect()
}
