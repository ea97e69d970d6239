//! Measurement with the fake API: plays scheduler, kubelet and DaemonSet controller.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    Point,
    objects::{self, Stage},
};
use crate::{
    aggregator::{Aggregator, high_water, resident},
    content,
    world::{Environments, Plugin, World, WorldParameters},
};

const PLUGIN: &str = "p";
/// Time limit for starting a run, which lists all nodes.
const START_LIMIT: Duration = Duration::from_mins(2);
/// Number of pods created at a time and the delay after them: faster than on a real cluster.
const POD_BATCH: usize = 20;
const BATCH_DELAY: Duration = Duration::from_millis(20);

/// Measures a run while its pods are created and started, and a second process that resumes the run.
pub(super) async fn measure(
    name: &str,
    program: &Path,
    nodes: usize,
    bytes: usize,
    hold: Duration,
) -> anyhow::Result<Point> {
    let names: Vec<String> = (0..nodes).map(content::node).collect();
    let world = World::new(WorldParameters {
        nodes: names.clone(),
        plugins: vec![Plugin {
            name: PLUGIN,
            driver: "DaemonSet",
            order: 0,
            result_format: "raw",
        }],
        limits: sono_types::UploadLimits::default(),
        pods: false,
    })?;
    // Any time works: these nodes' ages are not used.
    let time = jiff::Timestamp::UNIX_EPOCH.to_string();
    for name in &names {
        world.api.put(objects::node(name, &time, bytes));
    }
    let began = Instant::now();
    let mut process = Aggregator::start(program, &world, 0)?;
    let environments = watch::Sender::new(Environments::new());
    tokio::select! {
        controlled = timeout(START_LIMIT, world.control(&environments)) => controlled.context("timeout while starting the run")??,
        ended = process.ended() => bail!("the aggregator ended: {}: {}", ended?, fs_err::read_to_string(&process.log)?),
    }
    let id = process.id().context("the aggregator has ended")?;
    let started = high_water(id).context("the aggregator has ended")?;
    let sets = world.api.all("daemonsets");
    let set = sets.first().context("the plugin has a DaemonSet")?;
    for (number, names) in names.chunks(POD_BATCH).enumerate() {
        for stage in [Stage::Created, Stage::Bound, Stage::Running] {
            for name in names {
                world.api.put(objects::pod(set, name, &time, stage, bytes));
            }
        }
        let created = number * POD_BATCH + names.len();
        world.api.put(objects::with_status(set, nodes, created));
        sleep(BATCH_DELAY).await;
    }
    let pods_seconds = began.elapsed().as_secs_f64();
    sleep(hold).await;
    let point = Point {
        server: "fake API",
        program: name.to_owned(),
        nodes,
        started_kib: started >> 10,
        memory_kib: high_water(id).context("the aggregator has ended")? >> 10,
        resident_kib: resident(id).context("the aggregator has ended")? >> 10,
        pods_seconds,
        ..Point::default()
    };
    process.kill().await?;
    let mut second = Aggregator::start(program, &world, 1)?;
    sleep(hold).await;
    second.sample_memory();
    let resumed = second.memory >> 10;
    second.kill().await?;
    Ok(Point {
        resumed_kib: Some(resumed),
        ..point
    })
}
