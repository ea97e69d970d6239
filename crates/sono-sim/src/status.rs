//! The history of the status annotation in the API server.

use std::collections::BTreeMap;

use serde_json::Value;
use sono_types::{OverallStatus, RunStatus, constants, status::plugin_status};

use crate::world::{NAMESPACE, World};

fn of(pod: &Value) -> anyhow::Result<Option<RunStatus>> {
    let text = pod
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(constants::STATUS_ANNOTATION)?.as_str());
    Ok(text.map(serde_json::from_str).transpose()?)
}

/// The current status.
pub(crate) fn last(world: &World) -> anyhow::Result<Option<RunStatus>> {
    let pod = world.api.get("pods", Some(NAMESPACE), constants::AGGREGATOR_POD);
    pod.as_ref().map_or(Ok(None), of)
}

/// All written statuses in order, with their sizes in bytes.
pub(crate) fn written(world: &World) -> anyhow::Result<Vec<(RunStatus, usize)>> {
    let pods = world.api.versions("pods", Some(NAMESPACE), constants::AGGREGATOR_POD);
    let mut all = Vec::new();
    for pod in &pods {
        if let Some(status) = of(pod)? {
            let size = pod["metadata"]["annotations"][constants::STATUS_ANNOTATION]
                .as_str()
                .map_or(0, str::len);
            all.push((status, size));
        }
    }
    Ok(all)
}

/// Backward changes: a phase to an earlier one, or a complete result to another status.
pub(crate) fn regressions<'a>(statuses: impl IntoIterator<Item = &'a RunStatus>) -> Vec<String> {
    let mut violations = Vec::new();
    let mut phase = OverallStatus::Running;
    let mut rows: BTreeMap<(String, String), String> = BTreeMap::new();
    for status in statuses {
        if rank(&status.status) < rank(&phase) {
            violations.push(format!("the status changed from {phase} to {}", status.status));
        }
        phase = status.status.clone();
        for row in status.rows() {
            let key = (row.plugin.clone(), row.node.clone());
            if let Some(before) = rows.get(&key)
                && row_rank(before) > row_rank(&row.status)
            {
                violations.push(format!(
                    "{}/{} changed from {before} to {}",
                    row.plugin, row.node, row.status
                ));
            }
            rows.insert(key, row.status.clone());
        }
    }
    violations
}

fn rank(status: &OverallStatus) -> u8 {
    match status {
        OverallStatus::Running => 0,
        OverallStatus::PostProcessing => 1,
        OverallStatus::Complete | OverallStatus::Failed | OverallStatus::Other(_) => 2,
    }
}

/// A good result may follow an error; nothing follows a good result.
fn row_rank(status: &str) -> u8 {
    match status {
        plugin_status::COMPLETE => 2,
        plugin_status::FAILED => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use sono_types::PluginStatus;

    use super::*;

    fn status(phase: OverallStatus, row: &str) -> RunStatus {
        RunStatus {
            status: phase,
            plugins: Some(vec![PluginStatus {
                plugin: "p".to_owned(),
                node: "n".to_owned(),
                status: row.to_owned(),
                ..PluginStatus::default()
            }]),
            ..RunStatus::default()
        }
    }

    #[test]
    fn regressions_found_only_for_backward_changes() {
        let forward = [
            RunStatus::default(),
            status(OverallStatus::Running, "running"),
            status(OverallStatus::Running, "failed"),
            status(OverallStatus::PostProcessing, "complete"),
            status(OverallStatus::Complete, "complete"),
        ];
        assert_eq!(regressions(&forward), Vec::<String>::new());
        assert_eq!(
            regressions(forward.iter().rev()),
            [
                "the status changed from complete to post-processing",
                "the status changed from post-processing to running",
                "p/n changed from complete to failed",
                "p/n changed from failed to running",
            ]
        );
    }
}
