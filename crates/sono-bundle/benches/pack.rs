//! Packs 10,000 files, compared with GNU tar and gzip at the same level.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must say so")]

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use fs_err as fs;

const FILES: usize = 10_000;
/// The compression level of archives of runs.
const LEVEL: u32 = 6;
/// Runs of each for the ratio, alternating.
const ROUNDS: usize = 5;

/// Text files of about 4 KiB each, like lists and logs of a cluster.
fn make(root: &Path) {
    for number in 0..FILES {
        let folder = root.join(format!("resources/ns/namespace-{}", number / 50));
        if number.is_multiple_of(50) {
            fs::create_dir_all(&folder).unwrap();
        }
        let lines = (0..40).map(|line| {
            let odd = (number * 7919 + line * 104_729) % 1_000_003;
            format!("{{\"metadata\":{{\"name\":\"pod-{number}-{line}\",\"uid\":\"{odd:06x}\",\"namespace\":\"ns\"}},\"status\":\"ok\"}}\n")
        });
        fs::write(folder.join(format!("core_v1_{number}.json")), lines.collect::<String>()).unwrap();
    }
}

fn pack(run: &Path, target: &Path) -> Duration {
    let begun = Instant::now();
    let file = fs::File::create(target).unwrap();
    let (_, packed) = sono_bundle::pack_directory(run, file, &[], LEVEL).unwrap();
    assert!(packed.entries > FILES as u64);
    begun.elapsed()
}

fn tar(run: &Path, target: &Path) -> Duration {
    let begun = Instant::now();
    let mut command = Command::new("tar");
    command
        .arg("-I")
        .arg(format!("gzip -{LEVEL}"))
        .arg("-C")
        .arg(run)
        .arg("-cf")
        .arg(target)
        .arg(".");
    assert!(command.status().unwrap().success());
    begun.elapsed()
}

#[expect(clippy::print_stderr, reason = "criterion has no place for a ratio")]
fn packing(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run");
    make(&run);
    let target = directory.path().join("run.tar.gz");
    let mut group = criterion.benchmark_group("pack 10000 files");
    group.bench_function("sono", |bencher| bencher.iter(|| pack(&run, &target)));
    group.bench_function("tar and gzip", |bencher| bencher.iter(|| tar(&run, &target)));
    group.finish();
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) =
        (0..ROUNDS).map(|_| (pack(&run, &target), tar(&run, &target))).unzip();
    ours.sort();
    theirs.sort();
    let (one, other) = (ours[ROUNDS / 2], theirs[ROUNDS / 2]);
    eprintln!(
        "sono / (tar with gzip): {one:.1?} / {other:.1?} = {:.2}",
        one.as_secs_f64() / other.as_secs_f64()
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5));
    targets = packing
}
criterion_main!(benches);
