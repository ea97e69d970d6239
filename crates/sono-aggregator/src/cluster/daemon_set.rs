//! The DaemonSet driver: one pod and one result a node.

use std::collections::BTreeSet;

use futures::{StreamExt as _, future::BoxFuture};
use serde_json::Value;
use sono_kube::{Kind, WatchEvent, judge::Policy};
use sono_manifest::Definition;
use sono_types::{ResultKey, SessionId, Target};
use tokio::sync::mpsc;

use super::{
    objects::PluginObjects,
    watching::{Finding, Pods},
};
use crate::{
    driver::{Driver, FailureReport, Launch},
    engine::until,
    run::Failure,
    upload::chain,
};

pub(super) struct DaemonSet(pub(super) PluginObjects);

impl Driver for DaemonSet {
    fn definition(&self) -> &Definition {
        &self.0.definition
    }

    fn session(&self) -> &SessionId {
        &self.0.session
    }

    fn run<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.0.create(launch, "DaemonSet", sono_manifest::daemon_set))
    }

    fn monitor<'a>(&'a self, launch: &'a Launch, reports: mpsc::Sender<FailureReport>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let shared = &self.0.shared;
            let (namespace, selector) = (shared.config.namespace.as_str(), self.0.selector());
            let policy = Policy::daemon_set();
            let mut pod_events = std::pin::pin!(shared.cluster.watch_pods(namespace, &selector));
            let mut set_events = std::pin::pin!(shared.cluster.watch(Kind::DaemonSet, namespace, &selector));
            let mut pods = Pods::default();
            let mut set = None;
            let mut look_again = None;
            let mut reported = BTreeSet::new();
            loop {
                tokio::select! {
                    () = until(look_again, &shared.clock) => {}
                    event = pod_events.next() => match event {
                        Some(Ok(WatchEvent::Restarted(found))) => pods.restart(found),
                        Some(Ok(WatchEvent::Applied(pod))) => pods.apply(pod),
                        // The controller makes a new one.
                        Some(Ok(WatchEvent::Deleted(pod))) => pods.delete(&pod),
                        Some(Err(error)) => self.complain(&error),
                        None => return,
                    },
                    event = set_events.next() => match event {
                        Some(Ok(WatchEvent::Restarted(mut found))) => {
                            let before = set.take();
                            set = found.pop();
                            if before.is_some() && set.is_none() {
                                return self.report_deleted(launch, &reports).await;
                            }
                        }
                        Some(Ok(WatchEvent::Applied(found))) => set = Some(found),
                        Some(Ok(WatchEvent::Deleted(_))) => return self.report_deleted(launch, &reports).await,
                        Some(Err(error)) => self.complain(&error),
                        None => return,
                    },
                }
                let (mut findings, next) = pods.judge((shared.clock)(), &policy);
                look_again = next;
                findings.extend(unwanted(
                    &launch.expected,
                    &pods,
                    set.as_ref(),
                    self.0.definition.name.as_str(),
                ));
                for Finding { node, failure } in findings {
                    let Some(key) = launch
                        .expected
                        .iter()
                        .find(|key| node.as_deref() == Some(key.target.as_str()))
                    else {
                        continue;
                    };
                    if reported.insert(key.clone()) {
                        reports.send((key.clone(), failure)).await.ok();
                    }
                }
            }
        })
    }

    fn cleanup(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(self.0.remove(Kind::DaemonSet, 1))
    }
}

impl DaemonSet {
    async fn report_deleted(&self, launch: &Launch, reports: &mpsc::Sender<FailureReport>) {
        let plugin = &self.0.definition.name;
        let failure = Failure::new(format!(
            "the DaemonSet of plugin {plugin} was deleted before all nodes sent a result; run the plugin again"
        ));
        for key in &launch.expected {
            // Nobody waiting for the report means that nobody waits for the plugin.
            reports.send((key.clone(), failure.clone())).await.ok();
        }
    }

    fn complain(&self, error: &sono_kube::KubeError) {
        tracing::warn!(plugin_name = %self.0.definition.name, error = chain(error), "watching the plugin's pods");
    }
}

/// Nodes that the DaemonSet controller itself says it wants no pod on. Only its own account counts: pods appear over
/// minutes on a large cluster, so a missing pod alone says nothing (weakness W-9).
fn unwanted(expected: &[ResultKey], pods: &Pods, set: Option<&Value>, plugin: &str) -> Vec<Finding> {
    let number = |pointer: &str| set.and_then(|set| set.pointer(pointer)).and_then(Value::as_u64);
    let (Some(generation), Some(observed)) = (number("/metadata/generation"), number("/status/observedGeneration"))
    else {
        return Vec::new();
    };
    let desired = number("/status/desiredNumberScheduled").unwrap_or_default();
    let current = number("/status/currentNumberScheduled").unwrap_or_default();
    let complete = observed >= generation && current == desired && pods.len() as u64 == desired;
    if !complete {
        return Vec::new();
    }
    let nodes = pods.nodes();
    let missing = expected.iter().filter_map(|key| match &key.target {
        Target::Node(node) if !nodes.contains(node.as_str()) => Some(node.to_string()),
        _ => None,
    });
    missing
        .map(|node| Finding {
            failure: Failure::new(format!(
                "No pod was scheduled on node {node}: the DaemonSet controller wants {desired} pods and has them all. Check tolerations for plugin {plugin}"
            )),
            node: Some(node),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sono_types::{NodeName, PluginName};

    use super::*;

    fn expected(nodes: &[&str]) -> Vec<ResultKey> {
        let plugin = PluginName::parse("p").unwrap();
        let key = |node: &&str| ResultKey::new(plugin.clone(), Target::Node(NodeName::parse(node).unwrap()));
        nodes.iter().map(key).collect()
    }

    fn pods(nodes: &[&str]) -> Pods {
        let mut pods = Pods::default();
        pods.restart(
            nodes
                .iter()
                .map(|node| {
                    let pod = json!({"metadata": {"name": node}, "spec": {"containers": [], "nodeName": node}});
                    serde_json::from_value(pod).unwrap()
                })
                .collect(),
        );
        pods
    }

    fn set(observed: u64, desired: u64, current: u64) -> Value {
        json!({"metadata": {"generation": 1},
            "status": {"observedGeneration": observed, "desiredNumberScheduled": desired, "currentNumberScheduled": current}})
    }

    fn nodes(findings: &[Finding]) -> Vec<&str> {
        findings.iter().filter_map(|finding| finding.node.as_deref()).collect()
    }

    #[test]
    fn a_missing_pod_is_judged_by_the_controllers_own_account() {
        let expected = expected(&["a", "b"]);
        let judge = |pods: &Pods, set: Option<&Value>| nodes(&unwanted(&expected, pods, set, "p")).join(",");
        assert_eq!(judge(&pods(&["a"]), None), "");
        assert_eq!(judge(&pods(&["a"]), Some(&set(0, 1, 1))), "");
        assert_eq!(judge(&pods(&["a"]), Some(&set(1, 2, 1))), "");
        assert_eq!(judge(&pods(&[]), Some(&set(1, 1, 1))), "");
        assert_eq!(judge(&pods(&["a"]), Some(&set(1, 1, 1))), "b");
        assert_eq!(judge(&pods(&["a", "b"]), Some(&set(1, 2, 2))), "");
        // Node b has gone and c has come.
        assert_eq!(judge(&pods(&["a", "c"]), Some(&set(1, 2, 2))), "b");
    }
}
