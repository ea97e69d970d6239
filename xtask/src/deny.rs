//! `cargo xtask deny`: checks licences, duplicates, banned packages and sources of all dependencies (deny.toml) with cargo-deny.

use std::process::{Command, ExitCode};

use clap::Args;
use sono_testbed::{command, repository, say};

use crate::tool;

/// Version of cargo-deny, pinned because other versions may have other checks.
const VERSION: &str = "0.20.2";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Also check the RustSec database for known vulnerabilities; requires network access
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
        say::progress("skipped known vulnerabilities: their database requires network access (--advisories)");
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist;

    /// Dependencies of targets that are missing in deny.toml would not be checked.
    #[test]
    fn deny_toml_lists_targets_of_release() {
        let text = fs_err::read_to_string(repository::root().join("deny.toml")).unwrap();
        let (_, rest) = text.split_once("\ntargets = [\n").unwrap();
        let (list, _) = rest.split_once("]\n").unwrap();
        let found: Vec<&str> = list.lines().map(|line| line.trim().trim_matches([',', '"'])).collect();
        assert_eq!(found, dist::triples().collect::<Vec<_>>());
    }
}
