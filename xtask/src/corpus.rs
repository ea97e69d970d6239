//! `cargo xtask corpus`: compares the product's readers with the test kit's independent reader on a folder of result files.

use std::{ffi::OsString, process::ExitCode};

use clap::Args;
use sono_testbed::{command, repository, step::long_step};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder with result files: *.xml for JUnit, *.json for Go, *.yaml and *.yml for manual results
    #[arg(value_name = "DIR")]
    folder: OsString,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let folder = std::path::absolute(&arguments.folder)?;
    long_step("reading every file with both readers", "the readers agree", || {
        let mut read = command::new(
            command::cargo(),
            [
                "run",
                "--quiet",
                "--locked",
                "--package",
                "sono-results",
                "--example",
                "corpus",
                "--",
            ],
        );
        command::run_visibly(read.arg(&folder).current_dir(repository::root()))
    })?;
    Ok(ExitCode::SUCCESS)
}
