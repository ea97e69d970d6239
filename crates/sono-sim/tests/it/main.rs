//! A short simulation with fixed seeds. Longer ones: `cargo xtask sim --seeds 200`.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests, which say what was not run"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use futures::StreamExt as _;
use sono_sim::{
    Options, Outcome, can_lose_power, can_set_clocks,
    schedule::{ApiFault, ApiTrouble, Kill, MachineFault, MachineTrouble, Moment, Schedule, Shape},
    simulate,
};

/// The aggregator's program is another package's: cargo puts it beside this test's directory, but a test of this package
/// alone may find it missing or old.
fn aggregator() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let directory = own.parent().and_then(Path::parent).unwrap();
    let profile = match directory.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "sono-aggregator",
            "--profile",
            profile,
        ])
        .arg("--target-dir")
        .arg(directory.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success());
    directory.join("sono-aggregator")
}

/// The aggregator's directory is fixed; each simulation puts its own in that place, which needs a mount namespace.
fn has_mount_namespaces() -> bool {
    let own = Command::new("unshare").args(["--mount", "true"]).status();
    let mapped = || {
        Command::new("unshare")
            .args(["--mount", "--map-root-user", "true"])
            .status()
    };
    own.is_ok_and(|status| status.success()) || mapped().is_ok_and(|status| status.success())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Runs these schedules, which all have that many workers, after an undisturbed run to compare with.
fn nothing_is_broken(workers: usize, schedules: impl IntoIterator<Item = Schedule>) -> Vec<Outcome> {
    nothing_is_broken_by(false, workers, schedules)
}

/// With `power_loss` every kill takes along what was not synced.
fn nothing_is_broken_by(
    power_loss: bool,
    workers: usize,
    schedules: impl IntoIterator<Item = Schedule>,
) -> Vec<Outcome> {
    if !has_mount_namespaces() {
        eprintln!("not run: this system gives no mount namespace (`unshare --mount`)");
        return Vec::new();
    }
    sono_tls::install_provider();
    let options = Options {
        aggregator: aggregator(),
        max_memory: 128 << 20,
        power_loss,
    };
    runtime().block_on(async {
        let shape = Shape { workers, rounds: 0 };
        let reference = simulate(&Schedule::undisturbed(1, shape), &options, None)
            .await
            .unwrap();
        assert_eq!(reference.violations, Vec::<String>::new());
        let simulated = schedules.into_iter().map(async |schedule| {
            let outcome = simulate(&schedule, &options, Some(&reference)).await.unwrap();
            assert_eq!(outcome.violations, Vec::<String>::new(), "{schedule:?}");
            assert_eq!(outcome.kills, schedule.kills.len());
            outcome
        });
        // Most of a simulation is waiting.
        futures::stream::iter(simulated).buffered(3).collect().await
    })
}

/// Every fault that comes from a seed is in one of these.
const SEEDS: [u64; 5] = [1, 2, 3, 37, 41];

fn seeded(seed: u64) -> Schedule {
    let shape = Shape {
        workers: WORKERS,
        rounds: 3,
    };
    let mut schedule = Schedule::new(seed, shape).without_machine();
    // It takes half a minute, and has a test of its own.
    schedule
        .api
        .retain(|fault| !matches!(fault.what, ApiTrouble::Hang { .. }));
    schedule
}

/// Issue 6: `cargo xtask bench queries`, on a cluster that is small enough to be asked here: who asks finds all there is, with
/// as many requests as a plain loop, and keeps about as much.
#[test]
fn the_bench_of_queries_measures_what_is_asked_for() {
    let output = Command::new(env!("CARGO_BIN_EXE_sono-sim"))
        .args(["queries", "--pods", "50", "--turns", "1", "--json", "--aggregator"])
        .arg(aggregator())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows: Vec<String> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let fields = ["server", "pods", "asked", "client", "turns", "requests", "incomplete"];
            fields.map(|field| row[field].to_string()).join(" ").replace('"', "")
        })
        .collect();
    assert_eq!(
        rows,
        [
            "fake API 50 pods sono 1 4 0",
            "fake API 50 pods plain loop 1 4 null",
            "fake API 50 pods-and-logs sono 1 76 0",
            "fake API 50 pods-and-logs plain loop 1 76 null",
            "fake API 50 everything sono 1 214 0",
            "fake API 50 everything plain loop 1 214 null",
        ]
    );
    for row in report["rows"].as_array().unwrap() {
        let number = |field: &str| row[field].as_u64();
        // Each pod is some kilobytes.
        assert!(
            number("answer_bytes") > Some(150_000) && number("kept_bytes") > Some(100_000),
            "{row}"
        );
        assert!(row["seconds"].as_f64() > Some(0.0), "{row}");
        assert_eq!(number("memory_kib").is_some(), row["client"] == "sono", "{row}");
        assert!(number("memory_kib").is_none_or(|kibibytes| kibibytes > 1_000), "{row}");
    }
}

/// W-1, W-3, W-4, W-5, W-40, W-44: killed at random, cut off, stalled, lied to and left without an API server, the
/// aggregator keeps every result once, with its bytes, or a stated error, and its archive is that of an undisturbed run.
#[test]
fn nothing_is_lost_under_these_seeds() {
    nothing_is_broken(WORKERS, SEEDS.map(seeded));
}

/// Issue 6: each fault has a test with a fixed seed; `docs/durability.md` says which.
#[test]
fn every_fault_is_in_one_of_these_seeds() {
    let text: String = SEEDS.map(|seed| serde_json::to_string(&seeded(seed)).unwrap()).concat();
    let stalls_too_long = r#""ms":2500"#;
    for fault in [
        r#""gently":false"#,
        r#""gently":true"#,
        "Started",
        "Answered",
        "Last",
        "Sealed",
        "Truncate",
        "Stall",
        stalls_too_long,
        "Abandon",
        "AllAtOnce",
        "TarEscape",
        "TarThroughLink",
        "GzipBomb",
        "TarBomb",
        "TornArchive",
        "NoArchive",
        "NameEscape",
        r#""Oversized""#,
        "OversizedInPieces",
        "UnknownNode",
        "OtherPlugin",
        "OddPath",
        "NoCertificate",
        "Garbage",
        "SlowReader",
        "SlowHead",
        "Silent",
        r#""code":409"#,
        r#""code":429"#,
        r#""code":500"#,
        r#""code":503"#,
        r#""code":504"#,
        "Delay",
        "Cut",
        "Gone",
        "Away",
    ] {
        assert!(text.contains(fault), "{fault}");
    }
}

/// Issue 6: a killed process leaves its page cache behind, a machine that loses its power does not.
#[test]
fn nothing_is_lost_when_the_power_fails() {
    if !runtime().block_on(can_lose_power()) {
        eprintln!("not run: no file system can be mounted here, which takes root and loop devices");
        return;
    }
    nothing_is_broken_by(true, WORKERS, [4, 5].map(seeded));
}

const WORKERS: usize = 16;

fn kill(workers: usize) -> Kill {
    Kill {
        at: Moment::Answered { workers, then_us: 500 },
        gently: false,
    }
}

/// While the process takes up the run.
fn soon(gently: bool) -> Kill {
    let at = Moment::Started { after_ms: 300 };
    Kill { at, gently }
}

/// After the last result was sent, while the archive is made.
fn at_the_end(after_us: u64) -> Kill {
    let at = Moment::Last { after_us };
    Kill { at, gently: false }
}

/// What workers and strangers do is decided by the seed, what the machine does is not.
fn with(seed: u64, kills: Vec<Kill>, machine: &[(usize, MachineTrouble)]) -> Schedule {
    let shape = Shape {
        workers: WORKERS,
        rounds: 0,
    };
    let faults = machine.iter().map(|(answered, what)| MachineFault {
        answered: *answered,
        what: *what,
    });
    Schedule {
        kills,
        machine: faults.collect(),
        ..Schedule::new(seed, shape)
    }
}

/// A volume of one's own takes root; where there are user namespaces everybody is root in one. True in there: the test
/// is then done outside.
fn runs_as_root_instead(test: &str) -> bool {
    const INSIDE: &str = "SONO_SIM_INSIDE";
    if rustix::process::getuid().is_root() || std::env::var_os(INSIDE).is_some() {
        return false;
    }
    if has_mount_namespaces() {
        let again = Command::new("unshare")
            .args(["--mount", "--map-root-user"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1")
            .status();
        assert!(again.unwrap().success());
    } else {
        eprintln!("not run: this system gives no mount namespace (`unshare --mount`)");
    }
    true
}

/// Issue 6: a full disk is no crash: senders are told that there is no room, and once there is, everything is taken.
#[test]
fn a_full_disk_is_survived() {
    if runs_as_root_instead("a_full_disk_is_survived") {
        return;
    }
    let full = |ms| MachineTrouble::DiskFull { ms };
    let outcomes = nothing_is_broken(
        WORKERS,
        [
            with(1, Vec::new(), &[(2, full(900)), (9, full(300))]),
            with(2, vec![kill(5), kill(10)], &[(1, full(700)), (8, full(400))]),
            with(3, vec![kill(4), soon(true), soon(false)], &[(4, full(2500))]),
            with(5, vec![at_the_end(2_000), soon(true)], &[(14, full(2000))]),
        ],
    );
    let waited = outcomes.iter().filter(|outcome| outcome.shortages > 0).count();
    assert!(waited >= 2 || outcomes.is_empty(), "only {waited} had to wait for room");
}

/// Issue 6: the clock of the aggregator's machine is set, by hours between two of its processes and by weeks while one
/// runs.
#[test]
fn clocks_that_are_set_are_survived() {
    if !can_set_clocks() {
        eprintln!("not run: Debian's package faketime is not installed");
        return;
    }
    let clock = |hours: i64| MachineTrouble::Clock { seconds: hours * 3600 };
    nothing_is_broken(
        WORKERS,
        [
            with(
                3,
                vec![kill(6), kill(9)],
                &[(1, clock(2)), (5, clock(-2)), (8, clock(2))],
            ),
            with(
                4,
                vec![kill(7)],
                &[(1, clock(24 * 20)), (4, clock(1)), (9, clock(24 * 20))],
            ),
        ],
    );
}

/// Issue 6: an API server that takes requests and never answers holds nothing up for longer than the half minute after which
/// it is asked again, be it a request or a watch.
#[test]
fn an_api_server_that_never_answers_is_survived() {
    let fault = |answered, what| ApiFault { answered, what };
    nothing_is_broken(
        WORKERS,
        [Schedule {
            // The watches that begin again are among the next requests.
            api: vec![
                fault(4, ApiTrouble::Hang { times: 3 }),
                fault(4, ApiTrouble::Gone { times: 0 }),
                fault(13, ApiTrouble::Hang { times: 1 }),
            ],
            ..with(6, Vec::new(), &[])
        }],
    );
}

/// Issue 15, 3: the curve has a point for each number of nodes; pods of 25 kB each take a small part of that.
#[test]
fn memory_bench_measures_each_number_of_nodes() {
    let output = Command::new(env!("CARGO_BIN_EXE_sono-sim"))
        .args(["memory", "--nodes", "2,100", "--hold", "1", "--json", "--aggregator"])
        .arg(aggregator())
        .output()
        .unwrap();
    // A program that is not optimized may be beyond the bounds.
    let said = String::from_utf8_lossy(&output.stderr);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    let points = report["points"].as_array().unwrap();
    let marks: Vec<(u64, u64)> = points
        .iter()
        .map(|point| (point["nodes"].as_u64().unwrap(), point["memory_kib"].as_u64().unwrap()))
        .collect();
    let [(2, least), (100, most)] = marks[..] else {
        panic!("{report}")
    };
    // Decoded as a whole they took 20 MiB.
    assert!(least > 0 && most < least + (12 << 10), "{report}");
    assert!(
        points.iter().all(|point| point["taken_up_kib"].as_u64().unwrap() > 0),
        "{report}"
    );
}
