//! The status as clients see it.

use std::collections::{BTreeMap, BTreeSet};

use sono_types::{LeftOut, PluginName, PluginStatus, RunStatus, status::plugin_status};

use super::{
    ledger::State,
    machine::{LeftOutNodes, Run},
};

impl Run {
    /// Sets the nodes that plugins leave out, for the status.
    pub fn leave_out(&mut self, nodes: LeftOutNodes) {
        self.left_out = nodes;
    }

    /// Nodes that plugins leave out, without nodes from which a result is expected: by configuration, or because the taint was
    /// removed.
    pub fn left_out(&self) -> Vec<LeftOut> {
        let of_plugin = |(plugin, by_taint): (&PluginName, &BTreeMap<String, Vec<String>>)| {
            let expected: BTreeSet<String> = self
                .expected()
                .filter(|key| key.plugin == *plugin)
                .map(|key| key.target.to_string())
                .collect();
            let is_out = |node: &&String| !expected.contains(*node);
            let nodes = by_taint.iter().map(|(taint, nodes)| {
                let nodes = nodes.iter().filter(is_out).cloned().collect();
                (taint.clone(), nodes)
            });
            LeftOut::of(plugin.as_str(), &nodes.collect())
        };
        let with_nodes = self.left_out.iter().filter(|(_, by_taint)| !by_taint.is_empty());
        with_nodes.flat_map(of_plugin).collect()
    }

    /// The whole status: one row for each expected result.
    pub fn status(&self) -> RunStatus {
        let rows = self.expected().map(|key| {
            let (result_status, result_counts) = match self.summaries.get(key) {
                Some((status, counts)) => (status.clone(), Some(counts.clone())),
                None => (String::new(), None),
            };
            let status = match self.ledger.state(key) {
                Some(State::Stored) => plugin_status::COMPLETE,
                Some(State::Failed) => plugin_status::FAILED,
                Some(State::Waiting) | None => plugin_status::RUNNING,
            };
            let error = self.reasons.get(key).filter(|_| status == plugin_status::FAILED);
            PluginStatus {
                plugin: key.plugin.to_string(),
                node: key.target.to_string(),
                status: status.to_owned(),
                result_status,
                result_counts,
                progress: self.progress.get(key).cloned(),
                error: error.cloned().unwrap_or_default(),
            }
        });
        RunStatus {
            plugins: Some(rows.collect()),
            status: self.overall(),
            tarball: self.archive.clone(),
            left_out: self.left_out(),
            withheld: String::new(),
        }
    }
}
