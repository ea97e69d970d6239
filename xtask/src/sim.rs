//! `cargo xtask sim`: simulated workers and seeded faults against the real aggregator (`crates/sono-sim`).

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{cluster::debian, command, repository, say, step::long_step};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Optimized programs, as they are shipped
    #[arg(long)]
    release: bool,
    /// Optimized nearly as much, and built in minutes less
    #[arg(long, conflicts_with = "release")]
    soon: bool,
    /// Passed on: --seed, --seeds, --workers, --rounds, --show, …; `-- --help` tells
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    passed_on: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let programs = build(match (arguments.release, arguments.soon) {
        (true, _) => Profile::Release,
        (false, true) => Profile::BenchSoon,
        (false, false) => Profile::Dev,
    })?;
    // Its last line is for other programs: nothing of ours follows it.
    let mut sim = command::new(programs.join("sono-sim"), ["sim", "--aggregator"]);
    sim.arg(programs.join("sono-aggregator"));
    if sets_clocks(&arguments.passed_on)
        && let Err(error) = debian::ensure(&[debian::FAKETIME])
    {
        say::progress(format_args!(
            "full disks and clocks that are set are left out ({NO_MACHINE_FAULTS}): cannot install libfaketime: {error:#}"
        ));
        sim.arg(NO_MACHINE_FAULTS);
    }
    sim.args(&arguments.passed_on);
    command::run_visibly(sim.current_dir(repository::root()))?;
    Ok(ExitCode::SUCCESS)
}

const NO_MACHINE_FAULTS: &str = "--no-machine-faults";

/// Whether the simulation may set clocks, for which it needs a library.
fn sets_clocks(passed_on: &[OsString]) -> bool {
    let without = ["--help", "-h", "--show", NO_MACHINE_FAULTS];
    !passed_on
        .iter()
        .any(|argument| without.iter().any(|without| argument == without))
}

/// How the programs are built.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Profile {
    Dev,
    /// As shipped.
    Release,
    /// As shipped, but for what the linker does for minutes.
    BenchSoon,
}

impl Profile {
    /// What cargo calls it, and its directory.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Dev => ("dev", "debug"),
            Self::Release => ("release", "release"),
            Self::BenchSoon => ("bench-soon", "bench-soon"),
        }
    }
}

/// Builds aggregator and simulation; returns where they are.
pub(crate) fn build(profile: Profile) -> anyhow::Result<PathBuf> {
    let (name, _) = profile.names();
    long_step(
        "building aggregator and simulation",
        "aggregator and simulation are built",
        || {
            let mut build = command::new(
                command::cargo(),
                [
                    "build",
                    "--quiet",
                    "--locked",
                    "--package",
                    "sono-aggregator",
                    "--package",
                    "sono-sim",
                ],
            );
            command::run_visibly(build.args(["--profile", name]).current_dir(repository::root()))
        },
    )?;
    Ok(programs(profile))
}

/// Where cargo puts programs of a profile.
pub(crate) fn programs(profile: Profile) -> PathBuf {
    let (_, directory) = profile.names();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository::root().join("target"), PathBuf::from);
    target.join(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_is_wanted_only_where_clocks_are_set() {
        for (passed_on, expected) in [
            (&["--seed", "3"][..], true),
            (&[], true),
            (&["--seed", "3", "--no-machine-faults"], false),
            (&["--show"], false),
            (&["--help"], false),
        ] {
            let passed_on: Vec<OsString> = passed_on.iter().map(OsString::from).collect();
            assert_eq!(sets_clocks(&passed_on), expected, "{passed_on:?}");
        }
    }
}
