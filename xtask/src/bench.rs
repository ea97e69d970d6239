//! `cargo xtask bench`: how much the aggregator takes in how quickly, what its queries cost, and how much memory it holds
//! (`crates/sono-sim`), with optimized programs.

use std::{env, ffi::OsString, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::{
    cluster, command, repository,
    sim::{self, Profile},
    step::long_step,
};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Results of many workers at once, the status of many nodes, the time to the archive
    Ingest(Passed),
    /// What the queries of a cluster with 10,000 pods cost, served by a fake API
    Queries(Queries),
    /// How much memory the aggregator of the images holds on clusters with many nodes, and how long deleting its run takes
    Memory(Memory),
}

#[derive(Args)]
struct Passed {
    /// Programs without link-time optimization: minutes less to wait for them
    #[arg(long)]
    soon: bool,
    /// Passed on: `-- --help` tells
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

#[derive(Args)]
struct Queries {
    /// Also on the cluster that runs, which has nodes without a machine (`cargo xtask cluster up --fake-nodes 100`): the
    /// pods are created there and removed afterwards
    #[arg(long)]
    cluster: bool,
    #[command(flatten)]
    passed: Passed,
}

#[derive(Args)]
struct Memory {
    /// Numbers of nodes; the first is a cluster with next to nothing
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [1, 1_001, 2_201, 10_000])]
    nodes: Vec<u32>,
    /// Use a fake API instead of a newly created test cluster, with nodes and pods of 25 kB
    #[arg(long)]
    fake: bool,
    /// Cargo profile of the images' binaries
    #[arg(long, default_value = "release", conflicts_with = "fake")]
    profile: String,
    /// Programs without link-time optimization: minutes less to wait for them
    #[arg(long, requires = "fake")]
    soon: bool,
    /// Passed on: `-- --help` tells
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (what, passed) = match &arguments.what {
        What::Ingest(passed) => ("ingest", passed),
        What::Queries(Queries { passed, .. }) => ("queries", passed),
        What::Memory(memory) => return of_memory(memory),
    };
    let programs = sim::build(if passed.soon {
        Profile::BenchSoon
    } else {
        Profile::Release
    })?;
    let mut bench = command::new(programs.join("sono-sim"), [what]);
    if !passed.arguments.iter().any(|argument| argument == "--url") {
        bench.arg("--aggregator").arg(programs.join("sono-aggregator"));
    }
    if let What::Queries(Queries { cluster: true, .. }) = &arguments.what {
        bench.arg("--kubeconfig").arg(cluster::kubeconfig_path());
        bench.arg("--kubectl").arg(cluster::kubectl()?);
    }
    command::run_visibly(bench.args(&passed.arguments).current_dir(repository::root()))?;
    Ok(ExitCode::SUCCESS)
}

fn of_memory(arguments: &Memory) -> anyhow::Result<ExitCode> {
    let counts: Vec<String> = arguments.nodes.iter().map(ToString::to_string).collect();
    let profile = match (arguments.fake, arguments.soon) {
        // On the cluster the program that is measured is the images'.
        (false, _) => Profile::Dev,
        (true, true) => Profile::BenchSoon,
        (true, false) => Profile::Release,
    };
    let programs = sim::build(profile)?;
    let mut bench = command::new(programs.join("sono-sim"), ["memory", "--nodes", &counts.join(",")]);
    if arguments.fake {
        bench.arg("--aggregator").arg(programs.join("sono-aggregator"));
    } else {
        long_step("building the command line", "the command line is built", || {
            let build = ["build", "--quiet", "--locked", "--package", "sono-cli"];
            command::run_visibly(command::new(command::cargo(), build).current_dir(repository::root()))
        })?;
        // With a node without a machine from the start its controllers expect no heartbeats.
        own(&["cluster", "up", "--recreate", "--fake-nodes", "1"])?;
        own(&["images", "--load", "--profile", &arguments.profile])?;
        bench.arg("--kubeconfig").arg(cluster::kubeconfig_path());
        bench.arg("--kubectl").arg(cluster::kubectl()?);
        bench.arg("--sono").arg(programs.join("sono"));
    }
    command::run_visibly(bench.args(&arguments.arguments).current_dir(repository::root()))?;
    Ok(ExitCode::SUCCESS)
}

/// Another task, as a person would start it.
fn own(arguments: &[&str]) -> anyhow::Result<()> {
    let program = env::current_exe().context("find this program")?;
    command::run_visibly(&mut command::new(program, arguments))
}
