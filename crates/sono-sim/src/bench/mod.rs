//! Figures: how much comes in how quickly, what it takes, and what the machine could do.

mod facts;
mod load;
mod plain;
mod report;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use sono_types::{UploadLimits, constants, env, routes};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use self::load::{Load, Measured};
use crate::{
    aggregator::Aggregator,
    content,
    random::Random,
    status,
    world::{self, Environments, Plan, Plugin, World},
};

const PLUGIN: &str = "p";
/// How long a run may take to start.
const START: Duration = Duration::from_mins(1);
/// How long sealing may take.
const SEAL: Duration = Duration::from_mins(5);
/// Packing is not waited for when there is more: it is the compressor's speed then, and well known by then.
const MOST_TO_SEAL: u64 = 256 << 20;

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
    #[arg(long)]
    no_stalled: bool,
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

pub(crate) async fn ingest(arguments: Ingest) -> anyhow::Result<()> {
    raise_open_files()?;
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
            for server in &servers {
                let mut stalls = vec![0];
                if !arguments.no_stalled && !matches!(server, Server::Plain) && workers >= 100 && bytes <= 1 << 20 {
                    stalls.push(workers / 100);
                }
                for stalled in stalls {
                    let clients = arguments.clients.unwrap_or(workers);
                    let cell = cell(server, workers, stalled, &body, clients).await;
                    let cell = cell.with_context(|| format!("{workers} workers with {bytes} bytes"))?;
                    report.add(cell, !arguments.json);
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

fn urls(base: &str, plugin: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    let path = |number| format!("{base}/api/v1/results/by-node/{}/{plugin}", content::node(number));
    numbers.map(path).collect()
}

async fn cell(
    server: &Server,
    workers: usize,
    stalled: usize,
    body: &bytes::Bytes,
    clients: usize,
) -> anyhow::Result<Cell> {
    let load = |base: &str, plugin: &str| Load {
        urls: urls(base, plugin, 0..workers),
        stalled: urls(base, plugin, workers..workers + stalled),
        body: body.clone(),
        clients,
    };
    let cell = |server: &str, measured| Cell {
        server: server.to_owned(),
        workers,
        bytes: body.len() as u64,
        stalled,
        measured,
        memory_mib: None,
        sealed_seconds: None,
    };
    match server {
        Server::There(there) => {
            let measured = load::run(&load(&there.url, &there.plugin), &there.client).await?;
            Ok(cell("url", measured))
        }
        Server::Plain => {
            let folder = tempfile::tempdir()?;
            let (config, client) = plain_identities()?;
            let base = plain::serve(config, folder.path().to_path_buf())?;
            Ok(cell("plain loop", load::run(&load(&base, PLUGIN), &client).await?))
        }
        Server::Program(name, path) => {
            let mut running = Running::start(path, workers + stalled).await?;
            let mut measured = load::run(&load(&running.base, PLUGIN), &running.client).await?;
            let last = Instant::now();
            // They come after all, or the run would wait for them.
            let rest = Load {
                urls: urls(&running.base, PLUGIN, workers..workers + stalled),
                stalled: Vec::new(),
                body: bytes::Bytes::from_static(b"x"),
                clients: 1,
            };
            let mut sealed = None;
            if (workers * body.len()) as u64 <= MOST_TO_SEAL && stalled == 0 {
                timeout(SEAL, running.sealed()).await.context("sealing")??;
                sealed = Some(last.elapsed().as_secs_f64());
            } else if stalled > 0 {
                measured.failed_tries += load::run(&rest, &running.client).await?.failed_tries;
            }
            running.process.look();
            let memory = running.process.memory >> 20;
            running.process.kill().await?;
            Ok(Cell {
                memory_mib: Some(memory),
                sealed_seconds: sealed,
                ..cell(name, measured)
            })
        }
    }
}

async fn status_cell(name: &str, path: &Path, nodes: usize) -> anyhow::Result<StatusCell> {
    let mut running = Running::start(path, nodes).await?;
    let load = Load {
        urls: urls(&running.base, PLUGIN, 0..nodes - 1),
        stalled: Vec::new(),
        body: bytes::Bytes::from_static(b"passed"),
        clients: 32,
    };
    let measured = load::run(&load, &running.client).await?;
    anyhow::ensure!(measured.lost == 0, "{} results were not taken", measured.lost);
    let full = running.full_status().await;
    let last = Load {
        urls: urls(&running.base, PLUGIN, nodes - 1..nodes),
        ..load
    };
    load::run(&last, &running.client).await?;
    let began = Instant::now();
    let sealed = timeout(SEAL, running.sealed()).await.is_ok_and(|sealed| sealed.is_ok());
    let sealed = sealed.then(|| began.elapsed().as_secs_f64());
    running.process.look();
    let memory = running.process.memory >> 20;
    running.process.kill().await?;
    let sizes: Vec<usize> = status::written(&running.world)?
        .into_iter()
        .map(|(_, size)| size)
        .collect();
    Ok(StatusCell {
        server: name.to_owned(),
        nodes,
        writes: sizes.len(),
        largest_write: sizes.iter().copied().max().unwrap_or_default(),
        all_writes: sizes.iter().sum(),
        full_status_ms: full.map(|(milliseconds, _)| milliseconds),
        full_status_bytes: full.map(|(_, bytes)| bytes),
        memory_mib: Some(memory),
        sealed_seconds: sealed,
    })
}

/// A program with a run that waits for results.
struct Running {
    process: Aggregator,
    world: World,
    base: String,
    client: reqwest::Client,
}

impl Running {
    async fn start(program: &Path, nodes: usize) -> anyhow::Result<Self> {
        let world = World::new(Plan {
            nodes: (0..nodes).map(content::node).collect(),
            plugins: vec![Plugin {
                name: PLUGIN,
                driver: "DaemonSet",
                order: 0,
            }],
            limits: UploadLimits::default(),
            pods: false,
        })?;
        let mut process = Aggregator::start(program, &world, 0)?;
        let environments = watch::Sender::new(Environments::new());
        tokio::select! {
            controlled = timeout(START, world.control(&environments)) => controlled.context("starting the run")??,
            ended = process.ended() => {
                let log = fs_err::read_to_string(&process.log)?;
                bail!("it ended: {}: {log}", ended?);
            }
        }
        let environment = environments.borrow()[PLUGIN].clone();
        let config = world::worker_config(&environment, Some("n00000"))?;
        Ok(Self {
            base: environment[env::AGGREGATOR_URL].clone(),
            client: world::client(&config)?,
            process,
            world,
        })
    }

    async fn sealed(&self) -> anyhow::Result<()> {
        while status::last(&self.world)?.is_none_or(|status| status.archive().is_none()) {
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Milliseconds and bytes of the whole status over the loopback listener, where this process has it.
    async fn full_status(&self) -> Option<(f64, usize)> {
        // There is one such port on a machine, and it may be another's.
        let log = fs_err::read_to_string(&self.process.log).ok()?;
        if log.contains("not serving status") {
            return None;
        }
        let url = format!("http://127.0.0.1:{}{}", constants::LOCAL_PORT, routes::LOCAL_STATUS);
        let client = reqwest::Client::builder().no_proxy().build().ok()?;
        let began = Instant::now();
        let answer = client.get(url).send().await.ok()?.bytes().await.ok()?;
        Some((began.elapsed().as_secs_f64() * 1000.0, answer.len()))
    }
}

fn plain_identities() -> anyhow::Result<(rustls::ServerConfig, reqwest::Client)> {
    // No certificate of ours is looked at for its dates here.
    let now = "2026-01-01T00:00:00Z".parse()?;
    let authority = sono_tls::Authority::new(now)?;
    let server = authority.server(now, &["127.0.0.1".to_owned()])?;
    let client = authority.client(now, &sono_types::PluginName::parse(PLUGIN)?)?;
    let tls = sono_tls::client_config(authority.certificate_pem(), &client.certificate_pem, &client.key_pem)?;
    Ok((
        sono_tls::server_config(&server, authority.certificate_pem())?,
        world::client_with(tls)?,
    ))
}

/// Thousands of connections at both ends.
fn raise_open_files() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .context("raising the limit of open files")
}
