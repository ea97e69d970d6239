//! Loading and recording runs: 450 tests each.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use sono_analysis::{Card, CardPlugin, Ledger};
use sono_history::{Added, History};

const RUNS: usize = 1_000;
const TESTS: usize = 450;

fn card(run: usize) -> Card {
    let name = |test| {
        format!(
            "[It] [sig-network] Services number {test} should be able to create a functioning service of its kind [Conformance]"
        )
    };
    let mut card = Card {
        schema: 1,
        plugins: vec![CardPlugin {
            name: "e2e".to_owned(),
            status: "passed".to_owned(),
            tests: (0..TESTS).map(name).collect(),
            statuses: "p".repeat(TESTS),
            milliseconds: (0..TESTS)
                .map(|test| u32::try_from(test * run).unwrap_or_default())
                .collect(),
            ..CardPlugin::default()
        }],
        ..Card::default()
    };
    card.run.id = format!("run-{run}");
    // Of several clusters: a history has at most 200 runs of one.
    card.cluster.id = format!("cluster-{}", run % 10);
    card.run.start = Timestamp::from_second(1_700_000_000 + i64::try_from(run).unwrap_or_default()).ok();
    card
}

fn histories(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let history = History::new(directory.path().to_path_buf());
    let now = Timestamp::from_second(1_700_010_000).expect("a time");
    for run in 0..RUNS {
        history.record(&card(run), Added::JustEnded, now).expect("recorded");
    }
    let mut group = criterion.benchmark_group("history");
    group.sample_size(10);
    group.bench_function("list 1,000 runs", |bencher| {
        bencher.iter(|| black_box(history.list().expect("listed").entries.len()));
    });
    group.bench_function("load 1,000 runs", |bencher| {
        bencher.iter(|| {
            let listing = history.list().expect("listed");
            let mut ledger = Ledger::default();
            for card in history.cards(&listing.entries) {
                ledger.add(&card);
            }
            assert_eq!(ledger.runs(), RUNS);
            black_box(ledger.tests().len())
        });
    });
    let mut run = RUNS;
    group.bench_function("record a run", |bencher| {
        bencher.iter(|| {
            run += 1;
            history.record(&card(run), Added::JustEnded, now).expect("recorded")
        });
    });
    group.finish();
}

criterion_group!(benches, histories);
criterion_main!(benches);
