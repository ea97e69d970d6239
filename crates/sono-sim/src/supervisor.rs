//! Supervises the aggregator: starts it, restarts it, and kills it on schedule.

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

/// Time limit for reaching the next scheduled event.
pub(crate) const STEP_LIMIT: Duration = Duration::from_mins(1);
/// Maximum number of exits that were not requested. Even without an API server the aggregator should not exit.
const MAX_OWN_EXITS: usize = 3;

/// Progress of the workers.
#[derive(Debug, Clone)]
pub(crate) struct WorkerProgress {
    /// Number of workers with a final response.
    pub(crate) answered: watch::Receiver<usize>,
    /// Whether the last worker has started its upload.
    pub(crate) last: watch::Receiver<bool>,
}

/// Statistics and violations of all aggregator processes.
#[derive(Debug, Default)]
pub(crate) struct Supervised {
    pub(crate) starts: usize,
    pub(crate) kills: usize,
    /// Number of exits that were not requested.
    pub(crate) own_ends: usize,
    /// Peak memory of all processes, in bytes.
    pub(crate) memory: u64,
    /// Times from a kill to the next process's first response.
    pub(crate) recoveries: Vec<Duration>,
    /// Number of log messages about a full volume.
    pub(crate) disk_full_messages: usize,
    pub(crate) violations: Vec<String>,
    /// Open connections of workers at the end of the last process.
    pub(crate) connections: usize,
}

/// Runs the aggregator until all scheduled kills are done and the run is complete.
pub(crate) async fn supervise(
    program: &Path,
    world: &World,
    kills: &[Kill],
    progress: &WorkerProgress,
    mut ready: watch::Receiver<bool>,
) -> anyhow::Result<Supervised> {
    let mut supervised = Supervised::default();
    let mut kills = kills.iter();
    let mut next = kills.next();
    let mut down = Instant::now();
    loop {
        let mut process = Aggregator::start(program, world, supervised.starts)?;
        supervised.starts += 1;
        let started = process.started;
        let act = async {
            if let Some(kill) = next {
                return wait_for_moment(kill.at, world, progress, started).await;
            }
            ready
                .wait_for(|ready| *ready)
                .await
                .context("the task of the workers ended early")?;
            wait_for_seal(world).await
        };
        let mut recovery = None;
        let limited = async {
            let act = tokio::time::timeout(STEP_LIMIT, act);
            tokio::pin!(act);
            let mut listening = std::pin::pin!(wait_for_response(world.address));
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
        supervised.memory = supervised.memory.max(process.memory);
        if supervised.kills > 0 || supervised.own_ends > 0 {
            supervised.recoveries.extend(recovery);
        }
        match outcome {
            Ok(Err(_)) => bail!(
                "timeout after {STEP_LIMIT:?} while waiting for {next:?}, see {}",
                process.log.display()
            ),
            Ok(Ok(acted)) => acted?,
            Err(status) => {
                read_log(&process, &mut supervised);
                supervised.violations.push(format!(
                    "the aggregator exited by itself with {status}, see {}",
                    process.log.display()
                ));
                supervised.own_ends += 1;
                if supervised.own_ends > MAX_OWN_EXITS {
                    bail!("the aggregator exited {MAX_OWN_EXITS} times by itself, the last time with {status}");
                }
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        }
        let Some(kill) = next else {
            process.wait_for_no_exit().await?;
            // The aggregator closes open connections within a second.
            sleep(Duration::from_millis(1500)).await;
            supervised.connections = process.connections(world.address)?;
            let status = process.stop().await?;
            if !status.success() {
                supervised
                    .violations
                    .push(format!("the last process exited with {status} after SIGTERM"));
            }
            supervised.memory = supervised.memory.max(process.memory);
            read_log(&process, &mut supervised);
            return Ok(supervised);
        };
        down = Instant::now();
        if kill.gently {
            // The exit status after a SIGTERM is not checked here.
            process.stop().await?;
        } else {
            process.kill().await?;
            world.fail_power().await?;
        }
        supervised.memory = supervised.memory.max(process.memory);
        read_log(&process, &mut supervised);
        supervised.kills += 1;
        next = kills.next();
    }
}

async fn wait_for_moment(at: Moment, world: &World, progress: &WorkerProgress, started: Instant) -> anyhow::Result<()> {
    let mut progress = progress.clone();
    match at {
        Moment::Started { after_ms } => {
            sleep(Duration::from_millis(after_ms).saturating_sub(started.elapsed())).await;
        }
        Moment::Answered { workers, then_us } => {
            progress.answered.wait_for(|answered| *answered >= workers).await?;
            sleep(Duration::from_micros(then_us)).await;
        }
        Moment::Last { after_us } => {
            progress.last.wait_for(|last| *last).await?;
            sleep(Duration::from_micros(after_us)).await;
        }
        Moment::Sealed => {
            progress.last.wait_for(|last| *last).await?;
            wait_for_seal(world).await?;
        }
    }
    Ok(())
}

/// Waits until the status is complete, so that the archive exists.
async fn wait_for_seal(world: &World) -> anyhow::Result<()> {
    loop {
        match status::last(world)?.map(|status| status.status) {
            Some(sono_types::OverallStatus::Complete) => return Ok(()),
            Some(sono_types::OverallStatus::Failed) => bail!("the run failed"),
            _ => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Waits until the process handles connections. The kernel accepts them earlier; only the process responds to invalid
/// TLS bytes.
async fn wait_for_response(address: Ipv4Addr) {
    let ask = async || {
        let mut stream = TcpStream::connect((address, constants::AGGREGATOR_PORT)).await?;
        stream.write_all(b"not a TLS handshake").await?;
        let mut answer = [0];
        stream.read(&mut answer).await
    };
    while ask().await.is_err() {
        sleep(Duration::from_millis(5)).await;
    }
}

fn read_log(process: &Aggregator, supervised: &mut Supervised) {
    let log = fs_err::read_to_string(&process.log).unwrap_or_default();
    supervised.disk_full_messages += log.matches("the volume is full:").count();
    for line in log.lines().filter(|line| line.contains("panicked at")) {
        supervised.violations.push(format!("{}: {line}", process.log.display()));
    }
}
