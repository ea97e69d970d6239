//! `cargo xtask attack`: attackers against the real programs (`crates/sono-sim/src/attack`), built as `cargo build` does.

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;

use crate::{
    cluster, command, repository,
    sim::{self, Profile},
    step::long_step,
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Run only this scenario (may be repeated)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Continue for this long, with seeds that change how many attackers come
    #[arg(long, value_name = "MINUTES", conflicts_with = "cluster")]
    minutes: Option<u64>,
    /// Attack this aggregator instead of the one of this repository; its worker's program is next to it
    #[arg(long, value_name = "PATH", conflicts_with = "cluster")]
    program: Option<PathBuf>,
    /// Instead: attackers are pods of the test cluster, which is started if need be
    #[arg(long)]
    cluster: bool,
    /// Passed on: --seed, --jobs
    #[arg(last = true)]
    passed_on: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    build()?;
    let programs = sim::programs(Profile::Dev);
    let aggregator = arguments.program.clone();
    let aggregator = aggregator.unwrap_or_else(|| programs.join("sono-aggregator"));
    // Its last line is for other programs: nothing of ours follows it.
    let mut attack = command::new(programs.join("sono-sim"), ["attack", "--aggregator"]);
    attack.arg(aggregator);
    for name in &arguments.only {
        attack.args(["--only", name]);
    }
    if let Some(minutes) = arguments.minutes {
        attack.args(["--minutes", &minutes.to_string()]);
    }
    if arguments.cluster {
        own(&["cluster", "up"])?;
        own(&["images", "--load", "--profile", "image-dev"])?;
        attack
            .args(["--cluster", "--sono"])
            .arg(programs.join("sono"))
            .env("KUBECONFIG", cluster::kubeconfig_path())
            .env("SONO_KUBECTL", cluster::kubectl()?);
    }
    command::run_visibly(attack.args(&arguments.passed_on).current_dir(repository::root()))?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the whole workspace: a build of fewer crates selects other features and so rebuilds dependencies.
fn build() -> anyhow::Result<()> {
    long_step("building the programs", "the programs are built", || {
        let arguments = ["build", "--quiet", "--locked", "--workspace"];
        command::run_visibly(command::new(command::cargo(), arguments).current_dir(repository::root()))
    })
}

/// Another task, as a person would start it.
fn own(arguments: &[&str]) -> anyhow::Result<()> {
    let program = env::current_exe().context("find this program")?;
    command::run_visibly(&mut command::new(program, arguments))
}
