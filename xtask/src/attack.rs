//! `cargo xtask attack`: attackers against the real programs (`crates/sono-sim/src/attack`), built as `cargo build` does.

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use sono_testbed::{
    cluster, command, repository,
    sim::{self, Profile},
    step::long_step,
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Run only this scenario (may be repeated)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Repeat for this many minutes, with seeds that vary the number of attackers
    #[arg(long, value_name = "MINUTES", conflicts_with = "cluster")]
    minutes: Option<u64>,
    /// Attack this aggregator program instead of the repository's; the worker program must be next to it
    #[arg(long, value_name = "PATH", conflicts_with = "cluster")]
    program: Option<PathBuf>,
    /// Run the attackers as pods of the test cluster; starts the cluster if necessary
    #[arg(long)]
    cluster: bool,
    /// Further arguments for the attack program: --seed, --jobs
    #[arg(last = true)]
    forwarded: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    build()?;
    let programs = sim::programs(Profile::Dev);
    let aggregator = arguments.program.clone();
    let aggregator = aggregator.unwrap_or_else(|| programs.join("sono-aggregator"));
    // Scripts parse the program's last line, so print nothing after it.
    let mut attack = command::new(programs.join("sono-sim"), ["attack", "--aggregator"]);
    attack.arg(aggregator);
    for name in &arguments.only {
        attack.args(["--only", name]);
    }
    if let Some(minutes) = arguments.minutes {
        attack.args(["--minutes", &minutes.to_string()]);
    }
    if arguments.cluster {
        xtask(&["cluster", "up"])?;
        xtask(&["images", "--load", "--profile", "image-dev"])?;
        attack
            .args(["--cluster", "--sono"])
            .arg(programs.join("sono"))
            .env("KUBECONFIG", cluster::kubeconfig_path())
            .env("SONO_KUBECTL", cluster::kubectl()?);
    }
    command::run_visibly(attack.args(&arguments.forwarded).current_dir(repository::root()))?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the whole workspace: building fewer crates would select other features and rebuild dependencies.
fn build() -> anyhow::Result<()> {
    long_step("building the programs", "built the programs", || {
        let arguments = ["build", "--quiet", "--locked", "--workspace"];
        command::run_visibly(command::new(command::cargo(), arguments).current_dir(repository::root()))
    })
}

/// Runs another task in its own process.
fn xtask(arguments: &[&str]) -> anyhow::Result<()> {
    let program = env::current_exe().context("cannot find the path of this program")?;
    command::run_visibly(&mut command::new(program, arguments))
}
