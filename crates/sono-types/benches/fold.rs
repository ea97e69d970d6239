//! Folding the status of 10,000 nodes for the annotation: `cargo bench -p sono-types --bench fold`.

use std::{collections::BTreeMap, hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use sono_types::{PluginStatus, ProgressUpdate, RunStatus, fold_status, status::plugin_status};

const NODES: usize = 10_000;
/// The aggregator's size limit of the status annotation.
const LIMIT: usize = 64 << 10;

fn status(row: impl Fn(usize, PluginStatus) -> PluginStatus) -> RunStatus {
    let plain = |node| PluginStatus {
        plugin: "node-check".to_owned(),
        node: format!("ip-10-{}-{}.eu-central-1.compute.internal", node / 256, node % 256),
        status: plugin_status::RUNNING.to_owned(),
        ..PluginStatus::default()
    };
    RunStatus {
        plugins: Some((0..NODES).map(|node| row(node, plain(node))).collect()),
        ..RunStatus::default()
    }
}

fn fold(criterion: &mut Criterion) {
    let passed = status(|node, row| PluginStatus {
        status: plugin_status::COMPLETE.to_owned(),
        result_status: if node % 100 == 0 { "failed" } else { "passed" }.to_owned(),
        result_counts: Some(BTreeMap::from([("passed".to_owned(), 12), ("failed".to_owned(), 1)])),
        ..row
    });
    let progressing = status(|_, row| PluginStatus {
        progress: Some(Arc::new(ProgressUpdate {
            msg: "checking".to_owned(),
            total: 100,
            completed: 50,
            failures: vec!["one".to_owned(), "two".to_owned()],
            ..ProgressUpdate::default()
        })),
        ..row
    });
    let mut group = criterion.benchmark_group("status of 10,000 nodes");
    for (name, status) in [
        ("complete, one in a hundred failed", passed),
        ("running, with progress", progressing),
    ] {
        let bytes = serde_json::to_string(&fold_status(&status, LIMIT)).map_or(0, |text| text.len());
        assert!(bytes <= LIMIT, "{name}: {bytes} bytes");
        group.bench_function(name, |bencher| bencher.iter(|| fold_status(black_box(&status), LIMIT)));
    }
    group.finish();
}

criterion_group!(benches, fold);
criterion_main!(benches);
