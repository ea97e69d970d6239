//! `cargo xtask bench`: benchmarks of the aggregator's ingest, queries and memory (`crates/sono-sim`), and of redaction, with
//! optimized programs.

use std::{env, ffi::OsString, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::{
    cluster, command, repository,
    sim::{self, Profile},
    step::long_step,
};

/// Arguments of `cargo xtask bench`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// Measure uploads of many workers, the status of many nodes and the time to the archive
    Ingest(Passed),
    /// Measure the queries of a cluster with 10,000 pods, with a fake API
    Queries(Queries),
    /// Measure the memory of the image's aggregator on clusters with many nodes, and the time to delete its run
    Memory(Memory),
    /// Measure speed and memory of the redaction, and its time for adversarial texts
    Redact(Redact),
}

#[derive(Debug, Args)]
struct Passed {
    /// Build without link-time optimization, which saves minutes
    #[arg(long)]
    soon: bool,
    /// Further arguments for the benchmark; `-- --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
struct Queries {
    /// Also measure on the running cluster, which must have fake nodes (`cargo xtask cluster up --fake-nodes 100`); creates pods
    /// there and deletes them afterwards
    #[arg(long)]
    cluster: bool,
    #[command(flatten)]
    passed: Passed,
}

#[derive(Debug, Args)]
struct Memory {
    /// Numbers of nodes; the first is a nearly empty cluster
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [1, 1_001, 2_201, 10_000])]
    nodes: Vec<u32>,
    /// Use a fake API with nodes and pods of 25 kB instead of a new test cluster
    #[arg(long)]
    fake: bool,
    /// Cargo profile of the images' binaries
    #[arg(long, default_value = "release", conflicts_with = "fake")]
    profile: String,
    /// Build without link-time optimization, which saves minutes
    #[arg(long, requires = "fake")]
    soon: bool,
    /// Further arguments for the benchmark; `-- --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
struct Redact {
    /// Build without link-time optimization, which saves minutes
    #[arg(long)]
    soon: bool,
}

/// Runs `cargo xtask bench`.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (name, passed) = match &arguments.benchmark {
        Benchmark::Ingest(passed) => ("ingest", passed),
        Benchmark::Queries(Queries { passed, .. }) => ("queries", passed),
        Benchmark::Memory(memory) => return measure_memory(memory),
        Benchmark::Redact(Redact { soon }) => return measure_redaction(*soon),
    };
    let programs = sim::build(if passed.soon {
        Profile::BenchSoon
    } else {
        Profile::Release
    })?;
    let mut bench = command::new(programs.join("sono-sim"), [name]);
    if !passed.arguments.iter().any(|argument| argument == "--url") {
        bench.arg("--aggregator").arg(programs.join("sono-aggregator"));
    }
    if let Benchmark::Queries(Queries { cluster: true, .. }) = &arguments.benchmark {
        bench.arg("--kubeconfig").arg(cluster::kubeconfig_path());
        bench.arg("--kubectl").arg(cluster::kubectl()?);
    }
    command::run_visibly(bench.args(&passed.arguments).current_dir(repository::root()))?;
    Ok(ExitCode::SUCCESS)
}

fn measure_memory(arguments: &Memory) -> anyhow::Result<ExitCode> {
    let counts: Vec<String> = arguments.nodes.iter().map(ToString::to_string).collect();
    let profile = match (arguments.fake, arguments.soon) {
        // On the cluster the aggregator is in the images; only the simulation is built here.
        (false, _) => Profile::Dev,
        (true, true) => Profile::BenchSoon,
        (true, false) => Profile::Release,
    };
    let programs = sim::build(profile)?;
    let mut bench = command::new(programs.join("sono-sim"), ["memory", "--nodes", &counts.join(",")]);
    if arguments.fake {
        bench.arg("--aggregator").arg(programs.join("sono-aggregator"));
    } else {
        long_step("building sono", "built sono", || {
            let build = ["build", "--quiet", "--locked", "--package", "sono-cli"];
            command::run_visibly(command::new(command::cargo(), build).current_dir(repository::root()))
        })?;
        // With at least one fake node the cluster's controllers do not expect heartbeats.
        xtask(&["cluster", "up", "--recreate", "--fake-nodes", "1"])?;
        xtask(&["images", "--load", "--profile", &arguments.profile])?;
        bench.arg("--kubeconfig").arg(cluster::kubeconfig_path());
        bench.arg("--kubectl").arg(cluster::kubectl()?);
        bench.arg("--sono").arg(programs.join("sono"));
    }
    command::run_visibly(bench.args(&arguments.arguments).current_dir(repository::root()))?;
    Ok(ExitCode::SUCCESS)
}

/// The benchmark is part of the crate, so that no other program is built.
fn measure_redaction(soon: bool) -> anyhow::Result<ExitCode> {
    let profile = if soon { "bench-soon" } else { "release" };
    let bench = [
        "bench",
        "--quiet",
        "--locked",
        "--package",
        "sono-redact",
        "--bench",
        "redact",
        "--profile",
        profile,
    ];
    command::run_visibly(command::new(command::cargo(), bench).current_dir(repository::root()))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs another task in its own process.
fn xtask(arguments: &[&str]) -> anyhow::Result<()> {
    let program = env::current_exe().context("cannot find the path of this program")?;
    command::run_visibly(&mut command::new(program, arguments))
}
