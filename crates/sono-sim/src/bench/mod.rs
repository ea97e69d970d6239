//! Figures: how much comes in how quickly, what it takes, and what the machine could do.

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
/// What the plain loop is called.
const PLAIN: &str = "plain loop";

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// The aggregator's program
    #[arg(long, value_name = "FILE", required_unless_present = "url")]
    aggregator: Option<PathBuf>,
    /// Another program with the same command line and protocol, side by side: Sonobuoy's own
    #[arg(long, value_name = "FILE", requires = "aggregator")]
    against: Option<PathBuf>,
    /// A server that is there already, in place of a program: `https://host:port`
    #[arg(long, value_name = "URL", requires_all = ["ca", "cert", "key"], conflicts_with = "aggregator")]
    url: Option<String>,
    /// Its CA, as PEM
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    /// The client's certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "url")]
    cert: Option<PathBuf>,
    /// The certificate's key, as PEM
    #[arg(long, value_name = "FILE", requires = "url")]
    key: Option<PathBuf>,
    /// The plugin to report for; its nodes are n00000, n00001, …
    #[arg(long, value_name = "NAME", default_value = PLUGIN, requires = "url")]
    plugin: String,
    /// Numbers of workers
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [10, 100, 1000, 5000])]
    workers: Vec<usize>,
    /// Sizes of their results
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_values_t = [1 << 10, 1 << 20, 50 << 20])]
    sizes: Vec<u64>,
    /// How many workers are at it at the same time; all of them unless told otherwise
    #[arg(long, value_name = "COUNT")]
    clients: Option<usize>,
    /// Cells with more bytes than this are left out
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    cap: u64,
    /// No cell with stalled clients
    #[arg(long, conflicts_with = "stalled")]
    no_stalled: bool,
    /// How many clients stall half-way through 1 MiB; one for each hundred workers unless told otherwise
    #[arg(long, value_name = "COUNT")]
    stalled: Option<usize>,
    /// Each cell so many times, the servers by turns; figures are medians then
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    turns: u32,
    /// Numbers of nodes for the cells about the status; 0 for none
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [100, 1000, 10_000])]
    nodes: Vec<usize>,
    /// Few and small cells
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// One row of figures.
#[derive(Debug, Clone, Serialize)]
struct Cell {
    server: String,
    workers: usize,
    bytes: u64,
    stalled: usize,
    #[serde(flatten)]
    measured: Measured,
    /// `VmHWM` of the server.
    memory_mib: Option<u64>,
    /// Its resident memory in each quarter of the time, at most: whether it grows.
    memory_by_quarter_mib: Option<[u64; 4]>,
    /// Processes that wanted to run, the last minute's average, when the cell was done.
    load_average: f64,
    /// From the last answer to the status that names the archive.
    sealed_seconds: Option<f64>,
}

/// What the status costs.
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

/// What is measured.
enum Server {
    Program(String, PathBuf),
    There(Box<There>),
    Plain,
}

struct There {
    url: String,
    client: reqwest::Client,
    plugin: String,
}

impl Ingest {
    /// The numbers of stalled clients with which a cell is measured.
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
    if let Some(there) = there(&arguments)? {
        servers.push(Server::There(Box::new(there)));
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
                report.leave_out(workers, bytes, arguments.cap);
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

fn there(arguments: &Ingest) -> anyhow::Result<Option<There>> {
    let (Some(url), Some(ca), Some(cert), Some(key)) = (&arguments.url, &arguments.ca, &arguments.cert, &arguments.key)
    else {
        return Ok(None);
    };
    let read = |path: &PathBuf| fs_err::read_to_string(path);
    let tls = sono_tls::client_config(&read(ca)?, &read(cert)?, &read(key)?)?;
    Ok(Some(There {
        url: url.clone(),
        client: world::client_with(tls)?,
        plugin: arguments.plugin.clone(),
    }))
}
