//! One measurement: starts a server, runs the load against it and samples its memory.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use sono_types::{UploadLimits, constants, env, routes};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{Cell, PLAIN, PLUGIN, Server, StatusCell, facts, load, load::Load, plain};
use crate::{
    aggregator::{Aggregator, resident},
    content, status,
    world::{self, Environments, Plugin, World, WorldParameters},
};

/// Time limit for starting a run.
const START_LIMIT: Duration = Duration::from_mins(1);
/// Time limit for packing the archive.
const SEAL_LIMIT: Duration = Duration::from_mins(5);
/// Larger loads are not packed, since packing then only measures the compressor. In bytes.
const MAX_SEALED_BYTES: u64 = 256 << 20;
/// Interval between two memory samples.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

fn urls(base: &str, plugin: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    let path = |number| format!("{base}/api/v1/results/by-node/{}/{plugin}", content::node(number));
    numbers.map(path).collect()
}

pub(super) async fn cell(
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
        memory_by_quarter_mib: None,
        load_average: facts::load_average(),
        sealed_seconds: None,
    };
    match server {
        Server::Existing(existing) => {
            let measured = load::run(&load(&existing.url, &existing.plugin), &existing.client).await?;
            Ok(cell("url", measured))
        }
        Server::Plain => {
            let folder = tempfile::tempdir()?;
            let (config, client) = plain_identities()?;
            let base = plain::serve(config, folder.path().to_path_buf())?;
            Ok(cell(PLAIN, load::run(&load(&base, PLUGIN), &client).await?))
        }
        Server::Program(name, path) => {
            let mut running = Running::start(path, workers + stalled).await?;
            let load = load(&running.base, PLUGIN);
            let mut samples = Vec::new();
            let process = running.process.id();
            let mut measured = tokio::select! {
                measured = load::run(&load, &running.client) => measured?,
                never = sample_memory(process, &mut samples) => match never {},
            };
            let last = Instant::now();
            // The stalled workers upload now, or the run would wait for them.
            let rest = Load {
                urls: urls(&running.base, PLUGIN, workers..workers + stalled),
                stalled: Vec::new(),
                body: bytes::Bytes::from_static(b"x"),
                clients: 1,
            };
            let mut sealed = None;
            if (workers * body.len()) as u64 <= MAX_SEALED_BYTES && stalled == 0 {
                timeout(SEAL_LIMIT, running.sealed())
                    .await
                    .context("timeout while packing the archive")??;
                sealed = Some(last.elapsed().as_secs_f64());
            } else if stalled > 0 {
                measured.failed_tries += load::run(&rest, &running.client).await?.failed_tries;
            }
            running.process.sample_memory();
            let memory = running.process.memory >> 20;
            running.process.kill().await?;
            Ok(Cell {
                memory_mib: Some(memory),
                memory_by_quarter_mib: Some(by_quarter(&samples)),
                sealed_seconds: sealed,
                ..cell(name, measured)
            })
        }
    }
}

/// Samples the resident memory of a process, in bytes.
async fn sample_memory(process: Option<u32>, samples: &mut Vec<u64>) -> std::convert::Infallible {
    loop {
        samples.extend(process.and_then(resident));
        sleep(SAMPLE_INTERVAL).await;
    }
}

/// Maximum of the samples in each quarter of the time, in MiB.
fn by_quarter(samples: &[u64]) -> [u64; 4] {
    [0, 1, 2, 3].map(|quarter| {
        let part = &samples[samples.len() * quarter / 4..samples.len() * (quarter + 1) / 4];
        part.iter().max().copied().unwrap_or_default() >> 20
    })
}

pub(super) async fn status_cell(name: &str, path: &Path, nodes: usize) -> anyhow::Result<StatusCell> {
    let mut running = Running::start(path, nodes).await?;
    let load = Load {
        urls: urls(&running.base, PLUGIN, 0..nodes - 1),
        stalled: Vec::new(),
        body: bytes::Bytes::from_static(b"passed"),
        clients: 32,
    };
    let measured = load::run(&load, &running.client).await?;
    anyhow::ensure!(measured.lost == 0, "{} results were not accepted", measured.lost);
    let full = running.full_status().await;
    let last = Load {
        urls: urls(&running.base, PLUGIN, nodes - 1..nodes),
        ..load
    };
    load::run(&last, &running.client).await?;
    let began = Instant::now();
    let sealed = timeout(SEAL_LIMIT, running.sealed())
        .await
        .is_ok_and(|sealed| sealed.is_ok());
    let sealed = sealed.then(|| began.elapsed().as_secs_f64());
    running.process.sample_memory();
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

/// An aggregator program with a run that expects results.
struct Running {
    process: Aggregator,
    world: World,
    base: String,
    client: reqwest::Client,
}

impl Running {
    async fn start(program: &Path, nodes: usize) -> anyhow::Result<Self> {
        let world = World::new(WorldParameters {
            nodes: (0..nodes).map(content::node).collect(),
            plugins: vec![Plugin {
                name: PLUGIN,
                driver: "DaemonSet",
                order: 0,
                result_format: "raw",
            }],
            limits: UploadLimits::default(),
            pods: false,
        })?;
        let mut process = Aggregator::start(program, &world, 0)?;
        let environments = watch::Sender::new(Environments::new());
        tokio::select! {
            controlled = timeout(START_LIMIT, world.control(&environments)) => controlled.context("timeout while starting the run")??,
            ended = process.ended() => {
                let log = fs_err::read_to_string(&process.log)?;
                bail!("the aggregator ended: {}: {log}", ended?);
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

    /// Milliseconds and bytes of a request for the full status on the loopback listener; `None` if another process has the port.
    async fn full_status(&self) -> Option<(f64, usize)> {
        // The port is fixed, so that another process may use it.
        let log = fs_err::read_to_string(&self.process.log).ok()?;
        if log.contains("cannot serve status") {
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
    // Validity dates of these certificates are not checked here.
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
