//! `sono results` on an archive with 7,000 tests, as a process, compared with `gzip` and `tar` reading the same tree of results
//! out of the same archive; and `sono version`.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must say so")]

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use sono_types::Item;

const CASES: usize = 7_000;
/// Runs of each for the ratio, by turns.
const ROUNDS: usize = 40;

/// As long as real names are; every twentieth failed and says why.
fn tree() -> Item {
    let leaf = |number: usize| Item {
        name: format!(
            "[It] [sig-storage] In-tree Volumes [Driver: local][LocalVolumeType: tmpfs] [Testpattern: Pre-provisioned PV (default fs)] subPath should support readOnly file specified in the volumeMount {number} [LinuxOnly]"
        ),
        status: ["failed", "passed", "skipped"][if number.is_multiple_of(20) { 0 } else { 1 + number % 2 }].to_owned(),
        details: if number.is_multiple_of(20) {
            [(
                "failure".to_owned(),
                "\ntest/e2e/storage/utils.go:1234\ntimed out waiting for the condition"
                    .repeat(20)
                    .into(),
            )]
            .into()
        } else {
            BTreeMap::default()
        },
        ..Item::default()
    };
    let suite = Item {
        name: "Kubernetes e2e suite".to_owned(),
        status: "failed".to_owned(),
        items: (0..CASES).map(leaf).collect(),
        ..Item::default()
    };
    let file = Item {
        name: "junit_01.xml".to_owned(),
        status: "failed".to_owned(),
        items: vec![suite],
        ..Item::default()
    };
    Item {
        name: "e2e".to_owned(),
        status: "failed".to_owned(),
        items: vec![file],
        ..Item::default()
    }
}

fn archive(directory: &Path) -> String {
    let run = directory.join("run");
    let lines = (0..60_000).map(|number| format!("I1122 {number} e2e.go:{}] waiting", number * 7919 % 997));
    let noise = lines.collect::<Vec<_>>().join("\n");
    let yaml = sono_results::to_yaml(&tree());
    let digest = sono_results::YamlDigest::of(&mut yaml.as_bytes()).unwrap();
    let digest = serde_json::to_string(&digest).unwrap();
    let json = serde_json::to_string(&tree()).unwrap();
    let json = format!(r#"{{"format":1,"tree":{json},"yaml":{digest}}}"#);
    let files = [
        ("meta/info.json", r#"{"plugins":["e2e"]}"#.to_owned()),
        ("meta/clusterhealth.json", "{}".to_owned()),
        ("plugins/e2e/results/global/e2e.log", noise.clone()),
        ("plugins/e2e/sonobuoy_results.json", json),
        ("plugins/e2e/sonobuoy_results.yaml", yaml),
        ("podlogs/kube-system/etcd/logs/etcd.txt", noise),
    ];
    for (name, text) in files {
        let path = run.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let path = directory.join("run.tar.gz");
    let file = fs_err::File::create(&path).unwrap();
    sono_bundle::pack_directory(&run, file, &[], 6).unwrap();
    path.to_str().unwrap().to_owned()
}

fn run(program: &str, arguments: &[&str]) -> Duration {
    let begun = Instant::now();
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status();
    assert!(status.unwrap().success());
    begun.elapsed()
}

fn results(criterion: &mut Criterion) {
    let sono = env!("CARGO_BIN_EXE_sono");
    let directory = tempfile::tempdir().unwrap();
    let archive = archive(directory.path());
    let pipe = format!("gzip -dc {archive} | tar -xOf - plugins/e2e/sonobuoy_results.yaml");
    let ours = || run(sono, &["results", &archive]);
    let theirs = || run("sh", &["-c", &pipe]);
    let mut group = criterion.benchmark_group("results");
    group.bench_function("sono results, 7000 tests", |bencher| bencher.iter(ours));
    group.bench_function("gzip and tar", |bencher| bencher.iter(theirs));
    group.bench_function("sono version", |bencher| bencher.iter(|| run(sono, &["version"])));
    group.finish();
    ratio("results / (gzip | tar)", ours, theirs);
}

/// The medians by turns, so that both had the same machine.
#[expect(clippy::print_stderr, reason = "criterion has no place for a ratio")]
fn ratio(what: &str, ours: impl Fn() -> Duration, theirs: impl Fn() -> Duration) {
    let (mut one, mut other): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| (ours(), theirs())).unzip();
    one.sort();
    other.sort();
    let (one, other) = (one[ROUNDS / 2], other[ROUNDS / 2]);
    eprintln!(
        "{what}: {one:.1?} / {other:.1?} = {:.2}",
        one.as_secs_f64() / other.as_secs_f64()
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
    targets = results
}
criterion_main!(benches);
