//! The status as the API server saw it, write by write.

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

/// The status as it is now.
pub(crate) fn last(world: &World) -> anyhow::Result<Option<RunStatus>> {
    let pod = world.api.get("pods", Some(NAMESPACE), constants::AGGREGATOR_POD);
    pod.as_ref().map_or(Ok(None), of)
}

/// All statuses that were written, in their order, and the size of each.
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

/// Where a status went back: a phase to an earlier one, a result that was in to one that is not.
pub(crate) fn steps_back<'a>(statuses: impl IntoIterator<Item = &'a RunStatus>) -> Vec<String> {
    let mut violations = Vec::new();
    let mut phase = OverallStatus::Running;
    let mut rows: BTreeMap<(String, String), String> = BTreeMap::new();
    for status in statuses {
        if rank(&status.status) < rank(&phase) {
            violations.push(format!("the status went from {phase} to {}", status.status));
        }
        phase = status.status.clone();
        for row in status.rows() {
            let key = (row.plugin.clone(), row.node.clone());
            if let Some(before) = rows.get(&key)
                && row_rank(before) > row_rank(&row.status)
            {
                violations.push(format!(
                    "{}/{} went from {before} to {}",
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
    fn steps_back_are_found_and_steps_on_are_not() {
        let on = [
            RunStatus::default(),
            status(OverallStatus::Running, "running"),
            status(OverallStatus::Running, "failed"),
            status(OverallStatus::PostProcessing, "complete"),
            status(OverallStatus::Complete, "complete"),
        ];
        assert_eq!(steps_back(&on), Vec::<String>::new());
        assert_eq!(
            steps_back(on.iter().rev()),
            [
                "the status went from complete to post-processing",
                "the status went from post-processing to running",
                "p/n went from complete to failed",
                "p/n went from failed to running",
            ]
        );
    }
}
