//! Status as a JSON or YAML document: that of the aggregator, with the states of pods.

use jiff::Timestamp;
use serde::Serialize;
use sono_kube::stuck::Explanation;
use sono_types::{LeftOut, OverallStatus, PluginStatus, RunStatus, TarInfo, constants::GLOBAL, status::plugin_status};

use crate::view::{failed_log::FailedLog, obstacles::Obstacle, overview::obstacle_of};

/// State of the pod of a row or of the aggregator.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::commands) struct RowState {
    /// `pending`, `running`, `complete`, `failed`, …
    state: String,
    /// One word, such as `ErrImagePull`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// One sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Start of this state, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
}

impl RowState {
    pub(in crate::commands) fn new(state: &str, why: Option<&Explanation>) -> Self {
        Self {
            state: state.to_owned(),
            reason: why.map(|why| why.reason.clone()),
            message: why.map(|why| why.message.clone()),
            since: why.and_then(|why| why.since),
        }
    }

    fn of_row(row: &PluginStatus, obstacles: &[Obstacle]) -> Self {
        match obstacle_of(row, obstacles) {
            Some(Obstacle { pending, why, .. }) => Self::new(if *pending { "pending" } else { &row.status }, Some(why)),
            None => Self {
                reason: (row.status == plugin_status::FAILED).then(|| "NoResult".to_owned()),
                message: (!row.error.is_empty()).then(|| row.reason().into_owned()),
                ..Self::new(&row.status, None)
            },
        }
    }
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    reported: &'a PluginStatus,
    #[serde(flatten)]
    state: RowState,
    /// End of the log of its failed container. Of equal failures only the first has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a FailedLog>,
}

/// Document of a run with a status. Its first keys are those of the status annotation.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    plugins: Option<Vec<Row<'a>>>,
    status: &'a OverallStatus,
    #[serde(rename = "tar-info")]
    tarball: &'a TarInfo,
    #[serde(rename = "left-out", skip_serializing_if = "<[_]>::is_empty")]
    left_out: &'a [LeftOut],
    #[serde(skip_serializing_if = "str::is_empty")]
    withheld: &'a str,
    aggregator: &'a RowState,
}

impl<'a> Document<'a> {
    pub(super) fn new(
        status: &'a RunStatus,
        obstacles: &[Obstacle],
        aggregator: &'a RowState,
        logs: &'a [FailedLog],
    ) -> Self {
        let RunStatus {
            plugins,
            status,
            tarball,
            left_out,
            withheld,
        } = status;
        let row = |row: &'a PluginStatus| Row {
            reported: row,
            state: RowState::of_row(row, obstacles),
            log: logs
                .iter()
                .filter(|_| obstacle_of(row, obstacles).is_some())
                .find(|log| log.plugin == row.plugin && (row.node == GLOBAL || log.node.as_ref() == Some(&row.node))),
        };
        Self {
            plugins: plugins.as_ref().map(|rows| rows.iter().map(row).collect()),
            status,
            tarball,
            left_out,
            withheld,
            aggregator,
        }
    }
}

/// Document of a run without a status yet.
#[derive(Debug, Serialize)]
pub(super) struct NoStatusDocument<'a> {
    plugins: [(); 0],
    /// Phase of the aggregator's pod.
    status: &'a str,
    reason: Option<String>,
    aggregator: RowState,
}

impl<'a> NoStatusDocument<'a> {
    pub(super) fn new(status: &'a str, reason: Option<String>, aggregator: RowState) -> Self {
        Self {
            plugins: [],
            status,
            reason,
            aggregator,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sono_kube::FailedOutput;

    use super::*;

    #[test]
    fn rows_and_aggregator_have_their_states() {
        let rows = json!([
            {"plugin": "p", "node": "n1", "status": "running", "result-status": "", "result-counts": null},
            {"plugin": "p", "node": "n2", "status": "running", "result-status": "", "result-counts": null},
            {"plugin": "q", "node": "global", "status": "failed", "result-status": "", "result-counts": null, "error": "gone"},
        ]);
        let status = json!({"plugins": rows, "status": "running",
            "tar-info": {"name": "", "created": "0001-01-01T00:00:00Z", "sha256": "", "size": 0}});
        let parsed: RunStatus = serde_json::from_value(status.clone()).unwrap();
        let since: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let obstacles = [Obstacle {
            plugin: Some("p".to_owned()),
            node: Some("n2".to_owned()),
            pending: true,
            failed_pod: None,
            why: Explanation::new("ErrImagePull", "image i: not found", Some(since)),
        }];
        let aggregator = RowState::new("running", None);
        let output = FailedOutput {
            container: "c".to_owned(),
            previous: false,
            lines: vec!["cannot start".to_owned()],
        };
        let logs = [FailedLog::new(&obstacles[0], output, &|command| command.to_owned())];
        let document = Document::new(&parsed, &obstacles, &aggregator, &logs);
        let mut expected = status;
        expected["aggregator"] = json!({"state": "running"});
        expected["plugins"][0]["state"] = "running".into();
        for (key, value) in [
            ("state", "pending"),
            ("reason", "ErrImagePull"),
            ("message", "image i: not found"),
            ("since", "2026-11-22T10:00:00Z"),
        ] {
            expected["plugins"][1][key] = value.into();
        }
        expected["plugins"][1]["log"] = json!({"container": "c", "previous": false, "lines": ["cannot start"],
            "command": "logs -p p --failed"});
        for (key, value) in [("state", "failed"), ("reason", "NoResult"), ("message", "gone")] {
            expected["plugins"][2][key] = value.into();
        }
        assert_eq!(serde_json::to_value(document).unwrap(), expected);
    }
}
