//! `cargo xtask fuzz`: fuzzes the code that reads bytes from outside (`crates/sono-fuzz`).

use std::{ffi::OsString, process::ExitCode};

use clap::Args;
use sono_testbed::{command, repository, step::long_step};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Run only this target (may be repeated)
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Time for each target, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Seed of the sequence of inputs
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Execute only the input in this file; requires exactly one --target
    #[arg(long, value_name = "FILE")]
    input: Option<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    long_step("fuzzing every target", "fuzzed every target", || {
        let mut fuzz = command::new(
            command::cargo(),
            ["run", "--quiet", "--locked", "--package", "sono-fuzz", "--"],
        );
        fuzz.args([
            "--seconds",
            &arguments.seconds.to_string(),
            "--seed",
            &arguments.seed.to_string(),
        ]);
        for target in &arguments.target {
            fuzz.args(["--target", target]);
        }
        if let Some(input) = &arguments.input {
            fuzz.arg("--input").arg(input);
        }
        command::run_visibly(fuzz.current_dir(repository::root()))
    })?;
    Ok(ExitCode::SUCCESS)
}
