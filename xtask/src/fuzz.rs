//! `cargo xtask fuzz`: damaged input for everything that reads bytes from outside (`crates/sono-fuzz`).

use std::{ffi::OsString, process::ExitCode};

use clap::Args;

use crate::{command, repository, step::long_step};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only this target (may be repeated)
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// How long for each target
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Which sequence of inputs
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Try the input in this file instead; needs one --target
    #[arg(long, value_name = "FILE")]
    input: Option<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    long_step("feeding damaged input to every target", "the targets held", || {
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
