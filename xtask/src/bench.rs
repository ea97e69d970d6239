//! `cargo xtask bench`: how much the aggregator takes in how quickly, and what its queries cost (`crates/sono-sim`), with
//! optimized programs.

use std::{ffi::OsString, process::ExitCode};

use clap::{Args, Subcommand};

use crate::{
    cluster, command, repository,
    sim::{self, Profile},
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

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (what, passed) = match &arguments.what {
        What::Ingest(passed) => ("ingest", passed),
        What::Queries(Queries { passed, .. }) => ("queries", passed),
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
