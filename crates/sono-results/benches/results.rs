//! Benchmarks with the results of a full end-to-end run: parsing JUnit, rolling up statuses, reading and writing the tree.

use std::{fmt::Write, hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sono_results::{Compatibility, aggregate, from_yaml, read_result_file, to_yaml};
use sono_types::{Item, ResultFormat};

/// Test cases of a full run of Kubernetes' end-to-end suite.
const CASES: usize = 7_000;
const ITEMS: usize = 100_000;

fn name(number: usize) -> String {
    format!(
        "[It] [sig-storage] In-tree Volumes [Driver: local][LocalVolumeType: tmpfs] [Testpattern: Pre-provisioned PV (default fs)] subPath should support readOnly file specified in the volumeMount {number} [LinuxOnly]"
    )
}

/// A JUnit file in which every twentieth case fails, with output of realistic size.
fn junit() -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"Kubernetes e2e suite\" tests=\"{CASES}\">\n"
    );
    for number in 0..CASES {
        let open = format!("<testcase name=\"{}\" classname=\"e2e\" time=\"12.5\"", name(number));
        let written = match number % 20 {
            0 => writeln!(
                text,
                "{open}><failure message=\"expected &lt;bool&gt;: true\">{}</failure><system-err>{}</system-err></testcase>",
                "test/e2e/storage/utils.go:1234 ".repeat(10),
                "&gt; Enter [BeforeEach] set up framework | framework.go:200\n".repeat(100)
            ),
            1..=4 => writeln!(text, "{open}></testcase>"),
            _ => writeln!(text, "{open}><skipped message=\"skipped\"></skipped></testcase>"),
        };
        written.expect("writing to a string cannot fail");
    }
    text + "</testsuite>\n</testsuites>\n"
}

fn tree(junit: &[u8]) -> Item {
    let (file, _) = read_result_file(
        ResultFormat::Junit,
        "results/global/junit_01.xml",
        junit,
        Compatibility::default(),
    );
    let mut root = Item {
        name: "e2e".to_owned(),
        meta: [("type".to_owned(), "summary".to_owned())].into(),
        items: vec![file],
        ..Item::default()
    };
    aggregate(&mut root, Compatibility::default());
    root
}

/// A tree of 1,000 nodes with 100 items each; one item in 1,000 has the status `custom`.
fn wide(custom: &str) -> Item {
    let statuses = ["passed", "skipped", "passed", "failed", custom];
    let leaf = |number: usize| Item {
        name: format!("item {number}"),
        status: statuses[if number.is_multiple_of(1000) { 4 } else { number % 4 }].to_owned(),
        ..Item::default()
    };
    let node = |number: usize| Item {
        name: format!("node{number}"),
        items: (0..ITEMS / 1000).map(|item| leaf(number * 100 + item)).collect(),
        ..Item::default()
    };
    Item {
        items: (0..1000).map(node).collect(),
        ..Item::default()
    }
}

fn results(criterion: &mut Criterion) {
    let junit = junit();
    let root = tree(junit.as_bytes());
    let text = to_yaml(&root);
    assert_eq!(from_yaml(&text).as_ref(), Ok(&root));

    let mut group = criterion.benchmark_group("junit");
    group.throughput(Throughput::Bytes(junit.len() as u64));
    group.bench_function("7000 cases", |bencher| {
        bencher.iter(|| tree(black_box(junit.as_bytes())));
    });
    group.finish();

    let mut group = criterion.benchmark_group("roll-up");
    group.throughput(Throughput::Elements(ITEMS as u64));
    for (title, custom) in [
        ("100000 items", "passed"),
        ("100000 items, custom statuses", "complete"),
    ] {
        let items = wide(custom);
        let roll_up = |mut items: Item| {
            aggregate(&mut items, Compatibility::default());
            items
        };
        group.bench_function(title, |bencher| {
            bencher.iter_batched(|| items.clone(), roll_up, BatchSize::LargeInput);
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("item tree");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("read", |bencher| bencher.iter(|| from_yaml(black_box(&text))));
    group.bench_function("write", |bencher| bencher.iter(|| to_yaml(black_box(&root))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
    targets = results
}
criterion_main!(benches);
