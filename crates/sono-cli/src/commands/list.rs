//! `sono list` and `sono status -A`: the runs in all namespaces.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sono_kube::{Cluster, Kind, KubeError, Pod, PodView, elapsed, stuck};
use sono_types::{OverallStatus, constants, exit};

use super::{
    obstacles,
    status::{RowState, print_document},
};
use crate::{
    aggregator::{self, status_of, text},
    args::{self, ListOutput},
    clock::now,
    error::CliError,
    identity::{self, AggregatorWorkload},
    output::{Format, Grid, Printer, Text, Tone},
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
    /// Creation of the newest pod of the aggregator, or of its Deployment if it has no pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
    /// As in the document of `status`.
    aggregator: RowState,
}

pub(super) async fn list(arguments: args::List, printer: &Printer) -> Result<u8, CliError> {
    let args::List { cluster, output } = arguments;
    let cluster = connect(&cluster).await?;
    let time = now();
    let rows = rows(aggregators(&cluster, printer).await?, time);
    match output {
        ListOutput::Table if rows.is_empty() => printer.note("no runs found"),
        ListOutput::Table => {
            let mut table = Grid::new(&HEADER);
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
            printer.line(&Text::lines(table.lines()))?;
        }
        ListOutput::Json => print_document(Format::Json, &rows, printer)?,
        ListOutput::Yaml => print_document(Format::Yaml, &rows, printer)?,
    }
    Ok(exit::SUCCESS)
}

fn none() -> String {
    "-".to_owned()
}

/// Aggregators of all namespaces.
#[derive(Debug, Default)]
struct Aggregators {
    pods: Vec<Pod>,
    /// Deployments that create such pods.
    deployments: Vec<Value>,
}

/// Aggregators in all namespaces that the account may read.
async fn aggregators(cluster: &Cluster, printer: &Printer) -> Result<Aggregators, CliError> {
    let what = "cannot list the runs";
    let found = match in_namespace(cluster, None).await {
        Ok(found) => found,
        Err(error) if error.is_forbidden() => {
            let namespaces = cluster.list(Kind::Namespace, None, "").await;
            let namespaces = namespaces.map_err(|_| CliError::of_cluster(what, &error))?;
            let names: Vec<&str> = namespaces
                .iter()
                .map(|namespace| text(namespace, "/metadata/name"))
                .collect();
            let lists = names.iter().map(|name| in_namespace(cluster, Some(name)));
            let lists: Vec<_> = stream::iter(lists).buffered(MAX_CONCURRENT).collect().await;
            let refused = lists.iter().filter(|list| list.is_err()).count();
            if refused > 0 {
                printer.note(&format!("{refused} of {} namespaces cannot be read", names.len()));
            }
            let mut all = (Vec::new(), Vec::new());
            for (pods, deployments) in lists.into_iter().flatten() {
                all.0.extend(pods);
                all.1.extend(deployments);
            }
            all
        }
        Err(error) => return Err(CliError::of_cluster(what, &error)),
    };
    let (pods, deployments) = found;
    let pods: Result<Vec<Pod>, _> = pods.into_iter().map(serde_json::from_value::<Pod>).collect();
    Ok(Aggregators {
        pods: pods.map_err(|error| CliError::new(what).caused_by(&error))?,
        deployments,
    })
}

/// Pods and Deployments of aggregators in one namespace or in all. Deployments are omitted if they cannot be read.
async fn in_namespace(cluster: &Cluster, namespace: Option<&str>) -> Result<(Vec<Value>, Vec<Value>), KubeError> {
    let lists = constants::AGGREGATOR_SELECTORS.map(|selector| cluster.list(Kind::Pod, namespace, selector));
    let deployments = cluster.list(Kind::Deployment, namespace, constants::AGGREGATOR_SELECTORS[0]);
    let (lists, deployments) = futures::join!(futures::future::try_join_all(lists), deployments);
    let mut known = BTreeSet::new();
    let mut is_new = |pod: &Value| {
        let names = ["/metadata/namespace", "/metadata/name"].map(|name| text(pod, name).to_owned());
        known.insert(names)
    };
    let pods = lists?.into_iter().flatten().filter(|pod| is_new(pod)).collect();
    Ok((pods, deployments.unwrap_or_default()))
}

/// The newest run of each namespace.
fn rows(found: Aggregators, now: Timestamp) -> Vec<Row> {
    let mut namespaces: BTreeMap<String, Aggregators> = BTreeMap::new();
    for pod in found.pods {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        namespaces.entry(namespace).or_default().pods.push(pod);
    }
    for deployment in found.deployments {
        let namespace = text(&deployment, "/metadata/namespace").to_owned();
        namespaces.entry(namespace).or_default().deployments.push(deployment);
    }
    let rows = namespaces.into_iter();
    rows.filter_map(|(namespace, found)| row(namespace, found, now))
        .collect()
}

fn row(namespace: String, found: Aggregators, now: Timestamp) -> Option<Row> {
    let Aggregators { pods, deployments } = found;
    let workload = AggregatorWorkload::of(deployments);
    let newest = identity::newest(&pods, &workload)?;
    let Some(pod) = newest.aggregator(&pods) else {
        // Its pod is being created or replaced.
        let AggregatorWorkload::Deployment(deployment) = &workload else {
            return None;
        };
        let why = aggregator::uncreated(deployment).map(|why| obstacles::of_uncreated(why).why);
        return Some(Row {
            namespace,
            run: newest.id,
            status: "pending".to_owned(),
            created: text(deployment, "/metadata/creationTimestamp").parse().ok(),
            aggregator: RowState::new("pending", why.as_ref()),
        });
    };
    let status = status_of(pod).and_then(Result::ok);
    let archive = status
        .as_ref()
        .and_then(|status| identity::run_of(&status.archive()?.name).map(str::to_owned));
    let phase = aggregator::phase(pod).to_lowercase();
    Some(Row {
        namespace,
        run: newest.id.or(archive),
        status: match &status {
            Some(status) if status.status == OverallStatus::Complete => counts::verdict(status),
            Some(status) => status.status.to_string(),
            None => phase.clone(),
        },
        created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        aggregator: RowState::new(&phase, stuck::explain(&PodView::from(pod), now).as_ref()),
    })
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
            aggregator: RowState::new("running", None),
        };
        let found = Aggregators {
            pods,
            deployments: Vec::new(),
        };
        assert_eq!(
            rows(found, Timestamp::UNIX_EPOCH),
            [
                expected("a", "id-3", "running", "2026-01-01T00:03:00Z"),
                expected("b", "id-2", "failed", "2026-01-01T00:02:00Z")
            ]
        );
    }
}
