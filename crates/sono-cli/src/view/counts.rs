//! Summary of a plugin's rows in a status.

use std::collections::BTreeMap;

use sono_types::{
    OverallStatus, PluginStatus, RunStatus, item,
    status::{folded_count, plugin_status},
};

use super::words::counted;
use crate::output::Tone;

/// Summary of the rows of one plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PluginView {
    pub(crate) name: String,
    /// Number of expected targets.
    pub(crate) targets: usize,
    /// Number of targets with a result or an error.
    pub(crate) done: usize,
    /// Descriptions of skipped nodes, from which no result is expected.
    pub(crate) left_out: Vec<String>,
    /// Number of skipped nodes.
    pub(crate) skipped: usize,
    /// Number of targets with an error instead of a result.
    pub(crate) lost: usize,
    /// Targets with an error instead of a result, and the error, if the status contains it.
    pub(crate) broken: Vec<(String, String)>,
    /// Whether the target is the whole cluster.
    pub(crate) is_global: bool,
    /// Number of targets with a result status.
    pub(crate) judged: usize,
    /// Statuses of the results, worst first; empty until all are known.
    pub(crate) results: Vec<String>,
    /// Number of leaves by status.
    pub(crate) leaves: BTreeMap<String, i64>,
    /// Progress of all targets: total, done, failed.
    pub(crate) progress: Option<(i64, i64, usize)>,
}

impl PluginView {
    /// `global`, `1 node`, `3 nodes`, `2 of 3 nodes`.
    pub(crate) fn target(&self) -> String {
        match (self.is_global, self.targets, self.skipped) {
            (true, ..) => "global".to_owned(),
            (false, targets, 0) => counted(targets as u64, "node"),
            (false, targets, skipped) => format!("{targets} of {} nodes", targets + skipped),
        }
    }

    /// `; not on node2: taint bad=yes:NoSchedule`; empty if no node is skipped.
    pub(crate) fn gap(&self) -> String {
        let nodes: Vec<String> = self.left_out.iter().map(|nodes| format!("; not on {nodes}")).collect();
        nodes.concat()
    }

    /// Targets that sent a result: `2 nodes`, or `1 of 2 nodes`.
    pub(crate) fn sender(&self) -> String {
        match self.lost {
            0 => self.target(),
            lost => format!("{} of {} nodes", self.done.saturating_sub(lost), self.targets),
        }
    }

    /// `failed: 412 passed, 2 failed`; `None` until the results are known.
    pub(crate) fn verdict(&self) -> Option<String> {
        let worst = self.results.first()?;
        let order = [
            item::status::PASSED,
            item::status::FAILED,
            item::status::TIMEOUT,
            item::status::SKIPPED,
        ];
        let known = order.iter().filter_map(|status| self.leaves.get_key_value(*status));
        let others = self
            .leaves
            .iter()
            .filter(|(status, _)| !order.contains(&status.as_str()));
        let counts: Vec<String> = known
            .chain(others)
            .filter(|(_, number)| **number > 0)
            .map(|(status, number)| format!("{number} {status}"))
            .collect();
        Some(if counts.is_empty() {
            worst.clone()
        } else {
            format!("{worst}: {}", counts.join(", "))
        })
    }

    pub(crate) fn tone(&self) -> Tone {
        match self.results.first().map(String::as_str) {
            Some(item::status::PASSED) => Tone::Good,
            Some(item::status::FAILED | item::status::TIMEOUT) => Tone::Bad,
            _ => Tone::Plain,
        }
    }
}

/// Plugins of a status, in its order.
pub(crate) fn plugins(status: &RunStatus) -> Vec<PluginView> {
    let mut views: Vec<PluginView> = Vec::new();
    for row in status.rows() {
        let known = views.iter().position(|view| view.name == row.plugin);
        let at = known.unwrap_or_else(|| {
            views.push(PluginView {
                name: row.plugin.clone(),
                ..PluginView::default()
            });
            views.len() - 1
        });
        add(&mut views[at], row);
    }
    for left_out in &status.left_out {
        let known = views.iter().position(|view| view.name == left_out.plugin);
        let at = known.unwrap_or_else(|| {
            views.push(PluginView {
                name: left_out.plugin.clone(),
                ..PluginView::default()
            });
            views.len() - 1
        });
        views[at].skipped += left_out.count;
        views[at].left_out.push(left_out.to_string());
    }
    for view in &mut views {
        if view.judged < view.targets && status.status != OverallStatus::Complete {
            view.results.clear();
        }
        view.results.sort_by_key(|result| severity(result));
        view.results.dedup();
    }
    views
}

fn add(view: &mut PluginView, row: &PluginStatus) {
    // A folded row represents many targets.
    let targets = folded_count(&row.node).unwrap_or(1);
    view.targets += targets;
    view.is_global |= row.node == sono_types::constants::GLOBAL;
    if row.status != plugin_status::RUNNING {
        view.done += targets;
    }
    if row.status == plugin_status::FAILED {
        view.lost += targets;
        view.broken.push((row.node.clone(), row.reason().into_owned()));
    }
    if !row.result_status.is_empty() {
        view.judged += targets;
        view.results.push(row.result_status.clone());
    }
    for (status, number) in row.result_counts.iter().flatten() {
        *view.leaves.entry(status.clone()).or_default() += number;
    }
    if let Some(progress) = &row.progress {
        let (total, done, failed) = view.progress.unwrap_or_default();
        view.progress = Some((
            total + progress.total,
            done + progress.completed,
            failed + usize::try_from(progress.failed()).unwrap_or_default(),
        ));
    }
}

fn severity(result: &str) -> u8 {
    match result {
        item::status::FAILED => 0,
        item::status::TIMEOUT => 1,
        item::status::PASSED => 4,
        item::status::SKIPPED => 3,
        _ => 2,
    }
}

/// Verdict of a run: the worst status of its plugins.
pub(crate) fn verdict(status: &RunStatus) -> String {
    let results = status
        .rows()
        .iter()
        .map(|row| row.result_status.as_str())
        .filter(|result| !result.is_empty());
    match results.min_by_key(|result| severity(result)) {
        Some(item::status::TIMEOUT | item::status::FAILED) => "failed".to_owned(),
        Some(item::status::PASSED | item::status::SKIPPED) => "passed".to_owned(),
        Some(other) => format!("complete ({other})"),
        None => "complete".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_of_a_plugin_are_summarized() {
        let status: RunStatus = serde_json::from_value(json!({"status": "complete", "plugins": [
            {"plugin": "a", "node": "n1", "status": "complete", "result-status": "passed", "result-counts": {"passed": 2}},
            {"plugin": "a", "node": "n2", "status": "failed", "error": "why", "result-status": "failed", "result-counts": {"passed": 1, "failed": 1, "odd": 3}},
            {"plugin": "b", "node": "global", "status": "running", "progress":
                {"name": "b", "node": "global", "timestamp": "2026-01-01T00:00:00Z", "total": 9, "completed": 4, "failures": ["x"]}},
        ]}))
        .unwrap();
        let views = plugins(&status);
        assert_eq!(views[0].verdict().as_deref(), Some("failed: 3 passed, 1 failed, 3 odd"));
        assert_eq!(
            (views[0].target(), views[0].done, views[0].broken.clone()),
            ("2 nodes".to_owned(), 2, vec![("n2".to_owned(), "why".to_owned())])
        );
        assert_eq!(
            (views[1].target(), views[1].verdict(), views[1].progress),
            ("global".to_owned(), None, Some((9, 4, 1)))
        );
        assert_eq!(verdict(&status), "failed");
    }
}
