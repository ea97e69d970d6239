//! `cargo xtask deny`: licences, duplicates, unwanted packages and sources of all dependencies (deny.toml), by cargo-deny.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use clap::Args;

use crate::{cache, command, repository, say, step::long_step};

/// Another version may judge differently.
const VERSION: &str = "0.20.2";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Also ask the RustSec database for known weaknesses; needs the network
    #[arg(long)]
    advisories: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let program = program()?;
    let mut check = Command::new(program);
    check
        .args(["--workspace", "--locked", "check", "--hide-inclusion-graph"])
        .args(["licenses", "bans", "sources"])
        .current_dir(repository::root());
    if arguments.advisories {
        check.arg("advisories");
    }
    command::run_visibly(&mut check)?;
    if !arguments.advisories {
        say::progress("known weaknesses were not asked for: their database is on the network (--advisories)");
    }
    Ok(ExitCode::SUCCESS)
}

/// Built once into the cache. An interrupted build leaves nothing: cargo puts the program in place at its end.
fn program() -> anyhow::Result<PathBuf> {
    let folder = cache::directory(&format!("cargo-deny-{VERSION}"))?;
    let program = folder
        .join("bin/cargo-deny")
        .with_extension(std::env::consts::EXE_EXTENSION);
    if !program.is_file() {
        let package = format!("cargo-deny@{VERSION}");
        long_step(
            &format!("building {package} (about three minutes)"),
            &format!("built {package}"),
            || {
                let mut install =
                    command::new(command::cargo(), ["install", "--quiet", "--locked", &package, "--root"]);
                install.arg(&folder).current_dir(repository::root());
                // Nothing of what this repository is built with is wanted there.
                install.env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
                command::run_visibly(&mut install)
            },
        )?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist;

    /// What is not looked at for a target is shipped unlooked at.
    #[test]
    fn the_targets_of_a_release_are_looked_at() {
        let text = fs_err::read_to_string(repository::root().join("deny.toml")).unwrap();
        let (_, rest) = text.split_once("\ntargets = [\n").unwrap();
        let (list, _) = rest.split_once("]\n").unwrap();
        let found: Vec<&str> = list.lines().map(|line| line.trim().trim_matches([',', '"'])).collect();
        assert_eq!(found, dist::triples().collect::<Vec<_>>());
    }
}
