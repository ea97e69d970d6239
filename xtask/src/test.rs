//! `cargo xtask test`: all tests that need no cluster.

use std::{ffi::OsString, process::ExitCode};

use clap::Args;

use crate::{command, repository, step::long_step};

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
    Ok(ExitCode::SUCCESS)
}
