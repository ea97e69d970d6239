//! The DaemonSet driver: one pod and one result a node.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, future::BoxFuture, stream};
use jiff::{SignedDuration, Timestamp};
use sono_kube::{
    DaemonSetView, Kind, KubeError, NodeView, PodView, Text, WatchEvent,
    judge::{self, Policy},
};
use sono_manifest::Definition;
use sono_run::Failure;
use sono_types::{NodeName, PluginName, ResultKey, SessionId, Target, error_chain};
use tokio::sync::mpsc;

use super::{
    Shared,
    events::Events,
    evidence::Evidence,
    objects::PluginObjects,
    watching::{Finding, Pods, final_check},
};
use crate::{
    backend::{BackendError, Driver, Launch, Report},
    clock::until,
};

/// Interval between checks of the nodes of pods that are not ready.
const NODE_CHECK_INTERVAL: SignedDuration = SignedDuration::from_mins(1);
/// Maximum number of failed pods that are fetched concurrently.
const MAX_CONCURRENT_FETCHES: usize = 8;

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

    fn monitor<'a>(&'a self, launch: &'a Launch, reports: mpsc::Sender<Report>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let shared = &self.0.shared;
            let (namespace, selector) = (shared.config.namespace.as_str(), self.0.selector());
            let policy = Policy::daemon_set();
            let mut pod_events = std::pin::pin!(shared.cluster.watch_pod_views(namespace, &selector));
            let mut set_events = std::pin::pin!(shared.cluster.watch_daemon_set_views(namespace, &selector));
            let mut pods = Pods::grace_until(launch.grace_until);
            let mut set = None;
            let mut look_again = None;
            let (mut of_pods, mut of_set) = (Events::default(), Events::default());
            let mut targets = Targets::new(launch, reports);
            let mut final_check = final_check(launch.deadline, (shared.clock)());
            loop {
                // The watches are polled by reference: no event is lost to another branch.
                tokio::select! {
                    () = until(look_again, &shared.clock) => {}
                    () = until(final_check, &shared.clock) => {
                        final_check = None;
                        let now = (shared.clock)();
                        let events = of_pods.of_volumes(shared, &pods, now).await;
                        let mut seen = targets.last_seen(pods.last_seen(&events, now));
                        let missing = targets.missing(&pods);
                        let reason = match &set {
                            Some(set) if !missing.is_empty() => of_set.of_creation(shared, set, now).await,
                            _ => None,
                        };
                        seen.extend(targets.without_pods(missing, reason.as_deref()));
                        targets.say(Report::LastSeen(seen)).await;
                        continue;
                    }
                    event = pod_events.next() => match event {
                        Some(Ok(WatchEvent::Restarted(found))) => pods.restart(found),
                        Some(Ok(WatchEvent::Applied(pod))) => pods.apply(pod),
                        // The controller creates a new one.
                        Some(Ok(WatchEvent::Deleted(pod))) => pods.delete(&pod),
                        Some(Err(error)) => self.warn_unwatchable(&error),
                        None => return,
                    },
                    event = set_events.next() => match event {
                        Some(Ok(WatchEvent::Restarted(mut found))) => {
                            let before = set.take();
                            set = found.pop();
                            // A missing DaemonSet of an earlier process was deleted, with its pods.
                            if set.is_none() && (before.is_some() || launch.grace_until.is_some()) {
                                return targets.deleted(&self.0.definition.name).await;
                            }
                        }
                        Some(Ok(WatchEvent::Applied(found))) => set = Some(found),
                        Some(Ok(WatchEvent::Deleted(_))) => return targets.deleted(&self.0.definition.name).await,
                        Some(Err(error)) => self.warn_unwatchable(&error),
                        None => return,
                    },
                }
                let now = (shared.clock)();
                if let Err(due) = pods.due(now) {
                    look_again = Some(due);
                    continue;
                }
                shared.siblings.set(&self.0.definition.name, pods.siblings());
                let account = account(&pods, set.as_ref());
                targets
                    .discover(&self.0.definition.name, &pods, account.is_some())
                    .await;
                let (mut findings, next) = pods.judge(now, &policy);
                let (unmounted, ask_again) = of_pods.judge(shared, &pods, now, &policy).await;
                findings.extend(unmounted);
                let (lost, ask_nodes) = self.lost(&pods, now, &policy).await;
                findings.extend(lost);
                look_again = next.into_iter().chain(ask_again).chain(ask_nodes).min();
                match (account, &set) {
                    (Some(desired), _) => {
                        findings.extend(self.missing(targets.missing(&pods), desired, &targets).await);
                    }
                    (None, Some(set)) => {
                        let (reason, again) = of_set.uncreated(shared, set, &pods, now, &policy).await;
                        look_again = look_again.into_iter().chain(again).min();
                        if let Some(reason) = reason {
                            findings.extend(self.uncreated(targets.missing(&pods), &reason));
                        }
                    }
                    (None, None) => {}
                }
                targets.failed(shared, findings).await;
            }
        })
    }

    fn cleanup(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(self.0.remove(Kind::DaemonSet, 1))
    }
}

impl DaemonSet {
    fn uncreated(&self, missing: Vec<String>, reason: &str) -> Vec<Finding<'static>> {
        let plugin = &self.0.definition.name;
        let finding = |node: String| {
            let message = format!(
                "the pod of plugin {plugin} for node {node} cannot be created: {reason}; change the plugin's definition, or the policy that refuses it"
            );
            Finding::of_node(node, message)
        };
        missing.into_iter().map(finding).collect()
    }

    /// Pods whose node has been unavailable for too long, and the time of the next check. Nodes are fetched only if a pod gives reason.
    async fn lost<'a>(&self, pods: &'a Pods, now: Timestamp, policy: &Policy) -> (Vec<Finding<'a>>, Option<Timestamp>) {
        let (overdue, next) = pods.unready(now, policy);
        if overdue.is_empty() {
            return (Vec::new(), next);
        }
        let again = now.checked_add(NODE_CHECK_INTERVAL).ok();
        let mut unready = BTreeMap::new();
        let listed = self.each_node(|node| {
            if node.unready_since.is_some() {
                unready.insert(node.name.clone(), node);
            }
        });
        if let Err(error) = listed.await {
            tracing::debug!(error = error_chain(&error), "cannot check whether nodes respond");
            return (Vec::new(), again);
        }
        let finding = |pod: &'a PodView| {
            let node = unready.get(&**pod.node_or_intended()?)?;
            let (_, message) = judge::unresponsive(pod, node, policy).filter(|(due, _)| *due <= now)?;
            Some(Finding::of_pod(pod, message))
        };
        (overdue.into_iter().filter_map(finding).collect(), again)
    }

    /// Findings for expected nodes without a pod, according to the controller.
    async fn missing(&self, missing: Vec<String>, desired: u64, targets: &Targets) -> Vec<Finding<'static>> {
        if missing.is_empty() {
            return Vec::new();
        }
        let mut there = BTreeSet::new();
        let listed = self.each_node(|node| {
            there.insert(node.name);
        });
        let there = match listed.await {
            Ok(()) => Some(there),
            Err(error) => {
                tracing::debug!(error = error_chain(&error), "cannot check which nodes still exist");
                None
            }
        };
        let plugin = &self.0.definition.name;
        let finding = |node: String| {
            let message = match &there {
                Some(there) if !there.contains(&node) => {
                    format!(
                        "node {node} left the cluster before it sent a result of plugin {plugin}; run again when the node is back"
                    )
                }
                _ if targets.had_a_pod(&node) => format!(
                    "the DaemonSet controller deleted the pod on node {node} before it sent a result of plugin {plugin}; check the node's labels and taints"
                ),
                _ => format!(
                    "No pod was scheduled on node {node}: the DaemonSet has all {desired} desired pods. Check tolerations for plugin {plugin}"
                ),
            };
            Finding::of_node(node, message)
        };
        missing.into_iter().map(finding).collect()
    }

    async fn each_node(&self, each: impl FnMut(NodeView)) -> Result<(), KubeError> {
        self.0.shared.cluster.each(Kind::Node, None, "", each).await
    }

    fn warn_unwatchable(&self, error: &KubeError) {
        tracing::warn!(plugin_name = %self.0.definition.name, error = error_chain(error), "cannot watch the plugin's pods, retrying");
    }
}

/// The number of pods of the DaemonSet, once its controller reports that it has them all. Only its own status counts:
/// pods appear over minutes on a large cluster, so a missing pod alone says nothing (weakness W-9).
fn account(pods: &Pods, set: Option<&DaemonSetView>) -> Option<u64> {
    let set = set?;
    let is_current = set.observed? >= set.generation?;
    (is_current && set.current == set.desired && pods.len() as u64 == set.desired).then_some(set.desired)
}

/// The expected results of a DaemonSet by node, and which of them were reported.
struct Targets {
    expected: BTreeMap<String, ResultKey>,
    /// Nodes that have or had a pod.
    seen: BTreeSet<Text>,
    reported: BTreeSet<String>,
    /// All targets are known.
    discovery_ended: bool,
    reports: mpsc::Sender<Report>,
}

impl Targets {
    fn new(launch: &Launch, reports: mpsc::Sender<Report>) -> Self {
        let by_name = |key: &ResultKey| (key.target.to_string(), key.clone());
        Self {
            expected: launch.expected.iter().map(by_name).collect(),
            seen: BTreeSet::new(),
            reported: BTreeSet::new(),
            discovery_ended: !launch.discovers_targets,
            reports,
        }
    }

    /// A report that has no receiver is dropped: the plugin is settled.
    async fn say(&self, report: Report) {
        self.reports.send(report).await.ok();
    }

    /// The controller determines the nodes of its pods, including nodes that joined (weakness W-52).
    async fn discover(&mut self, plugin: &PluginName, pods: &Pods, is_all: bool) {
        for target in pods.targets() {
            if self.seen.contains(target) {
                continue;
            }
            self.seen.insert(Text::clone(target));
            if self.expected.contains_key(&**target) {
                continue;
            }
            let Ok(node) = NodeName::parse(target) else { continue };
            let key = ResultKey::new(plugin.clone(), Target::Node(node));
            self.expected.insert(target.to_string(), key.clone());
            self.say(Report::TargetDiscovered(key)).await;
        }
        if is_all && !self.discovery_ended {
            self.discovery_ended = true;
            self.say(Report::DiscoveryEnded).await;
        }
    }

    /// Expected nodes without a pod that were not reported yet.
    fn missing(&self, pods: &Pods) -> Vec<String> {
        let nodes = pods.nodes();
        let expected = self.expected.keys();
        expected
            .filter(|node| !nodes.contains(node.as_str()) && !self.reported.contains(*node))
            .cloned()
            .collect()
    }

    /// The last known state of expected results.
    fn last_seen(&self, seen: BTreeMap<Option<Text>, String>) -> Vec<(ResultKey, String)> {
        let keyed = |(node, seen): (Option<Text>, String)| Some((self.expected.get(&*node?)?.clone(), seen));
        seen.into_iter().filter_map(keyed).collect()
    }

    /// The state of nodes without a pod.
    fn without_pods(&self, missing: Vec<String>, reason: Option<&str>) -> Vec<(ResultKey, String)> {
        let said = |node: String| {
            let seen = match reason {
                Some(reason) => {
                    format!("node {node} had no pod of the plugin, because none could be created: {reason}")
                }
                None => format!("node {node} had no pod of the plugin"),
            };
            Some((self.expected.get(&node)?.clone(), seen))
        };
        missing.into_iter().filter_map(said).collect()
    }

    fn had_a_pod(&self, node: &str) -> bool {
        self.seen.contains(node)
    }

    /// Reports each node once, with its pod as it is now.
    async fn failed(&mut self, shared: &Shared, findings: Vec<Finding<'_>>) {
        let evidence = Evidence::new(shared);
        let mut failures = Vec::new();
        for Finding { node, message, pod } in findings {
            let known = node.and_then(|node| self.expected.get_key_value(&*node));
            if let Some((target, key)) = known
                && self.reported.insert(target.clone())
            {
                failures.push(evidence.report(key.clone(), message, pod));
            }
        }
        let mut failures = std::pin::pin!(stream::iter(failures).buffered(MAX_CONCURRENT_FETCHES));
        while let Some(report) = failures.next().await {
            self.say(report).await;
        }
    }

    async fn deleted(&self, plugin: &PluginName) {
        let failure = Failure::new(format!(
            "the DaemonSet of plugin {plugin} was deleted before all nodes sent a result; run the plugin again"
        ));
        for key in self.expected.values() {
            self.say(Report::Failed(key.clone(), failure.clone())).await;
        }
        if !self.discovery_ended {
            self.say(Report::Lost(failure)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
                    PodView::from(&serde_json::from_value::<sono_kube::Pod>(pod).unwrap())
                })
                .collect(),
        );
        pods
    }

    fn set(observed: i64, desired: u64, current: u64) -> DaemonSetView {
        DaemonSetView {
            generation: Some(1),
            observed: Some(observed),
            desired,
            current,
            ..DaemonSetView::default()
        }
    }

    fn targets(nodes: &[&str], discovers_targets: bool) -> (Targets, mpsc::Receiver<Report>) {
        let identity = sono_tls::Identity {
            certificate_pem: String::new(),
            key_pem: String::new(),
        };
        let launch = Launch {
            url: String::new(),
            fallback_url: None,
            ca_pem: String::new(),
            identity,
            deadline: None,
            expected: expected(nodes),
            discovers_targets,
            grace_until: None,
        };
        let (reports, received) = mpsc::channel(16);
        (Targets::new(&launch, reports), received)
    }

    /// W-9: on a large cluster pods appear over minutes.
    #[test]
    fn missing_pod_is_reported_once_the_controller_has_all_pods() {
        let (targets, _reports) = targets(&["a", "b"], false);
        let judge = |pods: &Pods, set: Option<&DaemonSetView>| {
            account(pods, set).map(|desired| (desired, targets.missing(pods).join(",")))
        };
        let missing = |desired, nodes: &str| Some((desired, nodes.to_owned()));
        assert_eq!(judge(&pods(&["a"]), None), None);
        assert_eq!(judge(&pods(&["a"]), Some(&set(0, 1, 1))), None);
        assert_eq!(judge(&pods(&["a"]), Some(&set(1, 2, 1))), None);
        assert_eq!(judge(&pods(&[]), Some(&set(1, 1, 1))), None);
        assert_eq!(judge(&pods(&["a"]), Some(&set(1, 1, 1))), missing(1, "b"));
        assert_eq!(judge(&pods(&["a", "b"]), Some(&set(1, 2, 2))), missing(2, ""));
        // Node b was removed and c was added.
        assert_eq!(judge(&pods(&["a", "c"]), Some(&set(1, 2, 2))), missing(2, "b"));
    }

    /// W-52: a node that joins is reported once; W-14: so is the end of the discovery.
    #[tokio::test]
    async fn pods_on_unknown_nodes_are_discovered_targets() {
        let plugin = PluginName::parse("p").unwrap();
        let (mut targets, mut reports) = targets(&["a"], true);
        targets.discover(&plugin, &pods(&["a", "b"]), false).await;
        targets.discover(&plugin, &pods(&["b", "c"]), true).await;
        targets.discover(&plugin, &pods(&["a", "b", "c"]), true).await;
        targets.deleted(&plugin).await;
        drop(targets);
        let mut said = Vec::new();
        while let Some(report) = reports.recv().await {
            said.push(match report {
                Report::TargetDiscovered(key) => format!("discovered {}", key.target),
                Report::Failed(key, _) => format!("failed {}", key.target),
                other => format!("{other:?}"),
            });
        }
        assert_eq!(
            said,
            [
                "discovered b",
                "discovered c",
                "DiscoveryEnded",
                "failed a",
                "failed b",
                "failed c"
            ]
        );
    }
}
