//! Texts of one failure, for every view.

use super::FailureView;

impl FailureView {
    /// `plugin e2e, namespace dns-1, k8s.io/…/dns.go:12, 11/22/26 19:35:45.56`
    pub fn about(&self) -> String {
        let namespace = self.namespace.as_ref().map(|name| format!("namespace {name}"));
        let parts = [
            Some(format!("plugin {}", self.plugin)),
            namespace,
            self.location.clone(),
            self.time.clone(),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Titles and lines of the evidence: message, events, pods, nodes, end of the log. Those without lines are left out.
    pub fn evidence(&self) -> Vec<(&'static str, Vec<String>)> {
        let events = self.events.iter().map(|event| {
            let time = event.time.strip_suffix(" +0000 UTC").unwrap_or(&event.time);
            format!("{time}  {}  {}: {}", event.object, event.reason, event.message)
        });
        let pods = self.pods.iter().map(|pod| {
            let ready = if pod.ready { "ready" } else { "not ready" };
            let node = if pod.node.is_empty() { "no node" } else { &pod.node };
            format!("{}  {}  {ready}  {node}", pod.name, pod.phase)
        });
        let all = vec![
            ("message", self.message.lines().map(str::to_owned).collect()),
            ("events", events.collect()),
            ("pods", pods.collect()),
            ("nodes", self.nodes.clone()),
            ("end of the log", self.log.clone()),
        ];
        all.into_iter()
            .filter(|(_, lines): &(_, Vec<String>)| !lines.is_empty())
            .collect()
    }
}
