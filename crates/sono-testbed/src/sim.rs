//! `cargo xtask sim`: simulated workers and seeded faults against the real aggregator (`crates/sono-sim`).

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{command, debian, repository, say, step::long_step};

/// Arguments of `cargo xtask sim`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Build optimized programs, as in a release
    #[arg(long)]
    release: bool,
    /// Build nearly as optimized programs, which saves minutes
    #[arg(long, conflicts_with = "release")]
    soon: bool,
    /// Further arguments for the simulation: --seed, --seeds, --workers, --rounds, --show, …; `-- --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    forwarded: Vec<OsString>,
}

/// Runs `cargo xtask sim`.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let programs = build(match (arguments.release, arguments.soon) {
        (true, _) => Profile::Release,
        (false, true) => Profile::BenchSoon,
        (false, false) => Profile::Dev,
    })?;
    // Scripts parse the program's last line, so print nothing after it.
    let mut sim = command::new(programs.join("sono-sim"), ["sim", "--aggregator"]);
    sim.arg(programs.join("sono-aggregator"));
    if sets_clocks(&arguments.forwarded)
        && let Err(error) = debian::ensure(&[debian::FAKETIME])
    {
        say::progress(format_args!(
            "skipping full disks and clock changes ({NO_MACHINE_FAULTS}): cannot install libfaketime: {error:#}"
        ));
        sim.arg(NO_MACHINE_FAULTS);
    }
    sim.args(&arguments.forwarded);
    command::run_visibly(sim.current_dir(repository::root()))?;
    Ok(ExitCode::SUCCESS)
}

const NO_MACHINE_FAULTS: &str = "--no-machine-faults";

/// Whether the simulation may change clocks, which requires a library.
fn sets_clocks(forwarded: &[OsString]) -> bool {
    let without = ["--help", "-h", "--show", NO_MACHINE_FAULTS];
    !forwarded
        .iter()
        .any(|argument| without.iter().any(|without| argument == without))
}

/// Build profile of the programs.
#[derive(Debug, Clone, Copy)]
pub enum Profile {
    /// Not optimized.
    Dev,
    /// The profile of releases.
    Release,
    /// The profile of releases without link-time optimization.
    BenchSoon,
}

impl Profile {
    /// Name of cargo's profile, and its directory.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Dev => ("dev", "debug"),
            Self::Release => ("release", "release"),
            Self::BenchSoon => ("bench-soon", "bench-soon"),
        }
    }
}

/// Builds aggregator and simulation; returns their directory.
pub fn build(profile: Profile) -> anyhow::Result<PathBuf> {
    let (name, _) = profile.names();
    long_step(
        "building aggregator and simulation",
        "built aggregator and simulation",
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

/// Cargo's directory for programs of a profile.
pub fn programs(profile: Profile) -> PathBuf {
    let (_, directory) = profile.names();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository::root().join("target"), PathBuf::from);
    target.join(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_clocks_unless_skipped_by_arguments() {
        for (forwarded, expected) in [
            (&["--seed", "3"][..], true),
            (&[], true),
            (&["--seed", "3", "--no-machine-faults"], false),
            (&["--show"], false),
            (&["--help"], false),
        ] {
            let forwarded: Vec<OsString> = forwarded.iter().map(OsString::from).collect();
            assert_eq!(sets_clocks(&forwarded), expected, "{forwarded:?}");
        }
    }
}
