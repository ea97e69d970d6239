//! Keeps an aggregator running, and kills it when the schedule says so.

use std::{
    net::Ipv4Addr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use sono_types::constants;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::sleep,
};

use crate::{
    aggregator::Aggregator,
    schedule::{Kill, Moment},
    status,
    world::World,
};

/// How long the run may take to get to where something is to happen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// How often a process may end by itself. It waits for its API server, so that there is no reason for it.
const MOST_RESTARTS: usize = 3;

/// What others tell of how far they are.
#[derive(Debug, Clone)]
pub(crate) struct Signs {
    /// Workers that have their answer.
    pub(crate) answered: watch::Receiver<usize>,
    /// Whether the last worker has begun to send.
    pub(crate) last: watch::Receiver<bool>,
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) starts: usize,
    pub(crate) kills: usize,
    /// How often the process ended without having been told to.
    pub(crate) own_ends: usize,
    /// The most memory of any process, in bytes.
    pub(crate) memory: u64,
    /// From a kill to the first connection that the next process deals with.
    pub(crate) recoveries: Vec<Duration>,
    /// How often a process said that it waits for room on its volume.
    pub(crate) shortages: usize,
    pub(crate) violations: Vec<String>,
    /// Connections of workers that the last process held at the end.
    pub(crate) connections: usize,
}

/// Runs the aggregator until the schedule is over and the run complete.
pub(crate) async fn keep(
    program: &Path,
    world: &World,
    kills: &[Kill],
    signs: &Signs,
    mut ready: watch::Receiver<bool>,
) -> anyhow::Result<Kept> {
    let mut kept = Kept::default();
    let mut kills = kills.iter();
    let mut next = kills.next();
    let mut down = Instant::now();
    loop {
        let mut process = Aggregator::start(program, world, kept.starts)?;
        kept.starts += 1;
        let started = process.started;
        let act = async {
            if let Some(kill) = next {
                return moment(kill.at, world, signs, started).await;
            }
            ready
                .wait_for(|ready| *ready)
                .await
                .context("whoever tells that the workers are done has gone")?;
            sealed(world).await
        };
        let mut recovery = None;
        let limited = async {
            let act = tokio::time::timeout(PATIENCE, act);
            tokio::pin!(act);
            let mut listening = std::pin::pin!(listens(world.address));
            loop {
                tokio::select! {
                    acted = &mut act => break acted,
                    () = &mut listening, if recovery.is_none() => recovery = Some(down.elapsed()),
                }
            }
        };
        let outcome = tokio::select! {
            acted = limited => Ok(acted),
            ended = process.ended() => Err(ended?),
        };
        kept.memory = kept.memory.max(process.memory);
        if kept.kills > 0 || kept.own_ends > 0 {
            kept.recoveries.extend(recovery);
        }
        match outcome {
            Ok(Err(_)) => bail!(
                "nothing happened for {PATIENCE:?} while waiting for {next:?}, see {}",
                process.log.display()
            ),
            Ok(Ok(acted)) => acted?,
            Err(status) => {
                read_log(&process, &mut kept);
                kept.violations.push(format!(
                    "it ended by itself with {status}, see {}",
                    process.log.display()
                ));
                kept.own_ends += 1;
                if kept.own_ends > MOST_RESTARTS {
                    bail!("it ended {MOST_RESTARTS} times by itself, the last time with {status}");
                }
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        }
        let Some(kill) = next else {
            process.is_blocking().await?;
            // Whoever was connected is let go within a second.
            sleep(Duration::from_millis(1500)).await;
            kept.connections = process.connections(world.address)?;
            let status = process.stop().await?;
            if !status.success() {
                kept.violations
                    .push(format!("the last process ended with {status} at SIGTERM"));
            }
            kept.memory = kept.memory.max(process.memory);
            read_log(&process, &mut kept);
            return Ok(kept);
        };
        down = Instant::now();
        if kill.gently {
            // What it says by its exit status is for whoever started it alone.
            process.stop().await?;
        } else {
            process.kill().await?;
            world.fail_power().await?;
        }
        kept.memory = kept.memory.max(process.memory);
        read_log(&process, &mut kept);
        kept.kills += 1;
        next = kills.next();
    }
}

async fn moment(at: Moment, world: &World, signs: &Signs, started: Instant) -> anyhow::Result<()> {
    let mut signs = signs.clone();
    match at {
        Moment::Started { after_ms } => {
            sleep(Duration::from_millis(after_ms).saturating_sub(started.elapsed())).await;
        }
        Moment::Answered { workers, then_us } => {
            signs.answered.wait_for(|answered| *answered >= workers).await?;
            sleep(Duration::from_micros(then_us)).await;
        }
        Moment::Last { after_us } => {
            signs.last.wait_for(|last| *last).await?;
            sleep(Duration::from_micros(after_us)).await;
        }
        Moment::Sealed => {
            signs.last.wait_for(|last| *last).await?;
            sealed(world).await?;
        }
    }
    Ok(())
}

/// The status says that the archive is there.
async fn sealed(world: &World) -> anyhow::Result<()> {
    loop {
        match status::last(world)?.map(|status| status.status) {
            Some(sono_types::OverallStatus::Complete) => return Ok(()),
            Some(sono_types::OverallStatus::Failed) => bail!("the run failed"),
            _ => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Resolves when somebody deals with connections: the system takes them as soon as there is a socket, an answer to what is no
/// TLS comes from the process itself.
async fn listens(address: Ipv4Addr) {
    let ask = async || {
        let mut stream = TcpStream::connect((address, constants::AGGREGATOR_PORT)).await?;
        stream.write_all(b"is anybody there?").await?;
        let mut answer = [0];
        stream.read(&mut answer).await
    };
    while ask().await.is_err() {
        sleep(Duration::from_millis(5)).await;
    }
}

fn read_log(process: &Aggregator, kept: &mut Kept) {
    let log = fs_err::read_to_string(&process.log).unwrap_or_default();
    kept.shortages += log.matches("the volume has no room left:").count();
    for line in log.lines().filter(|line| line.contains("panicked at")) {
        kept.violations.push(format!("{}: {line}", process.log.display()));
    }
}
