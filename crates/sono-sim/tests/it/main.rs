//! Short simulations with fixed seeds. For longer ones run `cargo xtask sim --seeds 200`.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use futures::StreamExt as _;
use sono_sim::{
    Options, Outcome,
    schedule::{ApiFault, ApiTrouble, Kill, MachineFault, MachineTrouble, Moment, Schedule, Shape},
    simulate,
};

/// Builds the aggregator program. It belongs to another package: a test of this package alone may find it missing or
/// outdated.
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

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Runs an undisturbed reference and then these schedules, all with this number of workers.
fn nothing_is_broken(workers: usize, schedules: impl IntoIterator<Item = Schedule>) -> Vec<Outcome> {
    nothing_is_broken_by(false, workers, schedules)
}

/// Like [`nothing_is_broken`]; with `power_loss` kills drop unsynced writes.
fn nothing_is_broken_by(
    power_loss: bool,
    workers: usize,
    schedules: impl IntoIterator<Item = Schedule>,
) -> Vec<Outcome> {
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
        // Simulations mostly wait.
        futures::stream::iter(simulated).buffered(3).collect().await
    })
}

/// Seeds that cover every seeded fault.
const SEEDS: [u64; 5] = [1, 2, 3, 37, 41];

fn seeded(seed: u64) -> Schedule {
    let shape = Shape {
        workers: WORKERS,
        rounds: 3,
    };
    let mut schedule = Schedule::new(seed, shape).without_machine_faults();
    // It takes half a minute and has its own test.
    schedule
        .api
        .retain(|fault| !matches!(fault.what, ApiTrouble::Hang { .. }));
    schedule
}

/// `cargo xtask bench queries` on a small cluster: queries find all objects, with as many requests as a plain loop,
/// and store about as many bytes.
#[test]
fn the_bench_of_queries_measures_what_is_asked_for() {
    let output = Command::new(env!("CARGO_BIN_EXE_sono-sim"))
        .args(["queries", "--pods", "50", "--turns", "1", "--json", "--aggregator"])
        .arg(aggregator())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
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

/// Each fault has a test with a fixed seed, listed in `docs/durability.md`.
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

const WORKERS: usize = 16;

fn kill(workers: usize) -> Kill {
    Kill {
        at: Moment::Answered { workers, then_us: 500 },
        gently: false,
    }
}

/// A kill while the process resumes the run.
fn soon(gently: bool) -> Kill {
    let at = Moment::Started { after_ms: 300 };
    Kill { at, gently }
}

/// A kill after the last upload, while the archive is packed.
fn at_the_end(after_us: u64) -> Kill {
    let at = Moment::Last { after_us };
    Kill { at, gently: false }
}

/// A schedule with workers and intruders of the seed, and explicit kills and machine faults.
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

/// The report has a point for each number of nodes, and memory grows by much less than the pods' 25 kB.
#[test]
fn memory_bench_measures_each_number_of_nodes() {
    let output = Command::new(env!("CARGO_BIN_EXE_sono-sim"))
        .args(["memory", "--nodes", "2,100", "--hold", "1", "--json", "--aggregator"])
        .arg(aggregator())
        .output()
        .unwrap();
    // An unoptimized program may exceed the bounds.
    let errors = String::from_utf8_lossy(&output.stderr);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
    let points = report["points"].as_array().unwrap();
    let marks: Vec<(u64, u64)> = points
        .iter()
        .map(|point| (point["nodes"].as_u64().unwrap(), point["memory_kib"].as_u64().unwrap()))
        .collect();
    let [(2, least), (100, most)] = marks[..] else {
        panic!("{report}")
    };
    // Decoding all pods at once took 20 MiB.
    assert!(least > 0 && most < least + (12 << 10), "{report}");
    assert!(
        points.iter().all(|point| point["taken_up_kib"].as_u64().unwrap() > 0),
        "{report}"
    );
}

/// Simulations: each mounts its volume at the fixed directory of the aggregator.
mod mount_namespaces {
    use super::*;

    /// W-1, W-3, W-4, W-5, W-40, W-44: despite random kills, broken and stalled uploads, hostile input and API server outages,
    /// the archive has every result exactly once, with its bytes or an error, as in an undisturbed run.
    #[test]
    #[ignore = "requires mount namespaces: cargo xtask test"]
    fn nothing_is_lost_under_these_seeds() {
        nothing_is_broken(WORKERS, SEEDS.map(seeded));
    }

    /// Reruns the test as root in a user namespace, since mounting a volume requires root. Returns true if it did so: the
    /// caller is then done.
    fn runs_as_root_instead(test: &str) -> bool {
        const INSIDE: &str = "SONO_SIM_INSIDE";
        if rustix::process::getuid().is_root() || std::env::var_os(INSIDE).is_some() {
            return false;
        }
        let rerun = Command::new("unshare")
            .args(["--mount", "--map-root-user"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(INSIDE, "1")
            .status();
        assert!(rerun.unwrap().success());
        true
    }

    /// With a full disk uploads fail with 507; when space is free again, all results are stored.
    #[test]
    #[ignore = "requires mount namespaces: cargo xtask test"]
    fn a_full_disk_is_survived() {
        if runs_as_root_instead("mount_namespaces::a_full_disk_is_survived") {
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
        let waited = outcomes.iter().filter(|outcome| outcome.disk_full_messages > 0).count();
        assert!(waited >= 2, "only {waited} had a full disk");
    }

    /// An API server that accepts requests without responding delays the aggregator by at most half a minute, the
    /// time limit of requests and watches.
    #[test]
    #[ignore = "requires mount namespaces: cargo xtask test"]
    fn an_api_server_that_never_answers_is_survived() {
        let fault = |answered, what| ApiFault { answered, what };
        nothing_is_broken(
            WORKERS,
            [Schedule {
                // The restarted watches are among the next requests.
                api: vec![
                    fault(4, ApiTrouble::Hang { times: 3 }),
                    fault(4, ApiTrouble::Gone { times: 0 }),
                    fault(13, ApiTrouble::Hang { times: 1 }),
                ],
                ..with(6, Vec::new(), &[])
            }],
        );
    }
}

/// Simulations of power losses, on file systems on loop devices.
mod loop_devices {
    use super::*;

    /// Unlike a killed process, a power loss also drops the page cache.
    #[test]
    #[ignore = "requires root and loop devices: cargo xtask test"]
    fn nothing_is_lost_when_the_power_fails() {
        nothing_is_broken_by(true, WORKERS, [4, 5].map(seeded));
    }
}

/// Simulations of clock changes.
mod faketime {
    use super::*;

    /// The clock of the aggregator's machine changes, by hours between processes and by weeks during one.
    #[test]
    #[ignore = "requires mount namespaces and Debian's package faketime: cargo xtask test"]
    fn clocks_that_are_set_are_survived() {
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
}
