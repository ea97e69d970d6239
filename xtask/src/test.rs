//! `cargo xtask test`: all tests that need no cluster.

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{command, repository, say, step::long_step};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Passed on to `cargo test`: `-p sono-worker`, `-- name`, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    long_step("testing everything that needs no cluster", "the tests passed", || {
        let mut test = command::new(command::cargo(), ["test", "--workspace", "--locked"]);
        command::run_visibly(test.current_dir(repository::root()).args(&arguments.arguments))
    })?;
    if !vectors().is_dir() {
        // Tests cannot say that they did not run, and somebody should.
        say::progress(format_args!(
            "NOT tested: what is compared with real data and golden files, for they are not at {}",
            vectors().display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the tests look for real data: no part of the repository.
fn vectors() -> PathBuf {
    env::var_os("SONO_VECTORS").map_or_else(|| repository::root().join("../shared/vectors"), PathBuf::from)
}
