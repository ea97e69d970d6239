//! A short simulation with fixed seeds. Longer ones: `cargo xtask sim --seeds 200`.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use sono_sim::{
    Options,
    schedule::{Schedule, Shape},
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

/// W-1, W-3, W-4, W-5, W-40, W-44: killed at random, cut off, stalled, lied to and left without an API server, the
/// aggregator keeps every result once, with its bytes, or a stated error, and its archive is that of an undisturbed run.
#[test]
fn nothing_is_lost_under_these_seeds() {
    if !has_mount_namespaces() {
        eprintln!("not run: this system gives no mount namespace (`unshare --mount`)");
        return;
    }
    sono_tls::install_provider();
    let shape = Shape { workers: 16, rounds: 3 };
    let options = Options {
        aggregator: aggregator(),
        max_memory: 128 << 20,
        power_loss: false,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let reference = simulate(&Schedule::undisturbed(1, shape), &options, None)
            .await
            .unwrap();
        assert_eq!(reference.violations, Vec::<String>::new());
        for seed in [1, 2, 3] {
            let schedule = Schedule::new(seed, shape);
            let outcome = simulate(&schedule, &options, Some(&reference)).await.unwrap();
            assert_eq!(outcome.violations, Vec::<String>::new(), "seed {seed}: {schedule:?}");
            assert_eq!(outcome.kills, shape.rounds);
        }
    });
}
