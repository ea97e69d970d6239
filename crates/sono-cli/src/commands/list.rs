//! `sono list` and `sono status -A`: the runs in all namespaces.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;
use sono_kube::{Cluster, Kind, Pod, elapsed};
use sono_types::{OverallStatus, constants, exit, yaml};

use crate::{
    aggregator::{self, status_of, text},
    args::{self, ListOutput},
    clock::now,
    error::CliError,
    identity::{self, AggregatorWorkload},
    output::{Format, Grid, Printer, Tone},
    settings::connect,
    view::counts,
};

/// Maximum number of namespaces that are searched at the same time.
const MAX_CONCURRENT: usize = 16;
const HEADER: [&str; 4] = ["NAMESPACE", "RUN", "STATUS", "AGE"];

/// One run of the list.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: String,
    /// UUID of the run, if its pod has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    /// Status of the run or, before it is known, phase of the aggregator's pod; the verdict of a complete run.
    status: String,
    /// Creation of the newest pod of the aggregator.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
}

pub(super) async fn list(arguments: args::List, printer: &Printer) -> Result<u8, CliError> {
    let args::List { cluster, output } = arguments;
    let cluster = connect(&cluster).await?;
    let rows = rows(aggregators(&cluster, printer).await?);
    match output {
        ListOutput::Table if rows.is_empty() => printer.note("no runs found"),
        ListOutput::Table => {
            let mut table = Grid::new(&HEADER);
            let time = now();
            for row in rows {
                let age = row
                    .created
                    .map(|created| elapsed(time.duration_since(created).unsigned_abs()));
                let cells = [
                    row.namespace,
                    row.run.unwrap_or_else(none),
                    row.status,
                    age.unwrap_or_else(none),
                ];
                table.row(cells.map(|cell| (cell, Tone::Plain)));
            }
            table.disable_wrapping(HEADER.len());
            printer.line(&crate::output::Text::lines(table.lines()))?;
        }
        ListOutput::Json => {
            let text = serde_json::to_string(&rows);
            let text = text.map_err(|error| CliError::new("cannot write the runs as JSON").caused_by(&error))?;
            printer.document(Format::Json, &(text + "\n"))?;
        }
        ListOutput::Yaml => {
            let text = yaml::to_string(&rows)
                .map_err(|error| CliError::new("cannot write the runs as YAML").details([error.to_string()]))?;
            printer.document(Format::Yaml, &format!("{}\n", text.trim_end()))?;
        }
    }
    Ok(exit::SUCCESS)
}

fn none() -> String {
    "-".to_owned()
}

/// Pods of aggregators in all namespaces that the account may read.
async fn aggregators(cluster: &Cluster, printer: &Printer) -> Result<Vec<Pod>, CliError> {
    let what = "cannot list the runs";
    let selector = constants::AGGREGATOR_SELECTORS[0];
    let found = match cluster.list(Kind::Pod, None, selector).await {
        Ok(found) => found,
        Err(error) if error.is_forbidden() => {
            let namespaces = cluster.list(Kind::Namespace, None, "").await;
            let namespaces = namespaces.map_err(|_| CliError::of_cluster(what, &error))?;
            let names: Vec<&str> = namespaces
                .iter()
                .map(|namespace| text(namespace, "/metadata/name"))
                .collect();
            let lists = names.iter().map(|name| cluster.list(Kind::Pod, Some(name), selector));
            let lists: Vec<_> = stream::iter(lists).buffered(MAX_CONCURRENT).collect().await;
            let refused = lists.iter().filter(|list| list.is_err()).count();
            if refused > 0 {
                printer.note(&format!("{refused} of {} namespaces cannot be read", names.len()));
            }
            lists.into_iter().flatten().flatten().collect()
        }
        Err(error) => return Err(CliError::of_cluster(what, &error)),
    };
    let pods: Result<Vec<Pod>, _> = found.into_iter().map(serde_json::from_value::<Pod>).collect();
    pods.map_err(|error| CliError::new(what).caused_by(&error))
}

/// The newest run of each namespace.
fn rows(pods: Vec<Pod>) -> Vec<Row> {
    let mut namespaces: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
    for pod in pods {
        namespaces
            .entry(pod.metadata.namespace.clone().unwrap_or_default())
            .or_default()
            .push(pod);
    }
    let row = |(namespace, pods): (String, Vec<Pod>)| {
        let newest = identity::newest(&pods, &AggregatorWorkload::None)?;
        let pod = newest.aggregator(&pods)?;
        let status = status_of(pod).and_then(Result::ok);
        let archive = status
            .as_ref()
            .and_then(|status| identity::run_of(&status.archive()?.name).map(str::to_owned));
        Some(Row {
            namespace,
            run: newest.id.clone().or(archive),
            status: match &status {
                Some(status) if status.status == OverallStatus::Complete => counts::verdict(status),
                Some(status) => status.status.to_string(),
                None => aggregator::phase(pod).to_lowercase(),
            },
            created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        })
    };
    namespaces.into_iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn each_namespace_has_its_newest_run() {
        let pod = |namespace: &str, name: &str, created: &str, status: Value| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": namespace, "uid": name, "creationTimestamp": created,
                    "labels": {"sonobuoy-component": "aggregator"},
                    "annotations": {"sono-run-id": format!("id-{name}"), "sonobuoy.hept.io/status": status.to_string()}},
                "status": {"phase": "Running"}
            }))
            .unwrap()
        };
        let row =
            |result: &str| json!([{"plugin": "p", "node": "global", "status": "complete", "result-status": result}]);
        let pods = vec![
            pod(
                "b",
                "2",
                "2026-01-01T00:02:00Z",
                json!({"status": "complete", "plugins": row("failed")}),
            ),
            pod(
                "b",
                "1",
                "2026-01-01T00:01:00Z",
                json!({"status": "complete", "plugins": row("passed")}),
            ),
            pod(
                "a",
                "3",
                "2026-01-01T00:03:00Z",
                json!({"status": "running", "plugins": null}),
            ),
        ];
        let expected = |namespace: &str, run: &str, status: &str, created: &str| Row {
            namespace: namespace.to_owned(),
            run: Some(run.to_owned()),
            status: status.to_owned(),
            created: Some(created.parse().unwrap()),
        };
        assert_eq!(
            rows(pods),
            [
                expected("a", "id-3", "running", "2026-01-01T00:03:00Z"),
                expected("b", "id-2", "failed", "2026-01-01T00:02:00Z")
            ]
        );
    }
}
