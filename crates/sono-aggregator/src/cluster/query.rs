//! Queries of the cluster (core §7), as independent concurrent steps. A failed step is one line in `meta/query-time.json` and
//! does not affect other steps.

mod expression;
mod file;
mod hosts;
mod known;
mod label;
mod logs;
mod plan;
mod redaction;
mod row;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future::BoxFuture, stream};
use serde_json::{Value, json};
use sono_kube::{
    Cluster, KubeError,
    query::{ListEnd, ListRequest, QueryError, Reader, Resource, Sink},
};
use sono_redact::Redactor;
use sono_types::{Config, constants, error_chain, layout};

use self::{
    file::{ByNamespace, ListFile, Names, write_json},
    plan::QueryPlan,
    redaction::Redaction,
    row::{Cause, Failure, Row},
};
pub(crate) use self::{known::SecretValues, plan::config_problems};
use crate::clock::Clock;

/// Maximum number of concurrent steps; the reader limits their requests.
const MAX_CONCURRENT: usize = 16;
/// Up to this number namespaces are listed separately, which does not require the right to list all.
const MAX_LISTED_SEPARATELY: usize = 10;
/// Time limit of all queries.
const LIMIT: Duration = Duration::from_mins(30);

/// Runs the configured queries and writes their results below `directory`, in the archive's layout. Returns a line for each
/// failure; `meta/query-time.json` has them too.
pub async fn query(cluster: &Cluster, config: &Config, directory: &Path, clock: &Clock) -> Vec<String> {
    let secrets = SecretValues::NotRead("values of Secrets are read in runs only");
    query_with(cluster, config, secrets, directory, clock).await
}

/// Runs the configured queries as [`query`] does, and may read the values of Secrets to find them in what it writes.
pub(crate) async fn query_with(
    cluster: &Cluster,
    config: &Config,
    secrets: SecretValues,
    directory: &Path,
    clock: &Clock,
) -> Vec<String> {
    let mut rows = Vec::new();
    let (plan, config_problems) = plan::plan(config);
    for problem in config_problems {
        rows.push(Row {
            object: problem.key.to_owned(),
            namespace: None,
            about: None,
            start: clock(),
            took: Duration::ZERO,
            items: 0,
            failure: Some(Failure::whole(problem.message)),
        });
    }
    let ready = fs_err::create_dir_all(directory)
        .map_err(|error| error_chain(&error))
        .and_then(|()| Reader::new(cluster, plan.rate, directory).map_err(|error| error_chain(&error)));
    let reader = match ready {
        Ok(reader) => reader,
        Err(error) => return vec![error],
    };
    let secrets = if plan.includes_lists() || plan.logs.is_some() || plan.names("nodes") {
        secrets
    } else {
        SecretValues::NotRead("nothing with secrets is queried")
    };
    let redactor = Redactor::new(known::known(&reader, secrets).await);
    let queries = Queries {
        reader,
        plan,
        directory,
        clock,
        deadline: tokio::time::Instant::now() + LIMIT,
        redaction: Arc::new(Redaction::new(redactor)),
        unserved: Mutex::default(),
    };
    rows.extend(queries.all().await);
    let mut problems = row::problems(&rows);
    let times: Vec<Value> = rows.iter().map(Row::to_json).collect();
    let times = format!("{}\n", Value::Array(times));
    let written = sono_bundle::write_durably(&directory.join(layout::QUERY_TIME), times.as_bytes());
    for outcome in [written, queries.redaction.write(directory)] {
        if let Err(error) = outcome {
            problems.push(error_chain(&error));
        }
    }
    problems
}

struct Queries<'a> {
    reader: Reader,
    plan: QueryPlan,
    directory: &'a Path,
    clock: &'a Clock,
    deadline: tokio::time::Instant,
    redaction: Arc<Redaction>,
    /// Group versions whose server does not respond, with the error.
    unserved: Mutex<BTreeMap<String, String>>,
}

/// The result of a step: the number of objects or files, and the failure.
type Found = (u64, Option<Failure>);

impl Queries<'_> {
    async fn all(&self) -> Vec<Row> {
        let plan = &self.plan;
        let (mut found, namespaces) = tokio::join!(self.discovered(), self.namespaces());
        let mut rows = std::mem::take(&mut found.1);
        rows.extend(namespaces.1);
        let namespaces = namespaces.0;
        let wanted = namespaces.iter().filter(|namespace| plan.includes_namespace(namespace));
        let wanted: Vec<String> = wanted.cloned().collect();
        let mut steps: Vec<BoxFuture<'_, Vec<Row>>> = Vec::new();
        // The long ones first: they run concurrently with all others.
        if let Some(logs) = &plan.logs {
            let namespaces = &namespaces;
            steps.push(Box::pin(async move {
                let fetched = logs::logs(
                    &self.reader,
                    logs,
                    namespaces,
                    (self.directory, self.redaction.as_ref()),
                    self.clock,
                );
                let (start, began) = ((self.clock)(), Instant::now());
                match tokio::time::timeout_at(self.deadline, fetched).await {
                    Ok(rows) => rows,
                    Err(_) => vec![row("PodLogs", start, began, (0, Some(late())))],
                }
            }));
        }
        if plan.names("nodes") {
            steps.push(self.step("Nodes", None, None, self.hosts()));
        }
        if plan.names(plan::SERVER_VERSION) {
            let version = self.small(layout::SERVER_VERSION, self.reader.json("/version"));
            steps.push(self.step(plan::SERVER_VERSION, None, None, version));
        }
        if plan.names(plan::SERVER_GROUPS) {
            let groups = self.small(layout::SERVER_GROUPS, groups(&self.reader));
            steps.push(self.step(plan::SERVER_GROUPS, None, None, groups));
        }
        for resource in found.0.iter().filter(|resource| !resource.namespaced) {
            steps.push(self.step(&resource.plural, Some(resource), None, self.list(resource, None)));
        }
        // One list of all namespaces is less work for the server than many small ones, if most objects are selected.
        let at_once = wanted.len() > MAX_LISTED_SEPARATELY && wanted.len() * 2 > namespaces.len();
        let namespaced: Vec<&Resource> = found.0.iter().filter(|resource| resource.namespaced).collect();
        if at_once {
            for resource in &namespaced {
                steps.push(Box::pin(self.list_all(resource, &wanted)));
            }
        } else {
            for namespace in &wanted {
                for resource in &namespaced {
                    let list = self.list(resource, Some(namespace));
                    steps.push(self.step(&resource.plural, Some(resource), Some(namespace), list));
                }
            }
        }
        let numbered: Vec<BoxFuture<'_, (usize, Vec<Row>)>> = steps
            .into_iter()
            .enumerate()
            .map(|(number, step)| Box::pin(async move { (number, step.await) }) as _)
            .collect();
        let mut done: Vec<_> = stream::iter(numbered).buffer_unordered(MAX_CONCURRENT).collect().await;
        done.sort_by_key(|(number, _)| *number);
        rows.extend(done.into_iter().flat_map(|(_, rows)| rows));
        rows
    }

    /// The resources to list, with a row for each part of the API that cannot be discovered, and for each unknown name.
    async fn discovered(&self) -> (Vec<Resource>, Vec<Row>) {
        if !self.plan.includes_lists() {
            return (Vec::new(), Vec::new());
        }
        let (start, began) = ((self.clock)(), Instant::now());
        let Ok(discovery) = tokio::time::timeout_at(self.deadline, self.reader.discover()).await else {
            return (Vec::new(), vec![row("Discovery", start, began, (0, Some(late())))]);
        };
        let mut rows = Vec::new();
        for problem in discovery.problems {
            let mut row = row("Discovery", start, began, (0, Some(Failure::whole(problem.message))));
            row.about = Some(("apiVersion", problem.part));
            rows.push(row);
        }
        for name in self.plan.missing(&discovery.resources) {
            let failure = Failure::whole("no API group of this cluster serves this resource");
            rows.push(row(&name, start, began, (0, Some(failure))));
        }
        let wanted = discovery.resources.into_iter();
        let wanted = wanted.filter(|resource| self.plan.includes(resource));
        (wanted.collect(), rows)
    }

    /// All namespaces, or only the run's own without the right to list them.
    async fn namespaces(&self) -> (Vec<String>, Option<Row>) {
        if !self.plan.includes_lists() && self.plan.logs.is_none() {
            return (Vec::new(), None);
        }
        let (start, began) = ((self.clock)(), Instant::now());
        let request = ListRequest {
            path: "/api/v1/namespaces".to_owned(),
            ..ListRequest::default()
        };
        let failure = match tokio::time::timeout_at(self.deadline, self.reader.list(&request, Names::default())).await {
            Ok(Ok((names, _))) => return (names.0, None),
            Ok(Err(error)) => failure(&error),
            Err(_) => late(),
        };
        let row = row("Namespaces", start, began, (0, Some(failure)));
        (vec![self.plan.namespace.clone()], Some(row))
    }

    fn step<'a>(
        &'a self,
        object: &'a str,
        resource: Option<&'a Resource>,
        namespace: Option<&'a String>,
        work: impl Future<Output = Found> + Send + 'a,
    ) -> BoxFuture<'a, Vec<Row>> {
        Box::pin(async move {
            let (start, began) = ((self.clock)(), Instant::now());
            let found = tokio::time::timeout_at(self.deadline, work).await;
            let mut row = row(object, start, began, found.unwrap_or_else(|_| (0, Some(late()))));
            row.namespace = namespace.cloned();
            row.about = resource.map(|resource| ("apiVersion", resource.api_version()));
            vec![row]
        })
    }

    /// Lists all namespaces at once, or one by one without that permission.
    async fn list_all(&self, resource: &Resource, namespaces: &[String]) -> Vec<Row> {
        let work = async {
            for namespace in namespaces {
                let Resource {
                    group, version, plural, ..
                } = resource;
                if let Err(error) = self.create_parent(&layout::namespaced_resource(namespace, group, version, plural))
                {
                    return (0, Some(error));
                }
            }
            let sink = ByNamespace::new(self.directory, resource, namespaces, &self.redaction);
            match self.ask(resource, None, sink).await {
                Ok((files, end)) => Self::finished(files.finish(&end)),
                Err(failure) => (0, Some(failure)),
            }
        };
        let rows = self.step(&resource.plural, Some(resource), None, work).await;
        let refused = |row: &Row| {
            matches!(
                row.failure,
                Some(Failure::Whole {
                    cause: Cause::Forbidden,
                    ..
                })
            )
        };
        if !rows.iter().any(refused) {
            return rows;
        }
        let mut rows = Vec::new();
        for namespace in namespaces {
            let list = self.list(resource, Some(namespace));
            rows.extend(self.step(&resource.plural, Some(resource), Some(namespace), list).await);
        }
        rows
    }

    /// Lists one resource. An aggregated API whose server does not respond is queried once.
    async fn ask<S: Sink>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        sink: S,
    ) -> Result<(S, ListEnd), Failure> {
        let version = resource.api_version();
        let unserved = || self.unserved.lock().unwrap_or_else(PoisonError::into_inner);
        let known = unserved().get(&version).cloned();
        let cause = Cause::Unserved(version.clone());
        if let Some(message) = known {
            return Err(Failure::Whole { message, cause });
        }
        let request = ListRequest {
            path: resource.path(namespace),
            labels: self.plan.labels.clone(),
            fields: String::new(),
        };
        self.reader.list(&request, sink).await.map_err(|error| {
            let gone = matches!(
                &error,
                QueryError::Kube(KubeError::NoAnswer { .. } | KubeError::Refused { code: 503, .. })
            );
            if !gone || resource.group.is_empty() {
                return failure(&error);
            }
            let message = error_chain(&error);
            unserved().insert(version, message.clone());
            Failure::Whole { message, cause }
        })
    }

    /// Creates the directory of a file, which exists even if nothing is found.
    fn create_parent(&self, name: &str) -> Result<PathBuf, Failure> {
        let target = self.directory.join(name);
        match target.parent().map(fs_err::create_dir_all) {
            Some(Err(error)) => Err(Failure::whole(error.to_string())),
            Some(Ok(())) | None => Ok(target),
        }
    }

    fn finished(finished: io::Result<u64>) -> Found {
        match finished {
            Ok(items) => (items, None),
            Err(error) => (0, Some(Failure::whole(error.to_string()))),
        }
    }

    async fn list(&self, resource: &Resource, namespace: Option<&str>) -> Found {
        let Resource {
            group, version, plural, ..
        } = resource;
        let name = match namespace {
            Some(namespace) => layout::namespaced_resource(namespace, group, version, plural),
            None => layout::cluster_resource(group, version, plural),
        };
        if let Err(failure) = self.create_parent(&name) {
            return (0, Some(failure));
        }
        let file = ListFile::new(self.directory, name, resource, &self.redaction);
        match self.ask(resource, namespace, file).await {
            Ok((file, end)) => Self::finished(file.finish(&end)),
            Err(failure) => (0, Some(failure)),
        }
    }

    async fn hosts(&self) -> Found {
        hosts::hosts(&self.reader, self.directory, &self.redaction).await
    }

    async fn small(&self, name: &'static str, answer: impl Future<Output = Result<Value, QueryError>> + Send) -> Found {
        match answer.await {
            Ok(answer) => match write_json(&self.directory.join(name), &answer) {
                Ok(()) => (1, None),
                Err(error) => (0, Some(Failure::whole(error.to_string()))),
            },
            Err(error) => (0, Some(failure(&error))),
        }
    }
}

fn row(object: &str, start: jiff::Timestamp, began: Instant, (items, failure): Found) -> Row {
    Row {
        object: object.to_owned(),
        namespace: None,
        about: None,
        start,
        took: began.elapsed(),
        items,
        failure,
    }
}

fn failure(error: &QueryError) -> Failure {
    let cause = if error.is_forbidden() {
        Cause::Forbidden
    } else {
        Cause::Own
    };
    Failure::Whole {
        message: error_chain(error),
        cause,
    }
}

fn late() -> Failure {
    Failure::whole(format!(
        "the time limit of {} minutes for all queries was reached",
        LIMIT.as_secs() / 60
    ))
}

/// `{"groups":[…]}` with the core group first (core §7.4).
async fn groups(reader: &Reader) -> Result<Value, QueryError> {
    let mut groups = vec![json!({
        "name": "",
        "versions": [{ "groupVersion": "v1", "version": "v1" }],
        "preferredVersion": { "groupVersion": "v1", "version": "v1" },
    })];
    let mut others = reader.json("/apis").await?;
    if let Some(Value::Array(others)) = others.get_mut("groups").map(Value::take) {
        groups.extend(others);
    }
    Ok(json!({ "groups": groups }))
}

/// Directory of the output of `query` outside of a run.
pub(crate) fn default_directory(config: &Config) -> String {
    if config.query_dir.is_empty() {
        constants::AGGREGATOR_DIR.to_owned()
    } else {
        config.query_dir.clone()
    }
}

#[cfg(test)]
mod tests;
