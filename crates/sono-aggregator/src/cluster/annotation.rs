//! The status as the text of an annotation, which Kubernetes limits to 256 KiB for all annotations of an object.

use serde_json::Error;
use sono_types::RunStatus;

/// Bytes of the text; other annotations need room too.
const LIMIT: usize = 200 << 10;

/// The status as JSON. What does not fit goes, the least important first: names of failed tests, progress, counts, rows.
/// The overall status and the archive always stay.
pub(super) fn text(status: &RunStatus) -> Result<String, Error> {
    let whole = serde_json::to_string(status)?;
    if whole.len() <= LIMIT {
        return Ok(whole);
    }
    let mut smaller = status.clone();
    let steps: [fn(&mut RunStatus); 4] = [
        |status| {
            for progress in rows(status).filter_map(|row| row.progress.as_mut()) {
                progress.failures.clear();
                progress.errors.clear();
                progress.msg.clear();
            }
        },
        |status| rows(status).for_each(|row| row.progress = None),
        |status| rows(status).for_each(|row| row.result_counts = None),
        |status| status.plugins = Some(Vec::new()),
    ];
    let mut text = whole;
    for step in steps {
        step(&mut smaller);
        text = serde_json::to_string(&smaller)?;
        if text.len() <= LIMIT {
            break;
        }
    }
    Ok(text)
}

fn rows(status: &mut RunStatus) -> impl Iterator<Item = &mut sono_types::PluginStatus> {
    status.plugins.iter_mut().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sono_types::{OverallStatus, PluginStatus, ProgressUpdate};

    use super::*;

    fn status(nodes: usize) -> RunStatus {
        let row = |node| PluginStatus {
            plugin: "p".to_owned(),
            node: format!("node-{node}"),
            status: "complete".to_owned(),
            result_status: "passed".to_owned(),
            result_counts: Some(BTreeMap::from([("passed".to_owned(), 1)])),
            progress: Some(ProgressUpdate {
                msg: "m".repeat(20),
                ..ProgressUpdate::default()
            }),
        };
        RunStatus {
            plugins: Some((0..nodes).map(row).collect()),
            status: OverallStatus::Complete,
            ..RunStatus::default()
        }
    }

    #[test]
    fn what_fits_stays_and_the_end_is_always_told() {
        for nodes in [1, 500, 1_500, 2_000, 10_000] {
            let text = text(&status(nodes)).unwrap();
            assert!(text.len() <= LIMIT, "{nodes} nodes: {}", text.len());
            let read: RunStatus = serde_json::from_str(&text).unwrap();
            assert_eq!(read.status, OverallStatus::Complete);
        }
        let small = status(3);
        assert_eq!(text(&small).unwrap(), serde_json::to_string(&small).unwrap());
        let read: RunStatus = serde_json::from_str(&text(&status(1_500)).unwrap()).unwrap();
        assert_eq!(read.rows().len(), 1_500);
    }
}
