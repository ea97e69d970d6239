//! Canaries of a run: values that are planted, searched in the archive, and removed.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use sono_bundle::Bundle;
use sono_kube::{Cluster, Kind, KubeError};
use sono_manifest::canary_definition_name;
use sono_redact::{CanaryReport, CanaryRow, CanarySearch};
use sono_types::canary::{self, Canary, LABEL, NAME, Place, Seed};

use crate::{
    args,
    error::CliError,
    output::{Grid, Printer, Text, Tone},
};

/// Time until a new definition of custom resources is served.
const SERVED: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);
/// Most listed places of canaries, and most listed files that were not searched.
const MAX_LISTED: usize = 20;
const HEADER: [&str; 4] = ["PLACE", "IN ARCHIVE", "FOUND, IN A SECRET", "FOUND, NOT IN A SECRET"];
/// Value of the label of a namespace whose run has a definition of custom resources.
const WITH_DEFINITION: &str = "cluster";

/// The canaries of one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Canaries {
    pub(super) seed: Seed,
    /// Whether a custom resource is planted.
    pub(super) cluster: bool,
}

impl Canaries {
    /// The canaries of a run with these random bits.
    pub(super) fn new(scope: args::Canaries, random: u128) -> Self {
        Self {
            seed: Seed::new(random),
            cluster: scope == args::Canaries::Cluster,
        }
    }

    /// The planted values.
    fn planted(self) -> Vec<Canary> {
        let all = canary::all(self.seed).into_iter();
        all.filter(|canary| self.cluster || canary.place != Place::CustomResource)
            .collect()
    }

    /// Marks the namespace of the run, so that its deletion also deletes the definition of the custom resource.
    pub(super) fn mark(self, objects: &mut [Value]) {
        let namespaces = objects.iter_mut().filter(|object| object["kind"] == "Namespace");
        for namespace in namespaces.filter(|_| self.cluster) {
            namespace["metadata"]["labels"][LABEL] = json!(WITH_DEFINITION);
        }
    }

    /// Searches the archives and prints what was found. Returns whether a value of a Secret was.
    pub(super) fn search(self, archives: &[PathBuf], printer: &Printer) -> Result<bool, CliError> {
        let mut leaked = false;
        for archive in archives {
            let report = self.report(archive)?;
            print(&report, printer)?;
            leaked |= report.counts(true).1 > 0;
        }
        Ok(leaked)
    }

    fn report(self, archive: &Path) -> Result<CanaryReport, CliError> {
        let mut search = CanarySearch::new(self.seed, self.planted());
        let bundle = Bundle::open(archive);
        let searched = bundle.and_then(|bundle| {
            bundle.visit(&mut |path, content| {
                search.file(path, content)?;
                Ok(ControlFlow::Continue(()))
            })
        });
        searched.map_err(|error| CliError::of_archive("cannot search the archive for canaries", &error))?;
        Ok(search.report())
    }

    /// Removes the planted objects of a run that is not deleted. What remains is reported.
    pub(super) async fn remove(self, cluster: &Cluster, namespace: &str, printer: &Printer) {
        let mut failed = Vec::new();
        for kind in [Kind::Secret, Kind::ConfigMap, Kind::Event] {
            if let Err(error) = cluster.delete(kind, Some(namespace), NAME, None).await {
                failed.push(format!("{} `{NAME}`: {error}", kind.name()));
            }
        }
        if self.cluster
            && let Err(error) = delete_definition(cluster, namespace).await
        {
            failed.push(format!("`{}`: {error}", canary_definition_name(namespace)));
        }
        for failed in failed {
            printer.note(&format!("warning: cannot remove canaries: {failed}"));
        }
    }
}

/// Creates the custom resource, if any, as soon as its definition is served.
pub(super) async fn plant_resource(
    cluster: &Cluster,
    namespace: &str,
    resource: Option<&Value>,
) -> Result<(), CliError> {
    let Some(resource) = resource else { return Ok(()) };
    let plant = async {
        loop {
            let planted = async {
                let collection = cluster.collection_of(resource).await?;
                cluster.create_in(&collection, Some(namespace), resource).await
            };
            match planted.await {
                Err(KubeError::UnknownKind { .. } | KubeError::NotFound { .. }) => tokio::time::sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
    };
    let what = "cannot create the custom resource with canaries";
    match tokio::time::timeout(SERVED, plant).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(CliError::of_cluster(what, &error)),
        Err(_) => Err(CliError::new(format!(
            "{what}: its definition is not served after {} s",
            SERVED.as_secs()
        ))),
    }
}

/// Whether a run with canaries created a definition of custom resources and this namespace.
pub(super) fn has_definition(namespace: &Value) -> bool {
    namespace
        .pointer(&format!("/metadata/labels/{LABEL}"))
        .and_then(Value::as_str)
        == Some(WITH_DEFINITION)
}

/// Deletes the definition of the custom resource, and with it the resource.
pub(super) async fn delete_definition(cluster: &Cluster, namespace: &str) -> Result<(), KubeError> {
    let kind = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"});
    let collection = cluster.collection_of(&kind).await?;
    let name = canary_definition_name(namespace);
    cluster.delete_in(&collection, None, &name).await.map(|_| ())
}

fn print(report: &CanaryReport, printer: &Printer) -> Result<(), CliError> {
    let mut places: BTreeMap<Place, [Option<&CanaryRow>; 2]> = BTreeMap::new();
    for row in &report.rows {
        let [known, unknown] = places.entry(row.place).or_default();
        *(if row.in_secret { known } else { unknown }) = Some(row);
    }
    let mut table = Grid::new(&HEADER);
    for (place, [known, unknown]) in places {
        let is_collected = [known, unknown].into_iter().flatten().any(|row| row.collected);
        let cells = [
            place.name().to_owned(),
            if is_collected { "yes" } else { "no" }.to_owned(),
            found(known),
            found(unknown),
        ];
        table.row(cells.map(|cell| (cell, Tone::Plain)));
    }
    table.disable_wrapping(HEADER.len());
    printer.line(&Text::lines(table.lines()))?;
    let leaks = report.found.iter().filter(|(found, _)| found.in_secret);
    for (found, count) in leaks.take(MAX_LISTED) {
        let (place, encoding) = (found.place.name(), found.encoding.name());
        printer.line(&format!("found in {}: {place}, {encoding}, {count} times", found.path))?;
    }
    for (path, reason) in report.opaque.iter().take(MAX_LISTED) {
        printer.line(&format!("not searched completely: {path} ({reason})"))?;
    }
    let (known, leaked) = report.counts(true);
    let (unknown, visible) = report.counts(false);
    printer.line(&format!(
        "canaries in a Secret: {leaked} of {known} found; not in a Secret: {visible} of {unknown} found"
    ))
}

/// How often a canary was found, by encoding.
fn found(row: Option<&CanaryRow>) -> String {
    let Some(row) = row else { return "-".to_owned() };
    if row.counts.is_empty() {
        return "0".to_owned();
    }
    let counts: Vec<String> = row
        .counts
        .iter()
        .map(|(encoding, count)| format!("{} {count}", encoding.name()))
        .collect();
    counts.join(", ")
}
