//! What the queries at the end of a run cost on a cluster with many pods: time, requests, bytes, memory.
//!
//! The cluster is the fake API, or a real API server with nodes behind which no machine is. The queries are those of the
//! aggregator's program, started as `query`; beside it stands a loop that asks the same questions and keeps the answers as
//! they come, and `kubectl get pods -A -o json`.

mod access;
mod ask;
mod fake;
mod objects;
mod replay;
mod report;
mod there;

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
    /// The aggregator's program
    #[arg(long, value_name = "FILE")]
    aggregator: PathBuf,
    /// Another one, side by side: one from before a change
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Numbers of pods
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [1_000, 10_000],
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pods: Vec<u32>,
    /// Also on this cluster, whose nodes without a machine take the pods; they are removed afterwards
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Only on that cluster, not on the fake API
    #[arg(long, requires = "kubeconfig")]
    no_fake: bool,
    /// kubectl, to compare with on that cluster
    #[arg(long, value_name = "FILE", requires = "kubeconfig")]
    kubectl: Option<PathBuf>,
    /// Each cell so many times, by turns; figures are medians then
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    turns: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Asked {
    /// All pods.
    Pods,
    /// All pods and the log of each.
    PodsAndLogs,
    /// What a run asks for unless it is told otherwise.
    Everything,
}

impl Asked {
    fn config(self) -> Value {
        // The machine is measured, not the rate that the configuration allows.
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
    /// Who answers.
    server: &'static str,
    pods: usize,
    asked: Asked,
    /// Who asks.
    client: String,
    seconds: f64,
    requests: Option<usize>,
    /// Of all answers, without their heads, not compressed.
    answer_bytes: Option<u64>,
    /// Of all files that there are afterwards.
    kept_bytes: u64,
    /// `VmHWM` of the client, where it is a process of its own.
    memory_kib: Option<u64>,
    /// Queries that lack something; a node without a machine says nothing.
    incomplete: Option<usize>,
    /// Processes that wanted to run, the last minute's average.
    load_average: f64,
}

/// A cluster with pods.
struct Cluster<'a> {
    server: &'static str,
    pods: usize,
    access: &'a Access,
    kubeconfig: &'a Path,
    kubectl: Option<&'a Path>,
    asked: &'a [Asked],
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
                asked: &[Asked::Pods, Asked::PodsAndLogs, Asked::Everything],
            };
            measure(&cluster, &programs, arguments.turns, &mut report).await?;
        }
    }
    if let Some(kubeconfig) = &arguments.kubeconfig {
        let access = Access::read(kubeconfig)?;
        there::clear(&access)
            .await
            .context("removing what an earlier run left")?;
        let measured = tokio::select! {
            measured = on_cluster(&access, kubeconfig, &arguments, &pods, &programs, &mut report) => measured,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        let cleared = there::clear(&access).await.context("removing the pods");
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
    let mut made = 0;
    for &pods in pods {
        there::create(access, made..pods).await.context("creating pods")?;
        made = pods;
        let cluster = Cluster {
            server: "API server",
            pods,
            access,
            kubeconfig,
            kubectl: arguments.kubectl.as_deref(),
            // There are no kubelets to have logs.
            asked: &[Asked::Pods, Asked::Everything],
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
    for &asked in cluster.asked {
        for _ in 0..turns {
            turn(cluster, asked, programs, report)
                .await
                .with_context(|| format!("{} of {} pods, {}", asked.name(), cluster.pods, cluster.server))?;
        }
    }
    Ok(())
}

/// Everybody once.
async fn turn(
    cluster: &Cluster<'_>,
    asked: Asked,
    programs: &[(String, PathBuf)],
    report: &mut Report,
) -> anyhow::Result<()> {
    let cell = |client: &str, seconds, kept_bytes| Cell {
        server: cluster.server,
        pods: cluster.pods,
        asked,
        client: client.to_owned(),
        seconds,
        requests: None,
        answer_bytes: None,
        kept_bytes,
        memory_kib: None,
        incomplete: None,
        load_average: facts::load_average(),
    };
    let mut loops = None;
    for (name, program) in programs {
        let queried = ask::query(program, cluster.kubeconfig, &asked.config()).await?;
        ensure!(
            queried.pods >= cluster.pods,
            "{name} found {} pods of {}",
            queried.pods,
            cluster.pods
        );
        // Once more, to see what it asks for: telling it costs time and memory.
        let paths = ask::paths(program, cluster.kubeconfig, &asked.config()).await?;
        let replayed = replay::replay(cluster.access, &paths).await?;
        report.add(Cell {
            requests: Some(paths.len()),
            answer_bytes: Some(replayed.bytes),
            memory_kib: Some(queried.memory_kib),
            incomplete: Some(queried.incomplete),
            ..cell(name, queried.seconds, queried.kept_bytes)
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
    if let (Some(kubectl), Asked::Pods) = (cluster.kubectl, asked) {
        let queried = ask::kubectl(kubectl, cluster.kubeconfig).await?;
        report.add(Cell {
            memory_kib: Some(queried.memory_kib),
            ..cell("kubectl", queried.seconds, queried.kept_bytes)
        });
    }
    Ok(())
}
