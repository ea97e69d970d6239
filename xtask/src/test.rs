//! `cargo xtask test`: runs all tests that need no cluster.

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

use clap::Args;
use sono_testbed::{command, repository, say, step::long_step};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Further arguments for `cargo test`: `-p sono-worker`, `-- name`, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    long_step("running the tests without a cluster", "the tests passed", || {
        let mut test = command::new(command::cargo(), ["test", "--workspace", "--locked"]);
        command::run_visibly(test.current_dir(repository::root()).args(&arguments.arguments))
    })?;
    if !vectors().is_dir() {
        // Skipped tests cannot report that they did not run.
        say::progress(format_args!(
            "SKIPPED: the tests with real data and golden files, because {} does not exist",
            vectors().display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Directory of the tests' real data, outside of the repository.
fn vectors() -> PathBuf {
    env::var_os("SONO_VECTORS").map_or_else(|| repository::root().join("../shared/vectors"), PathBuf::from)
}
