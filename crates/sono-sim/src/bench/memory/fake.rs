//! The fake API: the test is scheduler, kubelet and DaemonSet controller.

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
    world::{Environments, Plan, Plugin, World},
};

const PLUGIN: &str = "p";
/// How long a run may take to begin: the nodes are listed.
const START: Duration = Duration::from_mins(2);
/// Pods that appear at a time, and how long it takes to the next: more quickly than on any real cluster.
const AT_A_TIME: usize = 20;
const PAUSE: Duration = Duration::from_millis(20);

/// A run whose pods appear and start, then a second process that takes it up.
pub(super) async fn measure(
    name: &str,
    program: &Path,
    nodes: usize,
    bytes: usize,
    hold: Duration,
) -> anyhow::Result<Point> {
    let names: Vec<String> = (0..nodes).map(content::node).collect();
    let world = World::new(Plan {
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
        controlled = timeout(START, world.control(&environments)) => controlled.context("starting the run")??,
        ended = process.ended() => bail!("it ended: {}: {}", ended?, fs_err::read_to_string(&process.log)?),
    }
    let id = process.id().context("it runs")?;
    let started = high_water(id).context("it runs")?;
    let sets = world.api.all("daemonsets");
    let set = sets.first().context("the plugin has a DaemonSet")?;
    for (number, names) in names.chunks(AT_A_TIME).enumerate() {
        for stage in [Stage::Created, Stage::Bound, Stage::Running] {
            for name in names {
                world.api.put(objects::pod(set, name, &time, stage, bytes));
            }
        }
        let made = number * AT_A_TIME + names.len();
        world.api.put(objects::counted(set, nodes, made));
        sleep(PAUSE).await;
    }
    let pods_seconds = began.elapsed().as_secs_f64();
    sleep(hold).await;
    let point = Point {
        server: "fake API",
        program: name.to_owned(),
        nodes,
        started_kib: started >> 10,
        memory_kib: high_water(id).context("it runs")? >> 10,
        resident_kib: resident(id).context("it runs")? >> 10,
        pods_seconds,
        ..Point::default()
    };
    process.kill().await?;
    let mut second = Aggregator::start(program, &world, 1)?;
    sleep(hold).await;
    second.look();
    let taken_up = second.memory >> 10;
    second.kill().await?;
    Ok(Point {
        taken_up_kib: Some(taken_up),
        ..point
    })
}
