//! `cargo xtask bench`: how much the aggregator takes in how quickly (`crates/sono-sim`), with optimized programs.

use std::{ffi::OsString, process::ExitCode};

use clap::{Args, Subcommand};

use crate::{
    command, repository,
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
}

#[derive(Args)]
struct Passed {
    /// Programs without link-time optimization: minutes less to wait for them
    #[arg(long)]
    soon: bool,
    /// Passed on: --quick, --json, --against, --url, …; `-- --help` tells
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let What::Ingest(Passed { soon, arguments }) = &arguments.what;
    let programs = sim::build(if *soon { Profile::BenchSoon } else { Profile::Release })?;
    let mut bench = command::new(programs.join("sono-sim"), ["ingest"]);
    if !arguments.iter().any(|argument| argument == "--url") {
        bench.arg("--aggregator").arg(programs.join("sono-aggregator"));
    }
    command::run_visibly(bench.args(arguments).current_dir(repository::root()))?;
    Ok(ExitCode::SUCCESS)
}
