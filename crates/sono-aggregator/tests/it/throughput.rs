//! The rate of small uploads. A measurement, not a check: `cargo test --release -p sono-aggregator --test it --
//! --ignored --nocapture small_uploads`.

use std::time::{Duration, Instant};

use futures::future::join_all;
use sono_manifest::DriverKind;

use crate::{
    backend::{Options, TestRun, plugin},
    put,
};

const CONNECTIONS: usize = 50;
const EACH: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn small_uploads() {
    let run = TestRun::begin(Options {
        definitions: vec![plugin("p", DriverKind::DaemonSet)],
        // One result is never sent, so that the run does not end.
        nodes: CONNECTIONS * EACH + 1,
        ..Options::default()
    })
    .await;
    let body = vec![b'x'; 1 << 10];
    let start = Instant::now();
    let connections = (0..CONNECTIONS).map(|connection| {
        let (client, body, run) = (run.client("p"), &body, &run);
        async move {
            let mut times = Vec::new();
            for number in 0..EACH {
                let node = connection * EACH + number + 1;
                let url = run.url(&format!("/api/v1/results/by-node/n{node}/p"));
                let begin = Instant::now();
                assert_eq!(put(&client, &url, &[], body.clone()).await.0, 200);
                times.push(begin.elapsed());
            }
            times
        }
    });
    let mut times: Vec<Duration> = join_all(connections).await.into_iter().flatten().collect();
    let took = start.elapsed();
    times.sort();
    println!(
        "{} uploads of 1 KiB over {CONNECTIONS} connections in {took:?}: {:.0} a second, p50 {:?}, p99 {:?}",
        times.len(),
        f64::from(u32::try_from(times.len()).unwrap()) / took.as_secs_f64(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
}
