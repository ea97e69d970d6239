//! Benchmarks of ingest, queries and memory, with a plain loop as the machine's upper bound.

mod cell;
mod facts;
mod load;
mod memory;
mod plain;
mod queries;
mod report;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use self::{
    cell::{cell, status_cell},
    load::Measured,
};
pub(crate) use self::{
    memory::{Memory, memory},
    queries::{Queries, queries},
};
use crate::{random::Random, world};

const PLUGIN: &str = "p";
/// Name of the plain loop in reports.
const PLAIN: &str = "plain loop";

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// Path of the aggregator program
    #[arg(long, value_name = "FILE", required_unless_present = "url")]
    aggregator: Option<PathBuf>,
    /// Path of another program to compare with, with the same command line and protocol, such as Sonobuoy's
    #[arg(long, value_name = "FILE", requires = "aggregator")]
    against: Option<PathBuf>,
    /// URL of a running server to measure instead of a program: `https://host:port`
    #[arg(long, value_name = "URL", requires_all = ["ca", "cert", "key"], conflicts_with = "aggregator")]
    url: Option<String>,
    /// PEM file with the server's CA
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    /// PEM file with the client certificate
    #[arg(long, value_name = "FILE", requires = "url")]
    cert: Option<PathBuf>,
    /// PEM file with the key of the client certificate
    #[arg(long, value_name = "FILE", requires = "url")]
    key: Option<PathBuf>,
    /// Plugin of the uploads; its nodes are n00000, n00001, …
    #[arg(long, value_name = "NAME", default_value = PLUGIN, requires = "url")]
    plugin: String,
    /// Numbers of workers to measure
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [10, 100, 1000, 5000])]
    workers: Vec<usize>,
    /// Sizes of results to measure, in bytes
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_values_t = [1 << 10, 1 << 20, 50 << 20])]
    sizes: Vec<u64>,
    /// Number of concurrent workers (default: all)
    #[arg(long, value_name = "COUNT")]
    clients: Option<usize>,
    /// Skip measurements with more data than this, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    cap: u64,
    /// Skip measurements with stalled clients
    #[arg(long, conflicts_with = "stalled")]
    no_stalled: bool,
    /// Number of clients that stall halfway through 1 MiB (default: one per hundred workers)
    #[arg(long, value_name = "COUNT")]
    stalled: Option<usize>,
    /// Repetitions of each measurement, alternating between servers; reports medians
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    turns: u32,
    /// Numbers of nodes for measurements of the status; 0 skips them
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [100, 1000, 10_000])]
    nodes: Vec<usize>,
    /// Run only a few small measurements
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// One measurement of uploads.
#[derive(Debug, Clone, Serialize)]
struct Cell {
    server: String,
    workers: usize,
    bytes: u64,
    stalled: usize,
    #[serde(flatten)]
    measured: Measured,
    /// Peak memory (`VmHWM`) of the server.
    memory_mib: Option<u64>,
    /// Maximum resident memory in each quarter of the time, which shows growth.
    memory_by_quarter_mib: Option<[u64; 4]>,
    /// Load average of the last minute at the end of the measurement.
    load_average: f64,
    /// Time from the last response to the status with the archive.
    sealed_seconds: Option<f64>,
}

/// One measurement of the status.
#[derive(Debug, Clone, Serialize)]
struct StatusCell {
    server: String,
    nodes: usize,
    writes: usize,
    largest_write: usize,
    all_writes: usize,
    full_status_ms: Option<f64>,
    full_status_bytes: Option<usize>,
    memory_mib: Option<u64>,
    sealed_seconds: Option<f64>,
}

/// The measured server.
enum Server {
    Program(String, PathBuf),
    Existing(Box<Existing>),
    Plain,
}

struct Existing {
    url: String,
    client: reqwest::Client,
    plugin: String,
}

impl Ingest {
    /// The numbers of stalled clients to measure.
    fn stalls(&self, server: &Server, workers: usize, bytes: u64) -> Vec<usize> {
        match self.stalled {
            Some(stalled) => vec![0, stalled],
            None if self.no_stalled || matches!(server, Server::Plain) || workers < 100 || bytes > 1 << 20 => vec![0],
            None => vec![0, workers / 100],
        }
    }
}

pub(crate) async fn ingest(arguments: Ingest) -> anyhow::Result<()> {
    world::raise_open_files()?;
    let mut servers = Vec::new();
    let program = |name: &str, path: &Path| anyhow::Ok(Server::Program(name.to_owned(), path.canonicalize()?));
    if let Some(path) = &arguments.aggregator {
        servers.push(program("sono", path)?);
    }
    if let Some(path) = &arguments.against {
        servers.push(program("other", path)?);
    }
    if let Some(existing) = existing(&arguments)? {
        servers.push(Server::Existing(Box::new(existing)));
    }
    servers.push(Server::Plain);
    let (workers, sizes, nodes) = if arguments.quick {
        (vec![10, 100], vec![1 << 10, 1 << 20], vec![100])
    } else {
        (
            arguments.workers.clone(),
            arguments.sizes.clone(),
            arguments.nodes.clone(),
        )
    };
    let mut report = report::Report::new(facts::facts(&std::env::temp_dir()));
    for &bytes in &sizes {
        for &workers in &workers {
            if (workers as u64).saturating_mul(bytes) > arguments.cap << 20 {
                report.skip(workers, bytes, arguments.cap);
                continue;
            }
            let body = Random::new(bytes, 0).fill(usize::try_from(bytes)?).into();
            for _ in 0..arguments.turns {
                for server in &servers {
                    for stalled in arguments.stalls(server, workers, bytes) {
                        let clients = arguments.clients.unwrap_or(workers);
                        let cell = cell(server, workers, stalled, &body, clients).await;
                        let cell = cell.with_context(|| format!("{workers} workers with {bytes} bytes"))?;
                        report.add(cell, !arguments.json);
                    }
                }
            }
        }
    }
    for nodes in nodes.into_iter().filter(|nodes| *nodes > 0) {
        for server in &servers {
            if let Server::Program(name, path) = server {
                let cell = status_cell(name, path, nodes).await;
                report.add_status(
                    cell.with_context(|| format!("status of {nodes} nodes"))?,
                    !arguments.json,
                );
            }
        }
    }
    report.print(arguments.json)
}

fn existing(arguments: &Ingest) -> anyhow::Result<Option<Existing>> {
    let (Some(url), Some(ca), Some(cert), Some(key)) = (&arguments.url, &arguments.ca, &arguments.cert, &arguments.key)
    else {
        return Ok(None);
    };
    let read = |path: &PathBuf| fs_err::read_to_string(path);
    let tls = sono_tls::client_config(&read(ca)?, &read(cert)?, &read(key)?)?;
    Ok(Some(Existing {
        url: url.clone(),
        client: world::client_with(tls)?,
        plugin: arguments.plugin.clone(),
    }))
}
