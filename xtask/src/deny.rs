//! `cargo xtask deny`: licences, duplicates, unwanted packages and sources of all dependencies (deny.toml), by cargo-deny.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::{command, repository, say, tool};

/// Another version may judge differently.
const VERSION: &str = "0.20.2";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Also ask the RustSec database for known weaknesses; needs the network
    #[arg(long)]
    advisories: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut check = Command::new(tool::program("cargo-deny", VERSION)?);
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
