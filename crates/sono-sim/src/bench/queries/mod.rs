//! Measures the queries at the end of a run on a cluster with many pods: time, requests, bytes, memory.
//!
//! The cluster is the fake API, or a real API server with nodes without machines. The queries are those of the aggregator
//! program, started as `query`. They are compared with a loop that sends the same requests and stores the responses
//! unchanged, and with `kubectl get pods -A -o json`.

mod access;
mod api_server;
mod ask;
mod fake;
mod objects;
mod replay;
mod report;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use self::report::Report;
pub(super) use self::{access::Access, fake::managed_fields};
use super::facts;

#[derive(Debug, Args)]
pub(crate) struct Queries {
    /// Path of the aggregator program
    #[arg(long, value_name = "FILE")]
    aggregator: PathBuf,
    /// Path of another aggregator program to compare with, such as an earlier version
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Numbers of pods to measure
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [1_000, 10_000],
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pods: Vec<u32>,
    /// Also measure on this cluster; creates pods on its nodes without machines and deletes them afterwards
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Measure only on that cluster, not on the fake API
    #[arg(long, requires = "kubeconfig")]
    no_fake: bool,
    /// Path of kubectl to compare with on that cluster
    #[arg(long, value_name = "FILE", requires = "kubeconfig")]
    kubectl: Option<PathBuf>,
    /// Repetitions of each measurement, alternating between programs; reports medians
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    turns: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// A set of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum QuerySet {
    /// All pods.
    Pods,
    /// All pods and the log of each.
    PodsAndLogs,
    /// The default queries of a run.
    Everything,
}

impl QuerySet {
    fn config(self) -> Value {
        // Disable the client's rate limit, to measure the machine.
        let mut config = json!({"QPS": -1});
        match self {
            Self::Pods => config["Resources"] = json!(["pods"]),
            Self::PodsAndLogs => {
                config["Resources"] = json!(["pods", "podlogs"]);
                config["Limits"] = json!({"PodLogs": {"Namespaces": ".*"}});
            }
            Self::Everything => {}
        }
        config
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::PodsAndLogs => "pods, logs",
            Self::Everything => "everything",
        }
    }
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
struct Cell {
    /// Kind of the API server.
    server: &'static str,
    pods: usize,
    #[serde(rename = "asked")]
    queries: QuerySet,
    /// Name of the client program.
    client: String,
    seconds: f64,
    requests: Option<usize>,
    /// Size of all response bodies, uncompressed.
    answer_bytes: Option<u64>,
    /// Size of all stored files.
    #[serde(rename = "kept_bytes")]
    stored_bytes: u64,
    /// Peak memory (`VmHWM`) of the client, if it is a separate process.
    memory_kib: Option<u64>,
    /// Number of incomplete queries, such as those to nodes without machines.
    incomplete: Option<usize>,
    /// Load average of the last minute.
    load_average: f64,
}

/// A cluster with pods.
struct Cluster<'a> {
    server: &'static str,
    pods: usize,
    access: &'a Access,
    kubeconfig: &'a Path,
    kubectl: Option<&'a Path>,
    queries: &'a [QuerySet],
}

pub(crate) async fn queries(arguments: Queries) -> anyhow::Result<()> {
    let mut programs = vec![("sono".to_owned(), arguments.aggregator.canonicalize()?)];
    if let Some(path) = &arguments.against {
        programs.push(("other".to_owned(), path.canonicalize()?));
    }
    let mut pods: Vec<usize> = arguments.pods.iter().map(|pods| *pods as usize).collect();
    pods.sort_unstable();
    let mut report = Report::new(facts::facts(&std::env::temp_dir()), !arguments.json);
    if !arguments.no_fake {
        for &pods in &pods {
            let folder = tempfile::tempdir()?;
            let api = fake::start(pods);
            let kubeconfig = api.write_kubeconfig(folder.path());
            let cluster = Cluster {
                server: "fake API",
                pods,
                access: &Access::read(&kubeconfig)?,
                kubeconfig: &kubeconfig,
                kubectl: None,
                queries: &[QuerySet::Pods, QuerySet::PodsAndLogs, QuerySet::Everything],
            };
            measure(&cluster, &programs, arguments.turns, &mut report).await?;
        }
    }
    if let Some(kubeconfig) = &arguments.kubeconfig {
        let access = Access::read(kubeconfig)?;
        api_server::clear(&access)
            .await
            .context("cannot delete the pods of an earlier run")?;
        let measured = tokio::select! {
            measured = on_cluster(&access, kubeconfig, &arguments, &pods, &programs, &mut report) => measured,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        let cleared = api_server::clear(&access).await.context("cannot delete the pods");
        measured?;
        cleared?;
    }
    report.print(arguments.json)
}

async fn on_cluster(
    access: &Access,
    kubeconfig: &Path,
    arguments: &Queries,
    pods: &[usize],
    programs: &[(String, PathBuf)],
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut created = 0;
    for &pods in pods {
        api_server::create(access, created..pods)
            .await
            .context("cannot create pods")?;
        created = pods;
        let cluster = Cluster {
            server: "API server",
            pods,
            access,
            kubeconfig,
            kubectl: arguments.kubectl.as_deref(),
            // Without kubelets pods have no logs.
            queries: &[QuerySet::Pods, QuerySet::Everything],
        };
        measure(&cluster, programs, arguments.turns, report).await?;
    }
    Ok(())
}

async fn measure(
    cluster: &Cluster<'_>,
    programs: &[(String, PathBuf)],
    turns: u32,
    report: &mut Report,
) -> anyhow::Result<()> {
    for &queries in cluster.queries {
        for _ in 0..turns {
            measure_once(cluster, queries, programs, report)
                .await
                .with_context(|| format!("{} of {} pods, {}", queries.name(), cluster.pods, cluster.server))?;
        }
    }
    Ok(())
}

/// Measures each client once.
async fn measure_once(
    cluster: &Cluster<'_>,
    queries: QuerySet,
    programs: &[(String, PathBuf)],
    report: &mut Report,
) -> anyhow::Result<()> {
    let cell = |client: &str, seconds, stored_bytes| Cell {
        server: cluster.server,
        pods: cluster.pods,
        queries,
        client: client.to_owned(),
        seconds,
        requests: None,
        answer_bytes: None,
        stored_bytes,
        memory_kib: None,
        incomplete: None,
        load_average: facts::load_average(),
    };
    let mut loops = None;
    for (name, program) in programs {
        let queried = ask::query(program, cluster.kubeconfig, &queries.config()).await?;
        ensure!(
            queried.pods >= cluster.pods,
            "{name} found {} pods of {}",
            queried.pods,
            cluster.pods
        );
        // Run the queries again for the request paths: logging them takes time and memory.
        let paths = ask::paths(program, cluster.kubeconfig, &queries.config()).await?;
        let replayed = replay::replay(cluster.access, &paths).await?;
        report.add(Cell {
            requests: Some(paths.len()),
            answer_bytes: Some(replayed.bytes),
            memory_kib: Some(queried.memory_kib),
            incomplete: Some(queried.incomplete),
            ..cell(name, queried.seconds, queried.stored_bytes)
        });
        loops.get_or_insert((paths.len(), replayed));
    }
    if let Some((requests, replayed)) = loops {
        report.add(Cell {
            requests: Some(requests),
            answer_bytes: Some(replayed.bytes),
            ..cell("plain loop", replayed.seconds, replayed.bytes)
        });
    }
    if let (Some(kubectl), QuerySet::Pods) = (cluster.kubectl, queries) {
        let queried = ask::kubectl(kubectl, cluster.kubeconfig).await?;
        report.add(Cell {
            memory_kib: Some(queried.memory_kib),
            ..cell("kubectl", queried.seconds, queried.stored_bytes)
        });
    }
    Ok(())
}
